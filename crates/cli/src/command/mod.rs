//! The commands, one file each.

pub(crate) mod build;
pub(crate) mod cache;
pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod image;
pub(crate) mod log;
pub(crate) mod run;
pub(crate) mod runtime;
pub(crate) mod state;
pub(crate) mod verify;
