//! Early cut-off: tells whether an earlier use of an op had inputs of the same content.
//!
//! The cheap differences are looked for first: other names of layers, other lists of files. Bytes
//! are read only where nothing cheaper tells two inputs apart.

use crate::output::Output;
use acetate_cache::{Past, PastInput};
use acetate_files::{Attributes, FilesError, Selection, ViewTree};
use acetate_graph::key::{UsePlace, UseRole, uses};
use acetate_graph::{CopyAction, CopyOwner, CopySource, FileAction, Op, Vertex};
use acetate_oci::Digest;
use acetate_snapshot::{Entry, EntryKind, Layer, Listing, Snapshot, SnapshotError, Snapshots};

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
                        match (usage.role, selector(vertex, usage.place)) {
                            (UseRole::Read, Some(copy)) => {
                                self.picks(copy, &now.snapshot, &then)?
                            }
                            _ => self.chains(&now.snapshot, &then)?,
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
        let now = self.selected(&sources, now)?;
        let then = self.selected(&sources, then)?;
        if now.1.size() != then.1.size() || shape(&now.1) != shape(&then.1) {
            return Ok(false);
        }
        Ok(digest(copy, now)? == digest(copy, then)?)
    }

    fn selected(
        &self,
        sources: &[String],
        snapshot: &Snapshot,
    ) -> Result<(ViewTree, Selection), SameError> {
        let tree = ViewTree::new(self.snapshots.view(snapshot)?);
        let selection = Selection::find(&tree, sources)?;
        Ok((tree, selection))
    }
}

fn digest(copy: &CopyAction, selected: (ViewTree, Selection)) -> Result<Digest, SameError> {
    let (tree, mut selection) = selected;
    selection.read(&tree)?;
    Ok(selection.digest(attributes(copy)))
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

fn selector(vertex: &Vertex, place: UsePlace) -> Option<&CopyAction> {
    match (&vertex.op, place) {
        (Op::File(file), UsePlace::Action(n)) => match file.actions.get(n) {
            Some(FileAction::Copy(copy)) => Some(copy),
            _ => None,
        },
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
