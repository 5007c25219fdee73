//! Snapshots: chains of immutable layers, and how they become files, tars and mounts.
//!
//! **Main types.** [`Snapshots`] makes everything; [`Snapshot`] and [`Layer`] name it;
//! [`ActiveSnapshot`] and [`ActiveLayer`] are layers being made; [`Listing`] and [`Entry`] are what
//! a layer holds; [`View`] is the tree that a snapshot shows; [`RootMount`] is what a step mounts;
//! [`Survey`] is what a plain directory holds.
//!
//! **Invariants.** A committed snapshot never changes. A layer has up to three forms (blob,
//! directory, listing), each made only when something needs it, and all say the same: applying the
//! diff of a tree gives the tree. Both drivers give the same bytes. Nothing of a tar is a path
//! before it is checked; content is never metadata of overlayfs; a blob that is not what was
//! promised leaves nothing.
//!
//! **Not here.** Mounting and running (`acetate-exec`), copying files into layers
//! (`acetate-files`), fetching blobs (`acetate-image`), when to seal (`acetate-engine`).

mod active;
mod apply;
mod build;
mod claims;
mod clamp;
mod complete;
mod directory;
mod dirs;
mod driver;
mod entry;
mod error;
mod layer;
mod layer_tar;
mod listing;
mod listings;
mod merged;
mod normal;
mod paths;
mod probe;
mod resolve;
mod root_mount;
mod scan;
mod seal;
mod snapshots;
mod sys;
mod tree;
mod view;
mod xattrs;

pub use active::{ActiveLayer, ActiveSnapshot};
pub use directory::{Survey, Top};
pub use driver::{Driver, DriverChoice};
pub use entry::{Entry, EntryKind, Xattrs};
pub use error::{BadLayer, SnapshotError};
pub use layer::{Layer, Sealed, Snapshot};
pub use layer_tar::{ClampTimes, TarEntry, TarKind, TarReader, TarRules, is_tar};
pub use listing::{
    DecodeError, INLINE_FILES, InvalidListing, Listing, MAX_INLINE, RootEntry, WalkOptions, walk,
};
pub use merged::Found;
pub use resolve::Follow;
pub use root_mount::RootMount;
pub use scan::{LayerInput, Limits, diff_id, scan};
pub use snapshots::{BlobLayer, SnapshotOptions, Snapshots};
pub use view::{Resolved, View};
pub use xattrs::{OverlayXattrs, is_kept};

#[cfg(test)]
mod tests;
