//! Extended attributes: which ones belong to a layer, reading and writing them.

use crate::entry::Xattrs;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::os::fd::BorrowedFd;

/// The attribute by which the kernel marks a file's capabilities.
const CAPABILITY: &[u8] = b"security.capability";

/// Under which prefix overlayfs keeps its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverlayXattrs {
    /// `trusted.overlay.`, for root in the initial user namespace.
    Trusted,
    /// `user.overlay.`, for mounts with the option `userxattr` in a user namespace.
    User,
}

impl OverlayXattrs {
    pub(crate) fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}

/// Returns whether an attribute is content of a layer, rather than a mark of this machine.
pub fn is_kept(name: &[u8]) -> bool {
    if name.starts_with(b"security.") {
        return name == CAPABILITY;
    }
    !name.starts_with(b"trusted.") && !name.starts_with(b"user.overlay.")
}

/// Brings a value into the form that a layer stores.
///
/// File capabilities of revision 3 carry the root of a user namespace; layers hold revision 2.
pub(crate) fn stored_value(name: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    const REVISION_3: u8 = 3;
    const REVISION_2_LEN: usize = 20;
    if name == CAPABILITY && value.len() > REVISION_2_LEN && value[3] == REVISION_3 {
        value.truncate(REVISION_2_LEN);
        value[3] = 2;
    }
    value
}

/// The attributes of one name, and whether overlayfs marked it opaque.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) kept: Xattrs,
    pub(crate) opaque: bool,
}

/// Reads the attributes of `dir/name` without following a final link.
pub(crate) fn read(
    dir: BorrowedFd<'_>,
    name: &[u8],
    overlay: OverlayXattrs,
) -> rustix::io::Result<Found> {
    let path = proc_path(dir, name);
    let mut found = Found::default();
    for attribute in list(&path)?.split(|byte| *byte == 0) {
        if attribute == overlay.opaque().as_bytes() {
            // `x` only says that the directory holds whiteouts made of attributes.
            found.opaque = value_of(&path, attribute)?.as_deref() == Some(b"y");
        }
        if attribute.is_empty() || !is_kept(attribute) {
            continue;
        }
        if let Some(value) = value_of(&path, attribute)? {
            let value = stored_value(attribute, value);
            found.kept.insert(attribute.to_vec(), value);
        }
    }
    Ok(found)
}

/// Sets one attribute of `dir/name` without following a final link.
pub(crate) fn set(
    dir: BorrowedFd<'_>,
    name: &[u8],
    attribute: &[u8],
    value: &[u8],
) -> rustix::io::Result<()> {
    rustix::fs::lsetxattr(proc_path(dir, name), attribute, value, XattrFlags::empty())
}

/// There are no `*at` calls for attributes before Linux 6.13, so the directory is named through
/// `/proc`, which also keeps deep trees below the limit on path lengths.
fn proc_path(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(if name.is_empty() { b"." } else { name });
    path
}

fn list(path: &[u8]) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 512];
    loop {
        match rustix::fs::llistxattr(path, &mut buffer[..]) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => buffer.resize(buffer.len() * 4, 0),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(errno) => return Err(errno),
        }
    }
}

fn value_of(path: &[u8], attribute: &[u8]) -> rustix::io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; 256];
    loop {
        match rustix::fs::lgetxattr(path, attribute, &mut buffer[..]) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(Some(buffer));
            }
            Err(Errno::RANGE) => buffer.resize(buffer.len() * 8, 0),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_the_machine_are_not_content() {
        for name in ["user.x", "security.capability", "system.posix_acl_access"] {
            assert!(is_kept(name.as_bytes()), "{name}");
        }
        for name in [
            "trusted.overlay.opaque",
            "trusted.x",
            "user.overlay.redirect",
            "security.selinux",
            "security.ima",
        ] {
            assert!(!is_kept(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn capabilities_are_stored_as_revision_2() {
        let mut v3 = vec![1, 0, 0, 3];
        v3.extend_from_slice(&[7; 16]);
        v3.extend_from_slice(&[9; 4]);
        let stored = stored_value(CAPABILITY, v3.clone());
        assert_eq!((stored.len(), stored[3]), (20, 2));
        assert_eq!(stored[4..], v3[4..20]);
        assert_eq!(stored_value(CAPABILITY, stored.clone()), stored);
        assert_eq!(stored_value(b"user.x", v3.clone()), v3);
    }
}
