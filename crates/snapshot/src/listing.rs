//! [`Listing`]: the sorted entries of one layer.

mod codec;
mod walk;

use crate::entry::{Entry, EntryKind, path_bytes};
use crate::paths;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use codec::DecodeError;
pub(crate) use walk::walk_with;
pub use walk::{RootEntry, WalkOptions, walk};

/// Files whose bytes a listing carries, because owner names are looked up in them.
pub const INLINE_FILES: [&str; 2] = ["etc/group", "etc/passwd"];

/// The largest file whose bytes a listing carries.
pub const MAX_INLINE: u64 = 1 << 20;

/// The entries of one layer, sorted so that each directory is directly followed by its content.
///
/// Every parent of an entry is an entry too (the root directory excepted: it is listed only when
/// the layer changes it). A hard link names a regular file that sorts before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    entries: Vec<Entry>,
    inline: BTreeMap<PathBuf, Vec<u8>>,
}

impl Listing {
    /// Sorts `entries` and checks what the type promises.
    pub fn new(mut entries: Vec<Entry>) -> Result<Self, InvalidListing> {
        entries.sort_by(|a, b| paths::compare(a.bytes(), b.bytes()));
        let listing = Self {
            entries,
            inline: BTreeMap::new(),
        };
        listing.check()?;
        Ok(listing)
    }

    /// Returns all entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns how many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether the layer changes nothing.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the entry of exactly this relative path.
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.find(path_bytes(path)).map(|at| &self.entries[at])
    }

    /// Returns the regular file behind a file or hard link entry of this listing.
    pub fn file_of<'a>(&'a self, entry: &'a Entry) -> Option<&'a Entry> {
        match &entry.kind {
            EntryKind::File { .. } => Some(entry),
            EntryKind::Hardlink(target) => self.get(target),
            _ => None,
        }
    }

    /// Iterates over the entries directly inside `dir`, in order of their names.
    ///
    /// Skips subtrees by binary search, so the cost is that of the children alone.
    pub fn children(&self, dir: &Path) -> impl Iterator<Item = &Entry> + use<'_> {
        let dir = path_bytes(dir).to_vec();
        let mut at = self.after(&dir, 0);
        std::iter::from_fn(move || {
            let entry = self
                .entries
                .get(at)
                .filter(|entry| paths::is_below(entry.bytes(), &dir))?;
            at = self.subtree_end(at);
            Some(entry)
        })
    }

    /// Returns all entries strictly below `dir`.
    pub fn below(&self, dir: &Path) -> &[Entry] {
        let dir = path_bytes(dir);
        let start = self.after(dir, 0);
        let len =
            self.entries[start..].partition_point(|entry| paths::is_below(entry.bytes(), dir));
        &self.entries[start..start + len]
    }

    /// Returns the bytes of one of [`INLINE_FILES`] when the layer has it as a regular file.
    pub fn inline(&self, path: &Path) -> Option<&[u8]> {
        self.inline.get(path).map(Vec::as_slice)
    }

    /// Returns the sum of the sizes of the regular files, in bytes.
    pub fn content_size(&self) -> u64 {
        let sizes = self.entries.iter().map(|entry| match entry.kind {
            EntryKind::File { size, .. } => size,
            _ => 0,
        });
        sizes.fold(0, u64::saturating_add)
    }

    /// Returns whether every regular file has its content digest.
    pub fn is_digested(&self) -> bool {
        let missing = |entry: &Entry| matches!(entry.kind, EntryKind::File { digest: None, .. });
        !self.entries.iter().any(missing)
    }

    pub(crate) fn set_inline(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.inline.insert(path, bytes);
    }

    pub(crate) fn inline_files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.inline
    }

    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    pub(crate) fn find(&self, path: &[u8]) -> Option<usize> {
        self.entries
            .binary_search_by(|entry| paths::compare(entry.bytes(), path))
            .ok()
    }

    /// Returns the index of the first entry at or after `from` that sorts after `path`.
    fn after(&self, path: &[u8], from: usize) -> usize {
        from + self.entries[from..]
            .partition_point(|entry| paths::compare(entry.bytes(), path) != Ordering::Greater)
    }

    fn subtree_end(&self, at: usize) -> usize {
        let dir = self.entries[at].bytes();
        let rest = &self.entries[at + 1..];
        // Most entries have nothing below them: look once before searching.
        if !rest
            .first()
            .is_some_and(|next| paths::is_below(next.bytes(), dir))
        {
            return at + 1;
        }
        at + 1 + rest.partition_point(|entry| paths::is_below(entry.bytes(), dir))
    }

    fn check(&self) -> Result<(), InvalidListing> {
        let mut previous: Option<&Entry> = None;
        for entry in &self.entries {
            let reason = self.flaw(entry, previous);
            if let Some(reason) = reason {
                return Err(InvalidListing {
                    path: entry.path.clone(),
                    reason,
                });
            }
            previous = Some(entry);
        }
        Ok(())
    }

    fn flaw(&self, entry: &Entry, previous: Option<&Entry>) -> Option<&'static str> {
        if paths::normalise(&entry.path).as_deref().map(path_bytes) != Some(entry.bytes()) {
            return Some("is no clean relative path");
        }
        if previous.is_some_and(|previous| previous.path == entry.path) {
            return Some("is listed twice");
        }
        let parent = paths::parent(entry.bytes()).unwrap_or_default();
        let has_parent = || {
            self.find(parent)
                .is_some_and(|at| self.entries[at].is_dir())
        };
        if !parent.is_empty() && !has_parent() {
            return Some("is in no listed directory");
        }
        if entry.path.as_os_str().is_empty() && !entry.is_dir() {
            return Some("the root is no directory");
        }
        let EntryKind::Hardlink(target) = &entry.kind else {
            return None;
        };
        let is_file = |at: usize| matches!(self.entries[at].kind, EntryKind::File { .. });
        let earlier = paths::compare(path_bytes(target), entry.bytes()) == Ordering::Less;
        if earlier && self.find(path_bytes(target)).is_some_and(is_file) {
            return None;
        }
        Some("is a hard link to no earlier file of the layer")
    }
}

