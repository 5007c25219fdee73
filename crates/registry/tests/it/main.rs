//! The client beside real registries, and other clients that read what it sent.

mod pushed;
mod secured;
mod server;
