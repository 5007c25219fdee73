//! The cache that a fleet shares: content by digest and records by key, over HTTP.
//!
//! **What.** [`App`] answers requests, [`serve`] listens. Level 0 of the protocol is what Bazel
//! and ccache speak: `GET`, `HEAD` and `PUT` of `/{namespace}/ac/{key}` and `/{namespace}/cas/{digest}`.
//! Level 1 asks and answers for many objects at once, level 2 tells who is making a record just now
//! and what its step says, and answers the questions of people.
//!
//! **Main types.** [`App`], [`Config`], [`storage::Storage`], [`auth::Gate`], [`leases::Leases`].
//!
//! [`storage::Storage`] is a directory, or a bucket behind a directory of copies, and may have
//! [another server](upstream) above it; whoever asks cannot tell.
//!
//! **Invariants.** Content under a digest has that digest. A record is served only when all that
//! it names is here, and accepted only then. Nothing half-written is ever visible. What a token
//! does not say is not allowed, and without a file of tokens nothing is open by mistake.
//!
//! **Not here.** Graphs and Dockerfiles: the server never sees one. Signatures are made and
//! checked by clients, so that a server that was broken into can harm nobody who asks for them.

mod app;
pub mod auth;
mod complete;
mod config;
#[cfg(debug_assertions)]
mod fail;
mod flow;
pub mod gc;
mod http;
pub mod leases;
mod limits;
mod logs;
mod metrics;
mod misses;
mod open;
mod paced;
mod raw;
mod record;
mod reload;
mod serve;
pub mod settings;
pub mod storage;
mod tls;
mod uploads;
pub mod upstream;
mod verify;

pub use app::App;
pub use config::Config;
pub use limits::Limits;
pub use open::{open, open_with};
pub use reload::{LOOK, Reloader};
pub use serve::serve;
pub use tls::{Files, Tls, TlsError};

#[cfg(debug_assertions)]
pub(crate) use fail::fail_point;
