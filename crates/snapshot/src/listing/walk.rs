//! Reading the listing of a directory: an overlay upper, a layer directory or a plain tree.

use super::{INLINE_FILES, Listing, MAX_INLINE};
use crate::entry::{Entry, EntryKind, bytes_path};
use crate::error::SnapshotError;
use crate::paths;
use crate::sys;
use crate::xattrs::{self, OverlayXattrs};
use rustix::fs::{FileType, OFlags, Stat};
use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// How a directory is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkOptions {
    /// Whose marks tell opaque directories.
    pub overlay: OverlayXattrs,
    /// What the top directory itself says.
    pub root: RootEntry,
}

/// What the top directory of a walked tree says about the root of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootEntry {
    /// Nothing: its attributes are those of the layers below.
    Inherited,
    /// Its attributes are the root's.
    Own,
    /// Its attributes are the root's, and nothing of lower layers shows through.
    Complete,
}

/// Reads the tree at `dir` into a listing without content digests.
///
/// Character devices 0:0 are whiteouts, and sockets count as such. Left out are all extended attributes
/// that [`is_kept`](crate::is_kept) refuses. Of the names of one inode the first in order is the
/// file. Cost: two or three system calls per name.
pub fn walk(dir: &Path, options: WalkOptions) -> Result<Listing, SnapshotError> {
    walk_with(dir, options, &mut |_, _| {})
}

/// Like [`walk`], handing every entry to `visit` together with its stat.
pub(crate) fn walk_with(
    dir: &Path,
    options: WalkOptions,
    visit: &mut dyn FnMut(&Entry, &Stat),
) -> Result<Listing, SnapshotError> {
    let root = sys::open_dir(dir).map_err(SnapshotError::os("open", dir))?;
    let mut walker = Walker {
        base: dir,
        options,
        links: HashMap::new(),
        entries: Vec::new(),
        visit,
    };
    if options.root != RootEntry::Inherited {
        walker.root(root.as_fd())?;
    }
    walker.directory(root.as_fd(), &[])?;
    let inodes_ok = "a walk lists parents before children and files before links";
    let mut listing = Listing::new(walker.entries).expect(inodes_ok);
    read_inline(root.as_fd(), dir, &mut listing)?;
    Ok(listing)
}

/// The longest path that the kernel takes (`PATH_MAX` without its NUL). It also bounds the recursion.
const MAX_PATH: usize = 4095;
/// How much of a path that is too long a message shows.
const SHOWN: usize = 60;

struct Walker<'a> {
    base: &'a Path,
    options: WalkOptions,
    /// The first name seen of each inode that has several.
    links: HashMap<(u64, u64), PathBuf>,
    entries: Vec<Entry>,
    visit: &'a mut dyn FnMut(&Entry, &Stat),
}

