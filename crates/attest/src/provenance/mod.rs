//! SLSA provenance in BuildKit's words: what went into a build, and how it ran.
//!
//! [`Facts`] is filled by the engine; [`predicate`] writes it as SLSA v1 or v0.2, with
//! [`Mode::Min`] leaving out all that may be private. Field names and build types are those of
//! BuildKit's `docs/attestations/slsa-definitions.md`, so that what reads its provenance reads
//! ours.

mod definition;
mod facts;
mod graph_steps;
mod materials;
mod op_json;
mod predicate;

pub use definition::{Definition, Layers, SourceFile, Step};
pub use facts::{ConfigSource, Facts, NeededId};
pub use graph_steps::{from_graph, needed};
pub use materials::{GitMaterial, HttpMaterial, ImageMaterial, ImageOrigin, Materials};
pub use predicate::{predicate, statement};

/// The type of a v1 predicate.
pub const PREDICATE_V1: &str = "https://slsa.dev/provenance/v1";
/// The type of a v0.2 predicate.
pub const PREDICATE_V02: &str = "https://slsa.dev/provenance/v0.2";
/// The build type that a v1 predicate names.
pub const BUILD_TYPE_V1: &str =
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";
/// The build type that a v0.2 predicate names.
pub const BUILD_TYPE_V02: &str = "https://mobyproject.org/buildkit@v1";

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Times, the frontend and what went in; no build argument, label, secret or SSH id.
    Min,
    /// All of it, with the Dockerfile, the steps and their layers.
    #[default]
    Max,
}

/// The form of the predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// `https://slsa.dev/provenance/v0.2`.
    V02,
    /// `https://slsa.dev/provenance/v1`.
    #[default]
    V1,
}

impl Version {
    /// The predicate type.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Self::V02 => PREDICATE_V02,
            Self::V1 => PREDICATE_V1,
        }
    }
}
