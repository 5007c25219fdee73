//! [`Merged`]: several listings seen as one tree. Pure, like the listings themselves.

use crate::entry::{Entry, EntryKind, bytes_path};
use crate::error::SnapshotError;
use crate::listing::Listing;
use crate::paths;
use crate::resolve::{self, Follow, Node};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// An entry of a merged tree and the layer that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The entry, never a whiteout.
    pub entry: &'a Entry,
    /// The index of its layer, counted from the bottom.
    pub layer: usize,
}

/// Listings from the bottom to the top.
#[derive(Clone, Debug, Default)]
pub(crate) struct Merged {
    layers: Vec<Arc<Listing>>,
}

/// What one layer says about a path.
enum Verdict<'a> {
    /// It is listed; `alone` when the layer hides what lower ones have above or at it.
    Has {
        entry: &'a Entry,
        alone: bool,
    },
    Hidden,
    Silent,
}

impl Merged {
    pub(crate) fn new(layers: Vec<Arc<Listing>>) -> Self {
        Self { layers }
    }

    pub(crate) fn listing(&self, layer: usize) -> &Arc<Listing> {
        &self.layers[layer]
    }

    /// Returns what is visible at exactly `path`, without following links.
    pub(crate) fn lookup(&self, path: &[u8]) -> Option<Found<'_>> {
        for (layer, listing) in self.layers.iter().enumerate().rev() {
            match verdict(listing, path) {
                Verdict::Has { entry, .. } => {
                    return (!entry.is_whiteout()).then_some(Found { entry, layer });
                }
                Verdict::Hidden => return None,
                Verdict::Silent => {}
            }
        }
        None
    }

    /// Returns the visible names directly inside `path` in order, or nothing when that is no
    /// directory. The root is a directory even when no layer lists it.
    pub(crate) fn read_dir<'a>(&'a self, path: &[u8]) -> Vec<Found<'a>> {
        let mut names: BTreeMap<&'a [u8], Option<Found<'a>>> = BTreeMap::new();
        for (layer, listing) in self.layers.iter().enumerate().rev() {
            let alone = match verdict(listing, path) {
                Verdict::Has { entry, .. } if !entry.is_dir() => break,
                Verdict::Hidden => break,
                Verdict::Has { alone, .. } => alone,
                Verdict::Silent => false,
            };
            for entry in listing.children(bytes_path(path)) {
                let found = Found { entry, layer };
                let name = paths::file_name(entry.bytes());
                names
                    .entry(name)
                    .or_insert((!entry.is_whiteout()).then_some(found));
            }
            if alone {
                break;
            }
        }
        names.into_values().flatten().collect()
    }

    /// Returns what kind of node a path is, for [`resolve`](crate::resolve).
    pub(crate) fn node(&self, path: &[u8]) -> Option<Node> {
        self.lookup(path).map(|found| node_of(found.entry))
    }

    pub(crate) fn resolve(&self, path: &Path, follow: Follow) -> Result<Vec<u8>, SnapshotError> {
        resolve::resolve(path, follow, &mut |path| self.node(path))
    }

    /// Calls `visit` for everything visible below `dir`, parents first and in order.
    pub(crate) fn walk<'a>(&'a self, dir: &[u8], visit: &mut dyn FnMut(Found<'a>)) {
        for found in self.read_dir(dir) {
            visit(found);
            if found.entry.is_dir() {
                self.walk(found.entry.bytes(), visit);
            }
        }
    }

    /// Returns the regular file that a found entry names.
    pub(crate) fn file_of<'a>(&'a self, found: Found<'a>) -> Option<&'a Entry> {
        self.layers[found.layer].file_of(found.entry)
    }
}

pub(crate) fn node_of(entry: &Entry) -> Node {
    match &entry.kind {
        EntryKind::Dir { .. } => Node::Dir,
        EntryKind::Symlink(target) => Node::Link(target.clone()),
        _ => Node::Other,
    }
}

