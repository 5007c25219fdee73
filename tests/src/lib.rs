//! What the end-to-end tests are made of: a world with a context, a base image and a state
//! directory, and the `acetate` program run in it as a user would.
//!
//! **Main types.** [`World`], [`Outcome`], [`Layout`], [`Running`].
//!
//! **Invariants.** Everything is below a temporary directory of the test. A missing tool is a
//! visible skip at home and a failure in CI.
//!
//! **Not here.** The tests themselves: `tests/it/`.

mod base;
mod cache_server;
mod case;
pub mod differential;
mod layout;
mod listing;
mod outcome;
mod program;
mod proxy;
mod running;
mod tools;
mod traces;
mod web;
mod world;

pub use base::{Base, busybox_layout, write_layout};
pub use cache_server::{CacheServer, cache_server_path};
pub use case::{Case, Section};
pub use layout::Layout;
pub use listing::{Item, items_of_tar, listing_of_tar};
pub use outcome::{Outcome, Step};
pub use program::{acetate, acetate_path};
pub use proxy::{Asked, Fault, Proxy};
pub use running::Running;
pub use tools::{Mounted, Server, have, is_root, needs_root, peer, tool};
pub use traces::{files_below, mounts_of, processes_of};
pub use web::{Repository, Web};
pub use world::World;
