//! What keeps a step from being carried out: somebody else has it, or something that it needs.

use crate::cache_mounts::{CacheMounts, CacheRequest, Turns, Unready};
use crate::shared::lease::LeaseWait;
use crate::steps::StepError;
use acetate_store::{Store, StoreLock};
use std::time::Instant;

/// Why a step has to wait, without a slot.
///
/// Steps meet them in this order, and keep what they got when they wait for the next: whoever has
/// something waits only for what comes later, or for a slot, and who has a slot waits for nobody.
/// So no two steps wait for each other, in whatever processes they are.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// Another build carries out the same step, under the lock of this name.
    StepLock(String),
    /// Another machine makes it.
    Lease(LeaseWait),
    /// A directory of its cache mounts is in use, or has to come from a cache.
    CacheMounts {
        /// All that it wants, which it takes together.
        request: CacheRequest,
        /// Which one it waits for.
        why: Unready,
    },
}

/// What a step got when its obstacle was gone.
#[derive(Debug)]
pub(crate) enum Got {
    /// The lock of the step.
    Lock(StoreLock),
    /// The directories of its cache mounts.
    CacheMounts(CacheMounts),
    /// Nothing but the news that the other machine ended, and until when it may be waited for.
    Waited(Instant),
}

impl Obstacle {
    /// What is said to the user.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::StepLock(_) => "waiting: another build is running this step".to_owned(),
            Self::Lease(_) => "waiting: another machine is running this step".to_owned(),
            Self::CacheMounts { why, .. } => match why {
                Unready::InUse(id) => {
                    format!("waiting for cache mount {id:?} (used by another step)")
                }
                Unready::Elsewhere(id) => format!("fetching cache mount {id:?}"),
            },
        }
    }

    /// Waits until the obstacle is gone, and gives what was behind it. Dropping the future gives up.
    pub(crate) async fn gone(&self, store: &Store, turns: &Turns) -> Result<Got, StepError> {
        match self {
            Self::StepLock(name) => Ok(Got::Lock(store.lock(name).await?)),
            Self::Lease(wait) => Ok(Got::Waited(wait.gone().await)),
            Self::CacheMounts { request, .. } => Ok(Got::CacheMounts(request.take(turns).await?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    #[tokio::test]
    async fn a_lock_is_waited_for_and_then_held() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let other = store.try_lock("step").unwrap();
        let obstacle = Obstacle::StepLock("step".to_owned());
        let turns = Turns::default();
        let mut gone = pin!(obstacle.gone(&store, &turns));
        let first = std::future::poll_fn(|cx| Poll::Ready(gone.as_mut().poll(cx).is_pending()));
        assert!(first.await, "somebody has it");
        drop(other);
        let got = tokio::time::timeout(Duration::from_secs(10), gone).await;
        let got = got.expect("in time").unwrap();
        assert!(matches!(got, Got::Lock(_)));
        assert!(store.try_lock("step").unwrap().is_none(), "it is ours");
    }
}