/// Entries that do not make a listing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` {reason}", path.display())]
pub struct InvalidListing {
    /// The offending entry.
    pub path: PathBuf,
    /// What is wrong with it, as the rest of a sentence.
    pub reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Entry {
        Entry::new(
            path,
            EntryKind::File {
                size: 1,
                digest: None,
            },
            0o644,
        )
    }

    fn sample() -> Listing {
        let entries = vec![
            file("a-b"),
            Entry::implied_dir("a"),
            file("a/x"),
            Entry::implied_dir("a/sub"),
            file("a/sub/deep"),
            Entry::whiteout("z"),
            Entry::new("a/y", EntryKind::Hardlink("a/x".into()), 0o644),
        ];
        Listing::new(entries).unwrap()
    }

    #[test]
    fn finds_entries_children_and_subtrees() {
        let listing = sample();
        assert!(listing.get(Path::new("a/sub/deep")).is_some());
        assert!(listing.get(Path::new("a/su")).is_none());
        let names = |dir: &str| -> Vec<_> {
            let children = listing.children(Path::new(dir));
            children.map(|e| e.path.to_str().unwrap()).collect()
        };
        assert_eq!(names(""), ["a", "a-b", "z"]);
        assert_eq!(names("a"), ["a/sub", "a/x", "a/y"]);
        assert_eq!(names("a/x"), [""; 0]);
        assert_eq!(listing.below(Path::new("a")).len(), 4);
        assert_eq!(listing.below(Path::new("")).len(), 7);
        let link = listing.get(Path::new("a/y")).unwrap();
        assert_eq!(listing.file_of(link).unwrap().path, Path::new("a/x"));
    }

    #[test]
    fn refuses_what_is_no_listing() {
        let reason = |entries: Vec<Entry>| Listing::new(entries).unwrap_err().reason;
        assert_eq!(reason(vec![file("a"), file("a")]), "is listed twice");
        assert_eq!(reason(vec![file("a/b")]), "is in no listed directory");
        assert_eq!(
            reason(vec![file("a"), file("a/b")]),
            "is in no listed directory"
        );
        assert_eq!(reason(vec![file("/a")]), "is no clean relative path");
        assert_eq!(reason(vec![file("../a")]), "is no clean relative path");
        assert_eq!(reason(vec![file("")]), "the root is no directory");
        let link = Entry::new("a", EntryKind::Hardlink("b".into()), 0o644);
        assert_eq!(
            reason(vec![link, file("b")]),
            "is a hard link to no earlier file of the layer"
        );
    }
}
