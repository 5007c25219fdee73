//! Tells of the bytes of blobs that a step moves.

use crate::progress::Progress;
use crate::{BuildEvent, Status};
use acetate_oci::{Descriptor, Digest, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// More often than this nobody can read; each piece of a blob is heard of, and there are thousands.
const PERIOD_MS: i64 = 100;

/// Hears of the bytes of blobs and tells of them as parts of one step.
pub(crate) struct Transfer {
    progress: Progress,
    vertex: Digest,
    /// What happens to the blobs.
    name: &'static str,
    blobs: Mutex<HashMap<Digest, Moving>>,
}

/// A blob on its way.
struct Moving {
    started: Timestamp,
    /// When it was last told of.
    told: Timestamp,
}

impl Transfer {
    /// Tells of the step `vertex`, that `name` happens to blobs.
    pub(crate) fn new(progress: &Progress, vertex: Digest, name: &'static str) -> Self {
        Self {
            progress: progress.clone(),
            vertex,
            name,
            blobs: Mutex::default(),
        }
    }

    /// When the blob began to move, if it is to be told of now: at its end, and now and then before.
    fn due(&self, blob: &Descriptor, n_done: u64, at: Timestamp) -> Option<Timestamp> {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if n_done >= blob.size {
            // What begins anew after its end begins with a time of its own.
            let moving = blobs.remove(&blob.digest);
            return Some(moving.map_or(at, |moving| moving.started));
        }
        let moving = blobs.entry(blob.digest).or_insert(Moving {
            started: at,
            told: at,
        });
        if millis(moving.told, at) < PERIOD_MS {
            return None;
        }
        moving.told = at;
        Some(moving.started)
    }
}

impl acetate_registry::Progress for Transfer {
    fn moved(&self, blob: &Descriptor, n_done: u64) {
        let at = self.progress.now();
        let Some(started) = self.due(blob, n_done, at) else {
            return;
        };
        self.progress.emit(BuildEvent::Status(Status {
            vertex: self.vertex,
            id: blob.digest.to_string(),
            name: self.name.to_owned(),
            current: n_done,
            total: blob.size,
            started,
            at,
            completed: n_done >= blob.size,
        }));
    }
}

fn millis(from: Timestamp, to: Timestamp) -> i64 {
    let nanos = i64::from(to.nanos) - i64::from(from.nanos);
    to.secs.saturating_sub(from.secs).saturating_mul(1000) + nanos / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventSink;
    use acetate_oci::MediaType;
    use acetate_registry::Progress as _;
    use acetate_stdx::clock::Clock;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// Each look at it takes so many milliseconds.
    #[derive(Debug)]
    struct Ticking(AtomicI64, i64);

    impl Clock for Ticking {
        fn now(&self) -> (i64, u32) {
            let now = self.0.fetch_add(self.1, Ordering::SeqCst);
            (now / 1000, u32::try_from(now % 1000).unwrap() * 1_000_000)
        }
    }

    #[derive(Default)]
    struct Kept(Mutex<Vec<Status>>);

    impl EventSink for Kept {
        fn event(&self, event: BuildEvent) {
            if let BuildEvent::Status(status) = event {
                self.0.lock().unwrap().push(status);
            }
        }
    }

    /// What is told of a blob of 1000 bytes: how much is done, after how many milliseconds.
    fn told(tick: i64, moves: &[u64]) -> Vec<(u64, i64, bool)> {
        let kept = Arc::new(Kept::default());
        let sink = Arc::<Kept>::clone(&kept);
        let progress = Progress::new(sink, Arc::new(Ticking(AtomicI64::new(5000), tick)));
        let transfer = Transfer::new(&progress, Digest::of(b"v"), "uploading");
        let blob = Descriptor::new(MediaType::OCI_LAYER, Digest::of(b"b"), 1000);
        for n in moves {
            transfer.moved(&blob, *n);
        }
        let kept = kept.0.lock().unwrap();
        for status in kept.iter() {
            assert_eq!(
                (&*status.id, status.total),
                (&*blob.digest.to_string(), 1000)
            );
        }
        let one = |it: &Status| (it.current, millis(it.started, it.at), it.completed);
        kept.iter().map(one).collect()
    }

    #[test]
    fn a_blob_is_told_of_at_its_end_and_ten_times_a_second_before() {
        let pieces: Vec<u64> = (1..=10).map(|n| n * 100).collect();
        assert_eq!(
            told(40, &pieces),
            [(400, 120, false), (700, 240, false), (1000, 360, true)]
        );
        assert_eq!(told(1, &pieces), [(1000, 9, true)]);
        assert_eq!(told(1, &[1000]), [(1000, 0, true)]);
    }

    #[test]
    fn a_transfer_that_begins_anew_falls_back() {
        assert_eq!(
            told(100, &[100, 900, 50, 1000]),
            [(900, 100, false), (50, 200, false), (1000, 300, true)]
        );
    }
}
