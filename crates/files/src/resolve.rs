//! Follows paths inside a tree: symbolic links, clamping at the root, wildcards.

use crate::{FilesError, Node, NodeKind, Tree};
use acetate_pattern::GoPattern;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// What Linux allows on one path.
const MAX_LINKS: u32 = 40;

/// Finds what `path` leads to, following symbolic links inside the root, the last one too.
pub fn follow(tree: &dyn Tree, path: &Path) -> Result<Option<Node>, FilesError> {
    match walk(tree, path)? {
        Walked::Node(node) => Ok(Some(node)),
        Walked::Missing { .. } => Ok(None),
    }
}

/// The place that `path` leads to, whether or not something is there: links are followed, also
/// dangling ones, and what is missing behind them is taken literally (S42).
pub fn place(tree: &dyn Tree, path: &Path) -> Result<PathBuf, FilesError> {
    Ok(match walk(tree, path)? {
        Walked::Node(node) => node.path,
        Walked::Missing { place } => place,
    })
}

/// A thing that a source pattern selects.
#[derive(Debug, Clone)]
pub struct Found {
    /// The name that it has where it is copied to.
    pub name: OsString,
    /// What it is, links followed.
    pub node: Node,
}

/// Resolves one source of a COPY: a plain path, which must exist, or a wildcard, which need not
/// match (S41, S44).
pub fn sources(tree: &dyn Tree, pattern: &str) -> Result<Vec<Found>, FilesError> {
    let clean = clean(Path::new(pattern));
    let text = clean.to_string_lossy();
    if !acetate_pattern::has_meta(&text) {
        let not_found = || FilesError::NotFound {
            path: PathBuf::from(pattern),
        };
        let node = follow(tree, &clean)?.ok_or_else(not_found)?;
        return Ok(vec![Found {
            name: clean.file_name().unwrap_or_default().to_owned(),
            node,
        }]);
    }
    let mut found = Vec::new();
    for path in matches(tree, &text)? {
        // A link that leads nowhere was matched by name only; there is nothing to copy.
        if let Some(node) = follow(tree, &path)? {
            found.push(Found {
                name: path.file_name().unwrap_or_default().to_owned(),
                node,
            });
        }
    }
    Ok(found)
}

/// Expands a wildcard component by component, which equals matching it against every whole path,
/// for `*` and `?` do not cross a slash, and reads only directories that can match.
fn matches(tree: &dyn Tree, pattern: &str) -> Result<Vec<PathBuf>, FilesError> {
    let bad = |reason: String| FilesError::Pattern {
        pattern: pattern.to_owned(),
        reason,
    };
    let mut paths = vec![PathBuf::new()];
    for component in pattern.split('/') {
        let matcher = GoPattern::new(component).map_err(|error| bad(error.to_string()))?;
        let mut next = Vec::new();
        for path in paths {
            let Some(dir) = follow(tree, &path)? else {
                continue;
            };
            if !dir.is_dir() {
                continue;
            }
            if !acetate_pattern::has_meta(component) {
                next.push(path.join(component));
                continue;
            }
            for node in tree.read_dir(&dir.path)? {
                if matcher.matches(node.name().as_bytes()) {
                    next.push(path.join(node.name()));
                }
            }
        }
        paths = next;
    }
    let mut out = Vec::new();
    for path in paths {
        let parent = path
            .parent()
            .map_or(Ok(None), |parent| follow(tree, parent))?;
        let Some(parent) = parent else { continue };
        if tree
            .lookup(&parent.path.join(path.file_name().unwrap_or_default()))?
            .is_some()
        {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

/// Takes `.` and `..` out of a path and clamps it at the root (S40); no link is looked at.
pub fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

enum Walked {
    Node(Node),
    Missing { place: PathBuf },
}

fn walk(tree: &dyn Tree, path: &Path) -> Result<Walked, FilesError> {
    let mut todo: VecDeque<OsString> = components(path).collect();
    let mut here = PathBuf::new();
    let mut links = 0;
    let mut node = None;
    while let Some(name) = todo.pop_front() {
        if name == ".." {
            here.pop();
            node = None;
            continue;
        }
        here.push(&name);
        let Some(found) = tree.lookup(&here)? else {
            for name in todo {
                if name == ".." {
                    here.pop();
                } else {
                    here.push(name);
                }
            }
            return Ok(Walked::Missing { place: here });
        };
        let NodeKind::Symlink(target) = &found.kind else {
            node = Some(found);
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            return Err(FilesError::Loop {
                path: path.to_owned(),
            });
        }
        here.pop();
        if target.is_absolute() {
            here = PathBuf::new();
        }
        for name in components(target).collect::<Vec<_>>().into_iter().rev() {
            todo.push_front(name);
        }
        node = None;
    }
    match node {
        Some(node) => Ok(Walked::Node(node)),
        None => match tree.lookup(&here)? {
            Some(node) => Ok(Walked::Node(node)),
            None => Ok(Walked::Missing { place: here }),
        },
    }
}

/// Names and `..`, without roots and `.`.
fn components(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}
