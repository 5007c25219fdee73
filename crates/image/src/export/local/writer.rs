//! Writes names in tree order below one directory, by descriptors, never through links.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use acetate_oci::Timestamp;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::super::ExportError;
use crate::flatten::{Attributes, InodeId};

/// The name that every new file has until it is whole.
const PARTIAL: &str = ".acetate.partial";

/// Takes the names of a tree in order, directories before what is in them.
pub(super) struct TreeWriter {
    root: PathBuf,
    times: Option<Timestamp>,
    /// The open directories from the root down to the current one.
    open: Vec<OpenDir>,
    /// The first name of each file written.
    first_names: BTreeMap<InodeId, Vec<u8>>,
}

struct OpenDir {
    path: Vec<u8>,
    fd: OwnedFd,
    /// What the directory gets once nothing more is written into it.
    last: Last,
}

/// The attributes of a directory that is whole.
#[derive(Clone, Copy)]
enum Last {
    /// Those that it has.
    Own,
    /// Its own, but this time.
    Time(Timestamp),
    /// Those of the image.
    All(Mode, Timestamp),
}

impl TreeWriter {
    /// Writes below `root`, whose own attributes stay but for [`Self::stamp_root`].
    pub(super) fn open(root: &Path, times: Option<Timestamp>) -> Result<Self, ExportError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|error| ExportError::io("open", root)(error.into()))?;
        Ok(Self {
            root: root.to_owned(),
            times,
            open: vec![OpenDir {
                path: Vec::new(),
                fd,
                last: Last::Own,
            }],
            first_names: BTreeMap::new(),
        })
    }

    /// Gives the root the time of all files once it is full, where they have one.
    pub(super) fn stamp_root(&mut self) {
        if let (Some(time), Some(root)) = (self.times, self.open.first_mut()) {
            root.last = Last::Time(time);
        }
    }

    /// Makes a directory, or takes the one that is there; a link or file in its place goes.
    pub(super) fn directory(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
    ) -> Result<(), ExportError> {
        let mode = Mode::from_raw_mode(attributes.mode);
        let mtime = self.mtime(attributes);
        let name = self.enter(path)?;
        let dir = self.make_directory(name, mode);
        let fd = dir.map_err(|error| self.failed("make the directory", path, error))?;
        self.open.push(OpenDir {
            path: path.to_vec(),
            fd,
            last: Last::All(mode, mtime),
        });
        Ok(())
    }

    /// Writes a file, or another name of one written before.
    pub(super) fn file<R: Read>(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        id: InodeId,
        content: impl FnOnce() -> R,
    ) -> Result<(), ExportError> {
        let name = self.enter(path)?;
        if let Some(first) = self.first_names.get(&id)
            && self.link(first).is_ok()
        {
            return self.publish(name, path);
        }
        // Where links are refused, a copy serves.
        let written = self.write(attributes, content());
        written.map_err(|error| ExportError::io("write", self.shown(path))(error))?;
        self.publish(name, path)?;
        self.first_names.insert(id, path.to_vec());
        Ok(())
    }

    /// Makes a symbolic link.
    pub(super) fn symlink(
        &mut self,
        path: &[u8],
        attributes: &Attributes,
        target: &[u8],
    ) -> Result<(), ExportError> {
        let name = self.enter(path)?;
        let made = self.clear().and_then(|()| {
            rustix::fs::symlinkat(OsStr::from_bytes(target), self.dir(), PARTIAL)?;
            self.stamp_name(attributes)
        });
        made.map_err(|error| self.failed("make the link", path, error))?;
        self.publish(name, path)
    }

    /// Makes a named pipe.
    pub(super) fn fifo(&mut self, path: &[u8], attributes: &Attributes) -> Result<(), ExportError> {
        let name = self.enter(path)?;
        let mode = Mode::from_raw_mode(attributes.mode);
        let made = self.clear().and_then(|()| {
            rustix::fs::mknodat(self.dir(), PARTIAL, FileType::Fifo, Mode::RUSR, 0)?;
            rustix::fs::chmodat(self.dir(), PARTIAL, mode, AtFlags::empty())?;
            self.stamp_name(attributes)
        });
        made.map_err(|error| self.failed("make the pipe", path, error))?;
        self.publish(name, path)
    }

    /// Gives the directories that are still open their attributes.
    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        while !self.open.is_empty() {
            self.leave()?;
        }
        Ok(())
    }

    /// Makes the parent of `path` the current directory; gives the last name.
    fn enter<'a>(&mut self, path: &'a [u8]) -> Result<&'a OsStr, ExportError> {
        let (parent, name) = match path.iter().rposition(|b| *b == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&path[..0], path),
        };
        // Names come in tree order, so the parent is among the open ones.
        while self.open.len() > 1 && self.current().path != parent {
            self.leave()?;
        }
        Ok(OsStr::from_bytes(name))
    }

    fn leave(&mut self) -> Result<(), ExportError> {
        let Some(dir) = self.open.pop() else {
            return Ok(());
        };
        let stamp = |time| rustix::fs::futimens(&dir.fd, &stamps(time));
        let done = match dir.last {
            Last::Own => Ok(()),
            Last::Time(time) => stamp(time),
            Last::All(mode, time) => rustix::fs::fchmod(&dir.fd, mode).and_then(|()| stamp(time)),
        };
        done.map_err(|error| self.failed("set the attributes of", &dir.path, error))
    }

    fn make_directory(&self, name: &OsStr, mode: Mode) -> Result<OwnedFd, Errno> {
        let kind = match rustix::fs::statat(self.dir(), name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error),
        };
        if kind.is_some_and(|kind| kind != FileType::Directory) {
            rustix::fs::unlinkat(self.dir(), name, AtFlags::empty())?;
        }
        if kind != Some(FileType::Directory) {
            rustix::fs::mkdirat(self.dir(), name, Mode::RWXU)?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(self.dir(), name, flags, Mode::empty())?;
        // Until it is full, the caller must be able to write into it.
        rustix::fs::fchmod(&fd, mode | Mode::RWXU)?;
        Ok(fd)
    }

    fn write(&self, attributes: &Attributes, mut content: impl Read) -> io::Result<()> {
        self.clear()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(self.dir(), PARTIAL, flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = File::from(fd);
        io::copy(&mut content, &mut file)?;
        // Last, for a write would take a set-user-id bit away.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(attributes.mode))?;
        rustix::fs::futimens(&file, &stamps(self.mtime(attributes)))?;
        Ok(())
    }

    fn link(&self, first: &[u8]) -> Result<(), Errno> {
        self.clear()?;
        let root = self.open.first().map_or(CWD, |root| root.fd.as_fd());
        let first = OsStr::from_bytes(first);
        rustix::fs::linkat(root, first, self.dir(), PARTIAL, AtFlags::empty())
    }

    /// Gives the new file its name.
    fn publish(&self, name: &OsStr, path: &[u8]) -> Result<(), ExportError> {
        match rustix::fs::renameat(self.dir(), PARTIAL, self.dir(), name) {
            Ok(()) => Ok(()),
            Err(error) => {
                // The first error is the one to report.
                if let Err(left) = self.clear() {
                    tracing::debug!(error = %left, "left a partial file behind");
                }
                if error == Errno::ISDIR {
                    return Err(ExportError::Destination {
                        path: self.shown(path),
                        reason: "a directory is in the way of a file".to_owned(),
                    });
                }
                Err(self.failed("write", path, error))
            }
        }
    }

    /// Removes what a killed export may have left.
    fn clear(&self) -> Result<(), Errno> {
        match rustix::fs::unlinkat(self.dir(), PARTIAL, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn stamp_name(&self, attributes: &Attributes) -> Result<(), Errno> {
        let times = stamps(self.mtime(attributes));
        rustix::fs::utimensat(self.dir(), PARTIAL, &times, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn mtime(&self, attributes: &Attributes) -> Timestamp {
        self.times.unwrap_or(attributes.mtime)
    }

    fn current(&self) -> &OpenDir {
        self.open.last().expect("the root stays open until the end")
    }

    fn dir(&self) -> &OwnedFd {
        &self.current().fd
    }

    fn shown(&self, path: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(path))
    }

    fn failed(&self, action: &'static str, path: &[u8], error: Errno) -> ExportError {
        ExportError::io(action, self.shown(path))(error.into())
    }
}

fn stamps(time: Timestamp) -> Timestamps {
    let time = Timespec {
        tv_sec: time.secs,
        tv_nsec: time.nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
