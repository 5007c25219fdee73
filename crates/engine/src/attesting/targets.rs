//! Which stages are scanned besides the result.

use super::scans;
use crate::BuildRequest;
use acetate_attest::provenance::needed;
use acetate_attest::stages::{Declared, Scanned, Stage, scanned};
use acetate_frontend::plan::ScanArg;
use acetate_frontend::{ImageResult, Lowered, StageResult};
use acetate_graph::{Edge, VertexId};
use std::collections::BTreeMap;

/// What has to be there besides the images, so that it can be scanned.
pub(crate) fn extra_targets(request: &BuildRequest, lowered: &Lowered) -> Vec<Edge> {
    if !scans(request) {
        return Vec::new();
    }
    let images = lowered.images.iter();
    let edges = images.flat_map(|image| extras(lowered, image).stages);
    let edges: BTreeMap<VertexId, Edge> = edges.map(|(_, edge)| (edge.vertex, edge)).collect();
    edges.into_values().collect()
}

/// What is scanned besides one image.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// The stages by name, each once.
    pub(super) stages: Vec<(String, Edge)>,
    /// Whether the context is.
    pub(super) context: bool,
}

pub(super) fn extras(lowered: &Lowered, image: &ImageResult) -> Extras {
    let (built, target) = built(lowered, image);
    let stages: Vec<Stage> = built.iter().map(|stage| described(stage)).collect();
    let Scanned { context, stages } = scanned(&stages, target);
    let mut out = Extras {
        stages: Vec::new(),
        context,
    };
    for stage in stages.into_iter().filter_map(|n| built.get(n)) {
        let Some(edge) = stage.output else { continue };
        if !out.stages.iter().any(|(name, _)| *name == stage.name) {
            out.stages.push((stage.name.clone(), edge));
        }
    }
    out
}

/// The stages that the image is made of, and its own place among them.
fn built<'a>(lowered: &'a Lowered, image: &ImageResult) -> (Vec<&'a StageResult>, usize) {
    let targets: Vec<Edge> = image.output.into_iter().collect();
    let needed = needed(&lowered.graph, &targets);
    let mut built = Vec::new();
    let mut target = 0;
    for (n, stage) in lowered.stages.iter().enumerate() {
        let is_needed = stage.output.is_some_and(|edge| needed[edge.vertex.idx()]);
        if n == image.stage {
            target = built.len();
        }
        if is_needed || n == image.stage {
            built.push(stage);
        }
    }
    (built, target)
}

fn described(stage: &StageResult) -> Stage {
    let declared = |arg: &ScanArg| Declared {
        global: arg.global.clone(),
        stage: arg.own.clone(),
    };
    Stage {
        name: stage.name.clone(),
        scan_stage: declared(&stage.scan.stage),
        scan_context: declared(&stage.scan.context),
    }
}
