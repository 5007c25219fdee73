//! What the caches know of a graph before anything runs.

use crate::agree::agree;
use crate::engine::Engine;
use crate::shared::{Candidate, SharedCaches};
use acetate_cache::{CacheIndex, CacheKey, CacheRecord, LocalCache, OpHistory, Pasts};
use acetate_graph::{BuildGraph, OpKey, VertexId, op_key_all};
use acetate_scheduler::Hits;
use std::sync::Arc;

/// What the caches say about a whole graph.
pub(crate) struct Asked {
    /// True when every target is known.
    pub(crate) is_complete: bool,
    pub(crate) hits: Hits<Candidate>,
    pub(crate) pasts: Vec<Pasts>,
    /// How long each vertex took last, in milliseconds, where that is known.
    pub(crate) durations: Vec<Option<u64>>,
    /// By vertex, whether some shared cache has a record of its op, so that it is asked by content.
    pub(crate) shared_hints: Vec<bool>,
    /// By vertex, whether a result of its own replaces what is shared, see [`replaced`].
    pub(crate) replaces: Vec<bool>,
}

/// Asks for the targets first, here and then elsewhere: where they are all known, nothing else
/// matters. Otherwise there is one question for all keys, and one for the earlier uses of all ops.
pub(crate) async fn ask(engine: &Engine, graph: &BuildGraph, caches: &SharedCaches) -> Asked {
    let targets: Vec<VertexId> = graph.targets().iter().map(|edge| edge.vertex).collect();
    let forced = graph.vertices().iter().any(|vertex| vertex.meta.no_cache);
    if !forced {
        let mut found = local(engine, graph, &targets, caches);
        add_shared(caches, graph, &targets, &mut found).await;
        if found.iter().all(|list| !list.is_empty()) {
            return Asked::of_targets(graph, targets, found);
        }
    }
    let all: Vec<VertexId> = graph.ids().collect();
    let mut candidates = local(engine, graph, &all, caches);
    let op_keys = op_key_all(graph);
    let shared_hints = add_shared_and_hints(caches, graph, &op_keys, &mut candidates).await;
    let mut pasts = OpHistory::new(Arc::clone(&engine.store)).find(&op_keys);
    pasts.resize(graph.len(), Pasts::default());
    let durations = candidates
        .iter()
        .map(|list| list.first().map(Candidate::duration_ms))
        .collect();
    let hints = pasts.iter().zip(&shared_hints);
    let hints = hints
        .map(|(pasts, is_shared)| !pasts.is_empty() || *is_shared)
        .collect();
    let replaces = replaced(graph, &candidates);
    let mut hits = Hits { candidates, hints };
    agree(graph, &mut hits, &pasts);
    Asked {
        is_complete: false,
        hits,
        pasts,
        durations,
        shared_hints,
        replaces,
    }
}

/// The vertices whose shared record is not wanted any more, should they run after all: those that
/// are made to run and what is above them, and those of which a record was found, for then it was
/// made of something else than what this build has.
fn replaced(graph: &BuildGraph, candidates: &[Vec<Candidate>]) -> Vec<bool> {
    let mut forced = vec![false; graph.len()];
    let mut replaces = vec![false; graph.len()];
    // Inputs have smaller numbers than what uses them.
    for id in graph.ids() {
        let vertex = graph.vertex(id);
        let is_above = vertex.inputs.iter().any(|edge| forced[edge.vertex.idx()]);
        forced[id.idx()] = vertex.meta.no_cache || is_above;
        let shared = |found: &Candidate| matches!(found, Candidate::Shared(_));
        replaces[id.idx()] = forced[id.idx()] || candidates[id.idx()].iter().any(shared);
    }
    replaces
}

/// The records of the store under the definition keys of some vertices.
pub(crate) fn local_records(
    cache: &LocalCache,
    graph: &BuildGraph,
    vertices: &[VertexId],
) -> Vec<Vec<CacheRecord>> {
    let mut found = cache.lookup(&definitions(graph, vertices));
    found.resize(vertices.len(), Vec::new());
    found
}

fn local(
    engine: &Engine,
    graph: &BuildGraph,
    vertices: &[VertexId],
    caches: &SharedCaches,
) -> Vec<Vec<Candidate>> {
    let found = local_records(&engine.cache(), graph, vertices).into_iter();
    let admitted = |list: Vec<CacheRecord>| {
        let list = list.into_iter().filter(|record| caches.admits(record));
        list.map(Candidate::Local).collect()
    };
    found.map(admitted).collect()
}

pub(crate) fn definitions(graph: &BuildGraph, vertices: &[VertexId]) -> Vec<CacheKey> {
    let keys = vertices.iter().map(|id| graph.key(*id));
    keys.map(|key| CacheKey::definition(&key, 0)).collect()
}

/// Asks elsewhere for what is not here.
async fn add_shared(
    caches: &SharedCaches,
    graph: &BuildGraph,
    vertices: &[VertexId],
    found: &mut [Vec<Candidate>],
) {
    if caches.imports.is_empty() {
        return;
    }
    let unknown: Vec<usize> = empty(found).collect();
    let ids: Vec<VertexId> = unknown.iter().map(|n| vertices[*n]).collect();
    let hits = caches.lookup(&definitions(graph, &ids)).await;
    for (n, hits) in unknown.into_iter().zip(hits) {
        found[n].extend(hits.into_iter().map(Candidate::Shared));
    }
}

/// The same for a whole graph, with the hints of what stays unknown in the same question.
async fn add_shared_and_hints(
    caches: &SharedCaches,
    graph: &BuildGraph,
    op_keys: &[OpKey],
    found: &mut [Vec<Candidate>],
) -> Vec<bool> {
    let mut hints = vec![false; graph.len()];
    if caches.imports.is_empty() {
        return hints;
    }
    let vertices: Vec<VertexId> = graph.ids().collect();
    let unknown: Vec<usize> = empty(found)
        .filter(|n| crate::shared::is_recorded(graph, vertices[*n]))
        .collect();
    let ids: Vec<VertexId> = unknown.iter().map(|n| vertices[*n]).collect();
    let mut keys = definitions(graph, &ids);
    keys.extend(unknown.iter().map(|n| CacheKey::hint(&op_keys[*n])));
    let mut hits = caches.lookup(&keys).await;
    let known_ops = hits.split_off(unknown.len());
    for ((n, hits), op) in unknown.into_iter().zip(hits).zip(known_ops) {
        hints[n] = !op.is_empty();
        found[n].extend(hits.into_iter().map(Candidate::Shared));
    }
    hints
}

fn empty(found: &[Vec<Candidate>]) -> impl Iterator<Item = usize> + '_ {
    let lists = found.iter().enumerate();
    lists.filter(|(_, list)| list.is_empty()).map(|(n, _)| n)
}

impl Asked {
    /// What is known when the targets are, and nothing else was asked.
    fn of_targets(graph: &BuildGraph, targets: Vec<VertexId>, found: Vec<Vec<Candidate>>) -> Self {
        let mut candidates = vec![Vec::new(); graph.len()];
        for (target, found) in targets.into_iter().zip(found) {
            candidates[target.idx()] = found;
        }
        let hints = vec![false; graph.len()];
        Self {
            is_complete: true,
            hits: Hits { candidates, hints },
            pasts: Vec::new(),
            durations: Vec::new(),
            shared_hints: Vec::new(),
            replaces: Vec::new(),
        }
    }
}
