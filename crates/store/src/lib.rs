//! The local store: content-addressed blobs, layer directories, an index, pins and removal.
//!
//! **Main types.** [`Store`] with [`Blobs`], [`Layers`], [`CacheMounts`], [`Index`] and [`Live`];
//! [`LayerId`], [`LayerRow`], [`Record`]; [`PruneOptions`] and [`PruneReport`]; [`Usage`].
//!
//! **Invariants.** A digest never names wrong bytes for a reader that reads to the end. Objects appear
//! whole, by one rename, and never change. Any number of processes use one store at once, without a
//! daemon and without a global lock. Files are the truth, the index can be lost at any time. Nothing
//! that a living process has pinned or holds is removed. docs/dev/storage-layout.md draws the
//! directory.
//!
//! **Not here.** What records mean (`acetate-cache`), how layers are made and mounted
//! (`acetate-snapshot`), when to prune (the command line).
#![warn(missing_docs)]

mod blob_reader;
mod blob_writer;
mod blobs;
mod boot;
mod cache_mount_list;
mod cache_mounts;
mod checksum;
pub mod codec;
mod error;
mod index;
mod layer_id;
mod layers;
mod live;
mod object;
mod prune;
mod root;
mod scratch;
mod store;
mod survey;
mod sync;
mod temp;
mod trash;
mod tree;
mod usage;
mod written;

pub use blob_reader::BlobReader;
pub use blob_writer::{BlobWriter, Expect, Ingested};
pub use blobs::Blobs;
pub use boot::BootId;
pub use cache_mount_list::{CacheMountDir, CacheMountItem, CacheMountName, CacheMountRemoval};
pub use cache_mounts::{
    CacheClaim, CacheFound, CacheHold, CacheMounts, CachePlace, NewCacheMount, Replaced,
};
pub use error::StoreError;
pub use index::{BlobRef, Directory, FactKey, Index, LayerRow, Record, RecordKey};
pub use layer_id::{LayerId, LayerIdParseError};
pub use layers::{ActiveLayer, LayerHold, Layers, PublishedLayer};
pub use live::Live;
pub use object::Object;
pub use prune::{CacheMountRule, Kept, PruneOptions, PruneReport, Reason, Scope};
pub use scratch::ScratchDir;
pub use store::{Store, StoreLock};
pub use survey::{StoredLayer, StoredRecord, Survey};
pub use usage::{Tally, Usage, UsageItem};

/// Times of use are noted to the hour, so that looking up stays nearly write-free.
const TOUCH_SECS: i64 = 3600;

#[cfg(test)]
mod tests;
