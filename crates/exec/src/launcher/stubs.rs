//! Mount points that the image lacks: made so that the layer never shows it.
//!
//! An overlay gets those of the sandbox from an extra layer at the very bottom. Where an upper layer hides
//! that one (a deleted or opaque directory), for a plain directory, and for what the step asks to mount,
//! they are made in place, noted, and removed through the writable directory once the step has ended.
//!
//! A mount point below a directory that other steps use at the same time (a cache mount) is locked while
//! it is one: removing it would take the mount of another step away. Whoever uses it last removes it.

mod layer;
mod removal;

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, MemfdFlags, Mode, OFlags, Stat, Timespec, Timestamps, flock,
    memfd_create, openat, statat, utimensat,
};
use rustix::io::Errno;

pub use self::layer::mount_points;
pub(super) use self::removal::remove;
use self::removal::{Attributes, Stub, Tree};
use super::resolve::{self, Journal, Kind, Made};
use crate::spec::{Doing, Failure};
use crate::wire;

/// Directories that must exist in every root.
const DIRS: [&str; 3] = ["/proc", "/sys", "/dev"];
/// Files that must exist in every root.
const FILES: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];

/// How often a mount point is looked at again because another step took it away.
const TRIES: u32 = 100;

/// Something mounted over a part of the root, as far as mount points below it are concerned.
#[derive(Debug)]
pub(super) struct Cover {
    /// Its real path in the root.
    pub(super) at: String,
    pub(super) keeps: Keeps,
}

/// What becomes of what is made below a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// It is gone with the step.
    Nothing,
    /// It stays in a directory that belongs to this step.
    Own(Kept),
    /// It stays in a directory that other steps may use at the same time.
    Shared(Kept),
}

/// The directory that something stays in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// The number of the mount in the request.
    pub(super) mount: usize,
    /// What of its directory is mounted: a real path.
    pub(super) path: String,
}

/// The mount points that were made so far.
#[derive(Debug)]
pub(super) struct Stubs<'a> {
    root: BorrowedFd<'a>,
    writable: OwnedFd,
    covers: Vec<Cover>,
    made: Vec<Stub>,
    /// Held until the step has ended; stubs name them by number.
    locks: Vec<OwnedFd>,
}

/// A mount point.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) target: OwnedFd,
    /// Whether it was there before.
    pub(super) existed: bool,
}

impl<'a> Stubs<'a> {
    /// `writable` is where what is written to the root goes.
    pub(super) fn new(root: BorrowedFd<'a>, writable: OwnedFd) -> Self {
        Self {
            root,
            writable,
            covers: Vec::new(),
            made: Vec::new(),
            locks: Vec::new(),
        }
    }

    /// Makes every mount point of the sandbox that is missing.
    pub(super) fn ensure_sandbox(&mut self) -> Result<(), Failure> {
        let dirs = DIRS.map(|path| (path, Kind::Dir));
        for (path, kind) in dirs.into_iter().chain(FILES.map(|path| (path, Kind::File))) {
            self.ensure(path, kind)
                .map_err(|errno| Failure::Image(format!("`{path}` is no mount point ({errno})")))?;
        }
        Ok(())
    }

    /// Notes that something was mounted.
    pub(super) fn cover(&mut self, cover: Cover) {
        self.covers.push(cover);
    }

    /// Opens a mount point, and makes it where it is missing; directories around keep their times.
    pub(super) fn ensure(&mut self, path: &str, kind: Kind) -> rustix::io::Result<Point> {
        let first = self.made.len();
        let mut noting = Noting {
            stubs: self,
            times: Vec::new(),
        };
        let opened = resolve::ensure(noting.stubs.root, path, kind, &mut noting);
        for (parent, times) in noting.times.into_iter().rev() {
            let dir = open_parent(self.root, &parent)?;
            set_times(dir.as_fd(), ".", &times)?;
        }
        let existed = self.made.len() == first;
        for made in first..self.made.len() {
            self.lock_made(made);
        }
        opened.map(|target| Point { target, existed })
    }

