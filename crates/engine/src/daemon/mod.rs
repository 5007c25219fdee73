//! Engines of other programs on this machine: docker's and podman's.

mod load;
mod places;

pub(crate) use load::load;
pub use places::DaemonEnvironment;
