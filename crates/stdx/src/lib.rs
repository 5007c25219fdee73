//! Small tools that several crates need and the standard library lacks.
//!
//! Main types: [`OnceMap`] (exactly-once asynchronous work), [`offload()`] (CPU work on the rayon
//! pool, awaited), [`atomic::publish`], [`lock::FileLock`] (flock, polled), [`remove_tree`], [`Redacted`],
//! [`clock::Clock`].
//!
//! Invariants: nothing here knows images, graphs or caches; no lock is held over an await; a file
//! lock counts only when the path still names the locked inode.
//!
//! Not here: policy. Retry counts, paths and time limits belong to the callers.

pub mod atomic;
pub mod clock;
pub mod fs;
pub mod lock;
pub mod offload;
mod once_map;
mod redacted;
mod remove;

pub use offload::{blocking, offload};
pub use once_map::OnceMap;
pub use redacted::Redacted;
pub use remove::{remove_tree, remove_tree_at};
