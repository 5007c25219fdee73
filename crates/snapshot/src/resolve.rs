//! Walking a path inside an image, where every link stays inside the root.

use crate::entry::{bytes_path, path_bytes};
use crate::error::SnapshotError;
use crate::paths;
use std::path::{Path, PathBuf};

/// As many links as Go's secure join follows, which other builders use for destinations.
const MAX_LINKS: usize = 255;

/// Whether a link at the very end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Every link is followed.
    All,
    /// A link at the end is itself the result.
    Parents,
}

/// What one path, whose parents hold no links, leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Dir,
    Link(PathBuf),
    Other,
}

/// Returns the relative path without links that `path` means, whether or not it exists.
///
/// Absolute targets and `..` never leave the root. What is missing is taken literally.
pub(crate) fn resolve(
    path: &Path,
    follow: Follow,
    look: &mut dyn FnMut(&[u8]) -> Option<Node>,
) -> Result<Vec<u8>, SnapshotError> {
    let mut pending: Vec<Vec<u8>> = Vec::new();
    push_components(&mut pending, path);
    let mut current = Vec::new();
    let mut n_links = 0;
    while let Some(name) = pending.pop() {
        if name == b".." {
            let parent = paths::parent(&current).unwrap_or_default();
            current.truncate(parent.len());
            continue;
        }
        let candidate = paths::join(&current, &name);
        match look(&candidate) {
            Some(Node::Link(target)) if !pending.is_empty() || follow == Follow::All => {
                n_links += 1;
                if n_links > MAX_LINKS {
                    return Err(refused(path, "has too many symbolic links"));
                }
                if target.is_absolute() {
                    current.clear();
                }
                push_components(&mut pending, &target);
            }
            Some(Node::Other) if !pending.is_empty() => {
                return Err(refused(
                    path,
                    "leads through something that is no directory",
                ));
            }
            _ => current = candidate,
        }
    }
    Ok(current)
}

fn push_components(pending: &mut Vec<Vec<u8>>, path: &Path) {
    let parts = path_bytes(path).rsplit(|byte| *byte == b'/');
    let parts = parts.filter(|part| !matches!(*part, b"" | b"."));
    pending.extend(parts.map(<[u8]>::to_vec));
}

fn refused(path: &Path, reason: &'static str) -> SnapshotError {
    SnapshotError::Path {
        path: bytes_path(path_bytes(path)).to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn tree() -> BTreeMap<&'static str, Node> {
        let link = |target: &str| Node::Link(target.into());
        BTreeMap::from([
            ("usr", Node::Dir),
            ("usr/lib", Node::Dir),
            ("lib", link("usr/lib")),
            ("abs", link("/usr")),
            ("up", link("../../../usr")),
            ("usr/lib/self", link(".")),
            ("loop", link("loop2")),
            ("loop2", link("loop")),
            ("usr/file", Node::Other),
            ("dangling", link("/no/where")),
        ])
    }

    fn check(path: &str, follow: Follow, expected: Result<&str, &str>) {
        let tree = tree();
        let mut look = |path: &[u8]| tree.get(std::str::from_utf8(path).unwrap()).cloned();
        let found = resolve(Path::new(path), follow, &mut look);
        let found = found.map(|path| String::from_utf8(path).unwrap());
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{path}"),
            (Err(SnapshotError::Path { reason, .. }), Err(expected)) => {
                assert_eq!(reason, expected, "{path}");
            }
            (found, _) => panic!("{path}: {found:?}"),
        }
    }

    #[test]
    fn stays_inside_the_root() {
        check("/lib/x", Follow::All, Ok("usr/lib/x"));
        check("lib", Follow::All, Ok("usr/lib"));
        check("lib", Follow::Parents, Ok("lib"));
        check("lib/", Follow::Parents, Ok("lib"));
        check("abs/lib/x", Follow::Parents, Ok("usr/lib/x"));
        check("up/lib", Follow::All, Ok("usr/lib"));
        check("../../etc/x", Follow::All, Ok("etc/x"));
        check("usr/lib/self/self/x", Follow::All, Ok("usr/lib/x"));
        check("dangling/x", Follow::All, Ok("no/where/x"));
        check("missing/../usr", Follow::All, Ok("usr"));
        check("/", Follow::All, Ok(""));
    }

    #[test]
    fn refuses_loops_and_files_on_the_way() {
        check("loop/x", Follow::All, Err("has too many symbolic links"));
        check("loop", Follow::Parents, Ok("loop"));
        check(
            "usr/file/x",
            Follow::All,
            Err("leads through something that is no directory"),
        );
        check("usr/file", Follow::All, Ok("usr/file"));
    }
}
