//! What steps say while they run, for those who wait for their records.
//!
//! A log belongs to a lease. It ends with it, and is forgotten some seconds later. Only the newest
//! bytes of each are kept, and of all together no more than a fixed number.

use crate::leases::Leases;
use acetate_cache_api::Route;
use acetate_cache_api::log::{Frame, MAX_FRAME, Stream};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// What is kept of one log.
const MOST_OF_ONE: usize = 1 << 20;
/// What is kept of all logs.
const MOST_OF_ALL: usize = 64 << 20;
/// More logs than that many steps run at a time.
const MOST_LOGS: usize = 4096;
/// What a piece costs besides its bytes.
const PIECE: usize = 64;
/// Pieces of one stream that follow each other are put together up to this size.
const JOINED: usize = 16 << 10;
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

#[derive(Debug, Default)]
struct Text {
    pieces: VecDeque<Piece>,
    /// Where the bytes that are kept begin, and where the next byte will be.
    start: u64,
    end: u64,
    cost: usize,
    ended: Option<Instant>,
}

#[derive(Debug)]
struct Piece {
    stream: Stream,
    bytes: Vec<u8>,
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

impl Text {
    fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        self.cost += bytes.len();
        let last = self.pieces.back_mut();
        let joined =
            last.filter(|last| last.stream == stream && last.bytes.len() + bytes.len() <= JOINED);
        if let Some(last) = joined {
            last.bytes.extend_from_slice(bytes);
        } else {
            self.cost += PIECE;
            let bytes = bytes.to_vec();
            self.pieces.push_back(Piece { stream, bytes });
        }
    }

    /// Forgets the oldest pieces until the others cost no more than this.
    fn shrink(&mut self, most: usize) {
        while self.cost > most {
            let Some(piece) = self.pieces.pop_front() else {
                return;
            };
            self.cost -= piece.bytes.len() + PIECE;
            self.start += piece.bytes.len() as u64;
        }
    }

