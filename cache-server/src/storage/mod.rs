//! Objects on a disk: content by its digest, records by namespace and key.
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
//! synced; the index only says what to remove first.

mod changes;
mod disk;
mod index;
mod listing;
mod scan;
mod touched;
mod upload;

pub use disk::{Disk, Found, StorageError};
pub use index::{Index, Object, Sum};
pub use listing::Listed;
pub use upload::Upload;

pub(crate) use upload::fail_point;
