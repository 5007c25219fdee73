//! Reads manifests and blobs.

mod download;
mod manifest;

pub use self::download::Piece;
pub use self::manifest::{MANIFEST_LIMIT, Served};
