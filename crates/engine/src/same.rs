//! Early cut-off: tells whether an earlier use of an op had inputs of the same content.
//!
//! The cheap differences are looked for first: other names of layers, other lists of files. Bytes
//! are read only where nothing cheaper tells two inputs apart.

use crate::output::Output;
use crate::sight::{self, Seen, Sight, SightError};
use acetate_cache::{Past, PastInput};
use acetate_files::Selection;
use acetate_graph::key::{UseRole, uses};
use acetate_graph::{CopyAction, Vertex};
use acetate_snapshot::{Layer, Snapshot, Snapshots};

/// Compares inputs of one build with those of earlier ones.
#[derive(Debug)]
pub(crate) struct Same<'a> {
    snapshots: &'a Snapshots,
}

impl<'a> Same<'a> {
    pub(crate) fn new(snapshots: &'a Snapshots) -> Self {
        Self { snapshots }
    }

    /// True when the result of `past` is the result of `vertex` on `inputs`. A comparison that failed
    /// counts as a difference.
    pub(crate) fn inputs(
        &self,
        vertex: &Vertex,
        inputs: &[Output],
        past: &Past,
    ) -> Result<bool, SightError> {
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
                        match (usage.role, Sight::of(vertex, usage.place)) {
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
    fn chains(&self, now: &Snapshot, then: &Snapshot) -> Result<bool, SightError> {
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
    fn may_be_same(&self, a: &Layer, b: &Layer) -> Result<bool, SightError> {
        if let (Some(a), Some(b)) = (a.diff_id(), b.diff_id()) {
            return Ok(a == b);
        }
        let (a, b) = (self.snapshots.listing(a)?, self.snapshots.listing(b)?);
        Ok(a.has_same_names(&b))
    }

    fn is_same_layer(&self, a: &Layer, b: &Layer) -> Result<bool, SightError> {
        Ok(self.snapshots.seal(a)?.diff_id == self.snapshots.seal(b)?.diff_id)
    }

    /// Compares what a copy selects: content and attributes, but no times.
    fn picks(
        &self,
        copy: &CopyAction,
        now: &Snapshot,
        then: &Snapshot,
    ) -> Result<bool, SightError> {
        let now = sight::picks(self.snapshots, copy, now)?;
        is_same_selection(now, sight::picks(self.snapshots, copy, then)?)
    }

    /// Compares what a mount shows (S80): content and attributes, but no times.
    fn trees(&self, path: &str, now: &Snapshot, then: &Snapshot) -> Result<bool, SightError> {
        let now = sight::below(self.snapshots, path, now)?;
        match (now, sight::below(self.snapshots, path, then)?) {
            (Some(now), Some(then)) => is_same_selection(now, then),
            _ => Ok(false),
        }
    }

    /// Compares the users and groups that names are looked up in.
    fn accounts(&self, now: &Snapshot, then: &Snapshot) -> Result<bool, SightError> {
        Ok(sight::accounts(self.snapshots, now)? == sight::accounts(self.snapshots, then)?)
    }
}

/// Compares two selections, without reading any file where names and sizes tell them apart.
fn is_same_selection(now: Seen, then: Seen) -> Result<bool, SightError> {
    let is_alike = now.selection.size() == then.selection.size()
        && shape(&now.selection) == shape(&then.selection);
    Ok(is_alike && now.digest()? == then.digest()?)
}

/// How many things each source selects.
fn shape(selection: &Selection) -> Vec<Vec<usize>> {
    let slots = selection.slots.iter();
    slots
        .map(|slot| slot.picks.iter().map(|pick| pick.below.len()).collect())
        .collect()
}
