//! The few file system calls this crate is made of, always relative to an open directory.

use crate::entry::Entry;
use crate::xattrs;
use acetate_oci::Timestamp;
use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
};
use rustix::io::{Errno, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Longest path given to one call, well below the kernel's 4096.
const MAX_PATH: usize = 2048;

pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, dir_flags(), Mode::empty())
}

/// Opens `path` below `root` without following any link on the way.
pub(crate) fn open_below(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let open = |dir: BorrowedFd<'_>, path: &[u8], flags| {
        let path: &[u8] = if path.is_empty() { b"." } else { path };
        rustix::fs::openat2(dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    };
    let mut rest = path;
    let mut held: Option<OwnedFd> = None;
    loop {
        let dir = held.as_ref().map_or(root, AsFd::as_fd);
        let cut = rest.iter().take(MAX_PATH).rposition(|byte| *byte == b'/');
        let Some(cut) = cut.filter(|_| rest.len() > MAX_PATH) else {
            return open(dir, rest, flags);
        };
        held = Some(open(dir, &rest[..cut], dir_flags())?);
        rest = &rest[cut + 1..];
    }
}

pub(crate) fn dir_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Returns the names in a directory with their types, sorted by bytes.
pub(crate) fn names(dir: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, FileType)>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push((name.to_vec(), entry.file_type()));
        }
    }
    names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(names)
}

pub(crate) fn lstat_at(dir: BorrowedFd<'_>, name: &[u8]) -> Result<Stat> {
    rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
}

pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(crate) fn mtime(stat: &Stat) -> Timestamp {
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
    Timestamp::new(stat.st_mtime, nanos)
}

/// Removes `dir/name` with everything in it; a missing name is fine.
pub(crate) fn remove_all(dir: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(errno),
    }
    let inner = rustix::fs::openat(dir, name, dir_flags(), Mode::empty())?;
    for (child, _) in names(inner.as_fd())? {
        remove_all(inner.as_fd(), &child)?;
    }
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
}

/// Gives an open file or directory the attributes of `entry`, times last.
///
/// The owner comes first, because changing it clears set-id bits and capabilities.
pub(crate) fn set_attributes_fd(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    let (uid, gid) = owner(entry);
    rustix::fs::fchown(fd, uid, gid)?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))?;
    for (name, value) in &entry.xattrs {
        unless_unsupported(
            rustix::fs::fsetxattr(fd, name.as_slice(), value, rustix::fs::XattrFlags::empty()),
            entry,
            name,
        )?;
    }
    rustix::fs::futimens(fd, &times(entry.mtime))
}

/// Gives `dir/name`, which is no directory and need not be openable, the attributes of `entry`.
pub(crate) fn set_attributes_at(dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<()> {
    let (uid, gid) = owner(entry);
    rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    if !matches!(entry.kind, crate::EntryKind::Symlink(_)) {
        rustix::fs::chmodat(dir, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
    }
    for (attribute, value) in &entry.xattrs {
        unless_unsupported(xattrs::set(dir, name, attribute, value), entry, attribute)?;
    }
    rustix::fs::utimensat(dir, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
}

pub(crate) fn times(mtime: Timestamp) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.secs,
        tv_nsec: mtime.nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

fn owner(entry: &Entry) -> (Option<Uid>, Option<Gid>) {
    (
        Some(Uid::from_raw(entry.uid)),
        Some(Gid::from_raw(entry.gid)),
    )
}

/// Attributes are kept as well as the file system can (S51): one that it does not know is left out.
fn unless_unsupported(result: Result<()>, entry: &Entry, attribute: &[u8]) -> Result<()> {
    if result == Err(Errno::OPNOTSUPP) {
        let (path, name) = (&entry.path, String::from_utf8_lossy(attribute));
        tracing::warn!(?path, %name, "the file system cannot store an extended attribute");
        return Ok(());
    }
    result
}
