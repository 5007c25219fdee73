//! Layers that come out of a layout.

use std::io::{self, Read, Write};
use std::sync::{Arc, mpsc};

use acetate_oci::{Compression, Descriptor, Digest, DigestHasher};
use acetate_store::{BlobRef, BlobWriter, Expect, StoreError};

use super::cache::{Inner, LayoutCache, MAX_LAYER};
use super::verified;
use crate::remote::{Cause, LayerForm, Lost, RemoteLayer};

/// Bytes read at a time.
const PIECE: usize = 1 << 20;
/// Pieces that wait to be hashed.
const QUEUE: usize = 4;
/// For a tar of fewer bytes a thread is not worth it.
const SMALL: u64 = 4 << 20;

impl LayoutCache {
    /// Brings the blob of a layer into the store, as it is compressed here.
    pub(super) async fn fetch_into_store(&self, layer: &RemoteLayer) -> Result<BlobRef, Lost> {
        let fetched = self.try_fetch(layer).await;
        self.0.notes.count(|stats| match &fetched {
            Ok(_) => {}
            Err(_) => stats.layers_lost += 1,
        });
        fetched.inspect_err(|lost| {
            tracing::debug!(layer = %layer.diff_id, %lost, "a layer of a layout did not come");
        })
    }

    async fn try_fetch(&self, layer: &RemoteLayer) -> Result<BlobRef, Lost> {
        let LayerForm::Blob(blob) = &layer.form else {
            return Err(Lost::Elsewhere);
        };
        if layer.size > MAX_LAYER || blob.size > MAX_LAYER {
            return Err(Lost::TooLarge);
        }
        if !self.0.owns(&self.loaded().await.catalog, &blob.digest) {
            return Err(Lost::Elsewhere);
        }
        // Another step, or another build, may be fetching it: the second one finds it here.
        let name = format!("fetch-{}", blob.digest.hex());
        let _lock = self.0.store.lock(&name).await.map_err(local)?;
        let _slot = self.0.slots.acquire().await;
        let (inner, layer, blob) = (Arc::clone(&self.0), layer.clone(), blob.clone());
        acetate_stdx::blocking(move || inner.bring(&layer, &blob)).await
    }
}

impl Inner {
    fn owns(&self, loaded: &super::catalog::Catalog, blob: &Digest) -> bool {
        loaded.owns(blob) || self.state().ours.owns(blob)
    }

    fn bring(&self, layer: &RemoteLayer, blob: &Descriptor) -> Result<BlobRef, Lost> {
        let brought = BlobRef {
            media_type: blob.media_type.clone(),
            digest: blob.digest,
            size: blob.size,
        };
        let is_known = verified::holds(&self.store, &blob.digest, &layer.diff_id).map_err(local)?;
        if is_known && verified::is_here(&self.store, &blob.digest).map_err(local)? {
            return Ok(brought);
        }
        let opened = self.dir.open_blob(&blob.digest);
        let opened = opened.map_err(|error| self.unreadable(&error))?;
        let Some((file, size)) = opened else {
            return Err(Lost::Missing(blob.digest));
        };
        let is_plain = blob.digest == layer.diff_id;
        if size != blob.size || (is_plain && size != layer.size) {
            return Err(self.damaged(&blob.digest));
        }
        let writer = self.store.blobs().writer().map_err(local)?;
        let mut copy = Copy::new(file, writer);
        let check = match blob.media_type.compression() {
            // Its digest says all, and is checked in any case.
            _ if is_known => Ok(true),
            None => Ok(false),
            Some(how) => is_tar(&mut copy, how, layer),
        };
        let is_right = match check.and_then(|is_right| copy.finish().map(|()| is_right)) {
            Ok(is_right) => is_right,
            // What cannot be unpacked is no layer; that the disk is full is another matter.
            Err(error) => match copy.fault.take() {
                Some(Side::Store(error)) => return Err(Lost::Local(error)),
                Some(Side::Layout(error)) => return Err(self.unreadable(&error)),
                None => {
                    tracing::debug!(%error, blob = %blob.digest, "a layer cannot be unpacked");
                    false
                }
            },
        };
        if !is_right {
            return Err(self.damaged(&blob.digest));
        }
        match copy.writer.commit(Expect::descriptor(blob)) {
            Ok(_) => {}
            Err(StoreError::WrongDigest { .. } | StoreError::WrongSize { .. }) => {
                return Err(self.damaged(&blob.digest));
            }
            Err(error) => return Err(local(error)),
        }
        verified::note(&self.store, &blob.digest, &layer.diff_id);
        self.notes.count(|stats| stats.bytes_down += blob.size);
        Ok(brought)
    }

