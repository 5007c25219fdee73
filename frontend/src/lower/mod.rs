//! From a plan to a build graph, and an image config for each platform.
//!
//! Instructions are not lowered one to one: metadata becomes config and history, a copy from a context
//! becomes a source with the digest of its selected files and a file step that refers to its slots, and
//! a linked copy becomes a file step on nothing and a merge that puts it on top of the stage.

mod inputs;
mod runs;
mod steps;

use crate::diagnostic::Diagnostic;
use crate::pins::{ImageNeed, Pins, RemoteNeed, SelectionSpec};
use crate::plan::{Base, Plan, PlannedStage, PlannedTarget, ScanArgs, StageId};
use acetate_graph::{BuildGraph, Edge, VertexId};
use acetate_oci::{HistoryEntry, ImageConfig, Platform};
use steps::Lowering;

/// What the engine is to do.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// All steps; its targets are the outputs of [`Lowered::images`] that have layers.
    pub graph: BuildGraph,
    /// The images wanted, in the order asked for.
    pub images: Vec<ImageResult>,
    /// The stages that are reached, in the order of the plan.
    pub stages: Vec<StageResult>,
    /// Where the files of a local source are found, by its
    /// [`SourceLocation`](acetate_graph::SourceLocation).
    pub selections: Vec<SelectionSpec>,
    /// Where the layers of an image source are found, by its
    /// [`SourceLocation`](acetate_graph::SourceLocation).
    pub images_used: Vec<ImageNeed>,
    /// Where a download or repository is found, by its
    /// [`SourceLocation`](acetate_graph::SourceLocation).
    pub remotes: Vec<RemoteNeed>,
    /// `SOURCE_DATE_EPOCH` in seconds. It is in no key: what is written is clamped to it.
    pub epoch: Option<i64>,
    /// Whether an index is to be made even of one image: several platforms, or
    /// `BUILDKIT_MULTI_PLATFORM` (S106).
    pub multi_platform: bool,
    /// The warnings of the plan.
    pub diagnostics: Vec<Diagnostic>,
}

/// A stage on one platform, as its steps leave it.
#[derive(Debug, Clone)]
pub struct StageResult {
    /// Its name as written, or `stage-1`.
    pub name: String,
    /// Its layers, those of the base included; none when it has none at all.
    pub output: Option<Edge>,
    /// What it says of scans for an SBOM.
    pub scan: ScanArgs,
}

/// One image to be put together.
#[derive(Debug, Clone)]
pub struct ImageResult {
    /// For which platform.
    pub platform: Platform,
    /// Its layers, those of the base included; none when it has none at all.
    pub output: Option<Edge>,
    /// The last of its stages, in [`Lowered::stages`].
    pub stage: usize,
    /// Its config. `history` and `rootfs` are those of the base image; the new history follows, the
    /// layers follow from the output, and `created` is to be set.
    pub config: ImageConfig,
    /// The lines of history that follow the base's, oldest first.
    pub history: Vec<HistoryItem>,
}

/// A line of history whose time is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// The line, without `created`.
    pub entry: HistoryEntry,
    /// The step that makes its layer; none for what makes no layer.
    pub layer: Option<VertexId>,
}

/// Lowers a plan.
///
/// The pins must be those that the plan was made with, else the error names what is missing. Equal steps
/// of different stages and platforms become one vertex.
pub fn lower(plan: &Plan, pins: &Pins) -> Result<Lowered, Vec<Diagnostic>> {
    attempt(plan, pins).map_err(|error| vec![error])
}

fn attempt(plan: &Plan, pins: &Pins) -> Result<Lowered, Diagnostic> {
    let mut lowering = Lowering::new(plan, pins);
    for stage in &plan.stages {
        lowering.stage(stage)?;
    }
    let images: Result<Vec<ImageResult>, Diagnostic> = plan
        .targets
        .iter()
        .map(|target| image(plan, pins, &lowering, target))
        .collect();
    let images = images?;
    let stages = plan.stages.iter().zip(&lowering.outputs);
    let stages = stages.map(|(stage, output)| StageResult {
        name: stage.name.clone(),
        output: *output,
        scan: stage.scan.clone(),
    });
    let stages: Vec<StageResult> = stages.collect();
    let targets: Vec<Edge> = images.iter().filter_map(|image| image.output).collect();
    let Lowering {
        builder, sources, ..
    } = lowering;
    Ok(Lowered {
        graph: builder.build(targets),
        images,
        stages,
        selections: sources.selections.into_list(),
        images_used: sources.images.into_list(),
        remotes: sources.remotes.into_list(),
        epoch: plan.epoch,
        multi_platform: plan.multi_platform,
        diagnostics: plan.diagnostics.clone(),
    })
}

