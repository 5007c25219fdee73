//! Sends large bodies: from a thread that may block, watched for standing still.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::BodySource;

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
/// Pieces that may wait for the connection.
const QUEUE: usize = 4;
/// How much longer than between two pieces the answer after the last one may take: registries
/// move a blob to its place then.
const ANSWER_FACTOR: u32 = 10;

/// What a body did so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched(Arc<State>);

#[derive(Debug, Default)]
struct State {
    n_taken: AtomicU64,
    is_complete: AtomicBool,
    fault: Mutex<Option<String>>,
}

impl Watched {
    /// The bytes that the connection has taken.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.0.n_taken.load(Ordering::Relaxed)
    }

    /// Why the source gave no more bytes.
    pub(crate) fn fault(&self) -> Option<String> {
        let fault = self.0.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone()
    }

    /// Returns when nothing has moved for so long.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            let before = (self.n_bytes(), self.is_complete());
            let wait = if before.1 {
                limit * ANSWER_FACTOR
            } else {
                limit
            };
            tokio::time::sleep(wait).await;
            if before == (self.n_bytes(), self.is_complete()) {
                return;
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.0.is_complete.load(Ordering::Relaxed)
    }

    fn fail(&self, reason: String) {
        *self.0.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }
}

/// The body of a source, and what tells how it fares.
pub(crate) fn stream(source: Arc<dyn BodySource>) -> (reqwest::Body, Watched) {
    let watched = Watched::default();
    let (sender, receiver) = mpsc::channel(QUEUE);
    let state = watched.clone();
    // It ends by itself when the connection does: the receiver is dropped then.
    drop(tokio::task::spawn_blocking(move || {
        feed(&*source, &state, &sender);
    }));
    let state = watched.clone();
    let pieces = futures_util::stream::unfold((receiver, state), |(mut receiver, state)| async {
        let piece = receiver.recv().await?;
        Some((next(piece, &state), (receiver, state)))
    });
    (reqwest::Body::wrap_stream(pieces), watched)
}

fn next(piece: Option<Vec<u8>>, state: &Watched) -> std::io::Result<Vec<u8>> {
    // Ending early would look like a whole body to a server that is not told the length.
    let piece =
        piece.ok_or_else(|| std::io::Error::other("the bytes to send could not be read"))?;
    state
        .0
        .n_taken
        .fetch_add(piece.len() as u64, Ordering::Relaxed);
    Ok(piece)
}

/// Reads all pieces; `None` stands for a source that failed.
fn feed(source: &dyn BodySource, state: &Watched, sender: &mpsc::Sender<Option<Vec<u8>>>) {
    match read(source, sender) {
        Ok(Sent::All) => state.0.is_complete.store(true, Ordering::Relaxed),
        Ok(Sent::NotWanted) => {}
        Err(error) => {
            state.fail(error.to_string());
            // Nobody listens when the connection ended first.
            drop(sender.blocking_send(None));
        }
    }
}

enum Sent {
    All,
    NotWanted,
}

fn read(source: &dyn BodySource, sender: &mpsc::Sender<Option<Vec<u8>>>) -> std::io::Result<Sent> {
    let mut reader = source.open()?;
    let mut n_left = source.size();
    while n_left > 0 {
        let mut piece = Vec::new();
        let n_wanted = n_left.min(PIECE as u64);
        reader.by_ref().take(n_wanted).read_to_end(&mut piece)?;
        if piece.is_empty() {
            let reason = format!("they end {n_left} bytes early");
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                reason,
            ));
        }
        n_left -= piece.len() as u64;
        if sender.blocking_send(Some(piece)).is_err() {
            return Ok(Sent::NotWanted);
        }
    }
    Ok(Sent::All)
}
