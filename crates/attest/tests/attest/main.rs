//! What the crate writes, against files that nobody changes without saying why.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]
#![expect(clippy::print_stderr, reason = "a test that cannot run says so")]
#![expect(clippy::needless_raw_string_hashes, reason = "written by expect-test")]

mod buildkit;
mod carrying;
mod garbage;
mod packages;
mod peers;
mod provenance;
mod scanning;
mod spdx;
mod support;
