//! What a step can see of an input that it only reads.

use acetate_files::{Attributes, FilesError, Selection, SelectionOptions, Tree, ViewTree, resolve};
use acetate_graph::key::UsePlace;
use acetate_graph::{CopyAction, CopyOwner, CopySource, FileAction, MountSource, Op, Vertex};
use acetate_oci::Digest;
use acetate_snapshot::{Snapshot, SnapshotError, Snapshots};
use std::path::Path;

/// What a use can see of an input that it only reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sight<'a> {
    /// What a copy selects.
    Copy(&'a CopyAction),
    /// What is at a path.
    Below(&'a str),
    /// Users and groups.
    Accounts,
}

/// A look at an input that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SightError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// Files that are seen, and which of their attributes count.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) tree: ViewTree,
    pub(crate) selection: Selection,
    pub(crate) attributes: Attributes,
}

impl Seen {
    /// Content and attributes of what is seen, without times. Reads what has no digest yet.
    pub(crate) fn digest(mut self) -> Result<Digest, SightError> {
        self.selection.read(&self.tree)?;
        Ok(self.selection.digest(self.attributes))
    }
}

impl<'a> Sight<'a> {
    /// What the use at `place` sees; none when it sees all of its input.
    pub(crate) fn of(vertex: &'a Vertex, place: UsePlace) -> Option<Self> {
        match (&vertex.op, place) {
            (Op::File(file), UsePlace::Action(n)) => match file.actions.get(n) {
                Some(FileAction::Copy(copy)) => Some(Self::Copy(copy)),
                _ => None,
            },
            (Op::File(_), UsePlace::Accounts) => Some(Self::Accounts),
            (Op::Exec(exec), UsePlace::Mount(n)) => {
                let mount = exec.mounts.get(n)?;
                Some(match &mount.source {
                    // All of it becomes the directory that the selector is looked up in.
                    MountSource::Cache(_) => Self::Below(""),
                    _ => Self::Below(&mount.selector),
                })
            }
            _ => None,
        }
    }
}

/// What a copy selects.
pub(crate) fn picks(
    snapshots: &Snapshots,
    copy: &CopyAction,
    snapshot: &Snapshot,
) -> Result<Seen, SightError> {
    let sources: Vec<String> = copy.sources.iter().filter_map(path).collect();
    let options = SelectionOptions {
        sources: &sources,
        excludes: &copy.excludes,
        parents: copy.parents,
    };
    let tree = ViewTree::new(snapshots.view(snapshot)?);
    let selection = Selection::find(&tree, &options)?;
    Ok(Seen {
        tree,
        selection,
        attributes: attributes(copy),
    })
}

/// Everything at a path, links followed; none when nothing is there.
pub(crate) fn below(
    snapshots: &Snapshots,
    path: &str,
    snapshot: &Snapshot,
) -> Result<Option<Seen>, SightError> {
    let tree = ViewTree::new(snapshots.view(snapshot)?);
    let Some(node) = resolve::follow(&tree, Path::new(path))? else {
        return Ok(None);
    };
    // A name that is no text could be taken for another one.
    let Some(real) = node.path.to_str() else {
        return Ok(None);
    };
    let sources = [literal(real)];
    let options = SelectionOptions {
        sources: &sources,
        ..SelectionOptions::default()
    };
    let selection = Selection::find(&tree, &options)?;
    let attributes = Attributes {
        owner: true,
        mode: true,
    };
    Ok(Some(Seen {
        tree,
        selection,
        attributes,
    }))
}

/// The users and the groups of an image, where it has some.
pub(crate) fn accounts(
    snapshots: &Snapshots,
    snapshot: &Snapshot,
) -> Result<[Option<Vec<u8>>; 2], SightError> {
    let tree = ViewTree::new(snapshots.view(snapshot)?);
    let read = |path| tree.read_small(Path::new(path), u64::MAX);
    Ok([read("etc/passwd")?, read("etc/group")?])
}

/// A path as a source that matches nothing else.
fn literal(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let mut source = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            source.push('\\');
        }
        source.push(c);
    }
    source
}

/// What the copy overwrites anyway does not count.
fn attributes(copy: &CopyAction) -> Attributes {
    let octal = copy
        .mode
        .as_ref()
        .is_some_and(|mode| mode.starts_with(|c: char| c.is_ascii_digit()));
    Attributes {
        owner: copy.owner == CopyOwner::Keep,
        mode: !octal,
    }
}

fn path(source: &CopySource) -> Option<String> {
    match source {
        CopySource::Path(path) => Some(path.clone()),
        CopySource::Slot(_) => None,
    }
}
