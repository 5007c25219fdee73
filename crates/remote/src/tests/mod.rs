//! Tests with real repositories and a scripted server.

mod credential;
mod git;
mod git_remote;
mod hostile;
mod http;
mod server;
mod support;
