//! Of many machines that want one step, one makes it and the others wait for its result.
//!
//! A lease is advice: who gets no answer, or waits too long, makes the step itself.

use super::SharedHit;
use super::load;
use crate::BuildEvent;
use crate::output::Output;
use crate::progress::{Progress, vertex_digest};
use crate::runner::StepRunner;
use acetate_cache::remote::{Beat, Claim, LeaseState, LogPart, RemoteCache, Stream};
use acetate_cache::{CacheKey, KeyKind, SharedCache};
use acetate_graph::{Vertex, VertexId};
use acetate_oci::{Digest, chain_id};
use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How often the holder of a lease says that it lives.
const BEAT: Duration = Duration::from_secs(5);
/// How long what a process writes is collected before it is told.
const COLLECT: Duration = Duration::from_millis(150);
/// Parts of a log that wait to be told; those that find no place are not told.
const QUEUE: usize = 256;
/// How long the last words of a step may take to those who wait for it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What a wait is longer than twice the time that the step took last: time to send its result.
const SLACK: Duration = Duration::from_secs(10);

/// What came of asking for a lease.
pub(crate) enum Claimed {
    /// Nobody knows of leases, or wants them: the step is made.
    Nothing,
    /// The step is this build's to make.
    Granted(Lease),
    /// Another machine makes it.
    Held(LeaseWait),
    /// Another machine has made it of the same inputs.
    Result(Output),
}

/// A lease that this build holds; dropped, it dies within some seconds.
pub(crate) struct Lease {
    server: RemoteCache,
    key: CacheKey,
    name: String,
    /// None once all was written.
    log: Option<LeaseLog>,
    /// Says that the holder lives.
    living: JoinSet<()>,
    /// Says what the step writes.
    telling: JoinSet<()>,
}

/// Takes what a process writes, for those who wait elsewhere; never blocks.
#[derive(Clone)]
pub(crate) struct LeaseLog(mpsc::Sender<(Stream, Vec<u8>)>);

/// A lease of another machine that is waited for.
#[derive(Debug)]
pub(crate) struct LeaseWait {
    server: RemoteCache,
    key: CacheKey,
    until: Instant,
    progress: Progress,
    vertex: Digest,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Asks for the lease of a step where a server that has leases is both asked and given to.
pub(crate) async fn claim(
    runner: &StepRunner,
    id: VertexId,
    inputs: &[Output],
    waited: Option<Instant>,
) -> Claimed {
    let Some((import, server, patience)) = lender(runner, id) else {
        return Claimed::Nothing;
    };
    let key = CacheKey::definition(&runner.graph.key(id), 0);
    let claim = Claim {
        name: shown(runner.graph.vertex(id)),
        expected_ms: runner.durations.get(id.idx()).copied().flatten(),
    };
    match server.claim(&key, &claim).await {
        Some(LeaseState::Granted { lease, .. }) => {
            Claimed::Granted(Lease::hold(server, key, lease))
        }
        Some(LeaseState::Held { expected_ms, .. }) => {
            let usual = expected_ms.map(|ms| Duration::from_millis(ms) * 2 + SLACK);
            let until = Instant::now() + usual.map_or(patience, |usual| usual.min(patience));
            let until = waited.map_or(until, |earlier| until.min(earlier));
            if Instant::now() >= until {
                return Claimed::Nothing;
            }
            Claimed::Held(LeaseWait {
                server,
                key,
                until,
                progress: runner.progress.clone(),
                vertex: vertex_digest(&runner.graph, id),
            })
        }
        Some(LeaseState::Done) => match result(runner, id, inputs, &import, key).await {
            Some(output) => Claimed::Result(output),
            None => Claimed::Nothing,
        },
        Some(LeaseState::Free) => Claimed::Nothing,
        None => {
            // It has no leases, or is too slow for them: no other step waits for an answer.
            runner.is_alone.store(true, Ordering::Relaxed);
            Claimed::Nothing
        }
    }
}

/// The name of a step for others: as it is written, since the values that are filled in are not
/// shared.
fn shown(vertex: &Vertex) -> String {
    let instruction = vertex.meta.instruction.as_ref();
    instruction.map_or_else(String::new, |it| format!("[{}] {}", it.stage, it.text))
}

/// The first server that lends, and that is given the result of this step.
fn lender(
    runner: &StepRunner,
    id: VertexId,
) -> Option<(Arc<dyn SharedCache>, RemoteCache, Duration)> {
    let is_replacing = runner.replaces.get(id.idx()) == Some(&true);
    let is_alone = runner.is_alone.load(Ordering::Relaxed);
    if is_alone || is_replacing || !runner.publisher.wants(id) {
        return None;
    }
    runner.caches.imports.iter().find_map(|import| {
        let cache = &import.opened.cache;
        let mut exports = runner.caches.exports.iter();
        let is_given = exports.any(|export| Arc::ptr_eq(&export.opened.cache, cache));
        let patience = import.spec.lease.filter(|_| is_given)?;
        Some((Arc::clone(cache), import.opened.server.clone()?, patience))
    })
}

/// The result that another machine gave, if it was made of what this build has.
async fn result(
    runner: &StepRunner,
    id: VertexId,
    inputs: &[Output],
    cache: &Arc<dyn SharedCache>,
    key: CacheKey,
) -> Option<Output> {
    let hit = cache.lookup(&[key]).await.pop().flatten()?;
    let snapshots = runner.snapshots.clone();
    let inputs = inputs.to_vec();
    let ours = acetate_stdx::offload(move || {
        let identity = |input: &Output| match input {
            Output::Selected(selected) => Some(selected.digest),
            Output::Files(files) => {
                let chain = super::content::chain(&snapshots, &files.snapshot).ok()?;
                Some(chain_id(&chain).unwrap_or_else(|| Digest::of(b"")))
            }
        };
        inputs.iter().map(identity).collect::<Option<Vec<Digest>>>()
    });
    if ours.await.as_ref() != Some(&hit.record.made_of) {
        tracing::debug!("a result of another machine was made of something else");
        return None;
    }
    let hit = SharedHit {
        cache: Arc::clone(cache),
        kind: KeyKind::Definition,
        hit,
    };
    load::load_shared(runner, id, hit).map(Output::Files)
}

impl Lease {
    fn hold(server: RemoteCache, key: CacheKey, name: String) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (mut living, mut telling) = (JoinSet::new(), JoinSet::new());
        living.spawn(live(server.clone(), key, name.clone()));
        telling.spawn(tell(server.clone(), key, name.clone(), receiver));
        Self {
            server,
            key,
            name,
            log: Some(LeaseLog(sender)),
            living,
            telling,
        }
    }

