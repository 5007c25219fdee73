//! Layers that come out of a registry.

use std::io::{self, Read};
use std::sync::Arc;

use acetate_oci::Descriptor;
use acetate_registry::{NoProgress, Piece, RegistryError};
use acetate_store::BlobRef;
use tokio::sync::mpsc;

use super::cache::{Inner, RegistryCache};
use super::fault::{cause, words};
use crate::layout::MAX_LAYER;
use crate::layout::intake::{self, Known, Refused, local};
use crate::remote::{Cause, LayerForm, Lost, RemoteLayer};

/// Pieces that wait to be written.
const QUEUE: usize = 16;

impl RegistryCache {
    /// Brings the blob of a layer into the store, as it is compressed there.
    pub(super) async fn fetch_into_store(&self, layer: &RemoteLayer) -> Result<BlobRef, Lost> {
        let fetched = self.try_fetch(layer).await;
        if fetched.is_err() {
            self.0.notes.count(|stats| stats.layers_lost += 1);
        }
        fetched.inspect_err(|lost| {
            tracing::debug!(layer = %layer.diff_id, %lost, "a layer of a registry did not come");
        })
    }

    async fn try_fetch(&self, layer: &RemoteLayer) -> Result<BlobRef, Lost> {
        let LayerForm::Blob(blob) = &layer.form else {
            return Err(Lost::Elsewhere);
        };
        if layer.size > MAX_LAYER || blob.size > MAX_LAYER {
            return Err(Lost::TooLarge);
        }
        let loaded = self.loaded().await;
        let is_own =
            loaded.view.catalog.owns(&blob.digest) || self.0.state().ledger.ours.owns(&blob.digest);
        if !is_own {
            return Err(Lost::Elsewhere);
        }
        if blob.digest == layer.diff_id && blob.size != layer.size {
            return Err(self.0.damaged(blob));
        }
        // Another step, or another build, may be fetching it: the second one finds it here.
        let name = format!("fetch-{}", blob.digest.hex());
        let _lock = self.0.store.lock(&name).await.map_err(local)?;
        let known = {
            let (store, layer, blob) = (Arc::clone(&self.0.store), layer.clone(), blob.clone());
            acetate_stdx::blocking(move || intake::known(&store, &layer, &blob)).await?
        };
        if known == Known::Here {
            return Ok(intake::blob_ref(blob));
        }
        let _slot = self.0.slots.acquire().await;
        // A mirror that gave something else is not asked the second time.
        for _ in 0..2 {
            let mirrors = match self.0.bring(layer, blob, known).await? {
                Brought::Whole => {
                    self.0.notes.count(|stats| stats.bytes_down += blob.size);
                    return Ok(intake::blob_ref(blob));
                }
                Brought::Wrong { mirrors } => mirrors,
            };
            if mirrors.is_empty() {
                break;
            }
            for mirror in mirrors {
                self.0.place.registries.distrust(&mirror);
            }
        }
        Err(self.0.damaged(blob))
    }
}

enum Brought {
    Whole,
    /// Other bytes came, some of them from these mirrors.
    Wrong {
        mirrors: Vec<String>,
    },
}

impl Inner {
    /// Downloads a blob, and checks and writes it while it comes.
    async fn bring(
        &self,
        layer: &RemoteLayer,
        blob: &Descriptor,
        known: Known,
    ) -> Result<Brought, Lost> {
        let (sender, pieces) = mpsc::channel::<Piece>(QUEUE);
        let (registries, repository) = (self.shelf.registries(), self.shelf.repository());
        let download = async {
            let sender = sender;
            registries
                .blob(repository, blob, &sender, &NoProgress)
                .await
        };
        let (store, layer, wanted) = (Arc::clone(&self.store), layer.clone(), blob.clone());
        let take = acetate_stdx::blocking(move || {
            let pieces = Pieces {
                pieces,
                current: None,
            };
            intake::take_in(&store, &layer, &wanted, known, pieces)
        });
        match tokio::join!(download, take) {
            (_, Ok(())) => Ok(Brought::Whole),
            (_, Err(Refused::Store(error))) => Err(Lost::Local(error)),
            (Err(error), _) => Err(self.unavailable(blob, &error)),
            (Ok(mirrors), Err(Refused::Wrong | Refused::Reader(_))) => {
                Ok(Brought::Wrong { mirrors })
            }
        }
    }

    fn unavailable(&self, blob: &Descriptor, error: &RegistryError) -> Lost {
        let (cause, lost) = lost(blob, error);
        self.notes.warn(cause, || {
            let name = self.shown();
            let words = words(error);
            format!("a layer of the cache `{name}` is not to be had, its step runs again: {words}")
        });
        lost
    }

    fn damaged(&self, blob: &Descriptor) -> Lost {
        self.notes.warn(Cause::Damaged, || {
            let name = self.shown();
            format!("the cache `{name}` holds a damaged layer, whose step runs again")
        });
        Lost::Damaged(blob.digest)
    }
}

/// What an error means for a blob, and of which cause it is.
pub(super) fn lost(blob: &Descriptor, error: &RegistryError) -> (Cause, Lost) {
    match error {
        RegistryError::NotFound { .. } => (Cause::Damaged, Lost::Missing(blob.digest)),
        RegistryError::Corrupt { .. } => (Cause::Damaged, Lost::Damaged(blob.digest)),
        error => (cause(error), Lost::Cache(cause(error))),
    }
}

/// What is downloaded, to be read on a thread that may block.
struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    current: Option<(Piece, usize)>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((piece, n_read)) = &mut self.current {
                let rest = &(**piece).as_ref()[*n_read..];
                if !rest.is_empty() {
                    let n = rest.len().min(buffer.len());
                    buffer[..n].copy_from_slice(&rest[..n]);
                    *n_read += n;
                    return Ok(n);
                }
            }
            // Its end is also that of a download that failed, which tells the reason itself.
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = Some((piece, 0)),
                None => return Ok(0),
            }
        }
    }
}
