//! Where the bytes of a blob come from.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use acetate_net::BodySource;
use acetate_oci::Descriptor;

use crate::Progress;

/// Gives the bytes of a blob, from any place on, as often as it is asked.
pub trait BlobSource: fmt::Debug + Send + Sync {
    /// The bytes from `offset` on; read on a thread that may block.
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>>;
}

/// A blob that is a file, as in a store.
#[derive(Clone, Debug)]
pub struct FileSource(pub PathBuf);

impl BlobSource for FileSource {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.0)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

/// A blob in memory.
#[derive(Clone)]
pub struct MemorySource(pub Arc<[u8]>);

impl fmt::Debug for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySource({} bytes)", self.0.len())
    }
}

impl BlobSource for MemorySource {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut cursor = Cursor::new(Arc::clone(&self.0));
        cursor.set_position(offset);
        Ok(Box::new(cursor))
    }
}

/// A part of a blob as the body of a request, which tells how far it is.
pub(super) struct Part {
    pub(super) blob: Descriptor,
    pub(super) source: Arc<dyn BlobSource>,
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) progress: Arc<dyn Progress>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Part({} at {}+{})",
            self.blob.digest, self.start, self.length
        )
    }
}

impl BodySource for Part {
    fn size(&self) -> u64 {
        self.length
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Counted {
            reader: self.source.open(self.start)?,
            blob: self.blob.clone(),
            n_done: self.start,
            progress: Arc::clone(&self.progress),
        }))
    }
}

struct Counted {
    reader: Box<dyn Read + Send>,
    blob: Descriptor,
    n_done: u64,
    progress: Arc<dyn Progress>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        if n > 0 {
            self.n_done += n as u64;
            self.progress.moved(&self.blob, self.n_done);
        }
        Ok(n)
    }
}
