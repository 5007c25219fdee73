//! Files that appear whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What must survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Whole or absent while the machine runs; after a power cut the file may be empty.
    Fast,
    /// Also whole after a power cut: the file and its directory are synced.
    Synced,
}

/// Writes `bytes` to `path` through a temporary sibling and a rename.
///
/// A reader sees the old file or the new one, never a part.
/// The file gets mode 0600; its directory must exist.
pub fn publish(path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let (temp, mut file) = create_sibling(path)?;
    let outcome = fill(&mut file, bytes, durability).and_then(|()| std::fs::rename(&temp, path));
    if outcome.is_err() {
        // The first error is the one to report; a left-over sibling is only untidy.
        drop(std::fs::remove_file(&temp));
        return outcome;
    }
    match durability {
        Durability::Fast => Ok(()),
        Durability::Synced => File::open(directory_of(path))?.sync_all(),
    }
}

fn fill(file: &mut File, bytes: &[u8], durability: Durability) -> io::Result<()> {
    file.write_all(bytes)?;
    match durability {
        Durability::Fast => Ok(()),
        Durability::Synced => file.sync_all(),
    }
}

fn create_sibling(path: &Path) -> io::Result<(PathBuf, File)> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path
        .file_name()
        .ok_or(io::ErrorKind::InvalidInput)?
        .to_string_lossy();
    loop {
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temp = path.with_file_name(format!(".{name}.{}-{n}", std::process::id()));
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temp)
        {
            // Process ids repeat across containers: try the next number.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            outcome => return Ok((temp, outcome?)),
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_no_sibling() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("version");
        publish(&path, b"one", Durability::Fast).unwrap();
        publish(&path, b"two", Durability::Synced).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        assert!(publish(&path, b"x", Durability::Fast).is_err());
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
        assert!(publish(&temp.path().join("no/dir"), b"x", Durability::Fast).is_err());
    }
}