fn image(
    plan: &Plan,
    pins: &Pins,
    lowering: &Lowering<'_>,
    target: &PlannedTarget,
) -> Result<ImageResult, Diagnostic> {
    let chain = chain(plan, target.stage);
    let mut config = target.config.clone();
    if let Some((
        _,
        PlannedStage {
            base: Base::Image(need),
            ..
        },
    )) = chain.first()
    {
        let base = &inputs::pinned(pins, need)?.config;
        config.history.clone_from(&base.history);
        config.rootfs.clone_from(&base.rootfs);
    }
    let mut history = Vec::new();
    for (id, stage) in chain {
        let layers = &lowering.layers[id.0];
        history.extend(stage.history.iter().map(|line| HistoryItem {
            entry: line.entry.clone(),
            layer: line.step.and_then(|step| layers.get(step).copied()),
        }));
    }
    let output = lowering.outputs[target.stage.0];
    Ok(ImageResult {
        platform: target.platform.clone(),
        output,
        stage: target.stage.0,
        config,
        history,
    })
}

/// The stages that a stage stands on, bottom first; only these belong to the image (S94).
fn chain(plan: &Plan, top: StageId) -> Vec<(StageId, &PlannedStage)> {
    let mut chain = Vec::new();
    let mut next = Some(top);
    while let Some(id) = next {
        let stage = &plan.stages[id.0];
        chain.push((id, stage));
        next = match stage.base {
            Base::Stage(below) => Some(below),
            Base::Scratch | Base::Image(_) | Base::Context { .. } => None,
        };
    }
    chain.reverse();
    chain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::fixture;

    #[test]
    fn a_plan_without_its_pins_names_what_is_missing() {
        let build = fixture::build("FROM debian\nCOPY a b /\n");
        let error = |pins: &Pins| lower(&build.plan, pins).unwrap_err()[0].message.clone();
        assert_eq!(
            error(&Pins::default()),
            "image `docker.io/library/debian:latest` is not pinned"
        );
        let images = Pins {
            images: build.pins.images.clone(),
            ..Pins::default()
        };
        assert_eq!(error(&images), "the files `a b` are not pinned");
    }

    #[test]
    fn a_draft_is_lowered_without_planning_again() {
        let text = "FROM debian\nCOPY a b /\nRUN x\nADD https://x.test/f /\n";
        let build = fixture::build(text);
        let ast = crate::parse(&crate::SourceFile::new("Dockerfile", text)).ast;
        let images = Pins {
            images: build.pins.images.clone(),
            ..Pins::default()
        };
        let request = crate::PlanRequest::new("linux/amd64".parse().unwrap());
        let drafted = crate::draft(&ast, &request, &images).unwrap();
        let crate::Planned::Plan(plan) = drafted else {
            panic!("all images are pinned")
        };
        let planned = crate::plan(&ast, &request, &images).unwrap();
        let crate::Planned::Needs(needs) = planned else {
            panic!("two pins are missing")
        };
        assert_eq!(plan.needs, needs);
        assert_eq!(needs.len(), 2);
        let lowered = lower(&plan, &build.pins).unwrap();
        assert_eq!(lowered.graph.vertices(), build.lowered.graph.vertices());
    }

    #[test]
    fn lowering_is_the_same_every_time() {
        let text = "//- Dockerfile\nFROM a AS x\nRUN r\nFROM b\nCOPY --from=x / /\nCOPY f /\n//- args platform=linux/amd64 platform=linux/arm64\n";
        let (one, two) = (fixture::build(text).lowered, fixture::build(text).lowered);
        assert_eq!(one.graph.vertices(), two.graph.vertices());
        assert_eq!(one.images_used, two.images_used);
        assert_eq!(one.graph.targets().len(), 2);
        assert_eq!(one.images_used.len(), 4);
    }
}
