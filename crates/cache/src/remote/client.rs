//! [`RemoteCache`]: one cache that machines share.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acetate_oci::Digest;
use acetate_stdx::clock::Clock;
use tokio::sync::{OnceCell, Semaphore};

use super::backend::{Backend, Server};
use super::config::Address;
use super::detect::Level;
use super::transport::Transport;
use super::{Chunk, RemoteConfig, RemoteError, RemoteLayer, SigningKey, Stats, Trust, Warning};

/// More layers than a build knows; when there are more, all are forgotten, which costs questions.
const MAX_KNOWN: usize = 10_000;

/// How many layers are cut and sent at once: each keeps one core busy with its whole tar, and shares
/// the others with all for its pieces.
const N_CUTTING: usize = 2;

/// A cache that machines share; clones are the same one.
#[derive(Clone)]
pub struct RemoteCache(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) transport: Transport,
    pub(super) takes_reduced: bool,
    pub(super) trust: Trust,
    pub(super) signer: Option<SigningKey>,
    pub(super) builder: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) level: OnceCell<Level>,
    pub(super) has_extensions: AtomicBool,
    /// Bounds the chunks that come at once, whatever layers they are of.
    pub(super) downloads: Semaphore,
    /// Bounds the objects that are sent at once.
    pub(super) uploads: Semaphore,
    /// Bounds the layers that are cut and sent at once, and so their memory.
    pub(super) cutting: Semaphore,
    /// Who holds the gate of a layer sends it.
    gates: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    memory: Mutex<Memory>,
}

/// What was learnt from transfers.
#[derive(Default)]
struct Memory {
    /// The chunks of layers that were sent or came whole, by the digest of the tar.
    layers: HashMap<Digest, Arc<RemoteLayer>>,
    /// Those that were cut here since somebody took them.
    made: Vec<Arc<RemoteLayer>>,
    /// The pieces of listings, by the digest of the whole.
    listings: HashMap<Digest, Arc<[Chunk]>>,
    /// Objects that were sent, and pieces of listings that were there.
    sent: HashSet<Digest>,
    /// Actions whose record is of no use here.
    useless: HashMap<Digest, Useless>,
}

/// Why a record that is there is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Useless {
    /// It is damaged, or less than what is made here: anybody does well to replace it.
    Inferior,
    /// It is not trusted here, which others may see otherwise.
    Untrusted,
}

impl RemoteCache {
    /// Takes a configuration. Nothing is asked yet.
    ///
    /// # Errors
    /// When the address is none, or plain HTTP is not spoken to it.
    pub fn open(config: &RemoteConfig) -> Result<Self, RemoteError> {
        let address = config.parse()?;
        let limits = &config.limits;
        let mut transport = Transport::new(address, Backend::Server(Server::new(limits)), limits);
        transport.authorize(config);
        Ok(Self::with_transport(transport, config, None))
    }

    /// A bucket keeps objects, and need not be asked what else it can do.
    pub(super) fn with_backend(address: Address, backend: Backend, config: &RemoteConfig) -> Self {
        let transport = Transport::new(address, backend, &config.limits);
        Self::with_transport(transport, config, Some(Level::Objects))
    }

    fn with_transport(transport: Transport, config: &RemoteConfig, level: Option<Level>) -> Self {
        let n_parallel = config.limits.n_parallel.max(1);
        Self(Arc::new(Inner {
            transport,
            takes_reduced: config.takes_reduced,
            trust: config.trust.clone(),
            signer: config.signer.clone(),
            builder: config.builder.clone(),
            clock: Arc::clone(&config.clock),
            level: OnceCell::new_with(level),
            has_extensions: AtomicBool::new(true),
            downloads: Semaphore::new(n_parallel),
            uploads: Semaphore::new(n_parallel),
            cutting: Semaphore::new(N_CUTTING),
            gates: Mutex::default(),
            memory: Mutex::default(),
        }))
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

    /// Remembers the chunks of a layer that was cut and sent.
    pub(super) fn made(&self, layer: &Arc<RemoteLayer>) {
        self.learn(layer);
        let mut memory = self.memory();
        if memory.made.len() < MAX_KNOWN {
            memory.made.push(Arc::clone(layer));
        }
    }

    /// The layers that were cut and sent since the last call.
    pub(super) fn take_made(&self) -> Vec<Arc<RemoteLayer>> {
        std::mem::take(&mut self.memory().made)
    }

    /// What only one task at a time holds for a layer.
    pub(super) fn gate(&self, diff_id: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.0.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.len() >= MAX_KNOWN {
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        Arc::clone(gates.entry(*diff_id).or_default())
    }

    pub(super) fn known_listing(&self, listing: &Digest) -> Option<Arc<[Chunk]>> {
        self.memory().listings.get(listing).cloned()
    }

    /// Remembers what a listing consists of.
    pub(super) fn learn_listing(&self, listing: Digest, pieces: &Arc<[Chunk]>) {
        let mut memory = self.memory();
        if memory.listings.len() >= MAX_KNOWN {
            memory.listings.clear();
        }
        memory.listings.insert(listing, Arc::clone(pieces));
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

    /// Remembers that the record of an action cannot be used, so that the next one may replace it.
    pub(super) fn note_useless(&self, action: Digest, why: Useless) {
        self.memory().useless.insert(action, why);
    }

    pub(super) fn was_useless(&self, action: &Digest) -> Option<Useless> {
        self.memory().useless.get(action).copied()
    }

    /// What time it is, in seconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.0.clock.now().0
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
