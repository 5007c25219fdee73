use acetate_cache_api::Namespace;
use acetate_oci::Digest;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For so long nobody looks again: only somebody who removes files by hand needs that.
const FRESH: Duration = Duration::from_secs(10);
/// Parts with a lock each, told by the key.
const SHARDS: usize = 16;
/// Records that one part remembers, some ten mebibytes for all.
const MOST: usize = 8192;

/// Records that were found complete, so that not every answer looks at every file that is named.
///
/// Content disappears in one place only, which counts: what was found before the last removal is
/// looked at again.
#[derive(Debug, Default)]
pub(crate) struct Complete {
    shards: [Mutex<HashMap<(Namespace, Digest), Seen>>; SHARDS],
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    removals: u64,
    at: Instant,
    saved_ms: u64,
}

impl Complete {
    /// What a hit saves, when the record was found complete and nothing was removed since.
    pub(crate) fn get(&self, namespace: &Namespace, key: &Digest, removals: u64) -> Option<u64> {
        let seen = *self.shard(key).get(&(namespace.clone(), *key))?;
        let is_fresh = seen.removals == removals && seen.at.elapsed() < FRESH;
        is_fresh.then_some(seen.saved_ms)
    }

    /// Remembers a record; `removals` was read before its content was looked at.
    pub(crate) fn put(&self, namespace: &Namespace, key: &Digest, removals: u64, saved_ms: u64) {
        let seen = Seen {
            removals,
            at: Instant::now(),
            saved_ms,
        };
        let mut shard = self.shard(key);
        if shard.len() >= MOST {
            shard.clear();
        }
        shard.insert((namespace.clone(), *key), seen);
    }

    fn shard(&self, key: &Digest) -> MutexGuard<'_, HashMap<(Namespace, Digest), Seen>> {
        let shard = &self.shards[usize::from(key.as_bytes()[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_ends_what_was_known() {
        let complete = Complete::default();
        let (namespace, key) = ("org".parse().unwrap(), Digest::of(b"k"));
        complete.put(&namespace, &key, 1, 1500);
        assert_eq!(complete.get(&namespace, &key, 1), Some(1500));
        assert_eq!(complete.get(&namespace, &key, 2), None);
        assert_eq!(complete.get(&Namespace::root(), &key, 1), None);
    }
}
