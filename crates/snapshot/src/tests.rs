//! Tests over the whole crate: real files, real overlays (attached nowhere), as root.

mod attacks;
mod chains;
mod claims;
mod directories;
mod drivers;
mod foreign;
mod golden;
mod mutated;
mod property;
mod support;
