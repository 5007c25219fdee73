//! From keys to records: which results of steps are known, and what they consist of.
//!
//! **Main types.** [`CacheIndex`], the narrow trait; [`LocalCache`], which asks the local store;
//! [`CacheKey`] and [`CacheRecord`]; [`SharedCache`], the trait of every cache outside of the store,
//! [`remote::HttpCache`], which machines share over HTTP, [`layout::LayoutCache`], a directory,
//! [`registry::RegistryCache`], a repository, and [`layout::InlineCache`], the config of an image.
//!
//! **Invariants.** A fault is a miss and one warning, never an error of the build. An index may forget
//! anything at any time. A record that is handed out has all its layers, each trusted, at that moment;
//! whoever relies on it pins them and looks again. A record holds a whole layer chain and no image
//! config.
//!
//! **Not here.** What enters a key (`acetate-graph`), bytes of layers (`acetate-store`), which
//! candidate a build takes (`acetate-engine`).
#![warn(missing_docs)]

mod history;
mod index;
mod key;
pub mod layout;
mod local;
mod record;
pub mod registry;
pub mod remote;
mod shared;
pub mod story;

pub use history::{OpHistory, Past, PastInput, Pasts};
pub use index::{CacheIndex, Entry};
pub use key::{CacheKey, KeyKind};
pub use local::{HeldRecord, Inventory, LocalCache};
pub use record::{CacheRecord, Fidelity, LayerRecord, Origin};
pub use shared::{CacheReport, SharedCache};
