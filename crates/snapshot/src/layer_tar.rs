//! The tar format of layers: writing it in one way only, reading it strictly.

mod header;
mod pax;
mod read;
mod write;

pub(crate) use read::{TarEntry, TarKind, TarReader, entry_error};
pub use write::ClampTimes;
pub(crate) use write::TarWriter;

/// Before the last component of a path: that name is deleted.
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";

/// The name of a mark that hides everything that lower layers have in its directory.
pub(crate) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";

/// Names that the storage driver of long ago kept for itself.
pub(crate) const AUFS_PREFIX: &[u8] = b".wh..wh.";

pub(crate) const BLOCK: usize = 512;

/// How many bytes pad `size` to a whole number of blocks.
pub(crate) fn padding(size: u64) -> usize {
    let rest = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - rest) % BLOCK
}
