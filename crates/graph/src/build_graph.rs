use crate::key::{DefinitionKey, definition_key};
use crate::{CacheDirectory, Edge, Op, Vertex, VertexId, VertexMeta};
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::HashMap;

/// An immutable, acyclic graph of steps in which equal steps are one.
///
/// Vertices stand in topological order: every input of a vertex has a smaller id.
#[derive(Debug, Clone)]
pub struct BuildGraph {
    vertices: Vec<Vertex>,
    keys: Vec<DefinitionKey>,
    targets: Vec<Edge>,
    uses: DiGraph<(), ()>,
}

impl BuildGraph {
    /// All vertices; the id of a vertex is its index.
    pub fn vertices(&self) -> &[Vertex] {
        &self.vertices
    }

    /// How many vertices there are.
    pub fn len(&self) -> usize {
        self.vertices.len()
    }

    /// True when nothing has to be done, as for an image of metadata only.
    pub fn is_empty(&self) -> bool {
        self.vertices.is_empty()
    }

    /// The ids in topological order, inputs first.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = VertexId> + use<> {
        (0..u32::try_from(self.vertices.len()).unwrap_or(u32::MAX)).map(VertexId)
    }

    /// One vertex.
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.idx()]
    }

    /// The definition key of a vertex, computed when it was added.
    pub fn key(&self, id: VertexId) -> DefinitionKey {
        self.keys[id.idx()]
    }

    /// The outputs that the build is for; scratch results are none.
    pub fn targets(&self) -> &[Edge] {
        &self.targets
    }

    /// The same graph with more that is wanted of it; what is wanted already is passed over.
    #[must_use]
    pub fn wanting(mut self, more: impl IntoIterator<Item = Edge>) -> Self {
        for edge in more {
            if !self.targets.contains(&edge) {
                self.targets.push(edge);
            }
        }
        self
    }

    /// The vertices that use an output of `id`, each once, in ascending order.
    pub fn dependents(&self, id: VertexId) -> Vec<VertexId> {
        let mut out: Vec<VertexId> = self
            .uses
            .neighbors(NodeIndex::from(id.0))
            .map(|n| VertexId(index(n)))
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }
}

fn index(node: NodeIndex) -> u32 {
    u32::try_from(node.index()).unwrap_or(u32::MAX)
}

/// Collects vertices; an equal vertex is not added again.
///
/// Equal means: the same definition key, the same `no_cache` and the same cache directories. The
/// metadata of the first one stays.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    vertices: Vec<Vertex>,
    keys: Vec<DefinitionKey>,
    seen: HashMap<(DefinitionKey, bool, Vec<CacheDirectory>, Vec<Edge>), VertexId>,
}

impl GraphBuilder {
    /// Starts with no vertices.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step, or finds the equal one that is there.
    ///
    /// # Panics
    /// When an input was not made by this builder, which is an error in the caller.
    pub fn add(&mut self, op: Op, inputs: Vec<Edge>, meta: VertexMeta) -> VertexId {
        let input_keys: Vec<(DefinitionKey, u32)> = inputs
            .iter()
            .map(|edge| (self.keys[edge.vertex.idx()], edge.output))
            .collect();
        let key = definition_key(&op, &input_keys);
        // The inputs are part of the identity: a step above a forced vertex has the key of its twin
        // above the plain one, but not its result.
        let identity = (key, meta.no_cache, meta.caches.clone(), inputs.clone());
        if let Some(&id) = self.seen.get(&identity) {
            return id;
        }
        let id = VertexId(u32::try_from(self.vertices.len()).expect("fewer than 2^32 steps"));
        self.seen.insert(identity, id);
        self.vertices.push(Vertex { op, inputs, meta });
        self.keys.push(key);
        id
    }

    /// A vertex that was added.
    pub fn vertex(&self, id: VertexId) -> &Vertex {
        &self.vertices[id.idx()]
    }

    /// Ends the collection.
    pub fn build(self, targets: Vec<Edge>) -> BuildGraph {
        let mut uses = DiGraph::with_capacity(self.vertices.len(), self.vertices.len() * 2);
        for _ in &self.vertices {
            uses.add_node(());
        }
        for (user, vertex) in (0_u32..).zip(&self.vertices) {
            for edge in &vertex.inputs {
                uses.add_edge(NodeIndex::from(edge.vertex.0), NodeIndex::from(user), ());
            }
        }
        BuildGraph {
            vertices: self.vertices,
            keys: self.keys,
            targets,
            uses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileOp, SourceOp};
    use acetate_oci::Digest;

    fn source(text: &str) -> Op {
        Op::Source(SourceOp::Local {
            selection: Digest::of(text.as_bytes()),
        })
    }

    fn file(base: Option<u32>) -> Op {
        Op::File(FileOp {
            base,
            accounts: None,
            actions: Vec::new(),
        })
    }

    #[test]
    fn equal_steps_are_one_and_forced_ones_are_not() {
        let mut builder = GraphBuilder::new();
        let a = builder.add(source("a"), vec![], VertexMeta::default());
        let named = VertexMeta {
            name: "again".into(),
            ..VertexMeta::default()
        };
        assert_eq!(builder.add(source("a"), vec![], named), a);
        let forced = VertexMeta {
            no_cache: true,
            ..VertexMeta::default()
        };
        let a_forced = builder.add(source("a"), vec![], forced);
        assert_ne!(a_forced, a);
        let on_a = builder.add(file(Some(0)), vec![Edge::first(a)], VertexMeta::default());
        let on_forced = builder.add(
            file(Some(0)),
            vec![Edge::first(a_forced)],
            VertexMeta::default(),
        );
        assert_ne!(on_a, on_forced);
        let graph = builder.build(vec![Edge::first(on_a)]);
        assert_eq!(graph.dependents(a), vec![on_a]);
        assert_eq!(graph.key(on_a), graph.key(on_forced));
        assert_eq!(graph.len(), 4);
    }

    #[test]
    fn steps_on_other_cache_directories_are_two_with_one_key() {
        let mut builder = GraphBuilder::new();
        let mut add = |id: &str| {
            let cache = CacheDirectory {
                mount: 1,
                id: id.into(),
                sharing: crate::CacheSharing::Shared,
            };
            let meta = VertexMeta {
                caches: vec![cache],
                ..VertexMeta::default()
            };
            builder.add(source("a"), vec![], meta)
        };
        let (one, two, again) = (add("one"), add("two"), add("one"));
        assert_eq!(one, again);
        assert_ne!(one, two);
        let graph = builder.build(vec![]);
        assert_eq!(graph.key(one), graph.key(two));
    }
}
