//! [`enter_private_mounts`]: a mount namespace for the whole program.

use std::io;

use rustix::mount::{MountPropagationFlags, mount_change};

use crate::sys::{self, Namespaces};

/// Moves this process into a mount namespace of its own, which still receives the host's mounts.
///
/// Whatever anything in this program mounts is then gone with it, also after SIGKILL. Call it in `main`
/// before any thread exists. Steps do not need it: each has a mount namespace of its own.
///
/// # Errors
/// When the process may not (it is not root of its user namespace).
pub fn enter_private_mounts() -> io::Result<()> {
    sys::unshare(Namespaces::MOUNT)?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    Ok(())
}
