use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;

const MAX_LIST: usize = 64 * 1024;
const MAX_VALUE: usize = 64 * 1024;

/// Reads the extended attributes of a file that a layer keeps; whatever cannot be read is absent.
pub(crate) fn read(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut out = BTreeMap::new();
    // Nearly every file has none, or few with short names.
    let mut list = vec![0; 256];
    let n = match rustix::fs::llistxattr(path, &mut list[..]) {
        Err(Errno::RANGE) => {
            list.resize(MAX_LIST, 0);
            rustix::fs::llistxattr(path, &mut list[..])
        }
        n => n,
    };
    let Ok(n) = n else {
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{XattrFlags, setxattr};

    #[test]
    fn reads_few_and_many_attributes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let set = |name: &str| setxattr(file.path(), name, b"v", XattrFlags::empty());
        if set("user.a").is_err() {
            return;
        }
        assert_eq!(
            read(file.path()),
            BTreeMap::from([(b"user.a".to_vec(), b"v".to_vec())])
        );
        let n = (0..20)
            .filter(|n| set(&format!("user.{n}{}", "x".repeat(30))).is_ok())
            .count();
        set("user.overlay.opaque").unwrap();
        assert_eq!(read(file.path()).len(), n + 1);
    }
}
