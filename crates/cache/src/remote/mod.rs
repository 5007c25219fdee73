//! Records and layers in a cache that machines share: a server, or a bucket.
//!
//! **Main types.** [`RemoteCache`], made from a [`RemoteConfig`] or a [`BucketConfig`], and
//! [`HttpCache`], which puts what comes into a store; [`RemoteRecord`] with its
//! [`RemoteLayer`]s and [`Chunk`]s; [`Publication`] and what becomes of it, [`Published`];
//! [`sign`], by which results are trusted;
//! [`Stats`] and [`Warning`]; what people ask and do, in [`told`] and [`AdminError`].
//!
//! **Invariants.** Whatever a server does or fails to do is a miss, a skipped upload or a lost
//! layer, given as a value; only a wrong configuration is an error. Nothing is believed: a record
//! says which key it answers, and chunks and tars are hashed. Every wait has a limit and memory is
//! bounded. Dropping a future ends what it does. docs/dev/cache-protocol.md describes the protocol.
//!
//! **Not here.** What becomes of a layer's tar (`acetate-snapshot`), when to ask and what to
//! publish (`acetate-engine`).

mod action;
mod admin;
mod backend;
mod breaker;
mod bucket;
mod chunker;
mod client;
mod codec;
mod config;
mod detect;
mod examine;
mod fetch;
mod form;
mod lease;
mod listing;
mod log;
mod lookup;
mod presence;
mod publish;
mod record;
pub mod sign;
mod stats;
mod stored;
mod transport;
mod upload;
mod warning;
mod write;

pub use acetate_cache_api::Namespace;
pub use acetate_cache_api::admin as told;
pub use acetate_cache_api::lease::{Claim, Lease as LeaseState};
pub use acetate_cache_api::log::Stream;
pub use action::action_key;
pub use admin::AdminError;
pub use breaker::{BreakerRules, BreakerState};
pub use bucket::BucketConfig;
pub use client::RemoteCache;
pub use codec::{DecodeError, decode, encode};
pub use config::{CacheAddress, RemoteConfig, RemoteError, RemoteLimits};
pub use examine::{Depth, Flaw, Seen, Tally};
pub use fetch::Lost;
pub use form::{FormName, FormSource, RemoteForm};
pub use lease::Beat;
pub use listing::{ListingOpener, ListingSource, MAX_LISTING};
pub(crate) use listing::{is_possible, open_piece};
pub use log::{Followed, LogPart};
pub use lookup::RemoteHit;
pub use publish::{Attest, Existing, LayerSource, Publication, Published, Put, Skip, TarOpener};
pub use record::{Chunk, LayerForm, RemoteLayer, RemoteRecord};
pub use sign::{Distrust, Policy, Signer, SigningKey, Trust, TrustedKeys};
pub use stats::Stats;
pub use stored::HttpCache;
pub use upload::Recall;
pub(crate) use warning::Warnings;
pub use warning::{Cause, Warning};
