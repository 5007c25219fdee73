//! Scanner images: what one is run with, and what becomes of what it wrote.
//!
//! The protocol is BuildKit's `docs/attestations/sbom-protocol.md`. The engine runs what [`plan`]
//! says and gives the files found in the output to [`collect`].

mod output;
mod plan;

pub use output::{Collected, OutputError, OutputFile, Scan, collect};
pub use plan::{Mounted, PlanError, ScanMount, ScanPlan, plan};

/// The name of the scan of the result.
pub const CORE: &str = "sbom";
/// Where the result is mounted.
const CORE_AT: &str = "/run/src/core/sbom";
/// Where directories with further trees are mounted.
const EXTRAS_AT: &str = "/run/src/extras";
/// Where the scanner writes.
const OUTPUT_AT: &str = "/run/out/";
