//! Claims: listings that somebody else wrote, used until the layer itself has been looked at.
//!
//! A claim stands for the listing of a layer whose bytes are elsewhere. Once they are here it is
//! compared with them: names and attributes for the price of reading the tar, digests only where
//! somebody relied on them. A claim that is refuted stays refuted, so that whoever made something
//! with it can tell.

use crate::apply;
use crate::entry::{Entry, EntryKind};
use crate::error::SnapshotError;
use crate::layer::{Layer, Origin, Snapshot};
use crate::listing::Listing;
use crate::listings;
use crate::snapshots::Snapshots;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is known of a claim.
#[derive(Debug, Default)]
pub(crate) enum Claim {
    /// There is none.
    #[default]
    None,
    /// Nobody compared it with the layer, or not all of it that was relied on.
    Standing {
        listing: Arc<Listing>,
        /// Somebody asked for the listing and got this one.
        is_used: bool,
        /// Somebody took a digest of a file from it.
        uses_digests: bool,
        /// Its names and attributes are those of the layer.
        has_names: bool,
    },
    /// It says what the layer holds.
    Proven,
    /// It says something else.
    Refuted,
}

fn claim(layer: &Layer) -> MutexGuard<'_, Claim> {
    let claim: &Mutex<Claim> = &layer.0.claim;
    claim.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a listing for that of a layer which came as a blob, until the layer itself tells.
pub(crate) fn put(layer: &Layer, listing: Listing) {
    let mut claim = claim(layer);
    let is_blob = matches!(layer.0.origin, Origin::Blob { .. });
    if is_blob && matches!(*claim, Claim::None) && listings::remembered(layer).is_none() {
        *claim = Claim::Standing {
            listing: Arc::new(listing),
            is_used: false,
            uses_digests: false,
            has_names: false,
        };
    }
}

/// The listing that is claimed; whoever takes it relies on it from then on.
pub(crate) fn take(layer: &Layer) -> Option<Arc<Listing>> {
    match &mut *claim(layer) {
        Claim::Standing {
            listing, is_used, ..
        } => {
            *is_used = true;
            Some(Arc::clone(listing))
        }
        _ => None,
    }
}

/// True when a claim stands, used or not.
pub(crate) fn stands(layer: &Layer) -> bool {
    matches!(*claim(layer), Claim::Standing { .. })
}

/// True when something that was relied on has not been compared with the layer.
pub(crate) fn is_open(layer: &Layer) -> bool {
    match &*claim(layer) {
        Claim::Standing {
            is_used,
            uses_digests,
            has_names,
            ..
        } => (*is_used && !has_names) || *uses_digests,
        _ => false,
    }
}

/// True when the claim that was used said something else than the layer.
pub(crate) fn is_refuted(layer: &Layer) -> bool {
    matches!(*claim(layer), Claim::Refuted)
}

/// True when names and attributes of a whole chain are known, not merely claimed.
pub(crate) fn are_settled(chain: &Snapshot) -> bool {
    let is_settled = |layer: &Layer| {
        !matches!(
            *claim(layer),
            Claim::Standing {
                has_names: false,
                ..
            }
        )
    };
    chain.layers().iter().all(is_settled)
}

/// True when a claim about a layer of a chain is refuted, whatever was made of it is lost.
pub(crate) fn is_any_refuted(chain: &Snapshot) -> bool {
    chain.layers().iter().any(is_refuted)
}

/// Notes that a digest was taken from the claim, where there is one.
pub(crate) fn rely_on_digest(layer: &Layer) {
    if let Claim::Standing { uses_digests, .. } = &mut *claim(layer) {
        *uses_digests = true;
    }
}

/// Compares the claim, where there is one, with what the layer really holds.
pub(crate) fn settle(layer: &Layer, found: &Listing) {
    let mut claim = claim(layer);
    if let Claim::Standing {
        listing, is_used, ..
    } = &*claim
    {
        let is_refuted = *is_used && **listing != *found;
        *claim = if is_refuted {
            Claim::Refuted
        } else {
            Claim::Proven
        };
    }
}

/// Compares the claim with what the layer holds if the claims below are right.
pub(crate) fn compare(layer: &Layer, found: &Listing) {
    let mut claim = claim(layer);
    if let Claim::Standing {
        listing, is_used, ..
    } = &*claim
        && *is_used
        && **listing != *found
    {
        *claim = Claim::Refuted;
    }
}

/// Compares what was relied on of the claims of a chain with the blobs, as far as those are here.
///
/// It goes from the bottom up, since a layer is compared as it is on those below.
pub(crate) fn prove(snapshots: &Snapshots, chain: &Snapshot) -> Result<(), SnapshotError> {
    for layer in chain.layers() {
        let uses_digests = match &*claim(layer) {
            Claim::Standing { uses_digests, .. } => *uses_digests,
            _ => continue,
        };
        if !is_open(layer) || !is_here(snapshots, layer)? {
            continue;
        }
        if uses_digests && are_settled(layer.base()) {
            let listing = apply::scan_blob(snapshots, layer)?;
            listings::store(snapshots, layer, &listing);
            listings::remember(layer, listing);
            continue;
        }
        let outline = apply::outline_blob(snapshots, layer)?;
        let mut claim = claim(layer);
        if let Claim::Standing {
            listing, has_names, ..
        } = &mut *claim
        {
            if is_alike(listing, &outline) {
                *has_names = true;
            } else {
                *claim = Claim::Refuted;
            }
        }
    }
    Ok(())
}

fn is_here(snapshots: &Snapshots, layer: &Layer) -> Result<bool, SnapshotError> {
    let Some(sealed) = layer.sealed() else {
        return Ok(false);
    };
    let found = snapshots.0.store.blobs().has(&sealed.blob.digest)?;
    Ok(found.is_some())
}

/// Whether two listings differ in nothing but the digests of files.
fn is_alike(a: &Listing, b: &Listing) -> bool {
    a.has_same_names(b) && a.inline_files() == b.inline_files()
}

impl Snapshots {
    /// Returns the listing of a layer where that costs no look at its files or its blob: one that is
    /// remembered or stored, or else one that is claimed.
    pub fn known_listing(&self, layer: &Layer) -> Result<Option<Arc<Listing>>, SnapshotError> {
        listings::known(self, layer)
    }

    /// Takes a listing that somebody else wrote for that of a layer, which came as a blob and whose
    /// own listing is not known yet.
    ///
    /// What is done by it is right as long as the layer turns out not to be
    /// [refuted](Layer::is_refuted).
    pub fn claim(&self, layer: &Layer, listing: Listing) {
        put(layer, listing);
    }

    /// Compares what was relied on of claimed listings of a chain with the blobs of its layers, where
    /// those are here: names and attributes, which costs a look at the whole tar, and digests only
    /// where somebody took one of the listing.
    pub fn prove(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        prove(self, snapshot)
    }
}

impl Listing {
    /// Returns whether two listings hold the same names with the same attributes, whatever is in the
    /// files.
    pub fn has_same_names(&self, other: &Self) -> bool {
        let same_kind = |a: &EntryKind, b: &EntryKind| match (a, b) {
            (EntryKind::File { size: a, .. }, EntryKind::File { size: b, .. }) => a == b,
            (a, b) => a == b,
        };
        let is_same = |(a, b): (&Entry, &Entry)| {
            a.path == b.path && same_kind(&a.kind, &b.kind) && a.same_attributes(b)
        };
        self.len() == other.len() && self.entries().iter().zip(other.entries()).all(is_same)
    }
}
