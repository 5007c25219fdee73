//! Unpacks archives that ADD finds by their content: tar, plain or in gzip, bzip2, xz or zstd.

use crate::frames::Frames;
use crate::selection::Item;
use crate::staging::{Attrs, Implied, Staging};
use crate::{Content, FilesError, Node, NodeKind, Owner, Tree, bytes_path, resolve};
use acetate_oci::{Digest, HashingReader, Timestamp};
use acetate_snapshot::{BadLayer, TarEntry, TarKind, TarReader, TarRules};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// An archive whose first bytes said what it is.
pub(crate) struct Archive {
    /// The tar, decompressed while it is read.
    tar: Box<dyn Read>,
    /// All that is read of the file itself, hashed.
    raw: Raw,
}

type Raw = Rc<RefCell<HashingReader<Content>>>;

/// How many bytes are looked at: the header of a tar.
const PEEK: usize = 512;
const BUFFER: usize = 128 * 1024;

/// Tells by content whether a file is an archive; names do not matter (S55).
pub(crate) fn detect(path: &Path, content: Content) -> Result<Option<Archive>, FilesError> {
    let raw: Raw = Rc::new(RefCell::new(HashingReader::new(content)));
    let mut shared = Shared(Rc::clone(&raw));
    // An error of the disk is one; an error in what only looks compressed is none.
    let head = peek(&mut shared).map_err(FilesError::io("read", path))?;
    let stream = BufReader::with_capacity(BUFFER, Cursor::new(head).chain(shared));
    let Ok(mut tar) = Frames::new(stream) else {
        return Ok(None);
    };
    // What cannot be decompressed or holds no tar is a file like any other.
    let Ok(first) = peek(&mut tar) else {
        return Ok(None);
    };
    if !acetate_snapshot::is_tar(&first) {
        return Ok(None);
    }
    Ok(Some(Archive {
        tar: Box::new(Cursor::new(first).chain(tar)),
        raw,
    }))
}

/// The tar that a file holds, decompressed while it is read; none when it is no archive.
pub fn tar_of(path: &Path, content: Content) -> Result<Option<Box<dyn Read>>, FilesError> {
    Ok(detect(path, content)?.map(|archive| archive.tar))
}

/// Unpacks into the directory `place`; with `owner` every entry belongs to it (S57).
///
/// Nothing of what is there is deleted, but files that entries replace.
pub(crate) fn unpack(
    staging: &mut Staging<'_>,
    archive: Archive,
    place: &Path,
    owner: Option<&Owner>,
    item: &Item,
) -> Result<(), FilesError> {
    let path = &item.node.path;
    let broken = |bad: BadLayer| broken(path, bad.to_string());
    let input = BufReader::with_capacity(BUFFER, archive.tar);
    let mut tar = TarReader::new(input, TarRules::Archive);
    let mut unpacker = Unpacker {
        staging,
        place,
        owner,
        archive: path,
        dir_times: BTreeMap::new(),
    };
    while let Some(entry) = tar.next_entry().map_err(broken)? {
        unpacker.entry(&entry, &mut tar)?;
    }
    unpacker.finish();
    verify(archive.raw, item, tar.into_inner())
}

/// The frames must be whole, and the archive's own bytes those that the key was made from.
fn verify(raw: Raw, item: &Item, mut rest: impl Read) -> Result<(), FilesError> {
    let path = &item.node.path;
    io::copy(&mut rest, &mut io::sink()).map_err(|error| broken(path, error.to_string()))?;
    io::copy(&mut Shared(Rc::clone(&raw)), &mut io::sink())
        .map_err(FilesError::io("read", path))?;
    drop(rest);
    let digest: Option<Digest> = Rc::try_unwrap(raw)
        .ok()
        .map(|reader| reader.into_inner().finish().1);
    match (digest, item.digest) {
        (Some(read), Some(pinned)) if read != pinned => {
            Err(FilesError::Changed { path: path.clone() })
        }
        _ => Ok(()),
    }
}

fn broken(path: &Path, reason: String) -> FilesError {
    FilesError::Archive {
        path: path.to_owned(),
        reason,
    }
}

/// Reads the one reader that several parts hold.
struct Shared(Raw);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

fn peek(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(PEEK);
    reader.take(PEEK as u64).read_to_end(&mut head)?;
    Ok(head)
}

struct Unpacker<'u, 's, 'b> {
    staging: &'s mut Staging<'b>,
    place: &'u Path,
    owner: Option<&'u Owner>,
    archive: &'u Path,
    /// The times that directories have at the end: that of their entry, and that of the build where
    /// something was put into one without an entry.
    dir_times: BTreeMap<PathBuf, DirTime>,
}

#[derive(Debug, Clone, Copy)]
enum DirTime {
    Entry(Timestamp),
    Build,
}

