//! What is new here is told to the server above: later, in order, and as far as it wants it.

use super::client::{OnlyNew, Unsent};
use super::{Reach, breaker};
use crate::storage::Storage;
use acetate_cache_api::Route;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// Records that wait at most; what comes while so many wait is not told.
const WAITING: usize = 4096;
/// Records that are told at a time.
const AT_ONCE: usize = 4;
/// How often a record is tried that the other server cannot take just now.
const TRIES: u32 = 5;
/// A record of more bytes is none.
const MAX_RECORD: u64 = 4 << 20;

/// Records that the server above has not been told of.
///
/// The names of content need no place: what a record names goes before it, as far as it is missing
/// there.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Job>,
    receiver: Mutex<Option<mpsc::Receiver<Job>>>,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Job {
    route: Route,
    only_new: OnlyNew,
    names: Names,
    reach: Reach,
}

/// Whether a record is to be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Content,
    /// It is opaque.
    Nothing,
}

impl Default for Queue {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        Self {
            sender,
            receiver: Mutex::new(Some(receiver)),
            dropped: AtomicU64::new(0),
        }
    }
}

impl Queue {
    fn add(&self, job: Job) {
        if self.sender.try_send(job).is_err() {
            self.dropped("too many records wait for the upstream");
        }
    }

    fn dropped(&self, why: &str) {
        let n = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        // The first and every hundredth: a server that is down for a day fills no disk.
        if n % 100 == 1 {
            tracing::warn!(n, "a record was not told to the upstream: {why}");
        }
    }

    fn take(&self) -> Option<mpsc::Receiver<Job>> {
        let mut receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.take()
    }
}

impl Storage {
    /// A record was written here: the server above, if there is one, is told later.
    pub(crate) fn tell(&self, route: &Route, only_new: OnlyNew, names: Names, reach: &Reach) {
        if let Some(upstream) = self.upstream()
            && reach.goes_on()
        {
            let (route, reach) = (route.clone(), reach.clone());
            upstream.queue.add(Job {
                route,
                only_new,
                names,
                reach,
            });
        }
    }
}

/// Tells the server above until the task is dropped; what waits then is not told.
pub(crate) async fn run(storage: &Storage) {
    let Some(receiver) = storage.upstream().and_then(|up| up.queue.take()) else {
        return;
    };
    let jobs = unfold(receiver, |mut receiver| async {
        Some((receiver.recv().await?, receiver))
    });
    jobs.for_each_concurrent(AT_ONCE, |job| deliver(storage, job))
        .await;
}

async fn deliver(storage: &Storage, job: Job) {
    let Some(upstream) = storage.upstream() else {
        return;
    };
    let mut tries = 0;
    loop {
        match send(storage, &job).await {
            Ok(()) => return,
            // The queue waits for it, and whoever finds no place in it is not told.
            Err(Unsent::Unreachable) => tokio::time::sleep(breaker::REST / 10).await,
            Err(Unsent::Refused(status)) => {
                tries += 1;
                let is_worth_it = matches!(status, 408 | 409 | 429 | 500..);
                if !is_worth_it || tries >= TRIES {
                    upstream.queue.dropped(&format!("it answers {status}"));
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1 << tries)).await;
            }
        }
    }
}

/// Sends what a record names, as far as it is missing there, and then the record.
async fn send(storage: &Storage, job: &Job) -> Result<(), Unsent> {
    let Some(upstream) = storage.upstream() else {
        return Ok(());
    };
    // What is gone from here by now, or is no longer whole, is nothing to tell of.
    let gone = |error| tracing::debug!(%error, "a record is not told to the upstream");
    let stored = storage.record(&job.route, MAX_RECORD).await;
    let Some(stored) = stored.map_err(gone).ok().flatten() else {
        return Ok(());
    };
    let here = Reach::here();
    let refs = match job.names {
        Names::Nothing => Vec::new(),
        Names::Content => {
            let needs = storage.needs(&stored.body, &here).await;
            needs.map_err(gone).ok().flatten().unwrap_or_default().1
        }
    };
    if !refs.is_empty() {
        let missing = upstream.ask_missing(&refs, &job.reach).await;
        let missing = missing.ok_or(Unsent::Unreachable)?;
        for digest in refs.iter().filter(|digest| missing.contains(digest)) {
            let content = storage.content(digest, &here).await;
            let Some(content) = content.map_err(gone).ok().flatten() else {
                return Ok(());
            };
            let Some(file) = content.file().await else {
                return Ok(());
            };
            upstream.put_content(digest, file, &job.reach).await?;
        }
    }
    let sent = upstream.put_record(&job.route, &stored.body, job.only_new, &job.reach);
    sent.await
}
