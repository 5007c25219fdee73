//! Mount points that the image lacks: made so that the layer never shows it.
//!
//! An overlay gets them from an extra layer at the very bottom. Where an upper layer hides that one (a
//! deleted or opaque directory), and for a plain directory, they are made in place, noted, and removed
//! through the writable directory once the step has ended.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, openat, statat, unlinkat,
    utimensat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::resolve::{self, Kind, Made};
use crate::client::monotonic;
use crate::spec::{Doing, Failure};

/// Directories that must exist in every root.
pub(super) const DIRS: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Files that must exist in every root.
pub(super) const FILES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];

/// Makes the layer of mount points that steps on one file system share, or finds it, in `dir`.
///
/// Give its path to [`ExecRequest::mount_points`](crate::ExecRequest::mount_points). It never changes, several
/// processes may make it at once, and it may be deleted whenever no step runs.
///
/// # Errors
/// When `dir` cannot be written to.
pub fn mount_points(dir: &Path) -> io::Result<PathBuf> {
    let path = dir.join("mount-points");
    if path.is_dir() {
        return Ok(path);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(dir, flags, Mode::empty())?;
    let name = format!("mount-points.{}.{}", std::process::id(), monotonic());
    layer(parent.as_fd(), &name)?;
    match std::fs::rename(dir.join(&name), &path) {
        // Another process was first.
        Err(_) if path.is_dir() => std::fs::remove_dir_all(dir.join(&name))?,
        renamed => renamed?,
    }
    Ok(path)
}

/// Makes the extra bottom layer as `name` in a directory.
pub(super) fn layer(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let layer = make_dir(parent, name)?;
    for name in ["proc", "sys", "dev"] {
        make_dir(layer.as_fd(), name)?;
    }
    let etc = make_dir(layer.as_fd(), "etc")?;
    for name in ["hosts", "resolv.conf"] {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&etc, name, flags, Mode::from_raw_mode(0o644))?;
    }
    // Its own times would be seen where the image has no such directory: one fixed time for all steps.
    for name in ["etc", "proc", "sys", "dev"] {
        set_times(layer.as_fd(), name, &[(0, 0); 2])?;
    }
    Ok(layer)
}

/// Makes a directory and opens it.
fn make_dir(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    openat(parent, name, flags, Mode::empty())
}

/// Something that was made in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stub {
    parent: String,
    name: String,
    /// Times of the parent before.
    times: Times,
    /// How the parent and its parents were, the deepest first, as far as making the stub copied them
    /// into the writable directory.
    copied: Vec<Attributes>,
}

/// Access and modification time, in seconds and nanoseconds.
type Times = [(i64, i64); 2];

/// What tells a directory that was only copied up from one that the step changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Attributes {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
}

/// Opens every mount point of the sandbox, and makes those that are missing.
///
/// What was made is written to `report`, for [`remove`].
pub(super) fn ensure(
    root: BorrowedFd<'_>,
    writable: BorrowedFd<'_>,
    report: OwnedFd,
) -> Result<(), Failure> {
    let mut made = Vec::new();
    for dir in DIRS {
        ensure_one(root, writable, dir, Kind::Dir, &mut made)?;
    }
    for file in FILES {
        ensure_one(root, writable, file, Kind::File, &mut made)?;
    }
    if made.is_empty() {
        return Ok(());
    }
    for stub in made.iter().rev() {
        open_parent(root, &stub.parent)
            .and_then(|parent| set_times(parent.as_fd(), ".", &stub.times))
            .doing(|| format!("restore the times of `/{}`", stub.parent))?;
    }
    let bytes = serde_json::to_vec(&made).unwrap_or_default();
    File::from(report)
        .write_all(&bytes)
        .map_err(|error| Failure::Setup {
            doing: "note what was made for mounting".into(),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        })
}

fn ensure_one(
    root: BorrowedFd<'_>,
    writable: BorrowedFd<'_>,
    path: &str,
    kind: Kind,
    made: &mut Vec<Stub>,
) -> Result<(), Failure> {
    let mut note = |one: &Made| {
        made.push(Stub::before(root, writable, one)?);
        Ok(())
    };
    resolve::ensure(root, path, kind, &mut note)
        .map(drop)
        .map_err(|errno| Failure::Image(format!("`{path}` is no mount point ({errno})")))
}

