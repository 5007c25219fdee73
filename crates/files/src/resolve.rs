//! Follows paths inside a tree: symbolic links, clamping at the root, wildcards.

use crate::{FilesError, Node, NodeKind, Tree};
use acetate_pattern::{GoPattern, has_meta};
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
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
///
/// A link that a wildcard hits must lead to something, unless `is_left_out` takes its name.
pub fn sources(
    tree: &dyn Tree,
    pattern: &str,
    is_left_out: impl Fn(&OsStr) -> bool,
) -> Result<Vec<Found>, FilesError> {
    let clean = clean(Path::new(pattern));
    let text = clean.to_string_lossy();
    if !has_meta(&text) {
        let not_found = || FilesError::NotFound {
            path: clean.clone(),
        };
        let node = follow(tree, &clean)?.ok_or_else(not_found)?;
        return Ok(vec![Found {
            name: clean.file_name().unwrap_or_default().to_owned(),
            node,
        }]);
    }
    let mut found = Vec::new();
    for path in matches(tree, &text)? {
        let name = path.file_name().unwrap_or_default().to_owned();
        match follow(tree, &path)? {
            Some(node) => found.push(Found { name, node }),
            None if is_left_out(&name) => {}
            None => return Err(FilesError::NotFound { path }),
        }
    }
    Ok(found)
}

/// Finds what matches a wildcard, sorted.
///
/// The components before the first wildcard are a plain path, whose links are followed. The rest is
/// matched against whole paths below that, through real directories only, and what matches is
/// not looked into.
fn matches(tree: &dyn Tree, pattern: &str) -> Result<Vec<PathBuf>, FilesError> {
    let components: Vec<&str> = pattern.split('/').collect();
    let n_plain = components.iter().take_while(|c| !has_meta(c)).count();
    let (plain, wild) = components.split_at(n_plain);
    let matcher = GoPattern::new(&wild.join("/"))?;
    let start = follow(tree, Path::new(&plain.join("/")))?;
    let Some(start) = start.filter(Node::is_dir) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut todo = vec![start.path.clone()];
    while let Some(dir) = todo.pop() {
        for node in tree.read_dir(&dir)? {
            let rel = node.path.strip_prefix(&start.path).unwrap_or(&node.path);
            let rel = rel.as_os_str().as_bytes();
            if matcher.matches(rel) {
                found.push(node.path);
            } else if node.is_dir() && matcher.may_match_below(rel) {
                todo.push(node.path);
            }
        }
    }
    found.sort();
    Ok(found)
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
