use crate::cache_mounts::CacheMounts;
use crate::obstacle::{Got, Obstacle};
use crate::output::Output;
use acetate_cache::PastInput;
use acetate_graph::VertexId;
use acetate_store::StoreLock;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

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
        }
    }
}
