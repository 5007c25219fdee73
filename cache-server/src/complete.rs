use acetate_cache_api::Namespace;
use acetate_oci::Digest;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::bytes::Bytes;

/// For so long nobody looks again: only somebody who changes files by hand needs that.
const FRESH: Duration = Duration::from_secs(10);
/// Parts with a lock each, told by the key.
const SHARDS: usize = 16;
/// The bytes that one part holds, sixteen mebibytes for all.
const MOST: usize = 1 << 20;
/// A larger record is not worth its place.
const LARGEST: usize = 16 << 10;
/// What an entry costs besides the body.
const ENTRY: usize = 160;

/// Records that were just served, so that not every answer looks at every file that they name.
///
/// What is here changes in few places, which all count: what was found before the last change is
/// looked at again.
#[derive(Debug, Default)]
pub(crate) struct Complete {
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    seen: HashMap<(Namespace, Digest), Seen>,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Seen {
    changes: u64,
    at: Instant,
    hit: Hit,
}

/// A record that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) body: Bytes,
    /// What the hit saves.
    pub(crate) saved_ms: u64,
}

impl Complete {
    /// The record, when nothing changed since it was found.
    pub(crate) fn get(&self, namespace: &Namespace, key: &Digest, changes: u64) -> Option<Hit> {
        let shard = self.shard(key);
        let seen = shard.seen.get(&(namespace.clone(), *key))?;
        let is_fresh = seen.changes == changes && seen.at.elapsed() < FRESH;
        is_fresh.then(|| seen.hit.clone())
    }

    /// Keeps a record; `changes` was read before it was looked for.
    pub(crate) fn put(&self, namespace: &Namespace, key: &Digest, changes: u64, hit: Hit) {
        let cost = hit.body.len() + ENTRY;
        if hit.body.len() > LARGEST {
            return;
        }
        let at = Instant::now();
        let mut shard = self.shard(key);
        if shard.bytes + cost > MOST {
            *shard = Shard::default();
        }
        let seen = Seen { changes, at, hit };
        let before = shard.seen.insert((namespace.clone(), *key), seen);
        shard.bytes += cost;
        shard.bytes -= before.map_or(0, |seen| seen.hit.body.len() + ENTRY);
    }

    fn shard(&self, key: &Digest) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(key.as_bytes()[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(len: usize) -> Hit {
        Hit {
            body: vec![7; len].into(),
            saved_ms: 1500,
        }
    }

    #[test]
    fn a_change_ends_what_was_known() {
        let complete = Complete::default();
        let (namespace, key) = ("org".parse().unwrap(), Digest::of(b"k"));
        complete.put(&namespace, &key, 1, hit(3));
        assert_eq!(complete.get(&namespace, &key, 1), Some(hit(3)));
        assert_eq!(complete.get(&namespace, &key, 2), None);
        assert_eq!(complete.get(&Namespace::root(), &key, 1), None);
    }

    #[test]
    fn what_it_holds_has_an_end() {
        let complete = Complete::default();
        let namespace = Namespace::root();
        let large = Digest::of(b"large");
        complete.put(&namespace, &large, 0, hit(LARGEST + 1));
        assert_eq!(complete.get(&namespace, &large, 0), None);
        for n in 0..5000_u32 {
            let key = Digest::of(&n.to_le_bytes());
            complete.put(&namespace, &key, 0, hit(LARGEST));
            complete.put(&namespace, &key, 0, hit(LARGEST));
            assert!(complete.get(&namespace, &key, 0).is_some());
        }
        for shard in &complete.shards {
            let shard = shard.lock().unwrap();
            let bytes: usize = shard.seen.values().map(|s| s.hit.body.len() + ENTRY).sum();
            assert!(shard.bytes == bytes && bytes <= MOST, "{bytes}");
        }
    }
}