    /// Frames from an offset on, at most about one frame's worth of bytes.
    fn frames(&self, at: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        if at < self.start {
            let n = self.start - at;
            frames.push(Frame::Dropped { at, n });
        }
        let (mut at, mut begin) = (at.max(self.start), self.start);
        let mut room = MAX_FRAME;
        for piece in &self.pieces {
            let end = begin + piece.bytes.len() as u64;
            let skipped = usize::try_from(at.saturating_sub(begin)).unwrap_or(usize::MAX);
            if let Some(rest) = piece.bytes.get(skipped..).filter(|rest| !rest.is_empty()) {
                let bytes = rest[..rest.len().min(room)].to_vec();
                room -= bytes.len();
                let stream = piece.stream;
                let next = at + bytes.len() as u64;
                frames.push(Frame::Bytes { stream, at, bytes });
                at = next;
            }
            if room == 0 {
                break;
            }
            begin = end;
        }
        frames
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
mod tests {
    use super::*;
    use acetate_cache_api::lease::{Claim, Lease};
    use acetate_cache_api::log::FrameReader;
    use acetate_cache_api::{Kind, Namespace};
    use acetate_oci::Digest;

    fn route(n: u32) -> Route {
        Route {
            namespace: Namespace::root(),
            kind: Kind::Action,
            key: Digest::of(&n.to_le_bytes()),
        }
    }

    fn claim(leases: &Leases, route: &Route) -> String {
        match leases.claim(route, Claim::default()) {
            Lease::Granted { lease, .. } => lease,
            other => panic!("{other:?}"),
        }
    }

    async fn next(follower: &mut Follower) -> Vec<Frame> {
        let sent = follower.next().await.unwrap();
        FrameReader::default().feed(&sent).unwrap()
    }

    fn bytes(stream: Stream, at: u64, bytes: &[u8]) -> Frame {
        let bytes = bytes.to_vec();
        Frame::Bytes { stream, at, bytes }
    }

    #[tokio::test]
    async fn a_follower_sees_what_was_said_and_what_is_said() {
        let (logs, leases) = (Logs::default(), Leases::default());
        let lease = claim(&leases, &route(1));
        logs.append(&leases, &route(1), &lease, Stream::Out, b"one ");
        logs.append(&leases, &route(1), &lease, Stream::Out, b"two ");
        logs.append(&leases, &route(1), &lease, Stream::Err, b"three");
        let mut first = logs.follow(&leases, &route(1), 0).unwrap();
        let all = [
            bytes(Stream::Out, 0, b"one two "),
            bytes(Stream::Err, 8, b"three"),
        ];
        assert_eq!(next(&mut first).await, all);
        let mut second = logs.follow(&leases, &route(1), 6).unwrap();
        let rest = [
            bytes(Stream::Out, 6, b"o "),
            bytes(Stream::Err, 8, b"three"),
        ];
        assert_eq!(next(&mut second).await, rest);
        let (more, ()) = tokio::join!(next(&mut first), async {
            logs.append(&leases, &route(1), &lease, Stream::Err, b"!");
        });
        assert_eq!(more, [bytes(Stream::Err, 13, b"!")]);
        let (end, ()) = tokio::join!(next(&mut first), async {
            assert!(leases.give_up(&route(1), &lease));
            logs.sweep(&leases);
        });
        assert_eq!(end, [Frame::End { at: 14 }]);
        assert_eq!(first.next().await, None);
        // For a while the whole can be read still, also from beyond its end.
        let mut late = logs.follow(&leases, &route(1), 999).unwrap();
        assert_eq!(next(&mut late).await, [Frame::End { at: 14 }]);
        assert!(
            logs.follow(&leases, &route(2), 0).is_none(),
            "nobody makes it"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_no_end() {
        let (logs, leases) = (Logs::default(), Leases::default());
        claim(&leases, &route(1));
        let mut follower = logs.follow(&leases, &route(1), 0).unwrap();
        assert_eq!(next(&mut follower).await, [Frame::Alive { at: 0 }]);
    }

    #[tokio::test]
    async fn another_lease_has_another_log() {
        let (logs, leases) = (Logs::default(), Leases::default());
        let first = claim(&leases, &route(1));
        logs.append(&leases, &route(1), &first, Stream::Out, b"first");
        let mut follower = logs.follow(&leases, &route(1), 5).unwrap();
        leases.give_up(&route(1), &first);
        assert!(!logs.append(&leases, &route(1), &first, Stream::Out, b"late"));
        let second = claim(&leases, &route(1));
        let mut other = logs.follow(&leases, &route(1), 0).unwrap();
        assert_eq!(next(&mut follower).await, [Frame::End { at: 5 }]);
        logs.append(&leases, &route(1), &second, Stream::Out, b"second");
        assert_eq!(next(&mut other).await, [bytes(Stream::Out, 0, b"second")]);
        assert_eq!(logs.bytes(), 6 + PIECE);
    }

    #[tokio::test]
    async fn the_newest_bytes_are_kept_and_the_others_named() {
        let (logs, leases) = (Logs::default(), Leases::default());
        let lease = claim(&leases, &route(1));
        let mut slow = logs.follow(&leases, &route(1), 0).unwrap();
        for n in 0..100_u8 {
            logs.append(&leases, &route(1), &lease, Stream::Out, &vec![n; 30_000]);
        }
        assert!(logs.bytes() <= MOST_OF_ONE && logs.bytes() > MOST_OF_ONE / 2);
        let (mut at, mut n_dropped) = (0, 0);
        while at < 3_000_000 {
            for frame in next(&mut slow).await {
                assert!(matches!(
                    &frame,
                    Frame::Dropped { .. } | Frame::Bytes { .. }
                ));
                if let Frame::Dropped { at: 0, n } = frame {
                    n_dropped = n;
                }
                if let Frame::Bytes {
                    at: begin, bytes, ..
                } = &frame
                {
                    assert_eq!(*begin, at);
                    assert!(
                        bytes
                            .iter()
                            .zip(at..)
                            .all(|(b, i)| u64::from(*b) == i / 30_000)
                    );
                }
                at = frame.next();
            }
        }
        assert!(n_dropped > 1_900_000, "{n_dropped}");
    }

    #[test]
    fn all_logs_together_are_bounded() {
        let (logs, leases) = (Logs::default(), Leases::default());
        for n in 0..100 {
            let lease = claim(&leases, &route(n));
            logs.append(
                &leases,
                &route(n),
                &lease,
                Stream::Out,
                &vec![7; MOST_OF_ONE - PIECE],
            );
            assert!(logs.bytes() <= MOST_OF_ALL);
        }
        assert!(logs.bytes() > MOST_OF_ALL / 2);
        let total: usize = logs.lock().values().map(|log| log.lock().cost).sum();
        assert_eq!(logs.bytes(), total);
        for n in 100..10_000 {
            let lease = claim(&leases, &route(n));
            logs.append(&leases, &route(n), &lease, Stream::Out, b"x");
        }
        assert_eq!(logs.lock().len(), MOST_LOGS);
    }
}
