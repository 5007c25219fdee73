//! The nouns of the OCI image and distribution specifications, as plain values.
//!
//! **Main types.** [`Digest`], [`Descriptor`], [`MediaType`], [`Platform`], [`Reference`],
//! [`Manifest`], [`Index`], [`ImageConfig`], [`Timestamp`].
//!
//! **Invariants.** No I/O, no async, no clock. Whatever is serialised here is canonical JSON: sorted
//! keys, no white space, so equal values have equal digests on every machine.
//!
//! **Not here.** Reading and writing blobs (`acetate-store`), registries and layouts
//! (`acetate-image`), layer tars (`acetate-snapshot`).
#![warn(missing_docs)]

mod canonical;
mod config;
mod descriptor;
mod digest;
mod hashing;
mod manifest;
mod media_type;
mod platform;
mod reference;
mod timestamp;

pub use canonical::canonical_json;
pub use config::{ContainerConfig, Empty, Healthcheck, HistoryEntry, ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use digest::{Digest, DigestParseError, chain_id};
pub use hashing::{DigestHasher, HashingReader, HashingWriter};
pub use manifest::{Index, Manifest};
pub use media_type::{Compression, MediaType};
pub use platform::{Platform, PlatformParseError};
pub use reference::{Reference, ReferenceParseError};
pub use timestamp::{Timestamp, TimestampParseError};