impl Unpacker<'_, '_, '_> {
    fn entry<R: Read>(
        &mut self,
        entry: &TarEntry,
        content: &mut TarReader<R>,
    ) -> Result<(), FilesError> {
        let name = self.inside(entry, &entry.name)?;
        // The directory that is unpacked into is no part of the archive.
        if name.as_os_str().is_empty() {
            return Ok(());
        }
        let place = self.make_place(&name)?;
        let attrs = Attrs {
            mode: entry.mode,
            owner: self.owner.cloned().unwrap_or(Owner {
                uid: entry.uid,
                gid: entry.gid,
            }),
            mtime: entry.mtime,
            xattrs: &entry.xattrs,
        };
        if entry.kind != TarKind::Dir {
            if self.is_dir(&place)? {
                self.staging.remove_dir(&place)?;
            }
            self.note_name(&place);
        }
        match &entry.kind {
            TarKind::Dir => self.directory(&place, &attrs),
            TarKind::File { .. } => self.file(content, &place, &attrs),
            TarKind::Symlink(target) => {
                self.staging
                    .put_symlink(&place, &bytes_path(target), &attrs)
            }
            TarKind::Hardlink(target) => self.link(entry, target, &place),
            TarKind::CharDevice { major, minor } => {
                let kind = NodeKind::CharDevice(*major, *minor);
                self.staging.put_node(&place, &kind, &attrs)
            }
            TarKind::BlockDevice { major, minor } => {
                let kind = NodeKind::BlockDevice(*major, *minor);
                self.staging.put_node(&place, &kind, &attrs)
            }
            TarKind::Fifo => self.staging.put_node(&place, &NodeKind::Fifo, &attrs),
        }
    }

    /// Cleans a name; one that climbs out of the archive is refused.
    fn inside(&self, entry: &TarEntry, name: &[u8]) -> Result<PathBuf, FilesError> {
        let path = bytes_path(name);
        let mut out = PathBuf::new();
        for component in path.components() {
            match component {
                Component::Normal(name) => out.push(name),
                // Above the root is the root; above the archive is nothing.
                Component::ParentDir if !out.pop() && !path.is_absolute() => {
                    return Err(self.refuse(entry, "leads out of it with `..`"));
                }
                _ => {}
            }
        }
        if name.is_empty() {
            return Err(self.refuse(entry, "has no name"));
        }
        Ok(out)
    }

    /// Where an entry goes: links in its parents are followed inside the root, and missing parents
    /// are made.
    fn make_place(&mut self, name: &Path) -> Result<PathBuf, FilesError> {
        let place = self.locate(name)?;
        let implied = Implied {
            mode: 0o755,
            owner: self.owner.cloned().unwrap_or_default(),
            mtime: self.staging.now(),
        };
        if let Some(parent) = place.parent() {
            self.staging.make_dirs(parent, &implied)?;
        }
        Ok(place)
    }

    /// The place of a name, the links of its parents followed.
    fn locate(&self, name: &Path) -> Result<PathBuf, FilesError> {
        let parent = self.place.join(name.parent().unwrap_or(Path::new("")));
        let parent = resolve::place(self.staging, &parent)?;
        Ok(parent.join(name.file_name().unwrap_or_default()))
    }

    /// Merges with a directory that is there; anything else gives way, a link to one too.
    fn directory(&mut self, place: &Path, attrs: &Attrs<'_>) -> Result<(), FilesError> {
        if self.is_dir(place)? {
            self.staging.put_dir(place, attrs)?;
        } else {
            self.note_name(place);
            self.staging.replace_by_dir(place, attrs)?;
        }
        let time = DirTime::Entry(attrs.mtime);
        self.dir_times.insert(place.to_owned(), time);
        Ok(())
    }

    fn is_dir(&self, place: &Path) -> Result<bool, FilesError> {
        Ok(self
            .staging
            .lookup(place)?
            .is_some_and(|node| node.is_dir()))
    }

    /// Notes that a name is made, which moves the time of its directory.
    fn note_name(&mut self, place: &Path) {
        if let Some(parent) = place.parent() {
            let times = self.dir_times.entry(parent.to_owned());
            times.or_insert(DirTime::Build);
        }
    }

    fn finish(self) {
        let now = self.staging.now();
        for (dir, time) in &self.dir_times {
            let time = match time {
                DirTime::Entry(time) => *time,
                DirTime::Build => now,
            };
            self.staging.set_dir_time(dir, time);
        }
    }

    fn link(&mut self, entry: &TarEntry, target: &[u8], place: &Path) -> Result<(), FilesError> {
        let first = self.inside(entry, target)?;
        let first = self.locate(&first)?;
        if first == place {
            return Err(self.refuse(entry, "is a hard link to itself"));
        }
        match self.staging.lookup(&first)? {
            None => Err(self.refuse(entry, "is a hard link to what does not exist")),
            Some(node) if node.is_dir() => Err(self.refuse(entry, "is a hard link to a directory")),
            Some(node) => {
                self.keep(&first, &node)?;
                self.staging.put_link(place, &first)
            }
        }
    }

    /// Gets what is linked to into the layer: a layer holds all names that it makes for a file.
    fn keep(&mut self, path: &Path, node: &Node) -> Result<(), FilesError> {
        if self.staging.holds(path)? {
            return Ok(());
        }
        self.staging.repeat(path, node)
    }

    fn file<R: Read>(
        &mut self,
        content: &mut TarReader<R>,
        place: &Path,
        attrs: &Attrs<'_>,
    ) -> Result<(), FilesError> {
        let archive = self.archive;
        self.staging
            .put_sparse(place, content, attrs, |error, tar| {
                broken(archive, tar.error(error).to_string())
            })
    }

    fn refuse(&self, entry: &TarEntry, reason: &str) -> FilesError {
        let name = String::from_utf8_lossy(&entry.name);
        let name = name.escape_debug();
        broken(self.archive, format!("entry `{name}` {reason}"))
    }
}
