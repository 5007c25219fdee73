//! Layers that come from a shared cache.

use std::io::{self, Write};
use std::sync::Arc;

use acetate_cache_api::Kind;
use acetate_net::Method;
use acetate_oci::{Digest, HashingWriter};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::Cause;
use super::chunker::{expand, is_piece};
use super::client::RemoteCache;
use super::record::{Chunk, LayerForm, RemoteLayer};
use super::transport::{Effort, Fault};

/// Pieces that wait to be written.
const QUEUE: usize = 4;

/// When pieces that are here are compared with what the record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnPieces {
    /// With the whole: one that is something else is found out at the end, and not which.
    AtEnd,
    /// Each: one that is something else comes from the cache instead.
    Each,
}

/// Why a layer did not come: the hit that named it is a miss then.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// A chunk is not there any more.
    #[error("the chunk {0} is not in the cache")]
    Missing(Digest),
    /// A chunk or the whole is not what the record says.
    #[error("what the cache holds as {0} is something else")]
    Damaged(Digest),
    /// The cache did not give it, for a cause that is warned of once.
    #[error("the cache did not give the layer ({0:?})")]
    Cache(Cause),
    /// It is a layer of a base image, which the cache does not hold.
    #[error("the layer is one of a base image, which the cache does not hold")]
    Elsewhere,
    /// The layer is larger than any that is fetched.
    #[error("the layer is larger than the limit")]
    TooLarge,
    /// It came and could not be written: a fault of this machine.
    #[error("write what came")]
    Local(#[source] io::Error),
}

impl RemoteCache {
    /// Writes the tar of a layer, of which every byte was checked, and gives the writer back.
    ///
    /// `have` may give a chunk that is here already; what it gives is checked too. Whatever is
    /// wrong, what was written until then is to be thrown away.
    ///
    /// # Errors
    /// [`Lost`] tells why the layer is not to be had; [`Lost::Local`] alone concerns this machine.
    pub async fn fetch_layer<W, H>(
        &self,
        layer: &RemoteLayer,
        writer: W,
        have: H,
    ) -> Result<W, Lost>
    where
        W: Write + Send + 'static,
        H: Fn(&Chunk) -> Option<Vec<u8>> + Send + Sync + 'static,
    {
        let writer = HashingWriter::new(writer);
        let fetched = self
            .write_pieces(layer, writer, have, OwnPieces::Each)
            .await;
        let checked = fetched.and_then(|writer| {
            let (writer, digest, size) = writer.finish();
            let is_it = digest == layer.diff_id && size == layer.size;
            is_it
                .then_some(writer)
                .ok_or_else(|| self.other_layer(layer))
        });
        self.note_fetch(layer, &checked);
        checked
    }

    /// Notes how the fetch of a layer ended.
    pub(super) fn note_fetch<W>(&self, layer: &RemoteLayer, fetched: &Result<W, Lost>) {
        match fetched {
            Ok(_) => self.learn(&Arc::new(layer.clone())),
            Err(lost) => {
                tracing::debug!(layer = %layer.diff_id, %lost, "a shared layer did not come");
                self.0.transport.count(|stats| stats.layers_lost += 1);
            }
        }
    }

    /// Says that what came is not what the record names.
    pub(super) fn other_layer(&self, layer: &RemoteLayer) -> Lost {
        let what = "a layer that is not the one it was recorded as";
        self.0.transport.damaged(what);
        Lost::Damaged(layer.diff_id)
    }

    /// Writes the pieces of a layer in order. Their objects are checked, and the whole is for the
    /// writer to check: its digest stands for every piece.
    pub(super) async fn write_pieces<W, H>(
        &self,
        layer: &RemoteLayer,
        writer: W,
        have: H,
        own: OwnPieces,
    ) -> Result<W, Lost>
    where
        W: Write + Send + 'static,
        H: Fn(&Chunk) -> Option<Vec<u8>> + Send + Sync + 'static,
    {
        if layer.size > self.0.transport.limits.max_layer {
            return Err(Lost::TooLarge);
        }
        if let LayerForm::Blob(_) = &layer.form {
            return Err(Lost::Elsewhere);
        }
        let have = Arc::new(have);
        let (sender, mut receiver) = mpsc::channel::<Vec<u8>>(QUEUE);
        let write = acetate_stdx::blocking(move || {
            let mut writer = writer;
            while let Some(piece) = receiver.blocking_recv() {
                writer.write_all(&piece)?;
            }
            writer.flush()?;
            Ok::<_, io::Error>(writer)
        });
        let chunks = layer.chunks().to_vec().into_iter();
        let pieces = chunks.map(|chunk| self.piece(chunk, Arc::clone(&have), own));
        let mut pieces = stream::iter(pieces).buffered(self.0.transport.limits.n_parallel);
        let fetch = async move {
            while let Some(piece) = pieces.next().await {
                if sender.send(piece?).await.is_err() {
                    // The writer failed, and says why.
                    break;
                }
            }
            Ok::<(), Lost>(())
        };
        let (written, fetched) = tokio::join!(write, fetch);
        fetched?;
        written.map_err(Lost::Local)
    }

    /// One piece of a tar: one that is here is checked, one that comes by its object.
    async fn piece<H>(&self, chunk: Chunk, have: Arc<H>, own: OwnPieces) -> Result<Vec<u8>, Lost>
    where
        H: Fn(&Chunk) -> Option<Vec<u8>> + Send + Sync + 'static,
    {
        let is_it = move |raw: &Vec<u8>| own == OwnPieces::AtEnd || is_piece(&chunk, raw);
        let here = acetate_stdx::blocking(move || have(&chunk).filter(is_it));
        if let Some(raw) = here.await {
            self.0.transport.count(|stats| stats.chunks_reused += 1);
            return Ok(raw);
        }
        let permit = self.0.downloads.acquire().await;
        let stored = self.object(&chunk).await?;
        drop(permit);
        if chunk.is_plain() && chunk.raw_size == chunk.stored_size {
            // The digest of the whole stands for it, and nothing is expanded before.
            self.0.transport.count(|stats| stats.chunks_down += 1);
            return Ok(stored);
        }
        let raw = acetate_stdx::offload(move || expand(&chunk, &stored)).await;
        let Some(raw) = raw else {
            self.0
                .transport
                .damaged("a chunk that is not what it is called");
            return Err(Lost::Damaged(chunk.stored));
        };
        self.0.transport.count(|stats| stats.chunks_down += 1);
        Ok(raw)
    }

    pub(super) async fn object(&self, chunk: &Chunk) -> Result<Vec<u8>, Lost> {
        let transport = &self.0.transport;
        let url = transport
            .address
            .join(&self.path(Kind::Content, &chunk.stored));
        let request = transport.request(Method::Get, url);
        let size = u64::from(chunk.stored_size);
        let answer = transport.ask(&request, size, Effort::Transfer).await;
        let answer = answer.map_err(|fault| match fault {
            Fault::Cause(Cause::Damaged) => Lost::Damaged(chunk.stored),
            other => Lost::Cache(other.cause()),
        })?;
        match answer.status {
            200 => Ok(answer.body),
            403 => Err(Lost::Cache(transport.unreadable().cause())),
            _ => Err(Lost::Missing(chunk.stored)),
        }
    }
}
