use acetate_cache::remote::RemoteHit;
use acetate_cache::{CacheRecord, KeyKind, SharedCache};
use std::sync::Arc;

/// A recorded result that may be usable, and where it is.
#[derive(Debug, Clone)]
pub(crate) enum Candidate {
    /// In the store.
    Local(CacheRecord),
    /// In another cache.
    Shared(SharedHit),
}

/// A record of a cache outside of the store.
#[derive(Debug, Clone)]
pub(crate) struct SharedHit {
    pub(crate) cache: Arc<dyn SharedCache>,
    /// Which of the keys of the vertex it was found under.
    pub(crate) kind: KeyKind,
    pub(crate) hit: RemoteHit,
}

impl Candidate {
    /// How long the step took where it ran, in milliseconds.
    pub(crate) fn duration_ms(&self) -> u64 {
        match self {
            Self::Local(record) => record.duration_ms,
            Self::Shared(shared) => shared.hit.record.duration_ms,
        }
    }
}
