//! Layers that are cut and sent while they are read.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use acetate_oci::Digest;
use futures_util::{StreamExt, TryStreamExt, future, stream};
use tokio::sync::mpsc;

use super::chunker::{Cutter, Piece, compress};
use super::client::RemoteCache;
use super::presence::Named;
use super::publish::{LayerSource, Skip};
use super::record::{Chunk, LayerForm, RemoteLayer};

/// Tells which objects were made of pieces before, by digest and size; may look them up on a disk.
///
/// What it tells decides only whether a piece has to be compressed before the server is asked.
pub type Recall = Arc<dyn Fn(&[Digest]) -> Vec<Option<(Digest, u32)>> + Send + Sync>;

/// How many batches of a layer are under way: while one is sent, the next is compressed.
const N_BATCHES: usize = 2;

/// A piece, the object that it is or was made into, and that object where it was made now.
struct Packed {
    piece: Piece,
    chunk: Chunk,
    object: Option<Vec<u8>>,
}

impl RemoteCache {
    /// Reads a layer, sends the chunks that the server lacks, and gives what it consists of. A layer
    /// that several results share is sent for one of them; the others wait.
    ///
    /// `known` is what was known of the layer when the server turned out to lack something of it.
    ///
    /// Memory holds a few windows of pieces and their compressed forms, whatever the layer's size.
    pub(super) async fn send_layer(
        &self,
        source: &LayerSource,
        known: Option<Arc<RemoteLayer>>,
        recall: &Recall,
    ) -> Result<Arc<RemoteLayer>, Skip> {
        let gate = self.gate(&source.diff_id);
        let _one = gate.lock().await;
        if let Some(now) = self.known(&source.diff_id)
            && known.is_none_or(|known| !Arc::ptr_eq(&known, &now))
        {
            return Ok(now);
        }
        // Nobody closes it.
        let _slot = self.0.cutting.acquire().await;
        let layer = Arc::new(self.cut_and_send(source, recall).await?);
        self.made(&layer);
        Ok(layer)
    }

    async fn cut_and_send(
        &self,
        source: &LayerSource,
        recall: &Recall,
    ) -> Result<RemoteLayer, Skip> {
        // One batch more waits here.
        let (sender, receiver) = mpsc::channel::<Vec<Piece>>(1);
        let reader = Arc::clone(&source.open);
        let (size, diff_id) = (source.size, source.diff_id);
        let read = acetate_stdx::blocking(move || {
            let mut cutter = Cutter::new(reader()?, size);
            while let Some(pieces) = cutter.next()? {
                if sender.blocking_send(pieces).is_err() {
                    return Err(io::Error::other("the upload ended"));
                }
            }
            if cutter.finish() == (size, diff_id) {
                Ok(())
            } else {
                Err(io::Error::other("the layer is not the one that was sealed"))
            }
        });
        let batches = stream::unfold(receiver, |mut receiver| async {
            let batch = receiver.recv().await?;
            Some((batch, receiver))
        });
        let sent = batches
            .map(|batch| self.send_batch(batch, recall))
            .buffered(N_BATCHES)
            .try_concat();
        let (read, sent) = tokio::join!(read, sent);
        // Where sending failed, the reader was merely told to stop.
        let chunks = sent?;
        read.map_err(|error| Skip::Source(error.to_string()))?;
        self.0.transport.count(|stats| stats.layers_read += 1);
        Ok(RemoteLayer {
            diff_id,
            size,
            created: source.created,
            form: LayerForm::Chunks(chunks),
            listing: Vec::new(),
        })
    }

    /// Asks about pieces, by what is known of them or by what they become, and sends what is missing.
    async fn send_batch(&self, batch: Vec<Piece>, recall: &Recall) -> Result<Vec<Chunk>, Skip> {
        let mut packed = self.pack(batch, recall).await?;
        let named: Vec<Named> = packed.iter().map(|one| stored_name(&one.chunk)).collect();
        let missing = self.missing(&named).await?;
        let is_lacking = |one: &Packed| missing.contains(&one.chunk.stored);
        let unpacked = packed
            .iter_mut()
            .filter(|one| one.object.is_none() && is_lacking(one))
            .map(|one| async {
                let piece = one.piece.clone();
                let (chunk, object) = self.compressed(piece, one.chunk.raw).await?;
                // Another release of the compressor may make another object: it is sent all the same.
                one.chunk = chunk;
                one.object = Some(object);
                Ok::<_, Skip>(chunk.stored)
            });
        let repacked = future::try_join_all(unpacked).await?;
        let repacked: HashSet<Digest> = repacked.into_iter().collect();
        let chunks: Vec<Chunk> = packed.iter().map(|one| one.chunk).collect();
        let mut seen = HashSet::new();
        let lacking = packed.into_iter().filter_map(|one| {
            let stored = one.chunk.stored;
            let is_wanted = missing.contains(&stored) || repacked.contains(&stored);
            (is_wanted && seen.insert(stored)).then_some((stored, one.object?))
        });
        let lacking: Vec<(Digest, Vec<u8>)> = lacking.collect();
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

    /// Names the pieces, and compresses those of which nobody knows what they become.
    async fn pack(&self, batch: Vec<Piece>, recall: &Recall) -> Result<Vec<Packed>, Skip> {
        let raws = batch.iter().cloned();
        let raws = raws.map(|piece| acetate_stdx::offload(move || Digest::of(&piece)));
        let raws = future::join_all(raws).await;
        let (recall, asked) = (Arc::clone(recall), raws.clone());
        let mut recalled = acetate_stdx::blocking(move || recall(&asked)).await;
        recalled.resize(raws.len(), None);
        let pieces = batch.into_iter().zip(raws).zip(recalled);
        let packed = pieces.map(|((piece, raw), known)| async move {
            let raw_size = u32::try_from(piece.len());
            let (chunk, object) =
                if let (Some((stored, stored_size)), Ok(raw_size)) = (known, raw_size) {
                    let chunk = Chunk {
                        raw,
                        raw_size,
                        stored,
                        stored_size,
                    };
                    (chunk, None)
                } else {
                    let (chunk, object) = self.compressed(piece.clone(), raw).await?;
                    (chunk, Some(object))
                };
            Ok(Packed {
                piece,
                chunk,
                object,
            })
        });
        future::try_join_all(packed).await
    }

    async fn compressed(&self, piece: Piece, raw: Digest) -> Result<(Chunk, Vec<u8>), Skip> {
        self.0.transport.count(|stats| stats.chunks_compressed += 1);
        let compressed = acetate_stdx::offload(move || compress(&piece, raw)).await;
        compressed.map_err(|error| Skip::Source(error.to_string()))
    }
}

pub(super) fn stored_name(chunk: &Chunk) -> Named {
    (chunk.stored, u64::from(chunk.stored_size))
}
