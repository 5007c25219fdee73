//! [`RemoteCache`]: one cache that machines share.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acetate_oci::Digest;
use tokio::sync::{OnceCell, Semaphore};

use super::detect::Level;
use super::transport::Transport;
use super::{RemoteConfig, RemoteError, RemoteLayer, Stats, Warning};

/// More layers than a build knows; when there are more, all are forgotten, which costs questions.
const MAX_KNOWN: usize = 10_000;

/// A cache that machines share; clones are the same one.
#[derive(Clone)]
pub struct RemoteCache(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) transport: Transport,
    pub(super) takes_reduced: bool,
    pub(super) level: OnceCell<Level>,
    pub(super) has_extensions: AtomicBool,
    /// Bounds the chunks that come at once, whatever layers they are of.
    pub(super) downloads: Semaphore,
    /// Bounds the objects that are sent at once.
    pub(super) uploads: Semaphore,
    /// One layer is cut and sent at a time: that bounds memory, and layers that two records share
    /// are sent once.
    pub(super) cutting: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
}

/// What was learnt from transfers.
#[derive(Default)]
struct Memory {
    /// The chunks of layers that were sent or came whole, by the digest of the tar.
    layers: HashMap<Digest, Arc<RemoteLayer>>,
    /// Objects that were sent.
    sent: HashSet<Digest>,
    /// Actions whose record is of no use to anybody here.
    useless: HashSet<Digest>,
}

impl RemoteCache {
    /// Takes a configuration. Nothing is asked yet.
    ///
    /// # Errors
    /// When the address is none, or plain HTTP is not spoken to it.
    pub fn open(config: &RemoteConfig) -> Result<Self, RemoteError> {
        let address = config.parse()?;
        let n_parallel = config.limits.n_parallel.max(1);
        Ok(Self(Arc::new(Inner {
            transport: Transport::new(address, config),
            takes_reduced: config.takes_reduced,
            level: OnceCell::new(),
            has_extensions: AtomicBool::new(true),
            downloads: Semaphore::new(n_parallel),
            uploads: Semaphore::new(n_parallel),
            cutting: tokio::sync::Mutex::new(()),
            memory: Mutex::default(),
        })))
    }

    /// The address, as the origin of what is taken from here is written down.
    pub fn name(&self) -> String {
        self.0.transport.address.shown()
    }

    /// What was done so far.
    pub fn stats(&self) -> Stats {
        self.0.transport.stats()
    }

    /// What is worth telling and was not told yet, at most once for each cause.
    pub fn take_warnings(&self) -> Vec<Warning> {
        self.0.transport.take_warnings()
    }

    pub(super) fn known(&self, diff_id: &Digest) -> Option<Arc<RemoteLayer>> {
        self.memory().layers.get(diff_id).cloned()
    }

    /// Remembers the chunks of a layer whose tar has been read to its end.
    pub(super) fn learn(&self, layer: &Arc<RemoteLayer>) {
        let mut memory = self.memory();
        if memory.layers.len() >= MAX_KNOWN {
            memory.layers.clear();
        }
        memory.layers.insert(layer.diff_id, Arc::clone(layer));
    }

    pub(super) fn was_sent(&self, object: &Digest) -> bool {
        self.memory().sent.contains(object)
    }

    pub(super) fn sent(&self, object: Digest) {
        self.memory().sent.insert(object);
    }

    /// Takes nothing for granted any more, after the server said that something is missing.
    pub(super) fn forget_sent(&self) {
        self.memory().sent.clear();
    }

    /// Remembers that the record of an action cannot be used, so that the next one replaces it.
    pub(super) fn note_useless(&self, action: Digest) {
        self.memory().useless.insert(action);
    }

    pub(super) fn was_useless(&self, action: &Digest) -> bool {
        self.memory().useless.contains(action)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        let memory = self.0.memory.lock();
        memory.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RemoteCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteCache")
            .field("address", &self.name())
            .finish_non_exhaustive()
    }
}
