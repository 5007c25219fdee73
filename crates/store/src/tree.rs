//! The size of a tree of any depth.

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::path::Arg;

/// What a file or a whole tree takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Allocated bytes, hard links counted once.
    pub(crate) bytes: u64,
    /// Entries that are no directories, each name of a hard link counted.
    pub(crate) n_files: u64,
}

/// Allocated bytes of a file or a whole tree, hard links counted once.
pub(crate) fn size_of(path: &Path) -> io::Result<u64> {
    Ok(measure(path)?.bytes)
}

/// Measures a file or a whole tree.
///
/// What vanishes meanwhile, or is closed to us, counts nothing. Goes by descriptors: a step can make
/// trees whose paths are longer than the kernel takes.
pub(crate) fn measure(path: &Path) -> io::Result<Size> {
    let mut walk = Walk {
        bytes: 0,
        n_files: 0,
        links: HashSet::new(),
        pending: Vec::new(),
    };
    if walk.count(CWD, path)? {
        walk.enter(CWD, path)?;
    }
    while let Some((parent, name)) = walk.pending.pop() {
        walk.enter(parent.as_fd(), &name)?;
    }
    Ok(Size {
        bytes: walk.bytes,
        n_files: walk.n_files,
    })
}

struct Walk {
    bytes: u64,
    n_files: u64,
    links: HashSet<(u64, u64)>,
    /// Directories to be read. A parent is open only as long as a child waits here.
    pending: Vec<(Rc<OwnedFd>, CString)>,
}

impl Walk {
    /// Counts one entry and tells whether it is a directory.
    fn count(&mut self, dir: impl AsFd, name: impl Arg) -> io::Result<bool> {
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT | Errno::ACCESS) => return Ok(false),
            outcome => outcome?,
        };
        let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        self.n_files += u64::from(!is_dir);
        if is_dir || self.is_first_link(&stat) {
            self.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        }
        Ok(is_dir)
    }

    fn is_first_link(&mut self, stat: &Stat) -> bool {
        stat.st_nlink < 2 || self.links.insert((stat.st_dev, stat.st_ino))
    }

    fn enter(&mut self, parent: impl AsFd, name: impl Arg) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::ACCESS | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            outcome => Rc::new(outcome?),
        };
        for entry in Dir::read_from(&*dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_real = !matches!(name.to_bytes(), b"." | b"..");
            if is_real && self.count(&*dir, name)? {
                self.pending.push((Rc::clone(&dir), name.to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_count_once_and_links_are_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("tree");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        let empty = size_of(&root).unwrap();
        std::fs::write(root.join("a/file"), vec![1; 100_000]).unwrap();
        let one = size_of(&root).unwrap();
        assert!((100_000..150_000).contains(&(one - empty)), "{one} {empty}");
        std::fs::hard_link(root.join("a/file"), root.join("a/b/link")).unwrap();
        std::os::unix::fs::symlink("/", root.join("a/b/outside")).unwrap();
        assert!(size_of(&root).unwrap() < one + 8192);
        assert_eq!(size_of(&temp.path().join("missing")).unwrap(), 0);
    }

    #[test]
    fn very_deep_trees_are_measured_and_removed() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("tree");
        std::fs::create_dir(&root).unwrap();
        let mut dir = acetate_stdx::fs::open_dir(&root).unwrap();
        let name = "d".repeat(100);
        for _ in 0..100 {
            rustix::fs::mkdirat(&dir, &name, Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            dir = rustix::fs::openat(&dir, &name, flags, Mode::empty()).unwrap();
        }
        assert!(size_of(&root).unwrap() > 0);
        crate::trash::remove(&root).unwrap();
        assert!(!root.exists());
    }
}
