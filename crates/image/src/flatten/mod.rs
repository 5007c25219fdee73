//! The root file system of an image: all layers laid on one another, without unpacking them.
//!
//! The tars are scanned once, bottom to top, into a tree of names and attributes; contents stay
//! where they are and are read by position when the tree is written out. Memory grows with the
//! number of names, not with their contents.

mod reader;
mod scan;
mod tree;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use acetate_store::{Store, StoreError};
use rustix::fs::{Mode, OFlags};

pub(crate) use self::reader::TarReader;
pub(crate) use self::scan::{Attributes, Device};
pub(crate) use self::tree::{InodeId, Node, Tree};
use crate::layer::ImageLayer;
use crate::layout::Slice;
use crate::{ExportError, ExtraFile, ImageError};

/// Where the bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    source: usize,
    offset: u64,
    /// How many bytes there are.
    pub(crate) size: u64,
}

/// The files that contents are read from: blobs that are plain tars, and spilled copies of others.
#[derive(Debug, Default)]
pub(crate) struct Sources(Vec<Arc<File>>);

/// A flattened image.
#[derive(Debug)]
pub(crate) struct Flat {
    pub(crate) tree: Tree,
    sources: Sources,
}

impl Flat {
    /// Opens the bytes of a file.
    pub(crate) fn open(&self, content: Content) -> impl Read + use<> {
        let source = Arc::clone(&self.sources.0[content.source]);
        Slice::new(source, content.offset, content.size)
    }

    /// Lays a file into the root; false when something has its name already.
    pub(crate) fn add(&mut self, store: &Store, file: &ExtraFile) -> Result<bool, StoreError> {
        let mut spilled = unnamed_file(store)?;
        let failed = |error| StoreError::io("write", store.root().join("tmp").as_path(), error);
        spilled.write_all(&file.bytes).map_err(failed)?;
        let attributes = Attributes {
            // It may tell of build arguments that are nobody else's business.
            mode: 0o600,
            mtime: file.mtime,
            ..Attributes::implied()
        };
        let content = Content {
            source: self.sources.add(spilled),
            offset: 0,
            size: file.bytes.len() as u64,
        };
        Ok(self.tree.add(file.name.as_bytes(), attributes, content))
    }
}

/// Flattens layers, bottom first; every layer is verified on the way.
pub(crate) fn flatten(store: &Store, layers: &[ImageLayer]) -> Result<Flat, ExportError> {
    let mut sources = Sources::default();
    let mut tree = Tree::default();
    for layer in layers {
        let scanned = scan::scan(store, layer, &mut sources)?;
        tree.apply(scanned).map_err(|reason| {
            let what = format!("layer `{}`", layer.descriptor.digest);
            ImageError::corrupt(what, reason)
        })?;
    }
    Ok(Flat { tree, sources })
}

impl Sources {
    fn add(&mut self, file: File) -> usize {
        self.0.push(Arc::new(file));
        self.0.len() - 1
    }
}

/// A file without a name below the store, which ends with its last descriptor.
fn unnamed_file(store: &Store) -> Result<File, StoreError> {
    let dir = store.root().join("tmp");
    let failed = |error: rustix::io::Errno| StoreError::io("make a file in", &dir, error.into());
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    let opened: Result<OwnedFd, _> = match rustix::fs::open(&dir, flags | OFlags::TMPFILE, mode) {
        // File systems that cannot make such files: give one a name for a moment.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
            let path = dir.join(format!(
                "spill.{}.{:?}",
                std::process::id(),
                std::thread::current().id()
            ));
            let file = rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL, mode);
            file.and_then(|file| rustix::fs::unlink(&path).map(|()| file))
        }
        outcome => outcome,
    };
    opened.map(File::from).map_err(failed)
}

/// Copies what is read through it.
struct Tee<'a, R> {
    reader: R,
    copy: Option<&'a File>,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        if let Some(mut copy) = self.copy {
            io::Write::write_all(&mut copy, &buffer[..n])?;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
