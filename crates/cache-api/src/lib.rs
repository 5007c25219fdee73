//! What a remote cache and its clients say to each other: paths, records and leases as values.
//!
//! **Main types.** [`Namespace`], [`Route`], the messages of [`reapi`], the bodies of
//! [`lease`], [`log`] and [`admin`].
//!
//! **Invariants.** No HTTP library and no I/O. A path is taken apart once and compared by
//! segments, so that no spelling reaches a namespace that it does not name. Messages are those of
//! the Remote Execution API (REAPI v2), field numbers included, so that other servers can hold
//! our records and ours can hold those of other clients.
//!
//! **Not here.** Sending and answering (`acetate-cache`, `acetate-cache-server`), and what is in
//! the key of a record (`acetate-graph`).
#![warn(missing_docs)]

pub mod admin;
pub mod lease;
pub mod log;
mod namespace;
pub mod reapi;
mod route;

pub use namespace::{Namespace, NamespaceError};
pub use route::{Kind, Route, RouteError};
