//! Files of a build: what COPY and ADD select, the digest of it, and how it is written.
//!
//! **Main types.** [`Tree`] is anything that files are read from: [`HostTree`] a context,
//! [`ViewTree`] a snapshot. [`Selection`] is what the sources of one instruction pick out of a
//! tree. [`Staging`] is a layer being written; [`copy`], [`mkdir`] and [`mkfile`] write into it.
//!
//! **Invariants.** No path leaves its root: links are resolved inside, `..` is clamped. Nothing is
//! mounted and nothing below the layer is unpacked to find a destination. Bytes of a context are
//! hashed while they are copied and compared with the digest that the key was made from.
//!
//! **Not here.** Which files an instruction names (`acetate-frontend`), layer tars and whiteouts
//! (`acetate-snapshot`).

mod copy;
mod digest_memory;
mod dir_times;
mod error;
mod fill;
mod fingerprint;
mod frames;
mod host_tree;
mod make;
mod mode;
mod owner;
mod parents;
pub mod resolve;
mod selection;
mod selection_hasher;
mod staging;
mod tree;
mod unpack;
mod view_tree;
mod walk;
mod xattrs;

pub use copy::{CopyInput, copy};
pub use digest_memory::{DigestMemory, FileGroup};
pub use error::FilesError;
pub use fingerprint::Fingerprint;
pub use host_tree::{HostModes, HostTree};
pub use make::{mkdir, mkfile};
pub use mode::ModeSpec;
pub use owner::{Account, Owner};
pub use selection::{Attributes, Item, Part, Pick, Selection, SelectionOptions, Slot};
pub use staging::Staging;
pub use tree::{Content, LinkGroup, Node, NodeKind, Tree};
pub use unpack::tar_of;
pub use view_tree::ViewTree;

use std::os::unix::ffi::OsStrExt;

/// A path out of the bytes that the kernel gave.
fn bytes_path(bytes: &[u8]) -> std::path::PathBuf {
    std::path::PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests;
