//! Finds everything below one name, byte for byte, to be kept or carried on.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use acetate_oci::{Descriptor, Digest, DigestHasher, MediaType};
use acetate_registry::{BlobSource, NoProgress, Piece, Progress, Registries, Repository};
use futures_util::stream::{self, TryStreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{DEPTH_LIMIT, Puller};
use crate::ImageError;
use crate::document::{Document, Purpose};
use crate::layout::{IMAGE_NAME, REF_NAME};
use crate::resolved::{Loaded, Origin};
use crate::source::ImageSource;

/// How many documents one image may have, with all platforms and what speaks about them.
const DOCUMENT_LIMIT: usize = 1024;
/// How many blobs are fetched at once.
const N_FETCHES: usize = 4;
/// Pieces that may wait between two networks.
const QUEUE: usize = 64;

/// All documents below one manifest or index, and what they name; a value without bytes of layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeImage {
    /// The manifest or index.
    pub root: Descriptor,
    /// The documents, each after what it names; the root is the last.
    pub documents: Vec<(Descriptor, Vec<u8>)>,
    /// The configurations, layers and other blobs, by digest.
    pub blobs: BTreeMap<Digest, Descriptor>,
}

/// Where the blobs of an image come from.
#[derive(Clone, Debug)]
pub struct BlobOrigin {
    origin: Origin,
    registries: Arc<Registries>,
    store: Arc<acetate_store::Store>,
}

impl Puller {
    /// Everything that a source leads to: all platforms, and what stands beside them in the index.
    ///
    /// # Errors
    /// [`ImageError`]; a document that is missing is one, too.
    pub async fn whole(
        &self,
        source: &ImageSource,
    ) -> Result<(WholeImage, BlobOrigin), ImageError> {
        let (origin, root) = match source {
            ImageSource::Registry(reference) => {
                let origin = Origin::Registry(reference.clone());
                let root = self
                    .registry_root(reference, &origin, Purpose::Carry)
                    .await?;
                (origin, root)
            }
            ImageSource::Layout(place) => self.layout_root(place, Purpose::Carry).await?,
        };
        let whole = self.gather(&origin, root).await?;
        Ok((whole, self.blob_origin(origin)))
    }

    /// Everything below a document of the store.
    ///
    /// # Errors
    /// [`ImageError`], also when the store lost a part of it.
    pub async fn whole_stored(
        &self,
        root: &Descriptor,
    ) -> Result<(WholeImage, BlobOrigin), ImageError> {
        let loaded = self.any(&Origin::Store, root).await?;
        let mut whole = self.gather(&Origin::Store, loaded).await?;
        whole.root.platform.clone_from(&root.platform);
        Ok((whole, self.blob_origin(Origin::Store)))
    }

    /// Everything below one more document of the place that an image came from, such as a manifest
    /// that speaks about it.
    ///
    /// # Errors
    /// As [`Self::whole`].
    pub async fn whole_beside(
        &self,
        origin: &BlobOrigin,
        entry: &Descriptor,
    ) -> Result<WholeImage, ImageError> {
        let loaded = self.any(&origin.origin, entry).await?;
        self.gather(&origin.origin, loaded).await
    }

    /// Brings all blobs of an image into the store, several at once.
    ///
    /// # Errors
    /// The first fault; `Corrupt` when size or digest do not match.
    pub async fn fetch_whole(
        &self,
        whole: &WholeImage,
        origin: &BlobOrigin,
        progress: &Arc<dyn Progress>,
    ) -> Result<(), ImageError> {
        let blobs = stream::iter(whole.blobs.values().map(Ok));
        let fetch = |blob| self.fetch_blob(&origin.origin, blob, progress);
        blobs.try_for_each_concurrent(N_FETCHES, fetch).await
    }

