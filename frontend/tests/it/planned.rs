//! Plans and lowers any file against a world that has an answer to everything.

use acetate_frontend::{
    Diagnostic, Lowered, Need, PinnedImage, PinnedRemote, Pins, PlanRequest, Planned, RemoteNeed,
    ast::Dockerfile, lower, plan, remote,
};
use acetate_graph::{DownloadSource, GitSource, Op, SourceOp};
use acetate_oci::{Digest, ImageConfig, Platform};
use std::collections::BTreeSet;

/// Plans until nothing is missing; what is asked for is found.
pub(crate) fn lowered(ast: &Dockerfile, request: &PlanRequest) -> Result<Lowered, Vec<Diagnostic>> {
    let mut pins = Pins::default();
    for round in 0.. {
        assert!(round < 12, "planning does not end");
        match plan(ast, request, &pins)? {
            Planned::Needs(needs) => {
                assert!(
                    !needs.is_empty(),
                    "nothing is missing and nothing is planned"
                );
                let asked: BTreeSet<&Need> = needs.iter().collect();
                assert_eq!(asked.len(), needs.len(), "asked for twice");
                for need in &needs {
                    answer(need, &mut pins);
                }
            }
            Planned::Plan(plan) => {
                let lowered = lower(&plan, &pins)?;
                check(&lowered);
                return Ok(lowered);
            }
        }
    }
    unreachable!("the loop ends by itself")
}

fn answer(need: &Need, pins: &mut Pins) {
    match need {
        Need::Selection(spec, _) => {
            let digest = Digest::of(format!("{spec:?}").as_bytes());
            assert_eq!(pins.selections.insert(spec.clone(), digest), None);
        }
        Need::Image(need, _) => {
            let image = image(&format!("{:?}", need.source), &need.platform);
            assert_eq!(pins.images.insert(need.clone(), image), None);
        }
        Need::Remote(need, _) => {
            assert_eq!(pins.remotes.insert(need.clone(), fetched(need)), None);
        }
    }
}

/// An image of one layer, with a trigger if its name says so.
fn image(name: &str, platform: &Platform) -> PinnedImage {
    let mut config = ImageConfig::scratch(platform);
    config.rootfs.diff_ids = vec![Digest::of(name.as_bytes())];
    PinnedImage {
        manifest: Digest::of(format!("{name} {platform}").as_bytes()),
        platform: platform.clone(),
        config,
        n_layers: 1,
    }
}

fn fetched(need: &RemoteNeed) -> PinnedRemote {
    let content = Digest::of(format!("{need:?}").as_bytes());
    let source = match need {
        RemoteNeed::Http { url, .. } => SourceOp::Download(DownloadSource {
            content,
            name: remote::file_name(url),
            mtime: None,
        }),
        RemoteNeed::Context(_) | RemoteNeed::Git(_) => SourceOp::Git(GitSource {
            commit: content.hex(),
            subdir: String::new(),
            git_dir: None,
            submodules: true,
            commit_times: false,
        }),
    };
    PinnedRemote {
        source,
        unpack: false,
        time: Some(1_700_000_000),
    }
}

/// Inputs come before what uses them, everything has its place, and images end where they say.
fn check(lowered: &Lowered) {
    let graph = &lowered.graph;
    for (id, vertex) in graph.ids().zip(graph.vertices()) {
        assert!(vertex.inputs.iter().all(|edge| edge.vertex < id));
        assert!(!vertex.meta.name.is_empty());
        let Op::Source(source) = &vertex.op else {
            assert_eq!(vertex.meta.location, None);
            continue;
        };
        let at = vertex.meta.location.expect("a source has a place").0 as usize;
        let n_places = match source {
            SourceOp::Image { .. } => lowered.images_used.len(),
            SourceOp::Local { .. } => lowered.selections.len(),
            SourceOp::Download(_) | SourceOp::Git(_) => lowered.remotes.len(),
        };
        assert!(at < n_places, "{at} of {n_places}");
    }
    for image in &lowered.images {
        for item in &image.history {
            assert_eq!(item.entry.empty_layer, item.layer.is_none());
            assert!(item.layer.is_none_or(|layer| layer.idx() < graph.len()));
        }
        let last = image.history.iter().rev().find_map(|item| item.layer);
        if let Some(last) = last {
            assert_eq!(image.output.map(|edge| edge.vertex), Some(last));
        }
    }
}
