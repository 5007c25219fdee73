use std::collections::BTreeMap;
use std::io;

/// Files to look at: a root file system, a stage, or a build context.
pub trait Tree {
    /// All regular files, in any order.
    fn files(&self) -> io::Result<Vec<TreeFile>>;

    /// The bytes of one of [`Tree::files`], by its path; whoever reads may stop after `limit` bytes.
    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>>;
}

/// A regular file of a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeFile {
    /// Its path from the root, without a leading slash.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// Whether somebody may execute it.
    pub executable: bool,
}

/// A tree that is held in memory: for layers that were read anyway, and for tests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemoryTree {
    files: BTreeMap<String, (Vec<u8>, bool)>,
}

impl MemoryTree {
    /// A tree without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file.
    #[must_use]
    pub fn with(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.add(path, bytes.into(), false)
    }

    /// Adds a file that can be executed.
    #[must_use]
    pub fn with_program(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.add(path, bytes.into(), true)
    }

    fn add(mut self, path: &str, bytes: Vec<u8>, executable: bool) -> Self {
        self.files.insert(path.to_owned(), (bytes, executable));
        self
    }
}

impl Tree for MemoryTree {
    fn files(&self) -> io::Result<Vec<TreeFile>> {
        let describe = |(path, (bytes, executable)): (&String, &(Vec<u8>, bool))| TreeFile {
            path: path.clone(),
            size: bytes.len() as u64,
            executable: *executable,
        };
        Ok(self.files.iter().map(describe).collect())
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let (bytes, _) = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(bytes[..bytes.len().min(limit)].to_vec())
    }
}
