//! The client beside real registries, and other clients that read what it sent.
#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see the helpers of a test as one"
)]

mod pushed;
mod secured;
mod server;
