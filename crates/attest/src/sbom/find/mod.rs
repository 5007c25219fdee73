//! Which files name packages, and who reads them.

mod apk;
mod dpkg;
mod fields;
mod language;
mod os_release;
mod scan;

pub use scan::{Found, Limits, scan};