    /// Takes what the process writes.
    pub(crate) fn log(&self) -> Option<LeaseLog> {
        self.log.clone()
    }

    /// Waits until all that the process wrote is told: once its record is there, nobody asks.
    pub(crate) async fn flush(&mut self) {
        self.log = None;
        let told = self.telling.join_next();
        if timeout(LAST_WORDS, told).await.is_err() {
            tracing::debug!("the end of a log was not told in time");
        }
    }

    /// Ends the lease: its record is there, or will not be.
    pub(crate) async fn end(mut self) {
        self.telling.shutdown().await;
        self.living.shutdown().await;
        self.server.give_up(&self.key, &self.name).await;
    }
}

impl LeaseLog {
    /// Takes a part of the log; a part that finds no place is lost.
    pub(crate) fn write(&self, is_stdout: bool, bytes: &[u8]) {
        let stream = if is_stdout { Stream::Out } else { Stream::Err };
        // Whoever watches elsewhere must not slow the step down.
        drop(self.0.try_send((stream, bytes.to_vec())));
    }
}

async fn live(server: RemoteCache, key: CacheKey, lease: String) {
    loop {
        tokio::time::sleep(BEAT).await;
        if server.beat(&key, &lease).await == Beat::Gone {
            tracing::debug!("a lease was lost");
            return;
        }
    }
}

async fn tell(
    server: RemoteCache,
    key: CacheKey,
    lease: String,
    mut parts: mpsc::Receiver<(Stream, Vec<u8>)>,
) {
    while let Some((stream, mut bytes)) = parts.recv().await {
        tokio::time::sleep(COLLECT).await;
        let mut other = None;
        while let Ok((next, more)) = parts.try_recv() {
            if next != stream {
                other = Some((next, more));
                break;
            }
            bytes.extend(more);
        }
        for (stream, bytes) in std::iter::once((stream, bytes)).chain(other) {
            if !server.append_log(&key, &lease, stream, &bytes).await {
                return;
            }
        }
    }
}

impl LeaseWait {
    /// Waits until the other machine is done, gone or too slow; shows what its step writes. Gives
    /// when this build stops waiting for this step altogether.
    pub(crate) async fn gone(&self) -> Instant {
        let show = |part: LogPart| self.show(part);
        let mut follow = pin!(self.server.follow_log(&self.key, 0, show).fuse());
        let wait = async {
            while let Some(left) = self.until.checked_duration_since(Instant::now()) {
                match self.server.wait(&self.key, left).await {
                    // A server that has just been started again knows of nobody.
                    Some(LeaseState::Held { .. }) => {}
                    Some(_) | None => return,
                }
            }
        };
        let mut wait = pin!(wait);
        let is_over = tokio::select! {
            () = &mut wait => true,
            _ = &mut follow => false,
        };
        if is_over {
            // The last words may still be on their way.
            if !follow.is_terminated() && timeout(LAST_WORDS, follow).await.is_err() {
                tracing::debug!("the end of a log did not come in time");
            }
        } else {
            wait.await;
        }
        self.until
    }

    fn show(&self, part: LogPart) {
        let (stream, data) = match part {
            LogPart::Bytes { stream, bytes } => (stream, bytes),
            LogPart::Dropped(n) => (Stream::Err, format!("[{n} bytes are not kept]\n").into()),
        };
        self.progress.emit(BuildEvent::Log {
            vertex: self.vertex,
            at: self.progress.now(),
            stream: if stream == Stream::Out { 1 } else { 2 },
            data,
        });
    }
}