    /// The same for something that the step asks to mount, which may lie below another such mount.
    pub(super) fn ensure_step(&mut self, path: &str, kind: Kind) -> rustix::io::Result<Point> {
        for _ in 0..TRIES {
            let point = self.ensure(path, kind)?;
            let real = resolve::real_path(self.root, point.target.as_fd())?;
            let (parent, name) = split(&real);
            if point.existed
                && let Keeps::Shared(kept) = self.keeps(parent)
                && !self.lock_existing(&point.target, &kept, parent, name)?
            {
                continue;
            }
            return Ok(point);
        }
        Err(Errno::AGAIN)
    }

    fn keeps(&self, parent: &str) -> Keeps {
        // The latest of those that cover the most.
        let over = self
            .covers
            .iter()
            .filter(|c| below(parent, &c.at).is_some());
        let Some(cover) = over.max_by_key(|cover| cover.at.len()) else {
            return Keeps::Nothing;
        };
        cover.keeps.inside(below(parent, &cover.at).unwrap_or(""))
    }

    fn is_covered(&self, parent: &str) -> bool {
        self.covers.iter().any(|c| below(parent, &c.at).is_some())
    }

    /// Says that a mount point in a shared directory is one of ours.
    fn lock_made(&mut self, index: usize) {
        let stub = &self.made[index];
        if !stub.shared {
            return;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = open_parent(self.root, &stub.seen_in)
            .and_then(|parent| openat(parent, &stub.name, flags, Mode::empty()));
        let locked = opened.and_then(|file| {
            rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockShared)).map(|()| file)
        });
        // Without a lock it is never removed.
        if let Ok(file) = locked {
            self.made[index].lock = Some(self.locks.len());
            self.locks.push(file);
        }
    }

    /// Protects a mount point that was there before; false when it was taken away meanwhile.
    ///
    /// When somebody else has it locked it is their mount point, and may be ours to remove in the end.
    fn lock_existing(
        &mut self,
        target: &OwnedFd,
        kept: &Kept,
        parent: &str,
        name: &str,
    ) -> rustix::io::Result<bool> {
        let stat = stat_dir(target.as_fd())?;
        let is_stub = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile => stat.st_size == 0,
            _ => false,
        };
        if !is_stub {
            return Ok(true);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let path = format!("/proc/self/fd/{}", target.as_raw_fd());
        let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else {
            return Ok(true);
        };
        let try_lock = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let is_theirs = try_lock == Err(Errno::WOULDBLOCK);
        if rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockShared)).is_err() {
            return Ok(true);
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let now = open_parent(self.root, parent).and_then(|dir| statat(dir, name, flags));
        if !now.is_ok_and(|now| (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino)) {
            return Ok(false);
        }
        if is_theirs {
            self.made.push(Stub {
                tree: Tree::Mount(kept.mount),
                parent: kept.path.clone(),
                seen_in: parent.to_owned(),
                name: name.to_owned(),
                copied: Vec::new(),
                shared: true,
                lock: Some(self.locks.len()),
            });
        }
        self.locks.push(file);
        Ok(true)
    }

    /// Tells the supervisor what to remove; the locks travel with it.
    pub(super) fn finish(self, report: &OwnedFd) -> Result<(), Failure> {
        if self.made.is_empty() && self.locks.is_empty() {
            return Ok(());
        }
        let failed = |error: std::io::Error| Failure::Setup {
            doing: "note what was made for mounting".into(),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        };
        let note = memfd_create("stubs", MemfdFlags::CLOEXEC)
            .doing(|| "note what was made for mounting".into())?;
        let mut note = std::fs::File::from(note);
        let bytes = serde_json::to_vec(&self.made).unwrap_or_default();
        note.write_all(&bytes).map_err(failed)?;
        // What finds no place is not locked for longer than this process lives, and is not removed.
        let locks = self.locks.iter().take(wire::MAX_DESCRIPTORS - 1);
        let descriptors: Vec<BorrowedFd<'_>> = std::iter::once(note.as_fd())
            .chain(locks.map(AsFd::as_fd))
            .collect();
        wire::send_descriptors(report.as_fd(), &descriptors).map_err(failed)
    }
}

