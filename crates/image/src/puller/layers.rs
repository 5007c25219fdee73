//! Fetches layer blobs, each once.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use acetate_oci::{Descriptor, Digest, Reference};
use acetate_registry::{Piece, Progress, Repository};
use acetate_stdx::blocking;
use acetate_store::{BlobWriter, Expect, Object, Store, StoreError};
use tokio::sync::mpsc;

use super::Puller;
use crate::ImageError;
use crate::layout::Layout;
use crate::resolved::{Origin, ResolvedImage};

/// Pieces that may wait between network and disk; each is some 16 KiB.
const QUEUE: usize = 64;

impl Puller {
    /// Brings layer `idx` of an image into the store and returns its descriptor.
    ///
    /// The blob is pinned for this process. Many may ask for one blob at once: it is fetched once,
    /// and the first who asked hears of its bytes. Callers fetch several layers in parallel by
    /// awaiting several of these.
    ///
    /// # Errors
    /// `Corrupt` when size or digest do not match; nothing is kept then.
    pub async fn fetch_layer(
        &self,
        image: &ResolvedImage,
        idx: usize,
        progress: &Arc<dyn Progress>,
    ) -> Result<Descriptor, ImageError> {
        let Some(layer) = image.layers().get(idx) else {
            let what = format!("layer {idx} of `{}`", image.source);
            return Err(ImageError::NotFound { what });
        };
        self.fetch_blob(&image.origin, layer, progress).await?;
        Ok(layer.clone())
    }

    /// Brings a blob into the store, once for all who ask.
    pub(super) async fn fetch_blob(
        &self,
        origin: &Origin,
        blob: &Descriptor,
        progress: &Arc<dyn Progress>,
    ) -> Result<(), ImageError> {
        if !self.has(blob).await? {
            let work = || self.fetch(origin, blob, progress);
            self.fetches.get_or_try_init(&blob.digest, work).await?;
            // From now on the store knows; it may also forget, and then a later call fetches again.
            self.fetches.remove(&blob.digest);
        }
        Ok(())
    }

    async fn has(&self, layer: &Descriptor) -> Result<bool, ImageError> {
        let (store, digest, size) = (Arc::clone(&self.store), layer.digest, layer.size);
        blocking(move || Ok(pin(&store, digest)? && store.blobs().has(&digest)? == Some(size)))
            .await
    }

    async fn fetch(
        &self,
        origin: &Origin,
        layer: &Descriptor,
        progress: &Arc<dyn Progress>,
    ) -> Result<(), ImageError> {
        // Another process may be fetching it: the second one finds it in the store.
        let _lock = self
            .store
            .lock(&format!("fetch-{}", layer.digest.hex()))
            .await?;
        if self.has(layer).await? {
            return Ok(());
        }
        match origin {
            Origin::Registry(image) => self.download(image, layer, progress).await,
            Origin::Layout(layout) => self.copy(Arc::clone(layout), layer.clone(), progress).await,
            Origin::Store => Err(super::documents::gone(layer.digest)),
        }
    }

    async fn download(
        &self,
        image: &Reference,
        layer: &Descriptor,
        progress: &Arc<dyn Progress>,
    ) -> Result<(), ImageError> {
        let repository = Repository::from(image);
        loop {
            let (writer, mirrors) = self.receive(&repository, layer, &**progress).await?;
            let expect = Expect::descriptor(layer);
            let committed = blocking(move || writer.commit(expect)).await;
            match committed {
                Ok(_) => return Ok(()),
                // What a mirror gave wrongly the registry may have.
                Err(StoreError::WrongDigest { .. }) if !mirrors.is_empty() => {
                    for mirror in mirrors {
                        self.registries.distrust(&mirror);
                    }
                }
                Err(error) => return Err(blame(error, layer)),
            }
        }
    }

    /// Receives a layer, and says which mirrors it came from.
    async fn receive(
        &self,
        repository: &Repository,
        layer: &Descriptor,
        progress: &dyn Progress,
    ) -> Result<(BlobWriter, Vec<String>), ImageError> {
        let writer = self.store.blobs().writer()?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let download = async {
            // The sender ends with the download, and the writer's loop with the sender.
            let sender = sender;
            let registries = &self.registries;
            registries.blob(repository, layer, &sender, progress).await
        };
        let root = self.store.root().to_owned();
        let (downloaded, written) =
            tokio::join!(download, blocking(move || write(&root, writer, receiver)));
        // A full disk ends the download early: it is the cause to report.
        let writer = written?;
        Ok((writer, downloaded?))
    }

    async fn copy(
        &self,
        layout: Arc<Layout>,
        layer: Descriptor,
        progress: &Arc<dyn Progress>,
    ) -> Result<(), ImageError> {
        let (store, progress) = (Arc::clone(&self.store), Arc::clone(progress));
        blocking(move || {
            let Some(blob) = layout.blob(&layer.digest)? else {
                let what = format!("the layer `{}` in the layout", layer.digest);
                return Err(ImageError::NotFound { what });
            };
            if blob.size != layer.size {
                let reason = format!("it has {} bytes instead of {}", blob.size, layer.size);
                return Err(ImageError::corrupt(
                    format!("layer `{}`", layer.digest),
                    reason,
                ));
            }
            let reader = Told::new(blob.reader, &layer, &*progress);
            let outcome = store.blobs().ingest(reader, Expect::descriptor(&layer));
            outcome.map_err(|error| blame(error, &layer))?;
            Ok(())
        })
        .await
    }
}

/// Bytes of a blob that tell how many of them were read.
pub(crate) struct Told<'a, R> {
    reader: R,
    blob: &'a Descriptor,
    n_done: u64,
    progress: &'a dyn Progress,
}

impl<'a, R> Told<'a, R> {
    pub(crate) fn new(reader: R, blob: &'a Descriptor, progress: &'a dyn Progress) -> Self {
        Self {
            reader,
            blob,
            n_done: 0,
            progress,
        }
    }
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        if n > 0 {
            self.n_done += n as u64;
            self.progress.moved(self.blob, self.n_done);
        }
        Ok(n)
    }
}

/// Pins a blob; false when it is not there.
pub(super) fn pin(store: &Store, digest: Digest) -> Result<bool, StoreError> {
    let there = store.live().pin(&[Object::Blob(digest)])?;
    Ok(there.first().copied().unwrap_or(false))
}

fn write(
    root: &Path,
    mut writer: BlobWriter,
    mut pieces: mpsc::Receiver<Piece>,
) -> Result<BlobWriter, StoreError> {
    while let Some(piece) = pieces.blocking_recv() {
        writer
            .write_all((*piece).as_ref())
            .map_err(|error| StoreError::io("write", root, error))?;
    }
    Ok(writer)
}

/// Says of which layer the bytes are wrong.
fn blame(error: StoreError, layer: &Descriptor) -> ImageError {
    match error {
        error @ (StoreError::WrongDigest { .. } | StoreError::WrongSize { .. }) => {
            ImageError::corrupt(format!("layer `{}`", layer.digest), error)
        }
        error => error.into(),
    }
}
