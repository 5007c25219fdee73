//! Where one stream of bytes goes.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use acetate_stdx::lock::{FileLock, Sharing, Target};

use super::ExportError;

/// How the names of files end that are still written.
const SUFFIX: &str = ".partial";

/// A file, or a stream such as the standard output.
pub enum Destination {
    /// A file, which appears under its name when it is whole. A device or a pipe is written to
    /// directly.
    File(PathBuf),
    /// A stream, used by one export. Whether it may be a terminal is the caller's to decide.
    Stream(Mutex<Option<Box<dyn Write + Send>>>),
}

impl Destination {
    /// A stream.
    pub fn stream(writer: impl Write + Send + 'static) -> Self {
        Self::Stream(Mutex::new(Some(Box::new(writer))))
    }

    /// Gives `fill` a buffered writer and makes visible what it wrote, if it succeeds.
    pub(super) fn write(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        match self {
            Self::File(path) => write_file(path, fill),
            Self::Stream(slot) => {
                let writer = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
                let writer = writer.ok_or_else(|| ExportError::Destination {
                    path: "-".into(),
                    reason: "the stream was used before".to_owned(),
                })?;
                fill_buffered(writer, Path::new("-"), fill)
            }
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

fn write_file(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    // A link stays a link: what it leads to is replaced.
    let path = match std::fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(ExportError::io("look at", path)(error)),
    };
    match std::fs::metadata(&path) {
        Ok(data) if data.is_dir() => Err(ExportError::Destination {
            path,
            reason: "it is a directory; name a file, or use `tar=false`".to_owned(),
        }),
        Ok(data) if !data.is_file() => {
            // Renaming over `/dev/null` or a pipe would replace it.
            let file = OpenOptions::new().write(true).open(&path);
            fill_buffered(file.map_err(ExportError::io("open", &path))?, &path, fill)
        }
        _ => {
            let partial = Partial::create(&path)?;
            let file = partial
                .file
                .try_clone()
                .map_err(ExportError::io("open", &path))?;
            fill_buffered(file, &path, fill)?;
            partial.publish(&path)
        }
    }
}

fn fill_buffered(
    writer: impl Write,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut writer = BufWriter::with_capacity(256 << 10, writer);
    fill(&mut writer).map_err(|error| error.at(path))?;
    writer.flush().map_err(ExportError::io("write", path))
}

/// A file beside its final place; dropped before [`Self::publish`] it vanishes.
///
/// It is locked as long as it is written, so that the next writer knows those of processes that were
/// killed, and removes them.
pub(super) struct Partial {
    pub(super) file: File,
    path: Option<PathBuf>,
    /// None where the file system knows no locks; nobody removes it there.
    _lock: Option<FileLock>,
}

impl Partial {
    /// Makes an empty file in the directory of `target`, with the user's default mode.
    pub(super) fn create(target: &Path) -> Result<Self, ExportError> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let Some(name) = target.file_name() else {
            return Err(ExportError::Destination {
                path: target.to_owned(),
                reason: "it names no file".to_owned(),
            });
        };
        remove_left(target, &name.to_string_lossy());
        loop {
            let n = COUNTER.fetch_add(1, Ordering::Relaxed);
            let name = format!(
                ".{}.{}-{n}{SUFFIX}",
                name.to_string_lossy(),
                std::process::id()
            );
            let path = target.with_file_name(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    let lock = match lock(&path) {
                        // Somebody took it for one that was left, before it was locked.
                        Ok(None) => continue,
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Ok(lock) => lock,
                        Err(error) => {
                            tracing::debug!(%error, "a partial file cannot be locked");
                            None
                        }
                    };
                    return Ok(Self {
                        file,
                        path: Some(path),
                        _lock: lock,
                    });
                }
                // Of a process that was killed and whose id has come again.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(ExportError::io("create", target)(error)),
            }
        }
    }

    /// Gives the file its name.
    pub(super) fn publish(mut self, target: &Path) -> Result<(), ExportError> {
        if let Some(path) = self.path.take()
            && let Err(error) = std::fs::rename(&path, target)
        {
            self.path = Some(path);
            return Err(ExportError::io("rename a file to", target)(error));
        }
        Ok(())
    }
}

fn lock(path: &Path) -> io::Result<Option<FileLock>> {
    FileLock::acquire_now(path, Target::Existing, Sharing::Exclusive)
}

/// Removes the partial files of one target whose writers are gone.
fn remove_left(target: &Path, name: &str) {
    let dir = match target.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    // What is wrong with the directory is told when the file is made.
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let own = entry.file_name();
        let own = own.to_string_lossy();
        let is_one = own
            .strip_prefix('.')
            .and_then(|rest| rest.strip_prefix(name))
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|rest| rest.strip_suffix(SUFFIX))
            .is_some_and(|ids| ids.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
        if !is_one {
            continue;
        }
        let removed = lock(&entry.path()).and_then(|lock| lock.map_or(Ok(()), FileLock::remove));
        if let Err(error) = removed {
            tracing::debug!(path = %entry.path().display(), %error, "left a partial file behind");
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = &self.path
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!(path = %path.display(), %error, "left a partial file behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(destination: &Destination, bytes: &[u8]) -> Result<(), ExportError> {
        destination.write(|writer| {
            writer
                .write_all(bytes)
                .map_err(ExportError::io("write", "x"))
        })
    }

    #[test]
    fn files_appear_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.tar");
        let destination = Destination::File(path.clone());
        let failed = destination.write(|writer| {
            writer.write_all(b"half").unwrap();
            assert!(!path.exists());
            Err(ExportError::Empty)
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        write(&destination, b"one").unwrap();
        write(&destination, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_killed_writers_left_goes_and_what_is_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.tar");
        for left in [".out.tar.1-0.partial", ".out.tar.77-12.partial"] {
            std::fs::write(dir.path().join(left), "half").unwrap();
        }
        for other in [
            ".out.tar.x.partial",
            ".else.tar.1-0.partial",
            "out.tar.1-0.partial",
        ] {
            std::fs::write(dir.path().join(other), "not ours").unwrap();
        }
        let mut first = Partial::create(&path).unwrap();
        first.file.write_all(b"first").unwrap();
        write(&Destination::File(path.clone()), b"second").unwrap();
        first.publish(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                ".else.tar.1-0.partial",
                ".out.tar.x.partial",
                "out.tar",
                "out.tar.1-0.partial"
            ]
        );
    }

    #[test]
    fn links_and_devices_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        write(&Destination::File(link.clone()), b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
        let null = dir.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        write(&Destination::File(null), b"gone").unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }

    #[test]
    fn odd_places_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(&Destination::File(dir.path().to_owned()), b"").unwrap_err();
        assert!(error.to_string().contains("it is a directory"), "{error}");
        let error = write(&Destination::File(dir.path().join("no/file")), b"").unwrap_err();
        assert!(
            matches!(
                error,
                ExportError::Io {
                    action: "create",
                    ..
                }
            ),
            "{error}"
        );
        let stream = Destination::stream(io::sink());
        write(&stream, b"x").unwrap();
        assert!(write(&stream, b"x").is_err());
    }
}
