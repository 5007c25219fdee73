//! What every implementation of `SharedCache` does, and what a layout does besides.
#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see the helpers of a test as one"
)]

mod inline;
mod layout;
mod peers;
mod pieces;
mod place;
#[path = "../remote/scripted.rs"]
#[expect(dead_code, reason = "another binary uses the rest")]
mod scripted;
mod speed;
mod suite;
#[path = "../remote/support.rs"]
#[expect(dead_code, reason = "another binary uses the rest")]
mod support;
