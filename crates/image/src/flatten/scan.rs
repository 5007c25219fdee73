//! Reads the headers of one layer's tar.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;

use acetate_oci::{Compression, Timestamp};
use acetate_store::{Store, StoreError};
use tar::EntryType;

use super::reader::{RawEntry, TarReader};
use super::{Content, Sources, Tee, unnamed_file};
use crate::layer::ImageLayer;
use crate::{ExportError, ImageError};

/// Marks of the OCI layer format.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Names that belong to aufs, which began this format, and to nothing else.
const AUFS: &[u8] = b".wh..wh.";

/// A path within the layer: names without `.`, `..` and slashes; empty for the root.
pub(crate) type Names = Vec<Vec<u8>>;

/// What a layer says, apart by when it must be done.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    /// Names that the layers below lose.
    pub(crate) whiteouts: Vec<Names>,
    /// Directories whose content below is lost.
    pub(crate) opaques: Vec<Names>,
    /// Names that this layer brings, in its order.
    pub(crate) entries: Vec<(Names, Item, Attributes)>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Directory,
    File(Content),
    Symlink(Vec<u8>),
    /// Another name of what these names lead to.
    Hardlink(Names),
    Device(Device),
    Fifo,
}

/// A device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Char(u32, u32),
    Block(u32, u32),
}

/// What every entry has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Permission bits with set-id and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: Timestamp,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Attributes {
    /// Those of a directory that a layer uses without naming it.
    pub(crate) fn implied() -> Self {
        Self {
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Timestamp::from_secs(0),
            xattrs: BTreeMap::new(),
        }
    }
}

/// Scans a layer; one that is not a plain tar in the store is spilled to a file on the way.
pub(crate) fn scan(
    store: &Store,
    layer: &ImageLayer,
    sources: &mut Sources,
) -> Result<Scanned, ExportError> {
    let what = || format!("layer `{}`", layer.descriptor.digest);
    let Some(reader) = layer.open(store)? else {
        return Err(ImageError::NotFound { what: what() }.into());
    };
    let path = store.blobs().path(&layer.descriptor.digest);
    let open = |error| StoreError::io("open", &path, error);
    let (source, spill) = if layer.compression()? == Compression::None {
        (sources.add(File::open(&path).map_err(open)?), None)
    } else {
        let spill = unnamed_file(store)?;
        let copy = spill.try_clone().map_err(open)?;
        (sources.add(spill), Some(copy))
    };
    let mut reader = Tee {
        reader,
        copy: spill.as_ref(),
    };
    let mut scanned = Scanned::default();
    let mut read = || -> io::Result<()> {
        let mut entries = TarReader::new(&mut reader);
        while let Some(entry) = entries.next_entry()? {
            note(entry, source, &mut scanned)?;
        }
        Ok(())
    };
    let read = read().and_then(|()| reader.reader.finish());
    read.map_err(|error| failed(error, layer))?;
    Ok(scanned)
}

/// Tells a broken layer from a broken disk.
fn failed(error: io::Error, layer: &ImageLayer) -> ExportError {
    let what = format!("layer `{}`", layer.descriptor.digest);
    match error.raw_os_error() {
        Some(_) => StoreError::io("read", what.as_ref(), error).into(),
        None => ImageError::corrupt(what, error).into(),
    }
}

fn note(entry: RawEntry, source: usize, scanned: &mut Scanned) -> io::Result<()> {
    let names = names(&entry.path)?;
    if mark(&names, scanned) {
        return Ok(());
    }
    let item = item(&entry, source)?;
    let attributes = Attributes {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: entry.xattrs,
    };
    scanned.entries.push((names, item, attributes));
    Ok(())
}

/// Notes a whiteout; false when the name is an ordinary one.
fn mark(names: &Names, scanned: &mut Scanned) -> bool {
    let Some((last, parents)) = names.split_last() else {
        return false;
    };
    if last == OPAQUE {
        scanned.opaques.push(parents.to_vec());
    } else if last.starts_with(AUFS) {
        tracing::debug!("an entry that only aufs understands was skipped");
    } else if let Some(hidden) = last.strip_prefix(WHITEOUT) {
        let mut hidden_names = parents.to_vec();
        hidden_names.push(hidden.to_vec());
        // A bare `.wh.` hides nothing.
        if !hidden.is_empty() {
            scanned.whiteouts.push(hidden_names);
        }
    } else {
        return false;
    }
    true
}

fn item(entry: &RawEntry, source: usize) -> io::Result<Item> {
    let target = || match entry.link.as_slice() {
        b"" => Err(bad(entry, "is a link without target")),
        target => Ok(target),
    };
    let (major, minor) = entry.device;
    Ok(match entry.kind {
        EntryType::Directory => Item::Directory,
        EntryType::Regular | EntryType::Continuous => Item::File(Content {
            source,
            offset: entry.offset,
            size: entry.size,
        }),
        EntryType::Symlink => Item::Symlink(target()?.to_vec()),
        EntryType::Link => Item::Hardlink(names(target()?)?),
        EntryType::Fifo => Item::Fifo,
        EntryType::Block => Item::Device(Device::Block(major, minor)),
        // To overlayfs this is a whiteout; a layer has no business to hold one.
        EntryType::Char if (major, minor) == (0, 0) => {
            return Err(bad(entry, "is the character device 0:0"));
        }
        EntryType::Char => Item::Device(Device::Char(major, minor)),
        kind => {
            let kind = char::from(kind.as_byte()).escape_default();
            return Err(bad(entry, &format!("has the unknown type `{kind}`")));
        }
    })
}

fn bad(entry: &RawEntry, reason: &str) -> io::Error {
    let path = String::from_utf8_lossy(&entry.path)
        .escape_debug()
        .to_string();
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("entry `{path}` {reason}"),
    )
}

/// Splits a path; it may begin with slashes or dots, and may not climb.
fn names(path: &[u8]) -> io::Result<Names> {
    let mut names = Names::new();
    for name in path.split(|b| *b == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                let path = String::from_utf8_lossy(path).into_owned();
                let reason = format!("path `{path}` leads out of its directory");
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            name if name.contains(&0) => {
                let reason = "a name holds a zero byte";
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            name => names.push(name.to_vec()),
        }
    }
    Ok(names)
}
