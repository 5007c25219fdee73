//! Recorded results that were made of one another.
//!
//! Two machines that run one step may get different results: a key, say. A third step, recorded by
//! the one, was made of its key. Whoever takes the key of the other beside that step has a pair
//! that does not fit. So of two results that a build takes from records, one made of the other, the
//! later is dropped unless it was made of exactly that earlier one. So it is when a record in between
//! is gone, and nobody can tell.

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
                    if self.hides_loaded(edge.vertex) {
                        return true;
                    }
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

    /// Whether something else that is loaded is behind a result of which no record is left: whether
    /// they fit nobody can tell any more, and making the later one again costs time only.
    fn hides_loaded(&self, unknown: VertexId) -> bool {
        let mut is_seen = vec![false; self.graph.len()];
        let mut stack = vec![unknown];
        while let Some(id) = stack.pop() {
            if std::mem::replace(&mut is_seen[id.idx()], true) {
                continue;
            }
            if (self.is_loaded)(id) {
                return true;
            }
            let inputs = self.graph.vertex(id).inputs.iter();
            stack.extend(inputs.map(|edge| edge.vertex));
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
                Candidate::Shared(_) => identity_of(candidate) == Some(named(ids)),
            },
            Self::Digest(digest) => identity_of(candidate) == Some(*digest),
        }
    }
}

/// What a chain of layers is called by what it holds, where its uppermost layer is named so; else a
/// name that no other result has.
fn named(ids: &[LayerId]) -> Digest {
    match ids.last() {
        None => Digest::of(b""),
        Some(LayerId::Chain(chain)) => *chain,
        Some(LayerId::Local(own)) => Digest::of(own),
    }
}

/// The name of a candidate by what it holds, that of scratch the digest of nothing; none when a
/// layer is not sealed.
fn identity_of(candidate: &Candidate) -> Option<Digest> {
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
    Some(chain_id(&diff_ids).unwrap_or_else(|| Digest::of(b"")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_cache::remote::{HttpCache, LayerForm, RemoteCache, RemoteConfig};
    use acetate_cache::remote::{RemoteHit, RemoteLayer, RemoteRecord};
    use acetate_cache::{Fidelity, KeyKind, SharedCache};
    use acetate_graph::{Edge, FileOp, GraphBuilder, Op, VertexMeta};
    use acetate_oci::{Descriptor, MediaType, Timestamp};
    use acetate_store::Store;
    use std::sync::Arc;

    /// Four steps, each made of the one before, and a last one made of the first and the third.
    fn graph() -> (BuildGraph, [VertexId; 4]) {
        let mut builder = GraphBuilder::new();
        let mut step = |inputs: &[VertexId], name: &str| {
            let op = Op::File(FileOp {
                base: None,
                accounts: None,
                actions: Vec::new(),
            });
            let meta = VertexMeta {
                name: name.to_owned(),
                ..VertexMeta::default()
            };
            builder.add(op, inputs.iter().copied().map(Edge::first).collect(), meta)
        };
        let key = step(&[], "key");
        let middle = step(&[key], "middle");
        let certificate = step(&[middle], "certificate");
        let pair = step(&[key, certificate], "pair");
        let graph = builder.build(vec![Edge::first(pair)]);
        (graph, [key, middle, certificate, pair])
    }

    struct Machine {
        cache: Arc<dyn SharedCache>,
        _dir: tempfile::TempDir,
    }

    fn machine() -> Machine {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let remote = RemoteCache::open(&RemoteConfig::new("http://127.0.0.1:1")).unwrap();
        Machine {
            cache: Arc::new(HttpCache::new(remote, store)),
            _dir: dir,
        }
    }

    fn result(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// A record of one layer, made of other ones.
    fn candidate(machine: &Machine, name: &str, made_of: &[&str]) -> Candidate {
        let layer = RemoteLayer {
            listing: Vec::new(),
            diff_id: result(name),
            size: 1,
            created: Timestamp::default(),
            form: LayerForm::Blob(Descriptor::of(MediaType::OCI_LAYER, b"x")),
        };
        Candidate::Shared(crate::shared::SharedHit {
            cache: Arc::clone(&machine.cache),
            kind: KeyKind::Definition,
            hit: RemoteHit {
                record: RemoteRecord {
                    layers: vec![layer],
                    duration_ms: 1,
                    fidelity: Fidelity::Full,
                    made_of: made_of.iter().map(|name| result(name)).collect(),
                },
                namespace: None,
                signer: None,
                envelope: None,
            },
        })
    }

    /// Which of the four steps would be loaded, given what their records are and were made of.
    fn loaded(records: [Option<(&str, &[&str])>; 4]) -> Vec<usize> {
        let machine = machine();
        let (graph, steps) = graph();
        let mut hits = Hits {
            candidates: vec![Vec::new(); graph.len()],
            hints: vec![false; graph.len()],
        };
        for (id, record) in steps.iter().zip(records) {
            hits.candidates[id.idx()] = record
                .map(|(name, made_of)| candidate(&machine, name, made_of))
                .into_iter()
                .collect();
        }
        agree(&graph, &mut hits, &vec![Pasts::default(); graph.len()]);
        let demand = demand(&graph, &hits);
        let is_loaded = |n: &usize| demand.decision(steps[*n]) == Decision::Load;
        (0..4).filter(is_loaded).collect()
    }

    #[test]
    fn a_pair_of_one_machine_is_taken() {
        let records = [
            Some(("key 1", &[][..])),
            Some(("middle 1", &["key 1"][..])),
            Some(("certificate 1", &["middle 1"][..])),
            None,
        ];
        assert_eq!(loaded(records), [0, 2]);
    }

    #[test]
    fn a_certificate_of_another_key_is_made_again() {
        let records = [
            Some(("key 2", &[][..])),
            Some(("middle 1", &["key 1"][..])),
            Some(("certificate 1", &["middle 1"][..])),
            None,
        ];
        // The middle does not fit the key either.
        assert_eq!(loaded(records), [0]);
    }

    #[test]
    fn a_certificate_is_made_again_when_nobody_can_tell_of_which_key_it_is() {
        let records = [
            Some(("key 2", &[][..])),
            None,
            Some(("certificate 1", &["middle 1"][..])),
            None,
        ];
        assert_eq!(loaded(records), [0]);
    }

    #[test]
    fn what_nobody_takes_beside_it_need_not_agree() {
        let records = [
            Some(("key 2", &[][..])),
            None,
            Some(("certificate 1", &["middle 1"][..])),
            Some(("pair 1", &["key 1", "certificate 1"][..])),
        ];
        assert_eq!(loaded(records), [3]);
    }

    #[test]
    fn an_older_middle_says_nothing_of_what_was_made_of_another() {
        let records = [
            Some(("key 1", &[][..])),
            Some(("middle 2", &["key 2"][..])),
            Some(("certificate 1", &["middle 1"][..])),
            None,
        ];
        assert_eq!(loaded(records), [0, 2]);
    }
}
