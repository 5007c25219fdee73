//! The bare wiring of a build graph: who needs whom, and nothing about what a vertex does.

use crate::{BuildGraph, Op, VertexId};

/// Lists of vertices per vertex, stored flat: one allocation for any number of lists.
#[derive(Debug, Clone, Default)]
struct Lists {
    starts: Vec<usize>,
    items: Vec<VertexId>,
}

impl Lists {
    fn from_nested(nested: &[Vec<VertexId>]) -> Self {
        let mut lists = Self {
            starts: Vec::with_capacity(nested.len() + 1),
            items: Vec::new(),
        };
        lists.starts.push(0);
        for list in nested {
            lists.items.extend_from_slice(list);
            lists.starts.push(lists.items.len());
        }
        lists
    }

    fn of(&self, vertex: VertexId) -> &[VertexId] {
        &self.items[self.starts[vertex.idx()]..self.starts[vertex.idx() + 1]]
    }
}

/// What kind of vertex stands at a place of a [`Shape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VertexKind {
    /// Runs when it is needed and no recorded result fits.
    #[default]
    Plain,
    /// Is named by the digest of what it yields (a Source): fetching it again cannot change the
    /// result, so it takes no recorded results away from its descendants.
    Pinned,
    /// Carries `no_cache`: always runs when a target reaches it.
    Forced,
}

/// The wiring of a graph, in the form that demand and scheduling work on.
///
/// Vertices are numbered in topological order: an input always has a smaller index.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    edges: Lists,
    inputs: Lists,
    dependents: Lists,
    kinds: Vec<VertexKind>,
}

impl Shape {
    /// Takes the wiring out of a build graph.
    pub fn of(graph: &BuildGraph) -> Self {
        Self::new(graph.ids().map(|id| {
            let vertex = graph.vertex(id);
            let kind = match (&vertex.op, vertex.meta.no_cache) {
                (_, true) => VertexKind::Forced,
                (Op::Source(_), false) => VertexKind::Pinned,
                _ => VertexKind::Plain,
            };
            (kind, vertex.inputs.iter().map(|edge| edge.vertex).collect())
        }))
    }

    /// Builds a shape from the kind and the inputs (one per edge, repeats allowed) of each vertex.
    ///
    /// # Panics
    /// When an input does not come before the vertex that names it.
    pub fn new(vertices: impl IntoIterator<Item = (VertexKind, Vec<VertexId>)>) -> Self {
        let (mut kinds, mut edges, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
        let mut dependents: Vec<Vec<VertexId>> = Vec::new();
        for (index, (kind, edge_list)) in vertices.into_iter().enumerate() {
            let mut distinct = edge_list.clone();
            distinct.sort_unstable();
            distinct.dedup();
            for input in &distinct {
                assert!(
                    input.idx() < index,
                    "inputs come before the vertices that use them"
                );
                dependents[input.idx()].push(id(index));
            }
            kinds.push(kind);
            edges.push(edge_list);
            inputs.push(distinct);
            dependents.push(Vec::new());
        }
        Self {
            edges: Lists::from_nested(&edges),
            inputs: Lists::from_nested(&inputs),
            dependents: Lists::from_nested(&dependents),
            kinds,
        }
    }

    /// The number of vertices.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there is no vertex at all.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// All vertices, inputs before their dependents.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = VertexId> + use<> {
        (0..self.len()).map(id)
    }

    /// The kind of a vertex.
    pub fn kind(&self, vertex: VertexId) -> VertexKind {
        self.kinds[vertex.idx()]
    }

    /// The vertex behind each edge, in edge order; one vertex may stand there several times.
    pub fn edges(&self, vertex: VertexId) -> &[VertexId] {
        self.edges.of(vertex)
    }

    /// The distinct vertices that `vertex` needs, ascending.
    pub fn inputs(&self, vertex: VertexId) -> &[VertexId] {
        self.inputs.of(vertex)
    }

    /// The distinct vertices that need `vertex`, ascending.
    pub fn dependents(&self, vertex: VertexId) -> &[VertexId] {
        self.dependents.of(vertex)
    }
}

pub(crate) fn id(index: usize) -> VertexId {
    VertexId(u32::try_from(index).expect("a graph holds fewer than 2^32 vertices"))
}
