//! Engines of other programs: docker's and podman's, on this machine and on others.
//!
//! `places` says which engine is meant, by the environment and by docker's `contexts`; `address`
//! reads how that is written, and `tls` the certificates for it. A `connection` leads there, through
//! a `tunnel` where ssh does, and `load` gives it an image.

mod address;
mod connection;
mod contexts;
mod endpoint;
mod load;
mod places;
mod tls;
mod tunnel;

pub(crate) use connection::{Connection, reach};
pub(crate) use load::load;
pub use places::{DaemonEnvironment, DockerTls};
