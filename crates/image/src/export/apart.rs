//! Whether the trees of several images can be laid into one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::ExportError;
use crate::assemble::Image;
use crate::flatten::{Flat, Node};

/// Refuses trees that have more than directories in common, unless each has a place of its own.
pub(super) fn check(images: &[Image], dirs: &[String], trees: &[Flat]) -> Result<(), ExportError> {
    let mut owners: BTreeMap<Vec<u8>, (usize, bool)> = BTreeMap::new();
    if images.len() < 2 || dirs.iter().any(|dir| !dir.is_empty()) {
        return Ok(());
    }
    for (n, flat) in trees.iter().enumerate() {
        for (path, node) in flat.tree.iter() {
            let is_directory = matches!(node, Node::Directory(_));
            match owners.entry(path) {
                Entry::Vacant(free) => {
                    free.insert((n, is_directory));
                }
                Entry::Occupied(taken) => {
                    let (first, was_directory) = *taken.get();
                    if !(is_directory && was_directory) {
                        return Err(ExportError::Overlap {
                            path: String::from_utf8_lossy(taken.key()).into_owned(),
                            first: images[first].platform().to_string(),
                            second: images[n].platform().to_string(),
                        });
                    }
                }
            }
        }
    }
    Ok(())
}
