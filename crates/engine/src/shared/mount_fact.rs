//! What is remembered of the last time that the directory of a cache mount was shared.

use acetate_oci::{Digest, Timestamp};
use acetate_snapshot::Survey;
use acetate_store::{FactKey, Store, StoreError};

/// A change so soon before a look may be followed by another that looks the same: the clocks of
/// file systems are coarse.
const GRAIN_NANOS: i128 = 100_000_000;

/// The kind of fact that this is. A prune that keeps the directories keeps it too: without it, an old
/// directory would be taken for a new one.
pub(crate) const MOUNT_FACT: &str = "shared-mount";

/// A directory as it went to a cache, or came from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MountFact {
    /// What it looked like here, see [`Survey::fingerprint`].
    fingerprint: Digest,
    /// The digest of its tar.
    pub(super) diff_id: Digest,
    /// Whether all that has changed since then looks different.
    is_settled: bool,
}

impl MountFact {
    /// What is to be remembered of a directory that was looked at just before `now`.
    pub(super) fn new(survey: &Survey, diff_id: Digest, now: Timestamp) -> Self {
        Self {
            fingerprint: survey.fingerprint(),
            diff_id,
            is_settled: is_settled(survey.newest_change(), now),
        }
    }

    /// True when nothing has changed since, told without reading a file.
    pub(super) fn still_holds(&self, survey: &Survey) -> bool {
        self.is_settled && self.fingerprint == survey.fingerprint()
    }

    /// What is known about a cache mount and a cache.
    pub(super) fn find(
        store: &Store,
        identity: &Digest,
        cache: &str,
    ) -> Result<Option<Self>, StoreError> {
        let facts = store.index().facts(&[key(identity, cache)])?;
        Ok(facts
            .into_iter()
            .flatten()
            .next()
            .and_then(|fact| Self::decode(&fact)))
    }

    /// Remembers it.
    pub(super) fn put(&self, store: &Store, identity: &Digest, cache: &str) {
        let fact = (key(identity, cache), self.encode());
        store.index().put_facts(vec![fact]);
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.fingerprint.as_bytes().to_vec();
        bytes.extend(self.diff_id.as_bytes());
        bytes.push(u8::from(self.is_settled));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (fingerprint, rest) = bytes.split_first_chunk::<32>()?;
        let (diff_id, rest) = rest.split_first_chunk::<32>()?;
        Some(Self {
            fingerprint: Digest::from_bytes(*fingerprint),
            diff_id: Digest::from_bytes(*diff_id),
            is_settled: match rest {
                [0] => false,
                [1] => true,
                _ => return None,
            },
        })
    }
}

fn key(identity: &Digest, cache: &str) -> FactKey {
    let subject = [identity.as_bytes(), cache.as_bytes()].concat();
    FactKey::new(MOUNT_FACT, &subject)
}

fn is_settled(newest_change: Timestamp, now: Timestamp) -> bool {
    let nanos = |time: Timestamp| i128::from(time.secs) * 1_000_000_000 + i128::from(time.nanos);
    nanos(newest_change) + GRAIN_NANOS < nanos(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_read_as_it_was_written_and_garbage_is_none() {
        for is_settled in [false, true] {
            let fact = MountFact {
                fingerprint: Digest::of(b"fingerprint"),
                diff_id: Digest::of(b"tar"),
                is_settled,
            };
            assert_eq!(MountFact::decode(&fact.encode()), Some(fact));
            let mut long = fact.encode();
            long.push(0);
            assert_eq!(MountFact::decode(&long), None);
            assert_eq!(MountFact::decode(&fact.encode()[..64]), None);
        }
        assert_eq!(MountFact::decode(&[2; 65]), None);
    }

    #[test]
    fn what_changed_a_moment_ago_is_not_settled() {
        let now = Timestamp::new(10, 50_000_000);
        for (change, expected) in [
            (Timestamp::new(10, 50_000_000), false),
            (Timestamp::new(9, 950_000_000), false),
            (Timestamp::new(9, 949_999_999), true),
            (Timestamp::new(11, 0), false),
        ] {
            assert_eq!(is_settled(change, now), expected, "{change:?}");
        }
    }
}
