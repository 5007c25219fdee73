//! Which results are given to which cache.

use crate::{CacheExport, CacheMode};
use acetate_graph::key::{UseRole, uses};
use acetate_graph::{BuildGraph, Op, SourceOp, VertexId};

/// For each vertex whether its result may be given to a cache, by everything that is known before
/// the build.
pub(crate) fn wanted(graph: &BuildGraph, spec: &CacheExport) -> Vec<bool> {
    let in_image = match spec.mode {
        CacheMode::Min => in_images(graph),
        CacheMode::Max => vec![true; graph.len()],
    };
    let ids = graph.ids();
    ids.map(|id| {
        in_image[id.idx()] && is_recorded(graph, id) && is_of_stage(graph, id, &spec.stages)
    })
    .collect()
}

/// True when results of the vertex are recorded: what is found elsewhere by its own digest is not.
pub(crate) fn is_recorded(graph: &BuildGraph, id: VertexId) -> bool {
    !matches!(
        graph.vertex(id).op,
        Op::Source(SourceOp::Image { .. } | SourceOp::Local { .. }) | Op::Diff
    )
}

/// Marks the vertices whose layers are in an image: the targets, and what they are stacked on.
fn in_images(graph: &BuildGraph) -> Vec<bool> {
    let mut marks = vec![false; graph.len()];
    let mut stack: Vec<VertexId> = graph.targets().iter().map(|edge| edge.vertex).collect();
    while let Some(id) = stack.pop() {
        if std::mem::replace(&mut marks[id.idx()], true) {
            continue;
        }
        let vertex = graph.vertex(id);
        let written = uses(vertex)
            .into_iter()
            .filter(|usage| usage.role == UseRole::Written);
        stack.extend(written.filter_map(|usage| {
            let edge = vertex.inputs.get(usage.input as usize)?;
            Some(edge.vertex)
        }));
    }
    marks
}

fn is_of_stage(graph: &BuildGraph, id: VertexId, stages: &[String]) -> bool {
    if stages.is_empty() {
        return true;
    }
    let meta = &graph.vertex(id).meta;
    let stage = meta.instruction.as_ref().map(|it| it.stage.as_str());
    stage.is_some_and(|stage| stages.iter().any(|name| name.eq_ignore_ascii_case(stage)))
}
