//! What steps read, to vertices.

use super::steps::Lowering;
use crate::diagnostic::Diagnostic;
use crate::pins::{ImageNeed, PinnedImage, PinnedRemote, Pins, RemoteNeed, SelectionSpec};
use crate::plan::{Input, pinned_name};
use acetate_graph::{
    Archives, CopyAction, CopyOwner, CopySource, Edge, FileAction, Op, Origin, SourceLocation,
    SourceOp, VertexMeta,
};
use std::collections::HashMap;
use std::hash::Hash;

/// The lists that the locations of sources refer to.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) selections: Located<SelectionSpec>,
    pub(super) images: Located<ImageNeed>,
    pub(super) remotes: Located<RemoteNeed>,
}

/// A list that holds each value once.
#[derive(Debug)]
pub(super) struct Located<T> {
    list: Vec<T>,
    index: HashMap<T, u32>,
}

impl<T> Default for Located<T> {
    fn default() -> Self {
        Self {
            list: Vec::new(),
            index: HashMap::new(),
        }
    }
}

impl<T: Hash + Eq + Clone> Located<T> {
    /// The place of a value, which is added where it is new.
    fn locate(&mut self, value: &T) -> SourceLocation {
        if let Some(&place) = self.index.get(value) {
            return SourceLocation(place);
        }
        let place = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(value.clone());
        self.index.insert(value.clone(), place);
        SourceLocation(place)
    }

    pub(super) fn into_list(self) -> Vec<T> {
        self.list
    }
}

impl Lowering<'_> {
    /// The edge behind an input; none is an empty file system. `origin` is who reads it first.
    pub(super) fn input(
        &mut self,
        input: &Input,
        origin: &Origin,
    ) -> Result<Option<Edge>, Diagnostic> {
        let origin = Some(origin.clone());
        Ok(match input {
            Input::Empty => None,
            Input::Stage(id) => self.outputs[id.0],
            Input::Selection(spec) => Some(self.selection(spec, origin)?),
            Input::Image(need) => {
                let meta = VertexMeta {
                    name: format!("FROM {}", pinned_name(self.pins, need)),
                    origin,
                    ..VertexMeta::default()
                };
                Some(self.image(need, meta)?)
            }
            Input::Remote(need) => Some(self.remote(need, origin)?),
        })
    }

    pub(super) fn image(&mut self, need: &ImageNeed, meta: VertexMeta) -> Result<Edge, Diagnostic> {
        let image = pinned(self.pins, need)?;
        let op = SourceOp::Image {
            manifest: image.manifest,
            platform: need.platform.clone(),
        };
        let location = self.sources.images.locate(need);
        Ok(self.source(op, meta, location))
    }

    fn selection(
        &mut self,
        spec: &SelectionSpec,
        origin: Option<Origin>,
    ) -> Result<Edge, Diagnostic> {
        let files = spec.sources.join(" ");
        let Some(selection) = self.pins.selections.get(spec).copied() else {
            return Err(unpinned(&format!("the files `{files}` are")));
        };
        let name = format!("[internal] load {}: {files}", context_name(&spec.context));
        let location = self.sources.selections.locate(spec);
        let meta = shown(name, origin);
        Ok(self.source(SourceOp::Local { selection }, meta, location))
    }

    /// What was fetched; of an archive that is a context, what is in it.
    fn remote(&mut self, need: &RemoteNeed, origin: Option<Origin>) -> Result<Edge, Diagnostic> {
        let name = match need {
            RemoteNeed::Context(name) => context_name(name).to_owned(),
            RemoteNeed::Http { url, .. } => hide_credentials(url),
            RemoteNeed::Git(git) => hide_credentials(&git.remote),
        };
        let Some(PinnedRemote { source, unpack, .. }) = self.pins.remotes.get(need) else {
            return Err(unpinned(&format!("`{name}` is")));
        };
        let location = self.sources.remotes.locate(need);
        let meta = shown(format!("[internal] load {name}"), origin.clone());
        let edge = self.source(source.clone(), meta, location);
        if !unpack {
            return Ok(edge);
        }
        let unpacked = CopyAction {
            archives: Archives::Unpack,
            ..whole(CopySource::Path("*".to_owned()), CopyOwner::Keep, "/")
        };
        let name = format!("[internal] unpack {name}");
        Ok(self.made_of(edge, unpacked, name, origin))
    }

    /// A local source without its context around it: what it is becomes a file system.
    pub(super) fn tree_of(
        &mut self,
        spec: &SelectionSpec,
        dest: &str,
        name: String,
        origin: &Origin,
    ) -> Result<Edge, Diagnostic> {
        let edge = self.selection(spec, Some(origin.clone()))?;
        let action = whole(CopySource::Slot(0), CopyOwner::Root, dest);
        Ok(self.made_of(edge, action, name, Some(origin.clone())))
    }

    fn made_of(
        &mut self,
        edge: Edge,
        action: CopyAction,
        name: String,
        origin: Option<Origin>,
    ) -> Edge {
        let meta = shown(name, origin);
        Edge::first(self.file(None, vec![edge], vec![FileAction::Copy(action)], meta))
    }

    fn source(&mut self, op: SourceOp, meta: VertexMeta, location: SourceLocation) -> Edge {
        let meta = VertexMeta {
            location: Some(location),
            ..meta
        };
        Edge::first(self.builder.add(Op::Source(op), Vec::new(), meta))
    }
}

/// What is said of something that no instruction makes by itself.
fn shown(name: String, origin: Option<Origin>) -> VertexMeta {
    VertexMeta {
        name,
        origin,
        ..VertexMeta::default()
    }
}

/// A copy of everything from input 0.
fn whole(source: CopySource, owner: CopyOwner, dest: &str) -> CopyAction {
    CopyAction {
        input: 0,
        sources: vec![source],
        dest: dest.to_owned(),
        owner,
        mode: None,
        archives: Archives::Copy,
        parents: false,
        excludes: Vec::new(),
    }
}

/// What messages call a context.
pub(super) fn context_name(name: &str) -> &str {
    if name.is_empty() {
        "build context"
    } else {
        name
    }
}

/// An address without user and password.
fn hide_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

fn unpinned(what: &str) -> Diagnostic {
    Diagnostic::error("unpinned", format!("{what} not pinned"))
}

/// Finds a pin that the plan made sure of.
pub(super) fn pinned<'p>(pins: &'p Pins, need: &ImageNeed) -> Result<&'p PinnedImage, Diagnostic> {
    pins.images
        .get(need)
        .ok_or_else(|| unpinned(&format!("image `{}` is", pinned_name(pins, need))))
}

#[cfg(test)]
mod tests {
    use super::hide_credentials;

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("https://me:pw@example.com/a@b", "https://example.com/a@b"),
            ("https://example.com/a@b", "https://example.com/a@b"),
            ("git@example.com:a", "git@example.com:a"),
            ("ssh://git@example.com", "ssh://example.com"),
        ] {
            assert_eq!(hide_credentials(url), shown);
        }
    }
}
