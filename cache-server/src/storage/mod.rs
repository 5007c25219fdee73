//! Objects by name: content by its digest, records by namespace and key.
//!
//! [`Storage`] is what requests are answered from. Behind it is a [`Disk`] that holds everything, or a
//! bucket that holds everything and a [`Disk`] with copies of content; and above either, if it was
//! asked for, another server.
//!
//! ```text
//! <dir>/cas/<ab>/<64 hex>                 content, immutable
//! <dir>/ac/<namespace hash>/<ab>/<64 hex> records
//! <dir>/tmp/                              unfinished objects
//! <dir>/index.sqlite                      sizes, uses and references; made anew when lost
//! <dir>/closed                            written by a server that ended in order
//! <dir>/lock                              held by the one server that works here
//! ```
//!
//! Files are the truth. An object appears by one rename of a file that was written, hashed and
//! synced; the index only says what to remove first. A bucket has `cas` and `ac` with the same names
//! below its prefix, and `acetate-cache`, which says the version of this layout.

mod arrival;
mod backing;
mod bucket;
mod changes;
mod content;
mod disk;
mod error;
mod filling;
mod index;
mod keys;
pub(crate) mod known;
mod listing;
mod scan;
mod sending;
pub(crate) mod source;
mod store;
mod stored;
mod tasks;
mod tier;
mod touched;
mod unsynced;
mod upload;

pub use arrival::Arrival;
pub use backing::{Backing, BucketUrl};
pub use content::Content;
pub use disk::{Disk, Found};
pub use error::StorageError;
pub use index::{Index, Object, Sum};
pub use listing::Listed;
pub use store::Storage;
pub use stored::{Condition, Put, Stored};
pub use upload::{Finished, Upload};

pub(crate) use upload::fail_point;

use acetate_cache_api::{Kind, Namespace, Route};
use acetate_oci::Digest;

/// The path of content, which is one collection for all namespaces.
pub(crate) fn content(key: Digest) -> Route {
    Route {
        namespace: Namespace::root(),
        kind: Kind::Content,
        key,
    }
}
