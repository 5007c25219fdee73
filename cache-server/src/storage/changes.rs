use acetate_cache_api::{Kind, Route};
use acetate_oci::Digest;
use std::sync::atomic::{AtomicU64, Ordering};

/// Parts of the records, told by the key.
const SHARDS: usize = 64;

/// Counts what could make wrong what is known about a record.
///
/// It is counted after the change: who reads a number, looks, and reads the same number again
/// has seen what is there.
#[derive(Debug)]
pub(super) struct Changes {
    /// Content that was removed: any record may have named it.
    content: AtomicU64,
    records: [AtomicU64; SHARDS],
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            content: AtomicU64::new(0),
            records: [const { AtomicU64::new(0) }; SHARDS],
        }
    }
}

impl Changes {
    pub(super) fn count(&self, route: &Route) {
        let counter = match route.kind {
            Kind::Content => &self.content,
            Kind::Action => self.shard(&route.key),
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }

    /// Both numbers only grow, so their sum is the same only when both are.
    pub(super) fn of(&self, record: &Digest) -> u64 {
        self.content.load(Ordering::SeqCst) + self.shard(record).load(Ordering::SeqCst)
    }

    fn shard(&self, key: &Digest) -> &AtomicU64 {
        &self.records[usize::from(key.as_bytes()[0]) % SHARDS]
    }
}
