//! What people do with caches by hand: look, move, remove, check, make keys.

mod catalog;
mod export;
mod find;
mod import;
mod mount_name;
mod mount_tar;
mod prune;
mod remote_check;
mod server;
mod stats;
mod verify;

pub use acetate_cache::remote::told;
pub use acetate_cache::remote::{DecodeError, Depth, Distrust, Flaw, LayerForm, RemoteLayer, Seen};
pub use acetate_cache::{CacheKey, Fidelity, KeyKind, Origin};
pub use acetate_store::{
    BlobRef, CacheMountDir, CacheMountItem, CacheMountName, CacheMountRemoval,
};
pub use catalog::{CachedLayer, CachedRecord, LayerOrigin};
pub use export::RecordChoice;
pub use find::CacheItem;
pub use mount_name::MountName;
pub use mount_tar::{ImportTrust, MountImport, PackedMount, Packing};
pub use prune::CachePrune;
pub use remote_check::RemoteCheck;
pub use server::{CacheServer, ListedRecord};
pub use stats::LocalStats;
pub use verify::LocalCheck;

use crate::{BuildError, CacheSummary};
use acetate_cache::SharedCache;
use acetate_cache::remote::sign;
use acetate_oci::Digest;
use acetate_stdx::Redacted;

/// What moving records between this machine and a cache came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// For each record, in order, what became of it.
    pub records: Vec<(Digest, Moved)>,
    /// What was done with the cache.
    pub summary: CacheSummary,
    /// What the cache is worth a line for.
    pub warnings: Vec<String>,
}

/// What became of a record that was to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// It is there now.
    Done,
    /// It was there already.
    Kept,
    /// It cannot be moved, since something of it is not here.
    NotHere(String),
    /// It was not moved, for this reason.
    Failed(String),
}

/// A key that was made to sign records.
#[derive(Debug, Clone)]
pub struct NewSigningKey {
    /// The private half, as PEM.
    pub private: Redacted<String>,
    /// The line for a list of trusted keys.
    pub public: String,
    /// The short name of the key, which messages give.
    pub id: String,
}

/// Makes a key; `name` stands in its public line.
///
/// # Errors
/// When the name has characters that cannot stand there.
pub fn new_signing_key(name: Option<&str>) -> Result<NewSigningKey, BuildError> {
    let key = sign::generate(name).map_err(|error| {
        BuildError::request_with(crate::error::words(&error), error.hint().to_owned())
    })?;
    Ok(NewSigningKey {
        private: key.private,
        public: key.public,
        id: key.id,
    })
}

/// Ends the use of a cache and makes a report of it.
async fn close(cache: &dyn SharedCache, records: Vec<(Digest, Moved)>) -> Transfer {
    let report = cache.close().await;
    Transfer {
        records,
        summary: CacheSummary {
            name: cache.name(),
            stats: report.stats,
        },
        warnings: report.warnings.iter().map(ToString::to_string).collect(),
    }
}
