use acetate_store::{Store, StoreLock};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

/// Lets go of the locks of finished steps, once what they recorded can be seen by others.
///
/// A lock that went before its record would let a second process repeat the step. The records of
/// many steps become visible in one transaction, so locks are collected while one is under way.
#[derive(Debug)]
pub(crate) struct Releaser {
    locks: Option<Sender<StoreLock>>,
    thread: Option<JoinHandle<()>>,
}

impl Releaser {
    pub(crate) fn start(store: Arc<Store>) -> Self {
        let (locks, queue) = mpsc::channel::<StoreLock>();
        let thread = std::thread::spawn(move || {
            while let Ok(first) = queue.recv() {
                let batch: Vec<StoreLock> =
                    std::iter::once(first).chain(queue.try_iter()).collect();
                if let Err(error) = store.flush() {
                    tracing::warn!(%error, "results of steps may not be seen by other builds");
                }
                drop(batch);
            }
        });
        Self {
            locks: Some(locks),
            thread: Some(thread),
        }
    }

    /// Takes over the lock of a step whose result was recorded.
    pub(crate) fn release(&self, lock: Option<StoreLock>) {
        if let (Some(lock), Some(locks)) = (lock, &self.locks) {
            // Without a receiver the lock is dropped here, which is late enough.
            drop(locks.send(lock));
        }
    }
}

impl Drop for Releaser {
    fn drop(&mut self) {
        self.locks = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::debug!("the thread that releases locks broke off");
        }
    }
}
