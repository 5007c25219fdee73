//! The normal form of a layer: what it says about the layers below, in one way only.
//!
//! Opaque directories become single whiteouts, whiteouts of absent names vanish (S90), what equals
//! the layers below is dropped (S91), and the parents of every change stay (S89).

use crate::entry::{Entry, EntryKind};
use crate::error::SnapshotError;
use crate::listing::Listing;
use crate::merged::{Found, Merged};
use crate::paths::{self, PathKey};
use acetate_oci::Timestamp;
use std::collections::{BTreeMap, HashSet};

/// The entries of one layer while it is being put into normal form.
pub(crate) type Entries = BTreeMap<PathKey, Entry>;

/// Tells whether a file has the content of a file below, when all else is equal.
pub(crate) type SameContent<'a> = dyn FnMut(&Entry, Found<'_>) -> Result<bool, SnapshotError> + 'a;

/// Returns the entries by which the tree `raw`, laid over `base`, differs from `base`.
pub(crate) fn diff(
    raw: &Listing,
    base: &Merged,
    same_content: &mut SameContent<'_>,
) -> Result<Listing, SnapshotError> {
    let mut entries: Entries = raw
        .entries()
        .iter()
        .map(|entry| (PathKey(entry.bytes().to_vec()), entry.clone()))
        .collect();
    expand_opaque(&mut entries, base);
    drop_useless_whiteouts(&mut entries, base);
    let linked = linked_files(raw);
    let mut kept: Vec<Entry> = Vec::new();
    // Backwards, so that the content of a directory is decided before the directory itself.
    for (key, mut entry) in entries.into_iter().rev() {
        let holds_kept = || {
            kept.last()
                .is_some_and(|last| paths::is_below(last.bytes(), &key.0))
        };
        let keep = if key.0.is_empty() {
            // The time of the root changes with every name in it: it is never a change itself.
            let below = base
                .lookup(b"")
                .map_or_else(Timestamp::default, |found| found.entry.mtime);
            entry.mtime = below;
            !same_root(&entry, base)
        } else if entry.is_dir() {
            holds_kept() || !same_dir(&entry, base)
        } else {
            linked.contains(key.0.as_slice()) || !same_leaf(&entry, base, same_content)?
        };
        if keep {
            kept.push(entry);
        }
    }
    Ok(listing_of(kept, raw))
}

/// Replaces opaque marks by single whiteouts of what they hide.
pub(crate) fn expand_opaque(entries: &mut Entries, base: &Merged) {
    let opaque = |entry: &Entry| matches!(entry.kind, EntryKind::Dir { opaque: true });
    let marked: Vec<Vec<u8>> = entries
        .iter()
        .filter(|(_, entry)| opaque(entry))
        .map(|(key, _)| key.0.clone())
        .collect();
    for dir in marked {
        hide_below(entries, base, &dir);
        if let Some(entry) = entries.get_mut(&PathKey(dir)) {
            entry.kind = EntryKind::Dir { opaque: false };
        }
    }
}

/// Drops deletions of what does not exist below.
pub(crate) fn drop_useless_whiteouts(entries: &mut Entries, base: &Merged) {
    entries.retain(|key, entry| !entry.is_whiteout() || base.lookup(&key.0).is_some());
}

fn hide_below(entries: &mut Entries, base: &Merged, dir: &[u8]) {
    for found in base.read_dir(dir) {
        let path = found.entry.bytes();
        match entries.get(&PathKey(path.to_vec())) {
            None => {
                let whiteout = Entry::whiteout(&found.entry.path);
                entries.insert(PathKey(path.to_vec()), whiteout);
            }
            // The new directory would merge with the old one of that name.
            Some(own) if own.is_dir() && found.entry.is_dir() => {
                hide_below(entries, base, path);
            }
            Some(_) => {}
        }
    }
}

/// Returns the paths of files with several names: they stay, since a layer that has the other
/// names must have the file (S52).
fn linked_files(raw: &Listing) -> HashSet<&[u8]> {
    let mut linked = HashSet::new();
    for entry in raw.entries() {
        if let EntryKind::Hardlink(target) = &entry.kind {
            linked.insert(crate::entry::path_bytes(target));
            linked.insert(entry.bytes());
        }
    }
    linked
}

fn same_root(entry: &Entry, base: &Merged) -> bool {
    match base.lookup(b"") {
        Some(found) => entry.same_ownership(found.entry),
        None => entry.same_ownership(&Entry::implied_dir("")),
    }
}