impl Stub {
    fn before(
        root: BorrowedFd<'_>,
        writable: BorrowedFd<'_>,
        made: &Made,
    ) -> rustix::io::Result<Self> {
        let times = times_of(&stat_dir(open_parent(root, &made.parent)?.as_fd())?);
        let mut copied = Vec::new();
        let mut path = made.parent.as_str();
        while !path.is_empty() {
            match open_parent(writable, path) {
                Ok(_) => break,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(errno),
            }
            copied.push(Attributes::of(&stat_dir(open_parent(root, path)?.as_fd())?));
            path = split(path).0;
        }
        Ok(Self {
            parent: made.parent.clone(),
            name: made.name.clone(),
            times,
            copied,
        })
    }
}

impl Attributes {
    fn of(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
            modified: times_of(stat)[1],
        }
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn stat_dir(dir: BorrowedFd<'_>) -> rustix::io::Result<Stat> {
    statat(dir, "", AtFlags::EMPTY_PATH)
}

/// Opens a directory by its real path, following nothing.
fn open_parent(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};
    let path = if path.is_empty() { "." } else { path };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags, Mode::empty(), resolve)
}

#[expect(
    clippy::unnecessary_cast,
    reason = "the width of a time field differs per architecture"
)]
fn times_of(stat: &Stat) -> Times {
    [
        (
            stat.st_atime as i64,
            stat.st_atime_nsec.cast_signed() as i64,
        ),
        (
            stat.st_mtime as i64,
            stat.st_mtime_nsec.cast_signed() as i64,
        ),
    ]
}

fn set_times(dir: BorrowedFd<'_>, name: &str, times: &Times) -> rustix::io::Result<()> {
    let [atime, mtime] = times.map(|(seconds, nanos)| Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    });
    let times = Timestamps {
        last_access: atime,
        last_modification: mtime,
    };
    utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// Removes what [`ensure`] reported, newest first, where the step left it empty.
///
/// The times of the directories around stay as the step left them.
pub(super) fn remove(writable: &str, report: &[u8]) -> Result<(), Failure> {
    let stubs: Vec<Stub> = serde_json::from_slice(report).map_err(|_| Failure::Setup {
        doing: "read what was made for mounting".into(),
        errno: libc::EPROTO,
    })?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(writable, flags, Mode::empty())
        .doing(|| format!("open the directory `{writable}`"))?;
    for stub in stubs.iter().rev() {
        remove_one(root.as_fd(), stub)
            .doing(|| format!("remove the mount point `/{}/{}`", stub.parent, stub.name))?;
    }
    Ok(())
}

fn remove_one(root: BorrowedFd<'_>, stub: &Stub) -> rustix::io::Result<()> {
    let parent = match open_parent(root, &stub.parent) {
        // The step moved or deleted it, with the mount point in it.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        opened => opened?,
    };
    unlink_empty(parent.as_fd(), &stub.name)?;
    let mut path = stub.parent.as_str();
    for attributes in &stub.copied {
        let (above, name) = split(path);
        let dir = open_parent(root, path)?;
        if Attributes::of(&stat_dir(dir.as_fd())?) != *attributes {
            break;
        }
        if unlink_empty(open_parent(root, above)?.as_fd(), name)? == Unlinked::No {
            break;
        }
        path = above;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unlinked {
    Yes,
    No,
}

/// Removes an empty file or directory; its parent keeps its times.
fn unlink_empty(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Unlinked> {
    let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(Unlinked::No),
        stat => stat?,
    };
    let flags = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => AtFlags::REMOVEDIR,
        FileType::RegularFile if stat.st_size == 0 => AtFlags::empty(),
        _ => return Ok(Unlinked::No),
    };
    let times = times_of(&stat_dir(parent)?);
    match unlinkat(parent, name, flags) {
        Ok(()) => set_times(parent, ".", &times).map(|()| Unlinked::Yes),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Unlinked::No),
        Err(errno) => Err(errno),
    }
}
