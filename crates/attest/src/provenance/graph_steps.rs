use std::collections::BTreeMap;

use acetate_graph::{BuildGraph, Edge, Op, SourceOp, VertexId};

use serde_json::json;

use super::op_json::op_json;
use super::{Definition, Layers, SourceFile, Step};

/// Describes the steps of a build graph that some targets need, in an order in which inputs stand
/// first.
///
/// `identifier` names where a source came from, in LLB's words: `docker-image://…@sha256:…`,
/// `git://…`, `https://…` or `local://context`; the graph itself does not know. `layers` gives the
/// layers of a vertex's outputs as far as they are known.
/// The last step is, as in LLB, one that does nothing and needs the targets.
pub fn from_graph(
    graph: &BuildGraph,
    targets: &[Edge],
    sources: Vec<SourceFile>,
    identifier: impl Fn(VertexId, &SourceOp) -> String,
    layers: impl Fn(VertexId) -> Layers,
) -> Definition {
    let mut number: BTreeMap<VertexId, usize> = BTreeMap::new();
    let mut steps = Vec::new();
    let needed = needed(graph, targets);
    for id in graph.ids().filter(|id| needed[id.idx()]) {
        let vertex = graph.vertex(id);
        let name = match &vertex.op {
            Op::Source(source) => identifier(id, source),
            _ => String::new(),
        };
        let location = vertex.meta.origin.as_ref().and_then(|origin| {
            let source = sources
                .iter()
                .position(|file| file.filename == origin.file)?;
            Some((source, origin.first_line, origin.last_line))
        });
        let inputs = vertex.inputs.iter();
        number.insert(id, steps.len());
        steps.push(Step {
            op: op_json(&vertex.op, &vertex.meta.name, &name),
            inputs: inputs
                .filter_map(|e| Some((*number.get(&e.vertex)?, e.output)))
                .collect(),
            digest: Some(*graph.key(id).digest()),
            location,
            layers: layers(id),
        });
    }
    let inputs = targets
        .iter()
        .filter_map(|e| Some((*number.get(&e.vertex)?, e.output)))
        .collect();
    steps.push(Step {
        op: json!({ "Op": {} }),
        inputs,
        ..Step::default()
    });
    Definition { steps, sources }
}

/// What some targets need, themselves included, by vertex; inputs have smaller numbers than what uses them.
pub fn needed(graph: &BuildGraph, targets: &[Edge]) -> Vec<bool> {
    let mut needed = vec![false; graph.len()];
    for edge in targets {
        needed[edge.vertex.idx()] = true;
    }
    for id in graph.ids().rev() {
        if needed[id.idx()] {
            for edge in &graph.vertex(id).inputs {
                needed[edge.vertex.idx()] = true;
            }
        }
    }
    needed
}