fn same_dir(entry: &Entry, base: &Merged) -> bool {
    let below = base.lookup(entry.bytes());
    below.is_some_and(|found| found.entry.is_dir() && entry.same_attributes(found.entry))
}

fn same_leaf(
    entry: &Entry,
    base: &Merged,
    same_content: &mut SameContent<'_>,
) -> Result<bool, SnapshotError> {
    let Some(found) = base.lookup(entry.bytes()) else {
        return Ok(false);
    };
    if entry.is_whiteout() || !entry.same_attributes(found.entry) {
        return Ok(false);
    }
    let EntryKind::File { size, .. } = entry.kind else {
        return Ok(entry.kind == found.entry.kind);
    };
    match base.file_of(found).map(|file| &file.kind) {
        Some(EntryKind::File { size: below, .. }) if *below == size => same_content(entry, found),
        _ => Ok(false),
    }
}

fn listing_of(kept: Vec<Entry>, raw: &Listing) -> Listing {
    let mut listing =
        Listing::new(kept).expect("a part of a listing with all its parents is a listing");
    for (path, bytes) in raw.inline_files() {
        if listing.get(path).is_some() {
            listing.set_inline(path.clone(), bytes.clone());
        }
    }
    listing
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn file(path: &str, size: u64) -> Entry {
        Entry::new(path, EntryKind::File { size, digest: None }, 0o644)
    }

    fn link(path: &str, target: &str) -> Entry {
        Entry::new(path, EntryKind::Hardlink(target.into()), 0o644)
    }

    fn opaque(path: &str) -> Entry {
        Entry::new(path, EntryKind::Dir { opaque: true }, 0o755)
    }

    fn dir(path: &str) -> Entry {
        Entry::implied_dir(path)
    }

    fn base() -> Merged {
        let entries = vec![
            dir("d"),
            file("d/1", 1),
            file("d/2", 1),
            dir("d/sub"),
            file("d/sub/x", 1),
            file("f", 1),
        ];
        Merged::new(vec![Arc::new(Listing::new(entries).unwrap())])
    }

    fn check(raw: Vec<Entry>, expected: &[&str]) {
        let raw = Listing::new(raw).unwrap();
        let listing = diff(&raw, &base(), &mut |_, _| Ok(true)).unwrap();
        let shown: Vec<String> = listing
            .entries()
            .iter()
            .map(|entry| {
                let mark = match entry.kind {
                    EntryKind::Whiteout => "-",
                    EntryKind::Dir { opaque: false } => "/",
                    EntryKind::Dir { opaque: true } => "!",
                    _ => "+",
                };
                format!("{mark}{}", entry.path.display())
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_unchanged_or_absent_below_is_dropped() {
        check(vec![dir("d"), file("d/1", 1), file("f", 1)], &[]);
        check(vec![dir("d"), file("d/1", 2)], &["/d", "+d/1"]);
        check(
            vec![Entry::whiteout("nothing"), Entry::whiteout("f")],
            &["-f"],
        );
        check(vec![dir("d"), Entry::whiteout("d/1")], &["/d", "-d/1"]);
        check(vec![dir("new"), dir("new/er")], &["/new", "/new/er"]);
    }

    #[test]
    fn opaque_directories_become_single_whiteouts() {
        check(
            vec![opaque("d"), file("d/1", 5), file("d/new", 1)],
            &["/d", "+d/1", "-d/2", "+d/new", "-d/sub"],
        );
        check(
            vec![opaque("d"), dir("d/sub"), file("d/sub/y", 1)],
            &["/d", "-d/1", "-d/2", "/d/sub", "-d/sub/x", "+d/sub/y"],
        );
        check(vec![opaque("f")], &["/f"]);
        check(
            vec![opaque("fresh"), file("fresh/x", 1)],
            &["/fresh", "+fresh/x"],
        );
    }

    #[test]
    fn a_complete_tree_tells_what_is_missing() {
        check(
            vec![opaque(""), dir("d"), file("d/1", 1)],
            &["/d", "-d/2", "-d/sub", "-f"],
        );
        check(vec![opaque("")], &["-d", "-f"]);
    }

    #[test]
    fn linked_files_stay_whole() {
        check(vec![file("f", 1), link("z", "f")], &["+f", "+z"]);
    }

    #[test]
    fn other_kinds_replace_whole_trees() {
        check(vec![file("d", 3)], &["+d"]);
        let symlink = Entry::new("d", EntryKind::Symlink("f".into()), 0o777);
        check(vec![symlink], &["+d"]);
    }
}
