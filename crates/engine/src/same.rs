//! Early cut-off: tells whether an earlier use of an op had inputs of the same content.
//!
//! The cheap differences are looked for first: other names of layers, other lists of files. Bytes
//! are read only where nothing cheaper tells two inputs apart.

use crate::output::Output;
use acetate_cache::{Past, PastInput};
use acetate_files::{Attributes, FilesError, Selection, SelectionOptions, Tree, ViewTree, resolve};
use acetate_graph::key::{UsePlace, UseRole, uses};
use acetate_graph::{CopyAction, CopyOwner, CopySource, FileAction, MountSource, Op, Vertex};
use acetate_oci::Digest;
use acetate_snapshot::{Entry, EntryKind, Layer, Listing, Snapshot, SnapshotError, Snapshots};
use std::path::Path;

/// Compares inputs of one build with those of earlier ones.
#[derive(Debug)]
pub(crate) struct Same<'a> {
    snapshots: &'a Snapshots,
}

/// A comparison that failed counts as a difference.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SameError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Files(#[from] FilesError),
}

impl<'a> Same<'a> {
    pub(crate) fn new(snapshots: &'a Snapshots) -> Self {
        Self { snapshots }
    }

    /// True when the result of `past` is the result of `vertex` on `inputs`.
    pub(crate) fn inputs(
        &self,
        vertex: &Vertex,
        inputs: &[Output],
        past: &Past,
    ) -> Result<bool, SameError> {
        if inputs.len() != past.inputs.len() {
            return Ok(false);
        }
        for usage in uses(vertex) {
            let n = usage.input as usize;
            let (Some(now), Some(then)) = (inputs.get(n), past.inputs.get(n)) else {
                return Ok(false);
            };
            let same = match (now, then) {
                (Output::Selected(now), PastInput::Selection(then)) => now.digest == *then,
                (Output::Files(now), PastInput::Chain(then)) => {
                    let ids = now.snapshot.ids();
                    if ids == *then {
                        true
                    } else {
                        // What is gone cannot be compared.
                        let Some(then) = self.snapshots.from_layers(then)? else {
                            return Ok(false);
                        };
                        let now = &now.snapshot;
                        match (usage.role, sight(vertex, usage.place)) {
                            (UseRole::Read, Some(Sight::Copy(copy))) => {
                                self.picks(copy, now, &then)?
                            }
                            (UseRole::Read, Some(Sight::Below(path))) => {
                                self.trees(path, now, &then)?
                            }
                            (UseRole::Read, Some(Sight::Accounts)) => self.accounts(now, &then)?,
                            _ => self.chains(now, &then)?,
                        }
                    }
                }
                _ => false,
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Compares what is written onto: layer by layer, times included.
    fn chains(&self, now: &Snapshot, then: &Snapshot) -> Result<bool, SameError> {
        let (now, then) = (now.layers(), then.layers());
        if now.len() != then.len() {
            return Ok(false);
        }
        let differing = || now.iter().zip(then).filter(|(a, b)| a.id() != b.id());
        for (a, b) in differing() {
            if !self.may_be_same(a, b)? {
                return Ok(false);
            }
        }
        for (a, b) in differing() {
            if !self.is_same_layer(a, b)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// False when names and attributes alone tell two layers apart.
    fn may_be_same(&self, a: &Layer, b: &Layer) -> Result<bool, SameError> {
        if let (Some(a), Some(b)) = (a.diff_id(), b.diff_id()) {
            return Ok(a == b);
        }
        let (a, b) = (self.snapshots.listing(a)?, self.snapshots.listing(b)?);
        Ok(are_alike(&a, &b))
    }

    fn is_same_layer(&self, a: &Layer, b: &Layer) -> Result<bool, SameError> {
        Ok(self.snapshots.seal(a)?.diff_id == self.snapshots.seal(b)?.diff_id)
    }

    /// Compares what a copy selects: content and attributes, but no times.
    fn picks(&self, copy: &CopyAction, now: &Snapshot, then: &Snapshot) -> Result<bool, SameError> {
        let sources: Vec<String> = copy.sources.iter().filter_map(path).collect();
        let options = SelectionOptions {
            sources: &sources,
            excludes: &copy.excludes,
            parents: copy.parents,
        };
        let now = self.selected(&options, now)?;
        let then = self.selected(&options, then)?;
        is_same_selection(attributes(copy), now, then)
    }

    /// Compares what a mount shows (S80): content and attributes, but no times.
    fn trees(&self, path: &str, now: &Snapshot, then: &Snapshot) -> Result<bool, SameError> {
        let (Some(now), Some(then)) = (self.below(path, now)?, self.below(path, then)?) else {
            return Ok(false);
        };
        let attributes = Attributes {
            owner: true,
            mode: true,
        };
        is_same_selection(attributes, now, then)
    }

    /// Everything at a path, links followed; none when nothing is there.
    fn below(
        &self,
        path: &str,
        snapshot: &Snapshot,
    ) -> Result<Option<(ViewTree, Selection)>, SameError> {
        let tree = ViewTree::new(self.snapshots.view(snapshot)?);
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
        Ok(Some((tree, selection)))
    }

    /// Compares the users and groups that names are looked up in.
    fn accounts(&self, now: &Snapshot, then: &Snapshot) -> Result<bool, SameError> {
        let read = |snapshot| -> Result<[Option<Vec<u8>>; 2], SameError> {
            let tree = ViewTree::new(self.snapshots.view(snapshot)?);
            let read = |path| tree.read_small(Path::new(path), u64::MAX);
            Ok([read("etc/passwd")?, read("etc/group")?])
        };
        Ok(read(now)? == read(then)?)
    }

    fn selected(
        &self,
        options: &SelectionOptions<'_>,
        snapshot: &Snapshot,
    ) -> Result<(ViewTree, Selection), SameError> {
        let tree = ViewTree::new(self.snapshots.view(snapshot)?);
        let selection = Selection::find(&tree, options)?;
        Ok((tree, selection))
    }
}

/// Compares two selections, without reading any file where names and sizes tell them apart.
fn is_same_selection(
    attributes: Attributes,
    now: (ViewTree, Selection),
    then: (ViewTree, Selection),
) -> Result<bool, SameError> {
    if now.1.size() != then.1.size() || shape(&now.1) != shape(&then.1) {
        return Ok(false);
    }
    let digest = |(tree, mut selection): (ViewTree, Selection)| -> Result<Digest, SameError> {
        selection.read(&tree)?;
        Ok(selection.digest(attributes))
    };
    Ok(digest(now)? == digest(then)?)
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

/// How many things each source selects.
fn shape(selection: &Selection) -> Vec<Vec<usize>> {
    let slots = selection.slots.iter();
    slots
        .map(|slot| slot.picks.iter().map(|pick| pick.below.len()).collect())
        .collect()
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

/// What a use can see of an input that it only reads.
enum Sight<'a> {
    /// What a copy selects.
    Copy(&'a CopyAction),
    /// What is at a path.
    Below(&'a str),
    /// Users and groups.
    Accounts,
}

fn sight(vertex: &Vertex, place: UsePlace) -> Option<Sight<'_>> {
    match (&vertex.op, place) {
        (Op::File(file), UsePlace::Action(n)) => match file.actions.get(n) {
            Some(FileAction::Copy(copy)) => Some(Sight::Copy(copy)),
            _ => None,
        },
        (Op::File(_), UsePlace::Accounts) => Some(Sight::Accounts),
        (Op::Exec(exec), UsePlace::Mount(n)) => {
            let mount = exec.mounts.get(n)?;
            Some(match &mount.source {
                // All of it becomes the directory that the selector is looked up in.
                MountSource::Cache(_) => Sight::Below(""),
                _ => Sight::Below(&mount.selector),
            })
        }
        _ => None,
    }
}

/// Compares two layers without the digests of their files.
fn are_alike(a: &Listing, b: &Listing) -> bool {
    let without = |entry: &Entry| {
        let mut entry = entry.clone();
        if let EntryKind::File { digest, .. } = &mut entry.kind {
            *digest = None;
        }
        entry
    };
    a.len() == b.len()
        && a.entries()
            .iter()
            .zip(b.entries())
            .all(|(a, b)| without(a) == without(b))
}
