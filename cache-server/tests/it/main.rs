//! The server as clients see it: started as a program on a free port.
#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see the helpers of a test as one"
)]

mod access;
mod admin;
mod bucket;
mod clients;
mod conformance;
mod content;
mod killed;
mod leases;
mod logs;
mod node;
mod oidc;
mod page;
mod poisoning;
mod raw;
mod records;
mod reload;
mod room;
mod s3;
mod server;
mod settings;
mod slow;
mod tls;
mod upstream;
