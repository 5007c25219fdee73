use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;

const MAX_LIST: usize = 64 * 1024;
const MAX_VALUE: usize = 64 * 1024;

/// Reads the extended attributes of a file that a layer keeps; whatever cannot be read is absent.
pub(crate) fn read(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    // Nearly every file has none, which one call without a buffer tells.
    let mut out = BTreeMap::new();
    match rustix::fs::llistxattr(path, &mut [0_u8; 0]) {
        Ok(0) | Err(_) => return out,
        Ok(_) => {}
    }
    let mut list = vec![0; MAX_LIST];
    let Ok(n) = rustix::fs::llistxattr(path, &mut list[..]) else {
        return out;
    };
    for name in list[..n].split_inclusive(|b| *b == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else {
            continue;
        };
        if !is_kept(name.to_bytes()) {
            continue;
        }
        let mut value = vec![0; MAX_VALUE];
        if let Ok(n) = rustix::fs::lgetxattr(path, name, &mut value[..]) {
            value.truncate(n);
            out.insert(name.to_bytes().to_vec(), value);
        }
    }
    out
}

/// Overlay's own attributes are never content, and of `security.*` only capabilities travel.
pub(crate) fn is_kept(name: &[u8]) -> bool {
    match name {
        b"security.capability" => true,
        name => {
            !name.starts_with(b"security.")
                && !name.starts_with(b"trusted.")
                && !name.starts_with(b"user.overlay.")
                && !name.starts_with(b"system.")
        }
    }
}
