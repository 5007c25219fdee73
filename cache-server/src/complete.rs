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

#[derive(Debug)]
struct Seen {
    changes: u64,
    at: Instant,
    hit: Hit,
}

/// A record that was found complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Its bytes; none when there was no place to keep them.
    pub(crate) body: Option<Bytes>,
    /// What its bytes are.
    pub(crate) tag: Digest,
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

    /// Keeps a record; `changes` was read before it was looked for. Gives the digest of its bytes,
    /// which is not made anew for every answer.
    pub(crate) fn put(
        &self,
        namespace: &Namespace,
        key: &Digest,
        changes: u64,
        body: &Bytes,
        saved_ms: u64,
    ) -> Digest {
        let tag = Digest::of(body);
        let body = (body.len() <= LARGEST).then(|| body.clone());
        let hit = Hit {
            body,
            tag,
            saved_ms,
        };
        let at = Instant::now();
        let mut shard = self.shard(key);
        if shard.bytes + hit.cost() > MOST {
            shard.shrink();
        }
        shard.bytes += hit.cost();
        let seen = Seen { changes, at, hit };
        let before = shard.seen.insert((namespace.clone(), *key), seen);
        shard.bytes -= before.map_or(0, |seen| seen.hit.cost());
        tag
    }

    fn shard(&self, key: &Digest) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::from(key.as_bytes()[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hit {
    fn cost(&self) -> usize {
        ENTRY + self.body.as_ref().map_or(0, Bytes::len)
    }
}

impl Shard {
    /// Makes place: that a record is complete costs more to find out than its bytes to read.
    fn shrink(&mut self) {
        for seen in self.seen.values_mut() {
            seen.hit.body = None;
        }
        self.bytes = self.seen.len() * ENTRY;
        if self.bytes > MOST / 2 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_what_was_known() {
        let complete = Complete::default();
        let (namespace, key) = ("org".parse().unwrap(), Digest::of(b"k"));
        let body = Bytes::from_static(b"abc");
        complete.put(&namespace, &key, 1, &body, 1500);
        let hit = Hit {
            body: Some(body),
            tag: Digest::of(b"abc"),
            saved_ms: 1500,
        };
        assert_eq!(complete.get(&namespace, &key, 1), Some(hit));
        assert_eq!(complete.get(&namespace, &key, 2), None);
        assert_eq!(complete.get(&Namespace::root(), &key, 1), None);
    }

    #[test]
    fn bytes_go_before_what_is_known() {
        let complete = Complete::default();
        let namespace = Namespace::root();
        let get = |key: &Digest| complete.get(&namespace, key, 0);
        let put = |key: &Digest, len: usize| {
            complete.put(&namespace, key, 0, &vec![7; len].into(), 0);
        };
        let keys: Vec<_> = (0..5000_u32)
            .map(|n| Digest::of(&n.to_le_bytes()))
            .collect();
        put(&keys[0], LARGEST + 1);
        assert_eq!(get(&keys[0]).map(|hit| hit.body), Some(None));
        for key in &keys {
            put(key, LARGEST);
            put(key, LARGEST);
            assert!(get(key).is_some_and(|hit| hit.body.is_some()));
        }
        assert_eq!(get(&keys[0]).map(|hit| hit.body), Some(None));
        for shard in &complete.shards {
            let shard = shard.lock().unwrap();
            let bytes: usize = shard.seen.values().map(|seen| seen.hit.cost()).sum();
            assert!(shard.bytes == bytes && bytes <= MOST, "{bytes}");
        }
    }
}
