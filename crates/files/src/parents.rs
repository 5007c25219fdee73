//! `COPY --parents`: the directories that lead to a source come along.
//!
//! A source is cut at its first `/./`, the pivot: what stands before it is a directory or a wildcard
//! for directories, with links followed, and is copied like any directory, by what is in it. What
//! stands behind it says which part: a path, or a pattern in which `**` crosses directories. Links
//! there are things to copy, as in any directory.

use crate::selection::{Item, Part, Pick};
use crate::walk::{Filter, below, prune};
use crate::{FilesError, Node, NodeKind, Tree, resolve};
use acetate_pattern::{IgnoreMatcher, ParentsPattern, has_meta};
use std::path::{Path, PathBuf};

/// Finds what one source selects.
pub(crate) fn picks(
    tree: &dyn Tree,
    source: &str,
    excludes: &IgnoreMatcher,
) -> Result<Vec<Pick>, FilesError> {
    let (pivot, rest) = source.split_once("/./").unwrap_or(("", source));
    let rest = resolve::clean(Path::new(rest));
    let text = rest.to_string_lossy();
    let pattern = has_meta(&text)
        .then(|| ParentsPattern::new(&text))
        .transpose()?;
    let must_exist = pattern.is_none() && !has_meta(pivot);
    let not_found = || FilesError::NotFound {
        path: resolve::clean(Path::new(pivot)).join(&rest),
    };
    let mut picks = Vec::new();
    for found in resolve::sources(tree, pivot, |_| false)? {
        let below = if !found.node.is_dir() {
            None
        } else if pattern.is_some() || rest.as_os_str().is_empty() {
            let filter = Filter {
                include: pattern.as_ref(),
                excludes,
            };
            Some(below(tree, &found.node.path, Path::new(""), filter)?)
        } else {
            chain(tree, &found.node, &rest, excludes)?
        };
        match below {
            Some(below) => picks.push(Pick {
                name: found.name,
                root: Item::new(PathBuf::new(), found.node, Part::Way),
                below,
            }),
            None if must_exist => return Err(not_found()),
            None => {}
        }
    }
    Ok(picks)
}

/// Lists a plain path and the directories that lead to it, looking at nothing beside them; none
/// when it is not there.
///
/// A link on the way becomes a directory like the one that it leads to, so that the path exists
/// where it is copied to.
fn chain(
    tree: &dyn Tree,
    pivot: &Node,
    path: &Path,
    excludes: &IgnoreMatcher,
) -> Result<Option<Vec<Item>>, FilesError> {
    let mut items = Vec::new();
    let mut dir = pivot.path.clone();
    let mut rel = PathBuf::new();
    for name in path.parent().unwrap_or(Path::new("")) {
        rel.push(name);
        let Some(node) = directory(tree, &dir.join(name))? else {
            return Ok(None);
        };
        dir.clone_from(&node.path);
        items.push(Item::new(rel.clone(), node, Part::Way));
    }
    let last = dir.join(path.file_name().unwrap_or_default());
    let Some(node) = tree.lookup(&last)? else {
        return Ok(None);
    };
    let filter = Filter {
        include: None,
        excludes,
    };
    let part = filter.part(path);
    if node.is_dir() {
        let inside = below(tree, &node.path, path, filter)?;
        items.push(Item::new(path.to_owned(), node, part));
        items.extend(inside);
    } else if part == Part::Whole {
        items.push(Item::new(path.to_owned(), node, part));
    }
    prune(tree, &mut items);
    Ok(Some(items))
}

/// The directory at a path, or behind a link there.
fn directory(tree: &dyn Tree, path: &Path) -> Result<Option<Node>, FilesError> {
    let node = match tree.lookup(path)? {
        Some(node) if matches!(node.kind, NodeKind::Symlink(_)) => resolve::follow(tree, path)?,
        node => node,
    };
    Ok(node.filter(Node::is_dir))
}