    /// Remembers that a blob is of no use, and warns once.
    fn damaged(&self, blob: &Digest) -> Lost {
        let place = self.real_path();
        verified::note_spoilt(&self.store, &place.to_string_lossy(), blob);
        self.notes.warn(Cause::Damaged, || {
            let dir = self.dir.path().display();
            format!("the cache in `{dir}` holds a damaged layer, which is made again")
        });
        Lost::Damaged(*blob)
    }

    fn unreadable(&self, error: &io::Error) -> Lost {
        let cause = super::notes::cause(error);
        self.notes.warn(cause, || {
            let dir = self.dir.path().display();
            format!("a layer in the cache in `{dir}` cannot be read: {error}")
        });
        Lost::Cache(cause)
    }
}

fn local(error: StoreError) -> Lost {
    Lost::Local(io::Error::other(error))
}

/// Unpacks a blob while it is copied, and tells whether it gives the tar of the layer.
fn is_tar(copy: &mut Copy, how: Compression, layer: &RemoteLayer) -> io::Result<bool> {
    let mut tar = acetate_image::unpacked(copy, how)?.take(layer.size + 1);
    let hasher = if layer.size > SMALL {
        hash_aside(&mut tar)?
    } else {
        let mut hasher = DigestHasher::new();
        io::copy(&mut tar, &mut hasher)?;
        hasher
    };
    Ok(hasher.bytes_hashed() == layer.size && hasher.finish() == layer.diff_id)
}

/// Hashes on a thread of its own what is read here, so that one large layer keeps two cores at work.
fn hash_aside(reader: &mut impl Read) -> io::Result<DigestHasher> {
    let (full, pieces) = mpsc::sync_channel::<Vec<u8>>(QUEUE);
    let (empty, spare) = mpsc::channel::<Vec<u8>>();
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || {
            let mut hasher = DigestHasher::new();
            for piece in pieces {
                hasher.update(&piece);
                // Nobody takes it when the reader has come to its end.
                drop(empty.send(piece));
            }
            hasher
        });
        let reading = loop {
            let mut piece = spare
                .try_recv()
                .unwrap_or_else(|_| Vec::with_capacity(PIECE));
            piece.clear();
            match reader.take(PIECE as u64).read_to_end(&mut piece) {
                Ok(0) => break Ok(()),
                Ok(_) => drop(full.send(piece)),
                Err(error) => break Err(error),
            }
        };
        drop(full);
        let hasher = hashing.join().expect("hashing does not panic");
        reading.map(|()| hasher)
    })
}

/// Gives the bytes of a file to a reader and writes them to the store on the way.
struct Copy {
    file: std::fs::File,
    writer: BlobWriter,
    /// What failed that has nothing to do with the bytes.
    fault: Option<Side>,
}

enum Side {
    Layout(io::Error),
    Store(io::Error),
}

impl Copy {
    fn new(file: std::fs::File, writer: BlobWriter) -> Self {
        Self {
            file,
            writer,
            fault: None,
        }
    }

    /// Copies what no reader wanted.
    fn finish(&mut self) -> io::Result<()> {
        let mut piece = vec![0; PIECE];
        while self.read(&mut piece)? > 0 {}
        Ok(())
    }

    fn failed(&mut self, side: Side) -> io::Error {
        self.fault = Some(side);
        io::Error::other("the layer cannot be copied")
    }
}

impl Read for Copy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match self.file.read(buffer) {
            Ok(n) => n,
            Err(error) => return Err(self.failed(Side::Layout(error))),
        };
        if let Err(error) = self.writer.write_all(&buffer[..n]) {
            return Err(self.failed(Side::Store(error)));
        }
        Ok(n)
    }
}
