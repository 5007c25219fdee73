//! The order of paths in a listing, and cutting paths into parents and components.

use crate::entry::{bytes_path, path_bytes};
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// Compares two relative paths component by component, so that a directory is directly followed
/// by everything in it (`a`, `a/b`, `a-b`).
///
/// That is the order of bytes with the slash before every other byte.
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let common = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let weight = |byte: Option<&u8>| match byte {
        None => 0_u16,
        Some(b'/') => 1,
        Some(byte) => u16::from(*byte) + 2,
    };
    weight(a.get(common)).cmp(&weight(b.get(common)))
}

/// Returns whether `path` lies strictly below the directory `dir`.
pub(crate) fn is_below(path: &[u8], dir: &[u8]) -> bool {
    if dir.is_empty() {
        return !path.is_empty();
    }
    path.len() > dir.len() && path.starts_with(dir) && path[dir.len()] == b'/'
}

/// Returns the directory that holds `path`: empty for a name in the root, `None` for the root.
pub(crate) fn parent(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    Some(
        path.iter()
            .rposition(|byte| *byte == b'/')
            .map_or(&[], |slash| &path[..slash]),
    )
}

/// Returns the last component of `path`.
pub(crate) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

/// Iterates over the ancestors of `path` from the first component down to `path` itself; the root
/// is not among them.
pub(crate) fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(at, _)| at)
        .chain((!path.is_empty()).then_some(path.len()));
    ends.map(|end| &path[..end])
}

/// Joins without ever treating `name` as absolute; an empty directory is the root.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    if !dir.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// A path as a map key in listing order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathKey(pub(crate) Vec<u8>);

impl Ord for PathKey {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for PathKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Brings a path given by a caller into the form of a listing: relative, without `.` and empty
/// components; `None` when it holds `..` or a NUL byte.
pub(crate) fn normalise(path: &Path) -> Option<PathBuf> {
    let bytes = path_bytes(path);
    if bytes.contains(&0) {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len());
    for part in bytes.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return None,
            name => out = join(&out, name),
        }
    }
    Some(bytes_path(&out).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_directory_is_followed_by_its_content() {
        let mut paths: Vec<&[u8]> = vec![b"a-b", b"a/b/c", b"b", b"a", b"a/b", b"", b"a/b-c"];
        paths.sort_by(|a, b| compare(a, b));
        let sorted: Vec<&[u8]> = vec![b"", b"a", b"a/b", b"a/b/c", b"a/b-c", b"a-b", b"b"];
        assert_eq!(paths, sorted);
    }

    #[test]
    fn cuts_paths() {
        assert_eq!(parent(b"a/b/c"), Some(&b"a/b"[..]));
        assert_eq!(parent(b"a"), Some(&b""[..]));
        assert_eq!(parent(b""), None);
        assert_eq!(file_name(b"a/b"), b"b");
        let all: Vec<_> = prefixes(b"a/bc/d").collect();
        assert_eq!(all, [&b"a"[..], b"a/bc", b"a/bc/d"]);
        assert_eq!(prefixes(b"").count(), 0);
        assert!(is_below(b"a/b", b"a") && is_below(b"a", b"") && !is_below(b"ab", b"a"));
        assert!(!is_below(b"a", b"a") && !is_below(b"", b""));
        assert_eq!(normalise(Path::new("/a/./b//c/")), Some("a/b/c".into()));
        assert_eq!(normalise(Path::new("./")), Some(PathBuf::new()));
        assert_eq!(normalise(Path::new("a/../b")), None);
    }

    proptest! {
        #[test]
        fn is_the_order_of_components(a in "[ab./-]{0,6}", b in "[ab./-]{0,6}") {
            let (Some(a), Some(b)) = (normalise(Path::new(&a)), normalise(Path::new(&b))) else {
                return Ok(());
            };
            prop_assert_eq!(compare(path_bytes(&a), path_bytes(&b)), a.cmp(&b));
        }
    }
}