/// Walks down from the first component: since parents are always listed, the first one that a
/// layer does not have ends the search in it.
fn verdict<'a>(listing: &'a Listing, path: &[u8]) -> Verdict<'a> {
    let entries = listing.entries();
    let root = entries
        .first()
        .filter(|entry| entry.path.as_os_str().is_empty());
    let mut hidden = root.is_some_and(Entry::hides_below);
    if path.is_empty() {
        return root.map_or(Verdict::Silent, |entry| Verdict::Has {
            entry,
            alone: hidden,
        });
    }
    for prefix in paths::prefixes(path) {
        let Some(at) = listing.find(prefix) else {
            break;
        };
        let entry = &entries[at];
        hidden |= entry.hides_below();
        if prefix.len() == path.len() {
            return Verdict::Has {
                entry,
                alone: hidden,
            };
        }
        if !entry.is_dir() {
            break;
        }
    }
    if hidden {
        return Verdict::Hidden;
    }
    Verdict::Silent
}

impl Found<'_> {
    /// Returns the path, relative to the root of the image.
    pub fn path(&self) -> &Path {
        &self.entry.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Entry {
        let kind = EntryKind::File {
            size: 0,
            digest: None,
        };
        Entry::new(path, kind, 0o644)
    }

    fn opaque(path: &str) -> Entry {
        Entry::new(path, EntryKind::Dir { opaque: true }, 0o755)
    }

    fn dir(path: &str) -> Entry {
        Entry::implied_dir(path)
    }

    fn merged(layers: Vec<Vec<Entry>>) -> Merged {
        let listings = layers
            .into_iter()
            .map(|entries| Arc::new(Listing::new(entries).unwrap()));
        Merged::new(listings.collect())
    }

    fn all(merged: &Merged) -> Vec<String> {
        let mut out = Vec::new();
        merged.walk(b"", &mut |found| {
            out.push(format!("{}@{}", found.path().display(), found.layer));
        });
        out
    }

    #[test]
    fn upper_layers_hide_replace_and_delete() {
        let tree = merged(vec![
            vec![
                dir("a"),
                file("a/1"),
                file("a/2"),
                dir("b"),
                dir("b/deep"),
                file("b/deep/x"),
                dir("c"),
                file("c/x"),
                file("d"),
            ],
            vec![
                dir("a"),
                Entry::whiteout("a/1"),
                file("a/3"),
                opaque("b"),
                file("b/new"),
                file("c"),
                dir("d"),
                file("d/x"),
            ],
            vec![dir("a"), file("a/1"), Entry::whiteout("c")],
        ]);
        assert_eq!(
            all(&tree),
            [
                "a@2", "a/1@2", "a/2@0", "a/3@1", "b@1", "b/new@1", "d@1", "d/x@1"
            ]
        );
        for gone in ["b/deep", "b/deep/x", "c", "c/x", "nothing", "d/x/y"] {
            assert!(tree.lookup(gone.as_bytes()).is_none(), "{gone}");
        }
        assert_eq!(tree.lookup(b"a/2").unwrap().layer, 0);
        assert!(tree.lookup(b"").is_none());
        assert!(tree.read_dir(b"d/x").is_empty());
    }

    #[test]
    fn a_complete_layer_hides_everything() {
        let root = Entry::new("", EntryKind::Dir { opaque: true }, 0o755);
        let tree = merged(vec![vec![file("old")], vec![root, file("new")]]);
        assert_eq!(all(&tree), ["new@1"]);
        assert!(tree.lookup(b"old").is_none());
        assert_eq!(tree.lookup(b"").unwrap().layer, 1);
    }

    #[test]
    fn an_opaque_directory_hides_at_every_depth() {
        let tree = merged(vec![
            vec![dir("a"), dir("a/b"), dir("a/b/c"), file("a/b/c/old")],
            vec![opaque("a"), dir("a/b"), dir("a/b/c"), file("a/b/c/new")],
        ]);
        assert_eq!(all(&tree), ["a@1", "a/b@1", "a/b/c@1", "a/b/c/new@1"]);
    }

    #[test]
    fn a_file_over_a_directory_over_a_file() {
        let tree = merged(vec![
            vec![dir("p"), file("p/x")],
            vec![file("p")],
            vec![dir("p")],
        ]);
        assert_eq!(all(&tree), ["p@2"]);
        assert!(tree.lookup(b"p/x").is_none());
    }
}
