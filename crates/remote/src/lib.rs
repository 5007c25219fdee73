//! What a build takes from the network beside images: files behind URLs and git repositories.
//!
//! **Main types.** [`Remotes`] fetches everything, with the credentials in [`Access`]. A
//! [`HttpRequest`] becomes a [`Download`], a blob of the store; a [`GitRequest`] becomes a
//! [`Commit`], and a [`Checkout`] of it a snapshot. [`credential()`] asks a program for a token.
//!
//! **Invariants.** What is fetched is known by its digest or its commit before anything uses it.
//! Credentials are in no argument of a process, no error and no file. A repository decides nothing
//! on this machine: no hook of it runs, no configuration of it or of the user is read, no path of it
//! leaves its directory. A fetch that was killed leaves nothing that a later one could take for whole.
//!
//! **Not here.** What a URL in a Dockerfile means (`acetate-frontend`), unpacking archives
//! (`acetate-files`), images (`acetate-image`).

mod access;
mod credential;
mod date;
mod error;
mod git;
mod http;
mod memory;
mod process;
mod prune;
mod remotes;
mod shell;

pub use access::Access;
pub use credential::{CredentialError, credential};
pub use error::RemoteError;
pub use git::{Checkout, Commit, GitRequest, redacted};
pub use http::{Download, HttpRequest};
pub use prune::prune;
pub use remotes::{Programs, Remotes};

#[cfg(test)]
mod tests;
