//! The one HTTP client of the workspace: timeouts, retries, limits, redirects and redaction.
//!
//! **Main types.** [`NetClient`] sends a [`Request`] and gives a [`Response`], whose body is read in
//! pieces, or a [`Fetched`], whose small body has been read whole; [`Limits`] holds every number;
//! [`HostTrust`] says how one host is to be trusted, and reaches no other. A [`SocketClient`] speaks
//! to one program that the user named, at a socket of this machine or at a port.
//!
//! **Invariants.** Making a client costs nothing until the first request. Credentials never follow
//! a redirect to another origin and never appear in an error or a `Debug` text; neither do queries,
//! which carry signatures. Plain HTTP reaches loopback addresses only, unless it was allowed, or the
//! user named the port of a program that has no TLS. Bytes arrive as they were sent: nothing is
//! decompressed. Every wait has a limit.
//!
//! **Not here.** What a registry or a cache means by its answers, tokens, resuming of downloads.

mod backoff;
mod client;
mod error;
#[cfg(feature = "fake-server")]
pub mod fake;
mod limits;
mod origin;
mod request;
mod response;
mod sending;
mod socket;
mod trust;

pub use client::NetClient;
pub use error::NetError;
pub use limits::{Limits, PlainHttp};
pub use origin::{is_loopback, shown};
pub use request::{BodySource, Method, Request};
pub use reqwest::Url;
pub use response::{Fetched, Headers, Response};
pub use socket::{SocketAnswer, SocketBody, SocketClient, SocketTls};
pub use trust::{Authorities, ClientIdentity, HostTrust, Verify};

#[cfg(test)]
mod tests;
