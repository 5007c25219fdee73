//! How each vertex of a build got its result.

use acetate_graph::{BuildGraph, Op, VertexId};
use std::sync::{Mutex, PoisonError};

/// How a vertex got its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// From a record.
    Loaded,
    /// It was carried out.
    Ran,
}

/// How the vertices of one build got their results, as far as they have some.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Mutex<Vec<Option<How>>>);

impl Outcomes {
    /// Notes how a vertex got its result.
    pub(crate) fn note(&self, vertex: VertexId, how: How) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() <= vertex.idx() {
            all.resize(vertex.idx() + 1, None);
        }
        all[vertex.idx()] = Some(how);
    }

    /// The vertices that nobody looked at, and that would give what is recorded of them: nothing
    /// below them was carried out.
    pub(crate) fn untouched(&self, graph: &BuildGraph) -> Vec<VertexId> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let how = |id: VertexId| all.get(id.idx()).copied().flatten();
        let mut renewed = vec![false; graph.len()];
        let mut untouched = Vec::new();
        // Inputs have smaller numbers than what uses them.
        for id in graph.ids() {
            let vertex = graph.vertex(id);
            let ran = how(id) == Some(How::Ran) && !matches!(vertex.op, Op::Source(_));
            let is_above = vertex.inputs.iter().any(|edge| renewed[edge.vertex.idx()]);
            renewed[id.idx()] = ran || vertex.meta.no_cache || is_above;
            if how(id).is_none() && !renewed[id.idx()] {
                untouched.push(id);
            }
        }
        untouched
    }
}
