//! Tests of plan and lowering by data: one string of files in, one text out.
#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes strings with them"
)]

mod any;
mod config;
mod contexts;
mod copying;
pub(crate) mod fixture;
mod names;
mod onbuild;
mod refusals;
mod running;
mod scale;
mod stages;
mod variables;
