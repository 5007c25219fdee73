//! Unix sockets at paths of any length: an address holds no more than 107 bytes, and a state
//! directory may lie deeper than that.

use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;

/// Listens at a path where nothing is yet.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    let (_dir, short) = shorten(path)?;
    let listener = UnixListener::bind(short)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects to whoever listens at a path.
pub(super) async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_dir, short) = shorten(path)?;
    UnixStream::connect(short).await
}

/// Names a path by way of its directory, which has to stay open meanwhile.
pub(crate) fn shorten(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(dir, flags, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string());
    Ok((dir, short.join(name)))
}