    /// The names of the images of a layout with what they lead to; none for an entry without one.
    ///
    /// # Errors
    /// What is no layout.
    pub async fn layout_names(
        &self,
        path: &Path,
    ) -> Result<Vec<(Option<String>, Descriptor)>, ImageError> {
        let (_, index) = self.open_layout(path).await?;
        let named = |entry: Descriptor| {
            let notes = &entry.annotations;
            let short = notes.get(REF_NAME);
            // A tag alone says nothing of the repository.
            let full = short.filter(|name| name.contains(['/', ':']));
            (notes.get(IMAGE_NAME).or(full).cloned(), entry)
        };
        Ok(index.manifests.into_iter().map(named).collect())
    }

    fn blob_origin(&self, origin: Origin) -> BlobOrigin {
        BlobOrigin {
            origin,
            registries: Arc::clone(&self.registries),
            store: Arc::clone(&self.store),
        }
    }

    async fn gather(&self, origin: &Origin, root: Loaded) -> Result<WholeImage, ImageError> {
        let entry = Descriptor::of(kind(&root.document), &root.bytes);
        let mut seen = BTreeSet::new();
        let mut whole = WholeImage {
            root: entry.clone(),
            documents: Vec::new(),
            blobs: BTreeMap::new(),
        };
        // From the root down, as indexes have them; at the end they are put in order.
        let mut pending = vec![(entry, root, 0)];
        let mut found = Vec::new();
        while let Some((entry, loaded, depth)) = pending.pop() {
            if depth > DEPTH_LIMIT {
                return Err(too_many(whole.root.digest));
            }
            let is_index = matches!(loaded.document, Document::Index(_));
            match loaded.document {
                Document::Index(index) => {
                    for child in index.manifests.into_iter().rev() {
                        if !seen.insert(child.digest) {
                            continue;
                        }
                        // Before it is asked for: an index is small, and what it names is not.
                        if seen.len() > DOCUMENT_LIMIT {
                            return Err(too_many(whole.root.digest));
                        }
                        let loaded = self.any(origin, &child).await?;
                        pending.push((child, loaded, depth + 1));
                    }
                }
                Document::Manifest(manifest) => {
                    let blobs = [manifest.config].into_iter().chain(manifest.layers);
                    whole.blobs.extend(blobs.map(|blob| (blob.digest, blob)));
                }
            }
            found.push(((is_index, std::cmp::Reverse(depth)), entry, loaded.bytes));
        }
        // Manifests name no documents; of indexes the deeper ones come first.
        found.sort_by_key(|(order, ..)| *order);
        let documents = found.into_iter().map(|(_, entry, bytes)| (entry, bytes));
        whole.documents = documents.collect();
        Ok(whole)
    }

    async fn any(&self, origin: &Origin, entry: &Descriptor) -> Result<Loaded, ImageError> {
        let size = Some(entry.size);
        self.load(origin, entry.digest, size, Purpose::Carry).await
    }
}

fn too_many(root: Digest) -> ImageError {
    let reason = "its indexes lie too deep within each other or are too many";
    ImageError::corrupt(format!("`{root}`"), reason)
}

/// The type of a document, also where it does not say so itself.
fn kind(document: &Document) -> MediaType {
    let (own, usual) = match document {
        Document::Index(index) => (&index.media_type, MediaType::OCI_INDEX),
        Document::Manifest(manifest) => (&manifest.media_type, MediaType::OCI_MANIFEST),
    };
    own.clone().unwrap_or(usual)
}

impl BlobOrigin {
    /// The repository that it is, where it is one.
    pub fn repository(&self) -> Option<Repository> {
        match &self.origin {
            Origin::Registry(reference) => Some(Repository::from(reference)),
            Origin::Layout(_) | Origin::Store => None,
        }
    }

    /// The bytes of a blob for a push, which begin to come when they are asked for. The last of them
    /// are given only when all of them have the digest.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn source(&self, blob: &Descriptor) -> Arc<dyn BlobSource> {
        Arc::new(Streamed {
            origin: self.clone(),
            blob: blob.clone(),
            handle: Handle::current(),
        })
    }
}

/// A blob that comes from elsewhere while it goes on.
#[derive(Debug)]
struct Streamed {
    origin: BlobOrigin,
    blob: Descriptor,
    handle: Handle,
}

