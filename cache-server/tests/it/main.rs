//! The server as clients see it: started as a program on a free port.
#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see the helpers of a test as one"
)]

mod access;
mod admin;
mod clients;
mod conformance;
mod content;
mod killed;
mod leases;
mod logs;
mod oidc;
mod page;
mod records;
mod reload;
mod room;
mod server;
mod settings;
mod slow;
mod tls;
