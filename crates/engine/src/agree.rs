//! Recorded results that were made of one another.
//!
//! Two machines that run one step may get different results: a key, say. A third step, recorded by
//! the one, was made of its key. Whoever takes the key of the other beside that step has a pair
//! that does not fit. So of two results that a build takes from records, one made of the other, the
//! later is dropped unless it was made of exactly that earlier one.

use crate::shared::Candidate;
use acetate_cache::{Past, PastInput, Pasts};
use acetate_graph::{BuildGraph, Decision, Demand, Known, VertexId, prune};
use acetate_oci::{Digest, chain_id};
use acetate_scheduler::Hits;
use acetate_store::LayerId;

/// Drops candidates until those that a build would take agree.
pub(crate) fn agree(graph: &BuildGraph, hits: &mut Hits<Candidate>, pasts: &[Pasts]) {
    // Each round drops a candidate of at least one vertex.
    loop {
        let dropped = disagreeing(graph, hits, pasts);
        if dropped.is_empty() {
            return;
        }
        for id in dropped {
            let name = &graph.vertex(id).meta.name;
            tracing::debug!(%name, "a record was made of another result than the one at hand");
            hits.candidates[id.idx()].remove(0);
        }
    }
}

/// The vertices that would be loaded, and were made of something else than what else is loaded.
fn disagreeing(graph: &BuildGraph, hits: &Hits<Candidate>, pasts: &[Pasts]) -> Vec<VertexId> {
    let demand = demand(graph, hits);
    let is_loaded = |id: VertexId| demand.decision(id) == Decision::Load;
    let mut walk = Walk {
        graph,
        hits,
        pasts,
        is_loaded: &is_loaded,
        is_seen: vec![false; graph.len()],
    };
    graph
        .ids()
        .filter(|id| is_loaded(*id))
        .filter(|id| walk.disagrees(*id))
        .collect()
}

fn demand(graph: &BuildGraph, hits: &Hits<Candidate>) -> Demand {
    let known = |id: VertexId| Known {
        definition: !hits.candidates[id.idx()].is_empty(),
        hint: hits.hints.get(id.idx()).copied().unwrap_or(false),
    };
    let targets: Vec<VertexId> = graph.targets().iter().map(|edge| edge.vertex).collect();
    prune(graph, &targets, &known)
}

struct Walk<'a> {
    graph: &'a BuildGraph,
    hits: &'a Hits<Candidate>,
    pasts: &'a [Pasts],
    is_loaded: &'a dyn Fn(VertexId) -> bool,
    /// Looked at already; whatever it disagrees with was found from there.
    is_seen: Vec<bool>,
}

impl Walk<'_> {
    /// Follows what a result was made of, as far as the records at hand are those that it was made
    /// of.
    fn disagrees(&mut self, top: VertexId) -> bool {
        let mut stack = vec![top];
        while let Some(id) = stack.pop() {
            if std::mem::replace(&mut self.is_seen[id.idx()], true) {
                continue;
            }
            let Some(made_of) = self.made_of(id) else {
                continue;
            };
            for (edge, wanted) in self.graph.vertex(id).inputs.iter().zip(made_of) {
                let Some(found) = self.hits.candidates[edge.vertex.idx()].first() else {
                    continue;
                };
                if wanted.is(found) {
                    stack.push(edge.vertex);
                } else if (self.is_loaded)(edge.vertex) {
                    return true;
                }
            }
        }
        false
    }

    /// What the first candidate of a vertex was made of, where that is known.
    fn made_of(&self, id: VertexId) -> Option<Vec<Ingredient>> {
        match self.hits.candidates[id.idx()].first()? {
            Candidate::Local(record) => {
                let top = record.layers.last().map(|layer| layer.id);
                let key = *self.graph.key(id).digest();
                let is_it = |past: &Past| past.definition == key && past.result == top;
                let past = self.pasts.get(id.idx())?.decode().into_iter().find(is_it)?;
                Some(past.inputs.into_iter().map(Ingredient::Past).collect())
            }
            Candidate::Shared(shared) => {
                let made_of = shared.hit.record.made_of.iter();
                Some(made_of.map(|digest| Ingredient::Digest(*digest)).collect())
            }
        }
    }
}

/// A result as another one names it.
#[derive(Debug)]
enum Ingredient {
    Past(PastInput),
    Digest(Digest),
}

impl Ingredient {
    /// Whether a candidate is this result. What cannot be told apart from it counts as it.
    fn is(&self, candidate: &Candidate) -> bool {
        match self {
            Self::Past(PastInput::Selection(_)) => true,
            Self::Past(PastInput::Chain(ids)) => match candidate {
                Candidate::Local(record) => {
                    let layers = record.layers.iter().map(|layer| layer.id);
                    layers.eq(ids.iter().copied())
                }
                Candidate::Shared(_) => chain_of(candidate)
                    .is_some_and(|chain| ids.last().copied() == chain.map(LayerId::Chain)),
            },
            Self::Digest(digest) => chain_of(candidate)
                .is_some_and(|chain| chain.unwrap_or_else(|| Digest::of(b"")) == *digest),
        }
    }
}

/// The `ChainID` of a candidate, none for scratch; nothing when a layer is not sealed.
fn chain_of(candidate: &Candidate) -> Option<Option<Digest>> {
    let diff_ids: Vec<Digest> = match candidate {
        Candidate::Local(record) => {
            let layers = record.layers.iter().map(|layer| layer.diff_id);
            layers.collect::<Option<_>>()?
        }
        Candidate::Shared(shared) => {
            let layers = shared.hit.record.layers.iter();
            layers.map(|layer| layer.diff_id).collect()
        }
    };
    Some(chain_id(&diff_ids))
}
