//! Where the sources of a graph came from.

use crate::context::{Fetched, RemoteOrigin};
use crate::runner::StepRunner;
use acetate_attest::provenance::{
    GitMaterial, HttpMaterial, ImageMaterial, ImageOrigin, Materials,
};
use acetate_frontend::{ImageNeed, ImageSource};
use acetate_graph::{SourceOp, VertexId};
use acetate_image::ResolvedImage;
use acetate_oci::Reference;
use std::collections::BTreeSet;

/// What a vertex brings in, as it was found.
pub(super) enum Found<'a> {
    Image(&'a ImageNeed, &'a ResolvedImage),
    Remote(&'a Fetched),
    /// A local context by name; the main one has none.
    Local(&'a str),
    Unknown,
}

/// Finds where a source came from.
pub(super) fn find<'a>(runner: &'a StepRunner, id: VertexId, source: &SourceOp) -> Found<'a> {
    let location = runner.graph.vertex(id).meta.location;
    let Some(place) = location.map(|location| location.0 as usize) else {
        return Found::Unknown;
    };
    let found = match source {
        SourceOp::Image { .. } => runner.images_used.get(place).and_then(|need| {
            let image = runner.pinned.images.get(need)?;
            Some(Found::Image(need, image))
        }),
        SourceOp::Local { .. } => {
            let spec = runner.selections.get(place);
            spec.map(|spec| Found::Local(&spec.context))
        }
        SourceOp::Download(_) | SourceOp::Git(_) => {
            let need = runner.remotes.get(place);
            let fetched = need.and_then(|need| runner.pinned.remotes.get(need));
            fetched.map(Found::Remote)
        }
    };
    found.unwrap_or(Found::Unknown)
}

/// The name of a local context as provenance has it.
pub(super) fn local_name(name: &str) -> &str {
    if name.is_empty() { "context" } else { name }
}

/// A source in LLB's words.
pub(super) fn identifier(runner: &StepRunner, id: VertexId, source: &SourceOp) -> String {
    match find(runner, id, source) {
        Found::Image(need, image) => {
            let (scheme, name) = match &need.source {
                ImageSource::Registry(reference) => ("docker-image", reference.to_string()),
                ImageSource::Context(name) => ("oci-layout", name.clone()),
            };
            if name.contains('@') {
                return format!("{scheme}://{name}");
            }
            format!("{scheme}://{name}@{}", image.root_digest)
        }
        Found::Remote(fetched) => match &fetched.origin {
            RemoteOrigin::Download { url, .. } => {
                let unnamed = || "local://context".to_owned();
                url.clone().unwrap_or_else(unnamed)
            }
            RemoteOrigin::Git(checkout) => {
                let (_, rest) = checkout
                    .remote
                    .split_once("://")
                    .unwrap_or(("", &checkout.remote));
                format!("git://{rest}#{}", checkout.commit)
            }
        },
        Found::Local(name) => format!("local://{}", local_name(name)),
        Found::Unknown => String::new(),
    }
}

/// What came in, gathered vertex by vertex.
#[derive(Default)]
pub(super) struct Inputs {
    pub(super) materials: Materials,
    pub(super) locals: BTreeSet<String>,
    /// Whether something came in that has no name.
    pub(super) incomplete: bool,
}

impl Inputs {
    pub(super) fn add(&mut self, found: &Found<'_>) {
        match found {
            Found::Image(need, image) => self.image(need, image),
            Found::Remote(fetched) => self.remote(&fetched.origin),
            Found::Local(name) => {
                self.locals.insert(local_name(name).to_owned());
            }
            Found::Unknown => self.incomplete = true,
        }
    }

    fn image(&mut self, need: &ImageNeed, image: &ResolvedImage) {
        let (reference, origin) = match &need.source {
            ImageSource::Registry(reference) => (Some(reference.clone()), ImageOrigin::Registry),
            ImageSource::Context(name) => (name.parse::<Reference>().ok(), ImageOrigin::Layout),
        };
        let Some(reference) = reference else {
            self.incomplete = true;
            return;
        };
        self.materials.images.push(ImageMaterial {
            reference,
            platform: Some(need.platform.clone()),
            digest: image.root_digest,
            origin,
        });
    }

    pub(super) fn remote(&mut self, origin: &RemoteOrigin) {
        match origin {
            RemoteOrigin::Download {
                content,
                url: Some(url),
            } => self.materials.http.push(HttpMaterial {
                url: url.clone(),
                digest: *content,
            }),
            // What came through standard input has no name.
            RemoteOrigin::Download { url: None, .. } => self.incomplete = true,
            RemoteOrigin::Git(checkout) => {
                let reference = checkout.reference.iter();
                let url: String = reference.fold(checkout.remote.clone(), |url, reference| {
                    format!("{url}#{reference}")
                });
                self.materials.git.push(GitMaterial {
                    url,
                    commit: checkout.commit.clone(),
                });
            }
        }
    }
}
