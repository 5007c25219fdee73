//! Removal of trees of any depth.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::path::Arg;

/// So many levels are gone down with a descriptor open for each.
const MAX_DEPTH: usize = 64;

/// Whoever else removes the same tree makes progress, too; more rounds than this are nobody's.
const MAX_ROUNDS: usize = 1 << 20;

/// Removes a directory and everything in it.
///
/// A step can make trees deeper than a process may open files, and directories that their owner
/// cannot write: what lies too deep is moved to the top first, and modes are set where they are in
/// the way. What vanishes meanwhile is fine.
///
/// # Errors
/// When the operating system refuses to remove something; what is left stays.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    remove_tree_at(CWD, path)
}

/// Removes a directory below another and everything in it, as [`remove_tree`] does.
///
/// # Errors
/// As [`remove_tree`]; also when the name is a link or no directory.
pub fn remove_tree_at(parent: impl AsFd, name: impl Arg + Copy) -> io::Result<()> {
    let Some(top) = open_dir(parent.as_fd(), name)? else {
        return Ok(());
    };
    let mut tree = Tree {
        top: top.as_fd(),
        n_lifted: 0,
    };
    for _ in 0..MAX_ROUNDS {
        let before = tree.n_lifted;
        tree.empty(top.as_fd(), 0)?;
        if tree.n_lifted > before {
            continue;
        }
        match rustix::fs::unlinkat(parent.as_fd(), name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::NOTEMPTY.into())
}

struct Tree<'a> {
    top: BorrowedFd<'a>,
    /// How many directories were moved to the top.
    n_lifted: u64,
}

impl Tree<'_> {
    fn empty(&mut self, dir: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if !is_dir(dir, name, entry.file_type())? {
                writable(dir, || rustix::fs::unlinkat(dir, name, AtFlags::empty()))?;
            } else if depth == MAX_DEPTH {
                self.lift(dir, name)?;
            } else if let Some(inner) = open_dir(dir, name)? {
                self.empty(inner.as_fd(), depth + 1)?;
                let removed = || rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR);
                match writable(dir, removed) {
                    // The next round finds what somebody else moved.
                    Err(error) if error.raw_os_error() == Some(Errno::NOTEMPTY.raw_os_error()) => {}
                    outcome => outcome?,
                }
            }
        }
        Ok(())
    }

    /// Moves a directory to the top, under a name that is free there.
    fn lift(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        // Its own entry `..` changes, so it has to be writable itself.
        drop(open_dir(dir, name)?);
        loop {
            let free = format!("lifted-{}", self.n_lifted);
            self.n_lifted += 1;
            let moved = || match rustix::fs::renameat(dir, name, self.top, &*free) {
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Ok(false),
                outcome => outcome.map(|()| true),
            };
            match writable(dir, moved) {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_dir(dir: BorrowedFd<'_>, name: &CStr, known: FileType) -> io::Result<bool> {
    if known != FileType::Unknown {
        return Ok(known == FileType::Directory);
    }
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory and lets its owner do everything in it; none when it is gone.
fn open_dir(parent: impl AsFd, name: impl Arg + Copy) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(parent.as_fd(), name, flags, Mode::empty());
    let opened = match open() {
        Err(Errno::ACCESS) => {
            // It is a directory, for a link would have been refused in another way.
            rustix::fs::chmodat(parent.as_fd(), name, Mode::RWXU, AtFlags::empty())?;
            open()
        }
        outcome => outcome,
    };
    match opened {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Does something in a directory, if need be once its owner may.
fn writable<T: Default>(
    dir: BorrowedFd<'_>,
    mut work: impl FnMut() -> rustix::io::Result<T>,
) -> io::Result<T> {
    match work() {
        Err(Errno::ACCESS) => {
            rustix::fs::fchmod(dir, Mode::RWXU)?;
            Ok(work()?)
        }
        Err(Errno::NOENT) => Ok(T::default()),
        outcome => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// Makes directories in each other, and a file in the last.
    fn deep(root: &Path, levels: usize, name: &str) {
        std::fs::create_dir(root).unwrap();
        let mut dir = crate::fs::open_dir(root).unwrap();
        for _ in 0..levels {
            rustix::fs::mkdirat(&dir, name, Mode::RWXU).unwrap();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            dir = rustix::fs::openat(&dir, name, flags, Mode::empty()).unwrap();
        }
        let flags = OFlags::CREATE | OFlags::WRONLY;
        rustix::fs::openat(&dir, "leaf", flags, Mode::RUSR).unwrap();
    }

    #[test]
    fn a_tree_deeper_than_files_may_be_open_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("tree");
        // The names are those that directories get at the top.
        for name in ["d", "lifted-0"] {
            deep(&root, 3_000, name);
            remove_tree(&root).unwrap();
            assert!(!root.exists());
        }
        remove_tree(&root).unwrap();
    }

    #[test]
    fn links_are_not_followed_and_modes_are_not_in_the_way() {
        let temp = tempfile::tempdir().unwrap();
        let outside = temp.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("kept"), "").unwrap();
        let root = temp.path().join("tree");
        deep(&root, 3, "d");
        std::os::unix::fs::symlink(&outside, root.join("d/d/link")).unwrap();
        for dir in ["d/d/d", "d/d", "d", ""] {
            let mode = std::fs::Permissions::from_mode(0o000);
            std::fs::set_permissions(root.join(dir), mode).unwrap();
        }
        remove_tree(&root).unwrap();
        assert!(!root.exists() && outside.join("kept").exists());
    }
}
