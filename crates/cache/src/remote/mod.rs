//! Records and layers in a cache that machines share, over HTTP.
//!
//! **Main types.** [`RemoteCache`], made from a [`RemoteConfig`], and [`HttpCache`], which puts what
//! comes into a store; [`RemoteRecord`] with its
//! [`RemoteLayer`]s and [`Chunk`]s; [`Publication`] and what becomes of it, [`Published`];
//! [`Stats`] and [`Warning`].
//!
//! **Invariants.** Whatever a server does or fails to do is a miss, a skipped upload or a lost
//! layer, given as a value; only a wrong configuration is an error. Nothing is believed: a record
//! says which key it answers, and chunks and tars are hashed. Every wait has a limit and memory is
//! bounded. Dropping a future ends what it does. docs/dev/cache-protocol.md describes the protocol.
//!
//! **Not here.** What becomes of a layer's tar (`acetate-snapshot`), when to ask and what to
//! publish (`acetate-engine`).

mod action;
mod breaker;
mod chunker;
mod client;
mod codec;
mod config;
mod detect;
mod fetch;
mod lease;
mod lookup;
mod presence;
mod publish;
mod record;
mod stats;
mod stored;
mod transport;
mod upload;
mod warning;

pub use action::action_key;
pub use breaker::{BreakerRules, BreakerState};
pub use client::RemoteCache;
pub use codec::{DecodeError, decode, encode};
pub use config::{CacheAddress, RemoteConfig, RemoteError, RemoteLimits};
pub use fetch::Lost;
pub use lease::Beat;
pub use lookup::RemoteHit;
pub use publish::{Existing, LayerSource, Publication, Published, Put, Skip, TarOpener};
pub use record::{Chunk, LayerForm, RemoteLayer, RemoteRecord};
pub use stats::Stats;
pub use stored::HttpCache;
pub use warning::{Cause, Warning};
