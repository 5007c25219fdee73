//! A context as a directory without what its ignore file hides.

use crate::BuildError;
use acetate_files::{HostTree, Node, NodeKind, Tree};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Copies directories, files and links into a directory that is there.
pub(super) fn copy(tree: &HostTree, to: &Path) -> Result<(), BuildError> {
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for node in tree.read_dir(&dir)? {
            let path = to.join(&node.path);
            let is_dir = node.is_dir();
            one(tree, &node, &path)?.map_err(|source| BuildError::Input {
                action: "copy the context to",
                path,
                source,
            })?;
            if is_dir {
                dirs.push(node.path);
            }
        }
    }
    Ok(())
}

fn one(tree: &HostTree, node: &Node, path: &Path) -> Result<io::Result<()>, BuildError> {
    Ok(match &node.kind {
        NodeKind::Dir => std::fs::create_dir(path),
        NodeKind::Symlink(target) => std::os::unix::fs::symlink(target, path),
        NodeKind::File { .. } if !tree.hides(&node.path) => {
            let mut content = tree.open(node)?;
            let mode = std::fs::Permissions::from_mode(node.mode & 0o777);
            std::fs::File::create_new(path)
                .and_then(|mut file| io::copy(&mut content, &mut file))
                .and_then(|_| std::fs::set_permissions(path, mode))
        }
        _ => Ok(()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_pattern::IgnoreMatcher;

    #[test]
    fn hidden_files_are_not_copied() {
        let from = tempfile::tempdir().unwrap();
        std::fs::create_dir(from.path().join("dir")).unwrap();
        for name in ["a", "dir/b", "dir/secret", ".env"] {
            std::fs::write(from.path().join(name), name).unwrap();
        }
        std::os::unix::fs::symlink("/etc", from.path().join("link")).unwrap();
        let ignore = IgnoreMatcher::parse("**/secret\n.env\n").unwrap();
        let tree = HostTree::open(from.path(), Some(ignore)).unwrap();
        let to = tempfile::tempdir().unwrap();
        copy(&tree, to.path()).unwrap();
        let is = |name: &str| to.path().join(name).symlink_metadata().is_ok();
        assert!(is("a") && is("dir/b") && is("link"));
        assert!(!is("dir/secret") && !is(".env"));
    }
}
