use crate::selection::{Item, Part};
use crate::{FilesError, Node, Tree};
use acetate_pattern::{IgnoreMatcher, ParentsPattern};
use rayon::prelude::*;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Which of the things below a directory are taken; paths are relative to what is copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter<'a> {
    /// Takes only what matches; none takes everything.
    pub(crate) include: Option<&'a ParentsPattern>,
    /// Leaves out what matches.
    pub(crate) excludes: &'a IgnoreMatcher,
}

impl Filter<'_> {
    /// The part that something has in a copy.
    pub(crate) fn part(&self, rel: &Path) -> Part {
        let rel = rel.as_os_str().as_bytes();
        let is_included = self.include.is_none_or(|i| i.matches_or_parent(rel));
        if is_included && !self.excludes.matches(rel) {
            Part::Whole
        } else {
            Part::Way
        }
    }

    /// True when something below a directory may be taken.
    fn enters(&self, rel: &Path) -> bool {
        let rel = rel.as_os_str().as_bytes();
        let may_include = |i: &ParentsPattern| i.matches_or_parent(rel) || i.may_match_below(rel);
        self.include.is_none_or(may_include)
            && (!self.excludes.matches(rel) || self.excludes.may_contain_exceptions_below(rel))
    }
}

/// Lists what a filter takes below a directory, parents first and directories only where they are
/// taken or lead to something. Directories that can hold nothing are not read.
///
/// The directory itself has the relative path `rel`.
pub(crate) fn below(
    tree: &dyn Tree,
    dir: &Path,
    rel: &Path,
    filter: Filter<'_>,
) -> Result<Vec<Item>, FilesError> {
    let mut items: Vec<Item> = Vec::new();
    let mut level: Vec<(PathBuf, PathBuf)> = vec![(dir.to_owned(), rel.to_owned())];
    while !level.is_empty() {
        let list = |(dir, rel): &(PathBuf, PathBuf)| list(tree, dir, rel, filter);
        // Waking a pool costs more than listing a few directories.
        let lists: Vec<Result<Listed, FilesError>> = if level.len() < 8 {
            level.iter().map(list).collect()
        } else {
            level.par_iter().map(list).collect()
        };
        level.clear();
        for listed in lists {
            let listed = listed?;
            items.extend(listed.items);
            level.extend(listed.dirs);
        }
    }
    items.sort_by(|a, b| a.rel.cmp(&b.rel));
    prune(tree, &mut items);
    Ok(items)
}

/// What a filter takes of one directory.
struct Listed {
    items: Vec<Item>,
    /// Directories to go on with: where they are, and their relative paths.
    dirs: Vec<(PathBuf, PathBuf)>,
}

fn list(tree: &dyn Tree, dir: &Path, rel: &Path, filter: Filter<'_>) -> Result<Listed, FilesError> {
    let (mut items, mut dirs) = (Vec::new(), Vec::new());
    for node in tree.read_dir(dir)? {
        let rel = rel.join(node.name());
        let part = filter.part(&rel);
        if node.is_dir() && filter.enters(&rel) {
            dirs.push((node.path.clone(), rel.clone()));
        } else if part == Part::Way {
            continue;
        }
        items.push(Item::new(rel, node, part));
    }
    Ok(Listed { items, dirs })
}

/// Drops directories that stand there only for what is below them, where nothing is.
///
/// Children sort behind their directory, so one pass from the back sees them first.
pub(crate) fn prune(tree: &dyn Tree, items: &mut Vec<Item>) {
    let is_needed_only = |item: &Item| item.part == Part::Way || is_hidden_dir(tree, &item.node);
    let mut kept: Vec<Item> = Vec::with_capacity(items.len());
    for item in items.drain(..).rev() {
        let leads_on = |next: &Item| next.rel.starts_with(&item.rel);
        if !is_needed_only(&item) || kept.last().is_some_and(leads_on) {
            kept.push(item);
        }
    }
    kept.reverse();
    *items = kept;
}

/// A directory that an ignore file hides, and which is seen for its exceptions only.
pub(crate) fn is_hidden_dir(tree: &dyn Tree, node: &Node) -> bool {
    node.is_dir() && tree.hides(&node.path)
}
