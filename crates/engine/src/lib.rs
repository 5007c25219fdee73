//! The composition root: from a request to a report.
//!
//! **Main types.** [`Engine`] works on one state directory; [`BuildRequest`] says what to build,
//! [`BuildEvent`] what happens meanwhile, [`BuildReport`] what came of it.
//!
//! **Invariants.** The only crate that names concrete parts. All input from the host is read here
//! and nowhere below. Every observable fact of a build is one event.
//!
//! **Not here.** Flags and printing (`acetate-cli`), and everything that can be decided without
//! I/O: that is in the crates below.

mod agree;
mod attempt;
mod attesting;
mod blobs;
mod build;
mod cache_mounts;
mod cache_place;
mod cache_spec;
pub mod cache_tools;
mod call;
mod claim;
mod claims;
mod container;
mod context;
mod daemon;
mod damage;
mod engine;
mod error;
mod event;
mod explain;
mod export;
mod file_memory;
mod image_store;
mod images;
mod lookup;
mod names;
mod obstacle;
mod outcomes;
mod output;
mod pin;
mod progress;
mod pulls;
mod push;
mod release;
mod report;
mod request;
mod runner;
mod same;
mod secrets;
mod shared;
mod sight;
mod ssh;
mod start;
mod steps;
mod transfer;
mod unproven;
mod verify;
mod waits;

pub use acetate_attest::provenance::Mode as ProvenanceMode;
pub use acetate_attest::{AttributeError, Requested as RequestedAttestations};
pub use acetate_cache::remote::{CacheAddress, RemoteError as CacheAddressError};
pub use acetate_files::HostModes;
pub use acetate_frontend::Entitlement;
pub use acetate_graph::{NetworkMode, Resources};
pub use acetate_image::{
    Annotation, AnnotationLevel, Annotations, Change, Comparison, EntryChange, Force,
    LayerComparison, Packaging, PlatformDirs, Recipe, Stale, Style,
};
pub use acetate_registry::Environment as RegistryEnvironment;
pub use acetate_remote::CredentialError;
pub use acetate_scheduler::CancellationToken;
pub use acetate_stdx::Redacted;
pub use acetate_store::{PruneReport, Reason, Tally, Usage};
pub use cache_place::cache_credential;
pub use cache_spec::{
    CacheExport, CacheForm, CacheForms, CacheImport, CacheMode, CachePlace, SigningKey, Trust,
};
pub use call::{CallAnswer, CallKind, CallReport};
pub use container::RunRequest;
pub use daemon::{DaemonEnvironment, DockerTls};
pub use engine::{Engine, PruneScope};
pub use error::BuildError;
pub use event::{BuildEvent, EventSink, NoEvents, Status, VertexInfo, VertexOutcome};
pub use explain::{ExplainReport, Explanation, Reason as RunReason};
pub use export::spec::{
    CarryOptions, Dangling, Destination, ImageOptions, LayoutPlace, OutputSpec, Place, Push,
    TreeOptions,
};
pub use image_store::{
    CopyReport, End, LoadedImage, MirrorReport, Mirrored, PullReport, PullRequest, PushedName,
    RemoveForce, Removed, SaveFormat, SaveRequest, StoredImage, StoredLayer, StoredPlatform,
    WantedPlatforms,
};
pub use report::{BuildReport, BuiltImage, BuiltLayer, CacheSummary};
pub use request::{
    BuildRequest, ContextInput, DockerfileInput, Isolation, SecretSource, SecretSpec, SshSpec,
};
pub use verify::VerifyReport;
