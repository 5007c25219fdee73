use acetate_oci::Digest;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Parts with a lock each, told by the digest.
const SHARDS: usize = 16;
/// Entries of one part; about 16 MiB for all.
const MOST: usize = 16 << 10;

/// Content that was seen elsewhere a short while ago, so that nobody asks again and again.
///
/// Only presence is kept: what was missing may be there in the next moment.
#[derive(Debug)]
pub(crate) struct Known {
    shards: [Mutex<HashMap<Digest, Instant>>; SHARDS],
    lasts: Duration,
}

impl Known {
    /// Believes for so long.
    pub(crate) fn new(lasts: Duration) -> Self {
        let shards = Default::default();
        Self { shards, lasts }
    }

    pub(crate) fn has(&self, digest: &Digest) -> bool {
        let shard = self.shard(digest);
        shard.get(digest).is_some_and(|end| *end > Instant::now())
    }

    pub(crate) fn add(&self, digest: &Digest) {
        let mut shard = self.shard(digest);
        let now = Instant::now();
        if shard.len() >= MOST && !shard.contains_key(digest) {
            shard.retain(|_, end| *end > now);
            if shard.len() >= MOST {
                shard.clear();
            }
        }
        shard.insert(*digest, now + self.lasts);
    }

    /// It is gone, as somebody saw.
    pub(crate) fn forget(&self, digest: &Digest) -> bool {
        self.shard(digest).remove(digest).is_some()
    }

    fn shard(&self, digest: &Digest) -> MutexGuard<'_, HashMap<Digest, Instant>> {
        let shard = &self.shards[usize::from(digest.as_bytes()[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_is_believed_for_a_while() {
        let known = Known::new(Duration::from_secs(60));
        let (seen, other) = (Digest::of(b"a"), Digest::of(b"b"));
        known.add(&seen);
        assert!(known.has(&seen) && !known.has(&other));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(known.has(&seen));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(!known.has(&seen));
        known.add(&seen);
        assert!(known.forget(&seen) && !known.forget(&seen) && !known.has(&seen));
    }

    #[test]
    fn there_is_an_end_to_the_memory_it_takes() {
        let known = Known::new(Duration::from_secs(60));
        for n in 0..3 * MOST as u64 {
            let mut bytes = [0; 32];
            bytes[8..16].copy_from_slice(&n.to_le_bytes());
            known.add(&Digest::from_bytes(bytes));
        }
        assert!(known.shards[0].lock().unwrap().len() <= MOST);
    }
}
