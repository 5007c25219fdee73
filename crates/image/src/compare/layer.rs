//! What differs between two tars.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use acetate_oci::{Descriptor, Digest, DigestHasher, Timestamp};
use tar::EntryType;

use crate::ImageError;
use crate::flatten::TarReader;
use crate::layer::unpacked;
use crate::layout::Layout;

/// One path that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryChange {
    /// The path, with `U+FFFD` for what is no text.
    pub path: String,
    /// What of it.
    pub change: Change,
}

/// What of an entry differs. Of several things the first that is said here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the first build has it.
    Removed,
    /// Only the second build has it.
    Added,
    /// Its bytes, of this many before and after.
    Content(u64, u64),
    /// An attribute: its name and both values.
    Attribute(&'static str, String, String),
    /// Its time of modification, and nothing else.
    Time,
}

/// What is compared of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    kind: EntryType,
    link: Vec<u8>,
    mode: u32,
    owner: (u64, u64),
    device: (u32, u32),
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    size: u64,
    content: Digest,
    mtime: Timestamp,
}

/// The entries of a layer by path.
pub(super) fn read(
    layout: &Layout,
    layer: &Descriptor,
) -> Result<BTreeMap<Vec<u8>, Entry>, ImageError> {
    let what = format!("the layer `{}`", layer.digest);
    let compression = layer
        .media_type
        .compression()
        .ok_or_else(|| ImageError::unsupported(&what, "its type is unknown"))?;
    let open = || -> Result<Box<dyn Read + Send>, ImageError> {
        let blob = layout.blob(&layer.digest)?;
        let blob = blob.ok_or_else(|| ImageError::NotFound { what: what.clone() })?;
        unpacked(blob.reader, compression).map_err(ImageError::io(&what))
    };
    let mut headers = TarReader::new(open()?);
    let mut contents = Contents::new(open()?);
    let mut found = BTreeMap::new();
    let failed = |error: io::Error| ImageError::corrupt(&what, error);
    while let Some(entry) = headers.next_entry().map_err(failed)? {
        let content = contents.digest(entry.offset, entry.size).map_err(failed)?;
        let read = Entry {
            kind: entry.kind,
            link: entry.link,
            mode: entry.mode,
            owner: (entry.uid, entry.gid),
            device: entry.device,
            xattrs: entry.xattrs,
            size: entry.size,
            content,
            mtime: entry.mtime,
        };
        found.insert(entry.path, read);
    }
    Ok(found)
}

/// Hashes parts of a stream, in the order in which they stand in it.
struct Contents {
    input: BufReader<Box<dyn Read + Send>>,
    at: u64,
}

impl Contents {
    fn new(input: Box<dyn Read + Send>) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            at: 0,
        }
    }

    fn digest(&mut self, offset: u64, size: u64) -> io::Result<Digest> {
        if size == 0 {
            return Ok(DigestHasher::new().finish());
        }
        let skipped = offset.saturating_sub(self.at);
        io::copy(&mut (&mut self.input).take(skipped), &mut io::sink())?;
        let mut reader = acetate_oci::HashingReader::new((&mut self.input).take(size));
        io::copy(&mut reader, &mut io::sink())?;
        self.at = offset + size;
        Ok(reader.finish().1)
    }
}

/// All paths that differ, sorted.
pub(super) fn changes(
    before: &BTreeMap<Vec<u8>, Entry>,
    after: &BTreeMap<Vec<u8>, Entry>,
) -> Vec<EntryChange> {
    let added = after.keys().filter(|path| !before.contains_key(*path));
    let mut paths: Vec<&Vec<u8>> = before.keys().chain(added).collect();
    paths.sort();
    let changed = paths.into_iter().filter_map(|path| {
        let change = match (before.get(path), after.get(path)) {
            (Some(old), Some(new)) => change(old, new)?,
            (Some(_), None) => Change::Removed,
            (None, _) => Change::Added,
        };
        Some(EntryChange {
            path: String::from_utf8_lossy(path).into_owned(),
            change,
        })
    });
    changed.collect()
}

fn change(old: &Entry, new: &Entry) -> Option<Change> {
    let attribute = |name, old: String, new: String| Some(Change::Attribute(name, old, new));
    if old.kind != new.kind {
        return attribute("type", format!("{:?}", old.kind), format!("{:?}", new.kind));
    }
    if (old.size, old.content) != (new.size, new.content) {
        return Some(Change::Content(old.size, new.size));
    }
    if old.link != new.link {
        let text = |link: &[u8]| String::from_utf8_lossy(link).into_owned();
        return attribute("target", text(&old.link), text(&new.link));
    }
    if old.mode != new.mode {
        let text = |mode: u32| format!("{mode:04o}");
        return attribute("mode", text(old.mode), text(new.mode));
    }
    if old.owner != new.owner {
        let text = |(uid, gid): (u64, u64)| format!("{uid}:{gid}");
        return attribute("owner", text(old.owner), text(new.owner));
    }
    if old.device != new.device {
        let text = |(major, minor): (u32, u32)| format!("{major}:{minor}");
        return attribute("device", text(old.device), text(new.device));
    }
    if old.xattrs != new.xattrs {
        let names = |entry: &Entry| {
            let names = entry
                .xattrs
                .keys()
                .map(|name| String::from_utf8_lossy(name));
            names.collect::<Vec<_>>().join(" ")
        };
        return attribute("extended attributes", names(old), names(new));
    }
    (old.mtime != new.mtime).then_some(Change::Time)
}
