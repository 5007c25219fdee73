//! What steps say while they run, for those who wait for their records.
//!
//! A log belongs to a lease. It ends with it, and is forgotten some seconds later. Only the newest
//! bytes of each are kept, and of all together no more than a fixed number.

mod text;

use crate::leases::Leases;
use acetate_cache_api::Route;
use acetate_cache_api::log::{Frame, Stream};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use text::Text;
use tokio::sync::Notify;

/// What is kept of one log.
const MOST_OF_ONE: usize = 1 << 20;
/// What is kept of all logs.
const MOST_OF_ALL: usize = 64 << 20;
/// More logs than that many steps run at a time.
const MOST_LOGS: usize = 4096;
/// For so long a log can still be read after its lease ended.
const KEPT: Duration = Duration::from_secs(10);
/// How often a follower is told that the log lives, so that nobody takes silence for the end.
const ALIVE: Duration = Duration::from_secs(15);

/// All logs of this server; a restart forgets them.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    open: Mutex<HashMap<Route, Arc<Log>>>,
    bytes: AtomicUsize,
}

type Open<'a> = MutexGuard<'a, HashMap<Route, Arc<Log>>>;

/// The log of one lease.
#[derive(Debug)]
struct Log {
    lease: String,
    text: Mutex<Text>,
    changed: Notify,
}

/// Somebody who reads along.
#[derive(Debug)]
pub(crate) struct Follower {
    log: Arc<Log>,
    at: u64,
    is_done: bool,
}

impl Logs {
    /// Appends to the log of a lease; false when that is not held.
    pub(crate) fn append(
        &self,
        leases: &Leases,
        route: &Route,
        lease: &str,
        stream: Stream,
        bytes: &[u8],
    ) -> bool {
        let open = self.lock();
        // Asked while nobody else can begin a log: a late word must not take the place of one.
        if !leases.holds(route, lease) {
            return false;
        }
        let Some(log) = self.of_lease(open, route, lease) else {
            tracing::debug!("there are too many logs");
            return true;
        };
        let mut text = log.lock();
        let before = text.cost;
        text.push(stream, bytes);
        text.shrink(MOST_OF_ONE);
        self.recount(before, text.cost);
        drop(text);
        log.changed.notify_waiters();
        self.make_room();
        true
    }

    /// Reads a log from an offset on; none when nobody makes that record.
    pub(crate) fn follow(&self, leases: &Leases, route: &Route, at: u64) -> Option<Follower> {
        let open = self.lock();
        let log = match leases.holder(route) {
            Some(lease) => self.of_lease(open, route, &lease)?,
            None => Arc::clone(open.get(route)?),
        };
        let is_done = false;
        Some(Follower { log, at, is_done })
    }

    /// Ends the logs whose leases are gone, and forgets those that ended a while ago.
    pub(crate) fn sweep(&self, leases: &Leases) {
        let now = Instant::now();
        self.lock().retain(|route, log| {
            if !leases.holds(route, &log.lease) {
                log.end(now);
            }
            let text = log.lock();
            let is_kept = text.ended.is_none_or(|ended| now < ended + KEPT);
            if !is_kept {
                self.recount(text.cost, 0);
            }
            is_kept
        });
    }

    /// Ends all logs, since the server does.
    pub(crate) fn close(&self) {
        let now = Instant::now();
        for log in self.lock().values() {
            log.end(now);
        }
    }

    /// The bytes that all logs hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The log of a lease, which takes the place of one of an earlier lease.
    fn of_lease(&self, mut open: Open<'_>, route: &Route, lease: &str) -> Option<Arc<Log>> {
        if let Some(log) = open.get(route) {
            if log.lease == lease {
                return Some(Arc::clone(log));
            }
            log.end(Instant::now());
            self.recount(log.lock().cost, 0);
        } else if open.len() >= MOST_LOGS {
            return None;
        }
        let log = Arc::new(Log {
            lease: lease.to_owned(),
            text: Mutex::default(),
            changed: Notify::new(),
        });
        open.insert(route.clone(), Arc::clone(&log));
        Some(log)
    }

    /// Takes from the largest log until all fit.
    fn make_room(&self) {
        while self.bytes() > MOST_OF_ALL {
            let open = self.lock();
            let Some(largest) = open.values().max_by_key(|log| log.lock().cost) else {
                return;
            };
            let mut text = largest.lock();
            let before = text.cost;
            text.shrink(before / 2);
            self.recount(before, text.cost);
        }
    }

    fn recount(&self, before: usize, after: usize) {
        self.bytes.fetch_add(after, Ordering::Relaxed);
        self.bytes.fetch_sub(before, Ordering::Relaxed);
    }

    fn lock(&self) -> Open<'_> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn end(&self, now: Instant) {
        self.lock().ended.get_or_insert(now);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Text> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    /// The next frames as they are sent; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        if self.is_done {
            return None;
        }
        let log = Arc::clone(&self.log);
        loop {
            let mut changed = std::pin::pin!(log.changed.notified());
            // From here on a change is seen, also one between the look and the wait.
            changed.as_mut().enable();
            if let Some(sent) = self.look() {
                return Some(sent);
            }
            if tokio::time::timeout(ALIVE, changed).await.is_err() {
                return Some(sent(&[Frame::Alive { at: self.at }]));
            }
        }
    }

    fn look(&mut self) -> Option<Vec<u8>> {
        let text = self.log.lock();
        self.at = self.at.min(text.end);
        let mut frames = text.frames(self.at);
        self.at = frames.last().map_or(self.at, Frame::next);
        if frames.is_empty() && text.ended.is_some() {
            self.is_done = true;
            frames.push(Frame::End { at: self.at });
        }
        (!frames.is_empty()).then(|| sent(&frames))
    }
}

fn sent(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        frame.write(&mut out);
    }
    out
}

/// Ends logs when leases end, until the task is dropped.
pub(crate) async fn run(app: Arc<crate::App>) {
    loop {
        // A dead holder wakes nobody.
        let changed = app.leases.changed();
        let _either = tokio::time::timeout(Duration::from_secs(1), changed).await;
        app.logs.sweep(&app.leases);
    }
}

#[cfg(test)]
mod tests;
