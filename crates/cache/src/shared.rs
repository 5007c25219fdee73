//! The narrow trait of every cache outside of this machine's store.

use std::fmt;

use acetate_store::BlobRef;
use futures_util::future::BoxFuture;

use crate::CacheKey;
use crate::remote::{Lost, Publication, Published, RemoteHit, RemoteLayer, Stats, Warning};

/// Records and layers that other machines or other builds left, to be taken and to be added to.
///
/// None of it fails a build: absence, damage and faults are values, and a cause is warned of once.
/// Nothing that comes is believed before its bytes were hashed. Dropping a future ends its work.
pub trait SharedCache: fmt::Debug + Send + Sync {
    /// Where it is, without credentials: what records that come from it name as their origin.
    fn name(&self) -> String;

    /// Asks for all keys at once; for each the record, or nothing.
    fn lookup<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Vec<Option<RemoteHit>>>;

    /// Brings a layer of a record into the store, checked and pinned, and gives its blob there.
    ///
    /// # Errors
    /// Why the layer is not to be had; the record that named it is a miss then.
    fn fetch<'a>(&'a self, layer: &'a RemoteLayer) -> BoxFuture<'a, Result<BlobRef, Lost>>;

    /// Gives the bytes of the listing that a record names for a layer: what its digest says, and no
    /// truer than the record.
    ///
    /// # Errors
    /// Why it is not to be had; the layer may be all the same.
    fn listing<'a>(&'a self, layer: &'a RemoteLayer) -> BoxFuture<'a, Result<Vec<u8>, Lost>>;

    /// Gives a result to the cache: what it lacks of the layers, and the records last.
    fn publish<'a>(&'a self, publication: &'a Publication) -> BoxFuture<'a, Published>;

    /// Writes what can only be written when the build has ended, and gives what was done.
    fn close(&self) -> BoxFuture<'_, CacheReport>;
}

/// What was done with a cache, and what is worth a line to whoever started the build.
#[derive(Debug, Clone, Default)]
pub struct CacheReport {
    /// Counts.
    pub stats: Stats,
    /// Warnings, at most one a cause.
    pub warnings: Vec<Warning>,
}
