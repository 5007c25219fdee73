//! Registries by the OCI distribution specification: pulling, pushing, and being let in.
//!
//! **Main types.** [`Registries`] speaks to all registries of one process; a [`Repository`] and a
//! [`Name`] say where; [`Push`] is an image on its way out and a [`BlobSource`] the bytes of one of
//! its blobs; [`Access`] tells how to be let in: the files of docker and podman, and the
//! [`Settings`] of this program; a [`Progress`] hears of the bytes that moved.
//!
//! **Invariants.** Every document is checked against its digest and size before it is given out, and
//! has a limit; no more bytes of a blob are given out than were promised. A credential goes to the
//! host that it is for, or to the token server that this host itself names, and stands in no error
//! and in no `Debug` text. Mirrors are asked only when something is read. A tag is moved after
//! everything that it stands for is there. The environment is not read here.
//!
//! **Not here.** HTTP itself (`acetate-net`), what manifests mean and where blobs are kept
//! (`acetate-image`, `acetate-store`), logging in.
#![warn(missing_docs)]

mod access;
mod advice;
mod auth;
mod credentials;
mod delete;
mod endpoint;
mod error;
mod name;
mod page;
mod progress;
mod pull;
mod push;
mod referrers;
mod registries;
mod settings;
mod tags;
mod words;

pub use access::{Access, AuthPaths, Environment};
pub use credentials::{Credential, HelperError};
pub use error::RegistryError;
pub use name::{Name, Repository};
pub use progress::{NoProgress, Progress};
pub use pull::{MANIFEST_LIMIT, Piece, Served};
pub use push::{
    BlobSource, FileSource, MemorySource, Push, PushBlob, PushManifest, PushReport, Pushed,
};
pub use registries::{Insecure, Registries};
pub use settings::{HostSettings, Mirror, Settings, SettingsError};

#[cfg(test)]
mod tests;
