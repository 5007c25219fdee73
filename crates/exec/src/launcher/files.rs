//! `/etc/hosts` and `/etc/resolv.conf`, bound from the private tmpfs.

use std::fs;
use std::os::fd::AsFd;

use rustix::fs::{FileType, OFlags};
use rustix::mount::MountAttrFlags;

use super::resolve;
use super::rootfs::Rootfs;
use super::scratch::{PLAIN, attach, file_type};
use crate::network;
use crate::request::Network;
use crate::spec::{Doing, Failure, StepSpec};

/// Writes both files and binds them, read-only, over what the image has.
pub(super) fn mount(spec: &StepSpec, rootfs: &Rootfs) -> Result<(), Failure> {
    let read = |path: &str| {
        fs::read(path)
            .ok()
            .map(|b| String::from_utf8_lossy(&b).into_owned())
    };
    let host = read(network::RESOLV_CONF).unwrap_or_default();
    let resolver = match spec.network {
        Network::Host => host,
        Network::None => network::without_loopback(&host, read(network::RESOLVER_FILE).as_deref()),
    };
    let hosts = network::hosts(&spec.hostname, &spec.extra_hosts);
    for (path, name, text) in [
        ("/etc/hosts", "hosts", &hosts),
        ("/etc/resolv.conf", "resolv.conf", &resolver),
    ] {
        drop(rootfs.scratch.write(name, text.as_bytes())?);
        let attributes = PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
        let mount = rootfs.scratch.detached(name, attributes)?;
        let target = resolve::open(rootfs.root.as_fd(), path, OFlags::PATH)
            .doing(|| format!("open `{path}`"))?;
        if file_type(target.as_fd()) == Ok(FileType::Directory) {
            return Err(Failure::Image(format!("`{path}` is a directory")));
        }
        attach(mount.as_fd(), target.as_fd()).doing(|| format!("bind `{path}`"))?;
    }
    Ok(())
}
