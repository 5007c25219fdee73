//! The remote cache against our own server, and against servers that do what they should not.
#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see the helpers of a test as one"
)]

mod admin;
mod attesting;
mod breaker;
mod buckets;
mod examining;
mod faults;
mod forms;
mod layers;
mod leases;
mod levels;
mod listings;
mod logs;
mod publishing;
mod scripted;
mod sending;
mod server;
mod signers;
mod support;
mod tokens;
mod trust;