impl Keeps {
    /// The same for a directory `below` the mount.
    fn inside(&self, below: &str) -> Self {
        let deeper = |kept: &Kept| Kept {
            mount: kept.mount,
            path: join(&kept.path, below),
        };
        match self {
            Self::Nothing => Self::Nothing,
            Self::Own(kept) => Self::Own(deeper(kept)),
            Self::Shared(kept) => Self::Shared(deeper(kept)),
        }
    }
}

/// Notes what is made, with the times of the directories around it.
struct Noting<'s, 'a> {
    stubs: &'s mut Stubs<'a>,
    times: Vec<(String, Times)>,
}

impl Journal for Noting<'_, '_> {
    fn before(&mut self, made: &Made) -> rustix::io::Result<()> {
        let stubs = &mut *self.stubs;
        let parent = open_parent(stubs.root, &made.parent)?;
        let times = times_of(&stat_dir(parent.as_fd())?);
        let mut stub = Stub {
            tree: Tree::Root,
            parent: made.parent.clone(),
            seen_in: made.parent.clone(),
            name: made.name.clone(),
            copied: Vec::new(),
            shared: false,
            lock: None,
        };
        if stubs.is_covered(&made.parent) {
            let keeps = stubs.keeps(&made.parent);
            stub.shared = matches!(keeps, Keeps::Shared(_));
            match keeps {
                Keeps::Nothing => stub.tree = Tree::Gone,
                Keeps::Own(kept) | Keeps::Shared(kept) => {
                    stub.tree = Tree::Mount(kept.mount);
                    stub.parent = kept.path;
                }
            }
        } else {
            stub.copied = copied(stubs.root, stubs.writable.as_fd(), &made.parent)?;
        }
        stubs.made.push(stub);
        self.times.push((made.parent.clone(), times));
        Ok(())
    }

    fn not_made(&mut self) {
        // The times are those of before in any case.
        self.stubs.made.pop();
    }
}

/// Returns how the parents of a mount point were, the deepest first, as far as making it copies them
/// into the writable directory.
fn copied(
    root: BorrowedFd<'_>,
    writable: BorrowedFd<'_>,
    parent: &str,
) -> rustix::io::Result<Vec<Attributes>> {
    let mut copied = Vec::new();
    let mut path = parent;
    while !path.is_empty() {
        match open_parent(writable, path) {
            Ok(_) => break,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(errno),
        }
        let dir = open_parent(root, path)?;
        copied.push(Attributes::of(&stat_dir(dir.as_fd())?));
        path = split(path).0;
    }
    Ok(copied)
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(path: &str, below: &str) -> String {
    match (path, below) {
        ("", path) | (path, "") => path.to_owned(),
        (path, below) => format!("{path}/{below}"),
    }
}

/// Returns `path` from `top` on, when it is that or below it.
fn below<'p>(path: &'p str, top: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(top)?;
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix('/')
    }
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

/// Access and modification time, in seconds and nanoseconds.
type Times = [(i64, i64); 2];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_below_a_mount_are_told_from_those_beside_it() {
        for (path, top, expected) in [
            ("a/b", "a", Some("b")),
            ("a", "a", Some("")),
            ("ab", "a", None),
            ("b/a", "a", None),
        ] {
            assert_eq!(below(path, top), expected, "{path} {top}");
        }
        assert_eq!(join("", "a/b"), "a/b");
        assert_eq!(join("a", ""), "a");
        assert_eq!(join("a", "b"), "a/b");
    }
}
