//! Records and layers in a directory that is an OCI layout, and records in the config of an image.
//!
//! **Main types.** [`LayoutCache`], made from a [`LayoutPlace`] to be read, or with
//! [`LayoutOptions`] to be written as well; [`InlineCache`], which is made from an image, and gives
//! what an image is to carry.
//!
//! **Invariants.** The directory is a layout at any instant, also after a kill: blobs appear whole,
//! and the index is replaced, last, under a lock that spans reading and writing, so that builds
//! which write it at once lose nothing. What a layout says is believed only after its bytes were
//! hashed, and that a blob unpacks to a tar only after it was unpacked, here, once. Equal records
//! give equal bytes.
//!
//! **Not here.** How layers are compressed (`acetate-image`), which results are given to a cache
//! (`acetate-engine`). docs/cache-local.md tells users about it.

mod cache;
pub(crate) mod catalog;
mod close;
mod dir;
mod document;
mod fetch;
mod inline;
pub(crate) mod intake;
pub(crate) mod ledger;
pub(crate) mod listing;
pub(crate) mod load;
pub(crate) mod notes;
pub(crate) mod parcel;
pub(crate) mod publish;
pub(crate) mod verified;

pub(crate) use cache::MAX_LAYER;
pub use cache::{LayoutCache, LayoutOptions, LayoutPlace, Missing, Reset};
pub use inline::{INLINE_FIELD, InlineCache};
pub use parcel::Form;
