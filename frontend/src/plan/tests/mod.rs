//! Tests of plan and lowering by data: one string of files in, one text out.
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes strings with them"
)]

mod adding;
mod any;
mod config;
mod contexts;
mod control;
mod copying;
mod epochs;
mod fetched;
pub(crate) mod fixture;
mod granting;
mod linking;
mod mounts;
mod names;
mod onbuild;
mod refusals;
mod running;
mod scale;
mod secrets;
mod shown;
mod stages;
mod variables;
mod written;
