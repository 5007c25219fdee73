//! The tar format of layers: writing it in one way only, reading it strictly; archives of users
//! are read by the same reader.

pub(crate) mod header;
mod pax;
mod read;
mod sparse;
mod write;

pub(crate) use read::entry_error;
pub use read::{TarEntry, TarKind, TarReader, TarRules};
pub use write::ClampTimes;
pub(crate) use write::TarWriter;

/// Before the last component of a path: that name is deleted.
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// The name of a mark that hides everything that lower layers have in its directory.
pub(crate) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// Names that the storage driver of long ago kept for itself.
pub(crate) const AUFS_PREFIX: &[u8] = b".wh..wh.";

pub(crate) const BLOCK: usize = 512;

/// Tells whether bytes begin with the header of an entry, as every tar that holds something does.
pub fn is_tar(head: &[u8]) -> bool {
    let block = head.first_chunk::<BLOCK>();
    block
        .map(header::Header::read)
        .is_some_and(|header| !header.is_zero() && header.checksum_matches())
}

/// How many bytes pad `size` to a whole number of blocks.
pub(crate) fn padding(size: u64) -> usize {
    let rest = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - rest) % BLOCK
}
