//! Layers that are cut and sent while they are read.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use acetate_oci::{Digest, DigestHasher};
use futures_util::{StreamExt, TryStreamExt, future, stream};
use tokio::sync::mpsc;

use super::chunker::{compress, pieces};
use super::client::RemoteCache;
use super::presence::Named;
use super::publish::{LayerSource, Skip};
use super::record::{Chunk, LayerForm, RemoteLayer};

/// How many pieces are asked about and sent together.
const BATCH: usize = 16;
/// How many batches are under way: while one is sent, the next is compressed.
const N_BATCHES: usize = 2;

impl RemoteCache {
    /// Reads a layer, sends the chunks that the server lacks, and gives what it consists of.
    ///
    /// Memory holds two batches of pieces and their compressed forms, whatever the layer's size.
    pub(super) async fn send_layer(&self, source: &LayerSource) -> Result<Arc<RemoteLayer>, Skip> {
        let _one = self.0.cutting.lock().await;
        let (sender, receiver) = mpsc::channel::<Vec<u8>>(N_BATCHES);
        let reader = Arc::clone(&source.open);
        let (size, diff_id) = (source.size, source.diff_id);
        let read = acetate_stdx::blocking(move || {
            let mut hasher = DigestHasher::new();
            for piece in pieces(reader()?, size) {
                let piece = piece?;
                hasher.update(&piece);
                if sender.blocking_send(piece).is_err() {
                    return Err(io::Error::other("the upload ended"));
                }
            }
            let found = (hasher.bytes_hashed(), hasher.finish());
            if found == (size, diff_id) {
                Ok(())
            } else {
                Err(io::Error::other("the layer is not the one that was sealed"))
            }
        });
        let batches = stream::unfold(receiver, next_batch);
        let sent = batches
            .map(|batch| self.send_batch(batch))
            .buffered(N_BATCHES)
            .try_concat();
        let (read, sent) = tokio::join!(read, sent);
        // Where sending failed, the reader was merely told to stop.
        let chunks = sent?;
        read.map_err(|error| Skip::Source(error.to_string()))?;
        let layer = Arc::new(RemoteLayer {
            diff_id,
            size,
            created: source.created,
            form: LayerForm::Chunks(chunks),
            listing: Vec::new(),
        });
        self.learn(&layer);
        Ok(layer)
    }

    async fn send_batch(&self, batch: Vec<Vec<u8>>) -> Result<Vec<Chunk>, Skip> {
        let compressed = batch
            .into_iter()
            .map(|raw| acetate_stdx::offload(move || compress(&raw)));
        let objects: io::Result<Vec<(Chunk, Vec<u8>)>> =
            future::join_all(compressed).await.into_iter().collect();
        let objects = objects.map_err(|error| Skip::Source(error.to_string()))?;
        let chunks: Vec<Chunk> = objects.iter().map(|(chunk, _)| *chunk).collect();
        let named: Vec<Named> = chunks.iter().map(stored_name).collect();
        let missing = self.missing(&named).await?;
        let mut seen = HashSet::new();
        let lacking: Vec<(Digest, Vec<u8>)> = objects
            .into_iter()
            .map(|(chunk, bytes)| (chunk.stored, bytes))
            .filter(|(stored, _)| missing.contains(stored) && seen.insert(*stored))
            .collect();
        let (n_all, n_sent) = (chunks.len() as u64, lacking.len() as u64);
        let sends = lacking
            .into_iter()
            .map(|(stored, bytes)| self.send(stored, bytes));
        let sends = stream::iter(sends).buffer_unordered(self.0.transport.limits.n_parallel);
        sends.try_collect::<()>().await?;
        self.0.transport.count(|stats| {
            stats.chunks_up += n_sent;
            stats.chunks_deduped += n_all - n_sent;
        });
        Ok(chunks)
    }
}

pub(super) fn stored_name(chunk: &Chunk) -> Named {
    (chunk.stored, u64::from(chunk.stored_size))
}

async fn next_batch(
    mut receiver: mpsc::Receiver<Vec<u8>>,
) -> Option<(Vec<Vec<u8>>, mpsc::Receiver<Vec<u8>>)> {
    let mut batch = vec![receiver.recv().await?];
    while batch.len() < BATCH {
        match receiver.recv().await {
            Some(piece) => batch.push(piece),
            None => break,
        }
    }
    Some((batch, receiver))
}
