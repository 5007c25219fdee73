//! What steps with a given op were done with before, for the lookup by content.
//!
//! A content key needs the digests of whole layers, which cost a read of every byte. So a result is
//! recorded by definition only, beside the *names* of what went into it; the contents are compared
//! when a later build has the same op on other inputs, and only as far as it takes to tell them
//! apart. Until then nobody pays.

use std::sync::Arc;

use acetate_graph::OpKey;
use acetate_oci::Digest;
use acetate_store::{FactKey, LayerId, Store, codec};
use serde::{Deserialize, Serialize};

/// The version of [`Past`] on the disk; older ones are forgotten.
const VERSION: u16 = 2;
/// How many earlier uses of one op are kept, newest first.
const MAX_PASTS: usize = 4;

/// One earlier use of an op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// The definition key that the result is recorded under.
    pub definition: Digest,
    /// What the inputs were, in the order of the vertex's edges.
    pub inputs: Vec<PastInput>,
    /// The topmost layer of the result. Its name is made anew by every run, so it tells whether the
    /// record found under `definition` is still the one that was made of these inputs.
    pub result: Option<LayerId>,
}

/// What an input of an earlier use was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PastInput {
    /// A snapshot, by the names of its layers, bottom first.
    Chain(Vec<LayerId>),
    /// Selected files of a context, by their digest.
    Selection(Digest),
}

/// The earlier uses of one op, decoded only when somebody looks at them: most builds only ask
/// whether there are any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pasts(Vec<u8>);

impl Pasts {
    /// True when the op was never used before.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The uses, newest first; none when they were written by another version.
    pub fn decode(&self) -> Vec<Past> {
        codec::decode(VERSION, &self.0).unwrap_or_default()
    }
}

/// The earlier uses of ops, kept as facts of a store; advisory like every cache.
#[derive(Debug, Clone)]
pub struct OpHistory {
    store: Arc<Store>,
}

impl OpHistory {
    /// Uses the facts of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// The earlier uses of many ops in one question; a fault is an empty answer.
    pub fn find(&self, ops: &[OpKey]) -> Vec<Pasts> {
        let keys: Vec<FactKey> = ops.iter().map(fact_key).collect();
        match self.store.index().facts(&keys) {
            Ok(facts) => facts
                .into_iter()
                .map(|fact| Pasts(fact.unwrap_or_default()))
                .collect(),
            Err(error) => {
                tracing::debug!(%error, "earlier uses of steps cannot be read");
                vec![Pasts::default(); ops.len()]
            }
        }
    }

    /// Adds a use to those known before, in front.
    pub fn add(&self, op: &OpKey, past: Past, known: &Pasts) {
        let newest = past.definition;
        let older = known
            .decode()
            .into_iter()
            .filter(|old| old.definition != newest);
        let mut pasts: Vec<Past> = std::iter::once(past).chain(older).collect();
        pasts.truncate(MAX_PASTS);
        match codec::encode(VERSION, &pasts) {
            Ok(bytes) => self.store.index().put_facts(vec![(fact_key(op), bytes)]),
            Err(error) => tracing::debug!(%error, "an earlier use of a step is not kept"),
        }
    }
}

fn fact_key(op: &OpKey) -> FactKey {
    FactKey::new("op-history", op.digest().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(n: u8) -> Past {
        let chain = PastInput::Chain(vec![LayerId::Local([n; 16])]);
        let selection = PastInput::Selection(Digest::of(&[n]));
        Past {
            definition: Digest::of(&[n]),
            inputs: vec![chain, selection],
            result: Some(LayerId::Local([n; 16])),
        }
    }

    #[test]
    fn the_newest_uses_are_kept_once_each() {
        let dir = tempfile::tempdir().unwrap();
        let history = OpHistory::new(Store::open(&dir.path().join("store")).unwrap());
        let op = OpKey::from_digest(Digest::of(b"op"));
        assert!(history.find(&[op])[0].is_empty());
        for n in 0..6 {
            let known = history.find(&[op]).remove(0);
            history.add(&op, past(n), &known);
        }
        let known = history.find(&[op]).remove(0);
        assert_eq!(known.decode(), [past(5), past(4), past(3), past(2)]);
        history.add(&op, past(3), &known);
        assert_eq!(
            history.find(&[op]).remove(0).decode(),
            [past(3), past(5), past(4), past(2)]
        );
    }
}
