//! What keeps a step from being carried out: somebody else has it, or something that it needs.

use crate::cache_mounts::{CacheMounts, CacheRequest};
use crate::steps::StepError;
use acetate_store::{Store, StoreLock};

/// Why a step has to wait, without a slot.
///
/// Steps meet them in this order, and keep what they got when they wait for the next: whoever has
/// something waits only for what comes later, or for a slot, and who has a slot waits for nobody.
/// So no two steps wait for each other, in whatever processes they are.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// Another build carries out the same step, under the lock of this name.
    StepLock(String),
    /// A directory of its cache mounts is in use.
    CacheMounts {
        /// All that it wants, which it takes together.
        request: CacheRequest,
        /// The id of the one that was in use.
        id: String,
    },
}

/// What a step got when its obstacle was gone.
#[derive(Debug)]
pub(crate) enum Got {
    /// The lock of the step.
    Lock(StoreLock),
    /// The directories of its cache mounts.
    CacheMounts(CacheMounts),
}

impl Obstacle {
    /// What is said to the user.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::StepLock(_) => "waiting: another build is running this step".to_owned(),
            Self::CacheMounts { id, .. } => {
                format!("waiting for cache mount {id:?} (used by another step)")
            }
        }
    }

    /// Waits until the obstacle is gone, and gives what was behind it. Dropping the future gives up.
    pub(crate) async fn gone(&self, store: &Store) -> Result<Got, StepError> {
        match self {
            Self::StepLock(name) => Ok(Got::Lock(store.lock(name).await?)),
            Self::CacheMounts { request, .. } => Ok(Got::CacheMounts(request.take().await?)),
        }
    }
}
