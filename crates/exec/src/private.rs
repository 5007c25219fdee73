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
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountFlags, mount};

    use super::*;

    #[test]
    fn mounts_stay_in_the_namespace() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().to_owned();
        // A thread may have a mount namespace of its own; the rest of the program stays outside.
        let inside = std::thread::spawn(move || {
            enter_private_mounts().unwrap();
            mount("none", &target, "tmpfs", MountFlags::empty(), c"").unwrap();
            std::fs::write(target.join("file"), "").unwrap();
            target.join("file").exists()
        });
        assert!(inside.join().unwrap());
        assert!(!dir.path().join("file").exists());
    }
}
