//! Blobs of layers on their way into the store, checked while they come.

use std::io::{self, Read, Write};
use std::sync::mpsc;

use acetate_oci::{Compression, Descriptor, DigestHasher};
use acetate_store::{BlobRef, BlobWriter, Expect, Store, StoreError};

use super::verified;
use crate::remote::{Lost, RemoteLayer};

/// Bytes read at a time.
const PIECE: usize = 1 << 20;
/// Pieces that wait to be hashed.
const QUEUE: usize = 4;
/// For a tar of fewer bytes a thread is not worth it.
const SMALL: u64 = 4 << 20;

/// Why a blob did not come in.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is not what the record says.
    Wrong,
    /// It could not be read.
    Reader(io::Error),
    /// It could not be written: a fault of this machine.
    Store(io::Error),
}

/// What a store has of a layer that a record names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// The blob is here, and is known to unpack to the tar of the layer.
    Here,
    /// That is known, and the blob is not here any more.
    Tar,
    /// Nothing.
    Nothing,
}

/// Tells what the store has of a layer; its blob is pinned where it is here.
pub(crate) fn known(store: &Store, layer: &RemoteLayer, blob: &Descriptor) -> Result<Known, Lost> {
    if !verified::holds(store, &blob.digest, &layer.diff_id).map_err(local)? {
        return Ok(Known::Nothing);
    }
    let is_here = verified::is_here(store, &blob.digest).map_err(local)?;
    Ok(if is_here { Known::Here } else { Known::Tar })
}

/// Writes a blob to the store, and unpacks it on the way unless it is known what is in it.
pub(crate) fn take_in(
    store: &Store,
    layer: &RemoteLayer,
    blob: &Descriptor,
    known: Known,
    reader: impl Read + Send,
) -> Result<(), Refused> {
    let writer = store.blobs().writer().map_err(unwritten)?;
    let mut copy = Copy::new(reader, writer);
    let check = match blob.media_type.compression() {
        // Its digest says all, and is checked in any case.
        _ if known != Known::Nothing || blob.digest == layer.diff_id => Ok(true),
        None => Ok(false),
        Some(how) => is_tar(&mut copy, how, layer),
    };
    match check.and_then(|is_right| copy.finish().map(|()| is_right)) {
        Ok(true) => {}
        Ok(false) => return Err(Refused::Wrong),
        // What cannot be unpacked is no layer; that the disk is full is another matter.
        Err(error) => {
            return Err(copy.fault.take().unwrap_or_else(|| {
                tracing::debug!(%error, blob = %blob.digest, "a layer cannot be unpacked");
                Refused::Wrong
            }));
        }
    }
    match copy.writer.commit(Expect::descriptor(blob)) {
        Ok(_) => {}
        Err(StoreError::WrongDigest { .. } | StoreError::WrongSize { .. }) => {
            return Err(Refused::Wrong);
        }
        Err(error) => return Err(unwritten(error)),
    }
    verified::note(store, &blob.digest, &layer.diff_id);
    Ok(())
}

/// A blob by what the store needs to know of it.
pub(crate) fn blob_ref(blob: &Descriptor) -> BlobRef {
    BlobRef {
        media_type: blob.media_type.clone(),
        digest: blob.digest,
        size: blob.size,
    }
}

pub(crate) fn local(error: StoreError) -> Lost {
    Lost::Local(io::Error::other(error))
}

fn unwritten(error: StoreError) -> Refused {
    Refused::Store(io::Error::other(error))
}

/// Unpacks a blob while it is copied, and tells whether it gives the tar of the layer.
fn is_tar<R: Read + Send>(
    copy: &mut Copy<R>,
    how: Compression,
    layer: &RemoteLayer,
) -> io::Result<bool> {
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

/// Gives the bytes of a source to a reader and writes them to the store on the way.
struct Copy<R> {
    reader: R,
    writer: BlobWriter,
    /// What failed that has nothing to do with the bytes.
    fault: Option<Refused>,
}

impl<R: Read + Send> Copy<R> {
    fn new(reader: R, writer: BlobWriter) -> Self {
        Self {
            reader,
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

    fn failed(&mut self, fault: Refused) -> io::Error {
        self.fault = Some(fault);
        io::Error::other("the layer cannot be copied")
    }
}

impl<R: Read + Send> Read for Copy<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = match self.reader.read(buffer) {
            Ok(n) => n,
            Err(error) => return Err(self.failed(Refused::Reader(error))),
        };
        if let Err(error) = self.writer.write_all(&buffer[..n]) {
            return Err(self.failed(Refused::Store(error)));
        }
        Ok(n)
    }
}