impl Walker<'_> {
    fn root(&mut self, dir: BorrowedFd<'_>) -> Result<(), SnapshotError> {
        let failed = |action| SnapshotError::os(action, self.base);
        let stat = rustix::fs::fstat(dir).map_err(failed("stat"))?;
        let found = xattrs::read(dir, b"", self.options.overlay)
            .map_err(failed("read the extended attributes of"))?;
        let opaque = self.options.root == RootEntry::Complete;
        let mut entry = attributes(&stat, PathBuf::new(), EntryKind::Dir { opaque });
        entry.xattrs = found.kept;
        (self.visit)(&entry, &stat);
        self.entries.push(entry);
        Ok(())
    }

    fn directory(&mut self, dir: BorrowedFd<'_>, path: &[u8]) -> Result<(), SnapshotError> {
        let names = sys::names(dir).map_err(self.failed("list", path))?;
        for (name, _) in names {
            let child = paths::join(path, &name);
            if self.name(dir, &name, &child)? {
                let opened = sys::open_below(dir, &name, sys::dir_flags());
                let inner = opened.map_err(self.failed("open", &child))?;
                self.directory(inner.as_fd(), &child)?;
            }
        }
        Ok(())
    }

    /// Lists one name and returns whether it is a directory.
    fn name(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
    ) -> Result<bool, SnapshotError> {
        if path.len() > MAX_PATH {
            let shown = &path[..SHOWN];
            return Err(SnapshotError::Unstorable {
                path: PathBuf::from(String::from_utf8_lossy(shown).into_owned() + "..."),
                reason: "is longer than 4095 bytes, which nothing that reads a layer can open",
            });
        }
        let stat = sys::lstat_at(dir, name).map_err(self.failed("stat", path))?;
        let Some(kind) = self.kind(dir, name, path, &stat)? else {
            return Ok(false);
        };
        if kind == EntryKind::Whiteout {
            self.entries.push(Entry::whiteout(bytes_path(path)));
            return Ok(false);
        }
        let found = xattrs::read(dir, name, self.options.overlay)
            .map_err(self.failed("read the extended attributes of", path))?;
        let kind = match kind {
            EntryKind::Dir { .. } => EntryKind::Dir {
                opaque: found.opaque,
            },
            kind => kind,
        };
        let mut entry = attributes(&stat, bytes_path(path).to_owned(), kind);
        entry.xattrs = found.kept;
        (self.visit)(&entry, &stat);
        let is_dir = entry.is_dir();
        self.entries.push(entry);
        Ok(is_dir)
    }

    fn kind(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &[u8],
        stat: &Stat,
    ) -> Result<Option<EntryKind>, SnapshotError> {
        let (major, minor) = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        Ok(Some(match sys::file_type(stat) {
            FileType::RegularFile => self.file(path, stat),
            FileType::Directory => EntryKind::Dir { opaque: false },
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())
                    .map_err(self.failed("read the link", path))?;
                EntryKind::Symlink(bytes_path(target.as_bytes()).to_owned())
            }
            FileType::CharacterDevice if (major, minor) == (0, 0) => EntryKind::Whiteout,
            FileType::CharacterDevice => EntryKind::CharDevice { major, minor },
            FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
            FileType::Fifo => EntryKind::Fifo,
            // A socket is no content, but it hides what lower layers have under its name.
            FileType::Socket => EntryKind::Whiteout,
            FileType::Unknown => return Ok(None),
        }))
    }

    fn file(&mut self, path: &[u8], stat: &Stat) -> EntryKind {
        if stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&inode) {
                return EntryKind::Hardlink(first.clone());
            }
            self.links.insert(inode, bytes_path(path).to_owned());
        }
        EntryKind::File {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            digest: None,
        }
    }

    fn failed(
        &self,
        action: &'static str,
        path: &[u8],
    ) -> impl FnOnce(rustix::io::Errno) -> SnapshotError + use<> {
        SnapshotError::os(action, self.base.join(bytes_path(path)))
    }
}

fn attributes(stat: &Stat, path: PathBuf, kind: EntryKind) -> Entry {
    Entry {
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: sys::mtime(stat),
        ..Entry::new(path, kind, stat.st_mode & 0o7777)
    }
}

fn read_inline(
    root: BorrowedFd<'_>,
    base: &Path,
    listing: &mut Listing,
) -> Result<(), SnapshotError> {
    for name in INLINE_FILES {
        let path = Path::new(name);
        let small = listing
            .get(path)
            .and_then(|entry| listing.file_of(entry))
            .is_some_and(|e| matches!(e.kind, EntryKind::File { size, .. } if size <= MAX_INLINE));
        if !small {
            continue;
        }
        let file = sys::open_below(root, name.as_bytes(), OFlags::RDONLY)
            .map_err(SnapshotError::os("open", base.join(path)))?;
        let mut bytes = Vec::new();
        std::fs::File::from(file)
            .take(MAX_INLINE)
            .read_to_end(&mut bytes)
            .map_err(SnapshotError::io("read", base.join(path)))?;
        listing.set_inline(path.to_owned(), bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};

    #[test]
    fn a_path_that_nothing_can_open_is_refused_by_its_beginning() {
        let top = tempfile::tempdir().unwrap();
        let mut dir = openat(CWD, top.path(), OFlags::PATH, Mode::empty()).unwrap();
        let name = "d".repeat(250);
        for _ in 0..17 {
            mkdirat(&dir, &name, Mode::RWXU).unwrap();
            dir = openat(&dir, &name, OFlags::PATH, Mode::empty()).unwrap();
        }
        let options = WalkOptions {
            overlay: crate::OverlayXattrs::Trusted,
            root: RootEntry::Complete,
        };
        let error = walk(top.path(), options).unwrap_err().to_string();
        let expected = format!(
            "`{}...` is longer than 4095 bytes, which nothing that reads a layer can open",
            "d".repeat(60)
        );
        assert_eq!(error, expected);
    }
}
