use acetate_oci::Digest;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts with a lock each, told by the key: writers of different records rarely meet.
const SHARDS: usize = 256;

/// Lets one writer at a time look at a record and replace it.
#[derive(Debug)]
pub(super) struct Keys {
    shards: [Mutex<()>; SHARDS],
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            shards: [const { Mutex::new(()) }; SHARDS],
        }
    }
}

impl Keys {
    /// Waits for those who write the record now; only blocking threads may, since they sync.
    pub(super) fn hold(&self, key: &Digest) -> MutexGuard<'_, ()> {
        let shard = &self.shards[usize::from(key.as_bytes()[0])];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
