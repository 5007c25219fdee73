use crate::cache_mounts::CacheMounts;
use crate::obstacle::{Got, Obstacle};
use crate::output::Output;
use crate::shared::lease::Lease;
use acetate_cache::PastInput;
use acetate_graph::VertexId;
use acetate_store::StoreLock;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The steps of one build that others keep from being carried out.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<BTreeMap<VertexId, Parked>>);

/// A step between two attempts.
#[derive(Debug)]
pub(crate) struct Parked {
    /// What it was to be made of.
    pub(crate) inputs: Vec<Output>,
    /// What it has got so far.
    pub(crate) held: Held,
    /// What it waits for; none when that is over.
    pub(crate) obstacle: Option<Obstacle>,
}

/// What a step has got so far on its way to being carried out.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Keeps other builds from carrying out the same step.
    pub(crate) lock: Option<StoreLock>,
    /// Tells other machines that the step is being made here.
    pub(crate) lease: Option<Lease>,
    /// Until when another machine is waited for, where one was.
    pub(crate) waited: Option<Instant>,
    /// The directories of its cache mounts, all of them.
    pub(crate) caches: Option<CacheMounts>,
    /// Its result, which somebody else made meanwhile.
    pub(crate) result: Option<Output>,
}

impl Waits {
    /// Puts a step aside.
    pub(crate) fn park(&self, vertex: VertexId, parked: Parked) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(vertex, parked);
    }

    /// Takes up a step that was put aside.
    pub(crate) fn unpark(&self, vertex: VertexId) -> Option<Parked> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&vertex)
    }

    /// Takes up a step for another attempt, with what it has got that serves one with these inputs.
    pub(crate) fn resume(&self, vertex: VertexId, inputs: &[Output]) -> Held {
        let Some(Parked {
            inputs: before,
            held,
            ..
        }) = self.unpark(vertex)
        else {
            return Held::default();
        };
        let past = |list: &[Output]| list.iter().map(Output::as_past).collect::<Vec<PastInput>>();
        if past(&before) == past(inputs) {
            return held;
        }
        // An input was lost and made again: a directory that begins with its files is another one.
        Held {
            lock: held.lock,
            lease: held.lease,
            waited: held.waited,
            ..Held::default()
        }
    }
}

impl Held {
    /// Adds what a step got by waiting.
    pub(crate) fn add(&mut self, got: Got) {
        match got {
            Got::Lock(lock) => self.lock = Some(lock),
            Got::CacheMounts(caches) => self.caches = Some(caches),
            Got::Waited(until) => self.waited = Some(until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Files;
    use acetate_store::Store;

    fn parked(store: &Store, inputs: Vec<Output>) -> Parked {
        Parked {
            inputs,
            held: Held {
                lock: store.try_lock("step").unwrap(),
                caches: Some(CacheMounts::default()),
                result: Some(Output::Files(Files::default())),
                ..Held::default()
            },
            obstacle: None,
        }
    }

    #[test]
    fn what_was_got_serves_the_next_attempt_with_the_same_inputs() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let waits = Waits::default();
        let inputs = || vec![Output::Files(Files::default())];
        waits.park(VertexId(1), parked(&store, inputs()));
        assert!(waits.resume(VertexId(0), &inputs()).lock.is_none());
        let held = waits.resume(VertexId(1), &inputs());
        assert!(held.lock.is_some() && held.caches.is_some() && held.result.is_some());
        assert!(waits.unpark(VertexId(1)).is_none(), "it is there once");
    }

    #[test]
    fn of_an_attempt_with_other_inputs_only_the_lock_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let waits = Waits::default();
        waits.park(VertexId(1), parked(&store, Vec::new()));
        let held = waits.resume(VertexId(1), &[Output::Files(Files::default())]);
        assert!(held.lock.is_some() && held.caches.is_none() && held.result.is_none());
        assert!(store.try_lock("step").unwrap().is_none());
        drop(held);
        assert!(store.try_lock("step").unwrap().is_some());
    }
}
