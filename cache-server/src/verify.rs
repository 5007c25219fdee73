//! Hashing all content again while the server runs.

use crate::App;
use acetate_cache_api::admin::Verified;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// One verification at a time, and how the last one went.
#[derive(Debug, Default)]
pub(crate) struct Verify {
    tally: Mutex<Verified>,
    /// Somebody wants one.
    wanted: Notify,
    /// It has ended.
    ended: Notify,
    is_stopped: AtomicBool,
}

impl Verify {
    /// Begins, unless one is under way.
    pub(crate) fn start(&self) {
        let mut tally = self.lock();
        if !tally.running {
            *tally = Verified {
                running: true,
                ..Verified::default()
            };
            self.wanted.notify_one();
        }
    }

    /// Ends the one that is under way, since the server ends.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
    }

    /// How far it is; ready when it has ended or the time is up.
    pub(crate) async fn wait(&self, patience: Duration) -> Verified {
        let ended = async {
            loop {
                let mut ended = std::pin::pin!(self.ended.notified());
                ended.as_mut().enable();
                if !self.lock().running {
                    return;
                }
                ended.await;
            }
        };
        let _either = tokio::time::timeout(patience, ended).await;
        self.lock().clone()
    }

    /// Notes how far it is, and whether to go on.
    fn note(&self, sound: u64, damaged: u64) -> ControlFlow<()> {
        let mut tally = self.lock();
        (tally.sound, tally.damaged) = (sound, damaged);
        if self.is_stopped.load(Ordering::SeqCst) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn lock(&self) -> MutexGuard<'_, Verified> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Verifies whenever somebody wants it, until the task is dropped.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        app.verify.wanted.notified().await;
        let own = Arc::clone(&app);
        let note = move |sound, damaged| own.verify.note(sound, damaged);
        let disk = Arc::clone(&app.disk);
        let done = acetate_stdx::blocking(move || disk.verify_while(note)).await;
        let mut tally = app.verify.lock();
        tally.running = false;
        match done {
            Ok((sound, damaged)) => {
                (tally.sound, tally.damaged) = (sound, damaged);
                tracing::info!(sound, damaged, "verified all content");
            }
            Err(error) => {
                tracing::warn!(%error, "content was not verified to the end");
                tally.error = Some(error.to_string());
            }
        }
        drop(tally);
        app.verify.ended.notify_waiters();
    }
}
