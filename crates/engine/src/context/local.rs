//! Directories of this machine as contexts.

use super::input;
use crate::BuildError;
use acetate_files::{HostModes, HostTree};
use acetate_pattern::IgnoreMatcher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A directory, opened when something is taken from it.
#[derive(Debug)]
pub(super) struct LocalContext {
    dir: PathBuf,
    modes: HostModes,
    tree: OnceLock<HostTree>,
}

impl LocalContext {
    /// Takes a directory, which must exist even when nothing is taken from it.
    pub(super) fn new(dir: &Path, modes: HostModes) -> Result<Self, BuildError> {
        check_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            modes,
            tree: OnceLock::new(),
        })
    }

    /// A directory that is opened already.
    pub(super) fn opened(tree: HostTree) -> Self {
        Self {
            dir: tree.root().to_owned(),
            modes: HostModes::default(),
            tree: OnceLock::from(tree),
        }
    }

    /// The files, with the ignore file in the directory's root.
    pub(super) fn open(&self) -> Result<&HostTree, BuildError> {
        if let Some(tree) = self.tree.get() {
            return Ok(tree);
        }
        let tree = open_tree(&self.dir, None)?.with_modes(self.modes);
        Ok(self.tree.get_or_init(|| tree))
    }

    /// The files, if something was taken from them.
    pub(super) fn tree(&self) -> Option<&HostTree> {
        self.tree.get()
    }
}

pub(super) fn check_dir(dir: &Path) -> Result<(), BuildError> {
    let fail = |source| input("open the context", dir, source);
    let metadata = std::fs::metadata(dir).map_err(fail)?;
    if metadata.is_dir() {
        Ok(())
    } else {
        Err(fail(io::ErrorKind::NotADirectory.into()))
    }
}

/// Opens a directory with the ignore file given, or with the one in its root.
pub(super) fn open_tree(dir: &Path, ignore: Option<&IgnoreFile>) -> Result<HostTree, BuildError> {
    let own = match ignore {
        Some(_) => None,
        None => IgnoreFile::read(dir.join(".dockerignore"))?,
    };
    let matcher = ignore.or(own.as_ref()).map(IgnoreFile::parse);
    Ok(HostTree::open(dir, matcher.transpose()?)?)
}

/// A `.dockerignore`.
pub(super) struct IgnoreFile {
    path: PathBuf,
    pub(super) text: String,
}

impl IgnoreFile {
    /// An absent file is no error.
    pub(super) fn read(path: PathBuf) -> Result<Option<Self>, BuildError> {
        match std::fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Ok(Some(Self { path, text }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(input("read", &path, source)),
        }
    }

    fn parse(&self) -> Result<IgnoreMatcher, BuildError> {
        IgnoreMatcher::parse(&self.text)
            .map_err(|error| BuildError::request(format!("{}: {error}", self.path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{dir, names};
    use super::*;

    #[test]
    fn the_ignore_file_beside_the_dockerfile_goes_first() {
        let files = [
            ("x.Dockerfile", "FROM scratch"),
            ("x.Dockerfile.dockerignore", "a"),
            (".dockerignore", "b"),
            ("a", ""),
            ("b", ""),
        ];
        let dir = dir(&files);
        let found = IgnoreFile::read(dir.path().join("x.Dockerfile.dockerignore")).unwrap();
        let tree = open_tree(dir.path(), found.as_ref()).unwrap();
        assert!(!names(&tree).contains(&"a".to_owned()) && names(&tree).contains(&"b".to_owned()));
        let tree = open_tree(dir.path(), None).unwrap();
        assert!(names(&tree).contains(&"a".to_owned()) && !names(&tree).contains(&"b".to_owned()));
    }

    #[test]
    fn a_bad_ignore_file_is_named() {
        let dir = dir(&[(".dockerignore", "ok\n!\n")]);
        let error = open_tree(dir.path(), None).unwrap_err().to_string();
        assert!(
            error.contains(".dockerignore") && error.contains("illegal exclusion pattern"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_is_opened_when_something_is_taken_from_it() {
        let dir = dir(&[(".dockerignore", "!"), ("a", "")]);
        let context = LocalContext::new(dir.path(), HostModes::Exact).unwrap();
        assert!(context.tree().is_none());
        assert!(context.open().is_err());
        std::fs::write(dir.path().join(".dockerignore"), "a").unwrap();
        assert_eq!(names(context.open().unwrap()), [".dockerignore"]);
        assert!(context.tree().is_some());
    }
}