impl BlobSource for Streamed {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let digest = &self.blob.digest;
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("`{digest}` is gone"));
        let reader: Box<dyn Read + Send> = match &self.origin.origin {
            Origin::Registry(reference) => self.download(Repository::from(reference)),
            Origin::Layout(layout) => {
                let blob = layout.blob(digest).map_err(io::Error::other)?;
                blob.ok_or_else(gone)?.reader
            }
            // This one checks what it reads itself.
            Origin::Store => {
                let blob = self.origin.store.blobs().open(digest)?;
                Box::new(blob.ok_or_else(gone)?)
            }
        };
        let mut reader: Box<dyn Read + Send> = match &self.origin.origin {
            Origin::Store => reader,
            _ => Box::new(Checked::new(reader, &self.blob)),
        };
        io::copy(&mut (&mut reader).take(offset), &mut io::sink())?;
        Ok(reader)
    }
}

/// Reads a blob from its beginning, and fails in place of its last bytes when it has another digest.
///
/// Who sends a blob stops at its known size, so that a check behind it would come too late.
struct Checked<R> {
    reader: R,
    blob: Descriptor,
    hasher: DigestHasher,
}

impl<R: Read> Checked<R> {
    fn new(reader: R, blob: &Descriptor) -> Self {
        Self {
            reader,
            blob: blob.clone(),
            hasher: DigestHasher::new(),
        }
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        let is_end = n > 0 && self.hasher.bytes_hashed() >= self.blob.size;
        if is_end && self.hasher.clone().finish() != self.blob.digest {
            let words = format!(
                "the bytes that come for `{}` have another digest",
                self.blob.digest
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        Ok(n)
    }
}

impl Streamed {
    fn download(&self, repository: Repository) -> Box<dyn Read + Send> {
        let (sender, pieces) = mpsc::channel::<Piece>(QUEUE);
        let (registries, blob) = (Arc::clone(&self.origin.registries), self.blob.clone());
        // It ends with its reader, whose end of the channel it notices.
        let download = self.handle.spawn(async move {
            let ended = registries.blob(&repository, &blob, &sender, &NoProgress);
            ended.await.map(drop)
        });
        Box::new(Pieces {
            coming: pieces,
            piece: None,
            n_read: 0,
            download: Some((self.handle.clone(), download)),
        })
    }
}

type Download = tokio::task::JoinHandle<Result<(), acetate_registry::RegistryError>>;

/// Reads what a download brings.
struct Pieces {
    coming: mpsc::Receiver<Piece>,
    piece: Option<Piece>,
    n_read: usize,
    download: Option<(Handle, Download)>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(piece) = &self.piece {
                let rest = &(**piece).as_ref()[self.n_read..];
                if !rest.is_empty() {
                    let n = rest.len().min(buffer.len());
                    buffer[..n].copy_from_slice(&rest[..n]);
                    self.n_read += n;
                    return Ok(n);
                }
            }
            self.piece = self.coming.blocking_recv();
            self.n_read = 0;
            if self.piece.is_some() {
                continue;
            }
            // The end of the pieces is the end of the blob only when the download says so.
            let Some((handle, download)) = self.download.take() else {
                return Ok(0);
            };
            return match handle.block_on(download) {
                Ok(Ok(())) => Ok(0),
                Ok(Err(error)) => Err(io::Error::other(error)),
                Err(error) => Err(io::Error::other(error)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_of_another_blob_do_not_come() {
        for (bytes, fits) in [
            (&b"abcdef"[..], true),
            (b"abcdeX", false),
            (b"abcdefg", false),
        ] {
            let blob = Descriptor::of(MediaType::OCI_LAYER, b"abcdef");
            let mut reader = Checked::new(bytes, &blob).take(blob.size);
            let mut read = Vec::new();
            let outcome = reader.read_to_end(&mut read);
            // What goes on behind its size is never read, and so is no fault.
            assert_eq!(
                outcome.is_ok(),
                fits || bytes.starts_with(b"abcdef"),
                "{bytes:?}"
            );
        }
    }
}
