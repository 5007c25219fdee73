//! Records and layers in a repository of a registry.
//!
//! **Main types.** [`RegistryCache`], made from a [`RegistryPlace`] to be read, or with
//! [`RegistryOptions`] to be written as well.
//!
//! **Invariants.** A tag leads to one manifest with all that is known, so reading is one manifest and
//! its config. Registries cannot compare and replace a tag: so whoever writes leaves the same manifest
//! under a tag of its own as well, first, and whoever reads or writes looks at both; a tag is
//! overwritten only by its own writer, or by somebody whose manifest has all that it had. Nothing is
//! ever deleted. What a registry says is believed only after its bytes were hashed.
//!
//! **Not here.** The form of the documents (`layout`), how registries are spoken to
//! (`acetate-registry`). docs/cache-registry.md tells users about it.

mod cache;
mod close;
mod fault;
mod fetch;
mod listing;
mod publish;
mod shelf;
mod writer;

pub use cache::{RegistryCache, RegistryOptions, RegistryPlace};
