//! Which files name packages, and who reads them.

mod apk;
mod cargo;
mod composer;
mod dpkg;
mod fields;
mod gem;
mod go_binary;
mod go_mod;
mod integrity;
mod language;
mod node;
mod os_release;
mod pnpm;
mod poetry;
mod pypi;
mod scan;
mod yarn;

pub use scan::{Found, Limits, scan};
