//! Directory descriptors.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Opens a directory for `*at` calls, locks and `syncfs`; the last component may not be a symlink.
pub fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_directories_only() {
        let temp = tempfile::tempdir().unwrap();
        assert!(open_dir(temp.path()).is_ok());
        let file = temp.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(open_dir(&file).is_err());
        let link = temp.path().join("link");
        std::os::unix::fs::symlink(temp.path(), &link).unwrap();
        assert!(open_dir(&link).is_err());
    }
}
