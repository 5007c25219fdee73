use crate::Explanation;
use acetate_cache::remote::Stats;
use acetate_frontend::{Diagnostic, SourceFile};
use acetate_oci::{Descriptor, Digest, Platform};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// What a build did.
#[derive(Debug, Clone, Default)]
pub struct BuildReport {
    /// One image a platform, in the order asked for; empty when nothing was assembled.
    pub images: Vec<BuiltImage>,
    /// The names given with `--tag`, in full.
    pub names: Vec<String>,
    /// The manifest of the image, or the index when there are several platforms.
    pub digest: Option<Digest>,
    /// What the first output that has one is found by: a manifest, or the index over all of it.
    pub root: Option<Descriptor>,
    /// The provenance of each platform, when the request asked for it in the report.
    pub provenance: Vec<(Platform, Value)>,
    /// How many steps were carried out.
    pub n_run: usize,
    /// How many steps were taken from the cache.
    pub n_cached: usize,
    /// Why each step that was carried out was not cached, when the request asked.
    pub explanations: Vec<Explanation>,
    /// The warnings that the Dockerfile gave.
    pub warnings: Vec<Diagnostic>,
    /// The Dockerfile, which the warnings point into.
    pub file: Option<Arc<SourceFile>>,
    /// What was done with each shared cache, in the order of the flags.
    pub caches: Vec<CacheSummary>,
    /// How long all of it took.
    pub duration: Duration,
}

/// What a build did with one shared cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CacheSummary {
    /// Where it is, without credentials.
    pub name: String,
    /// Counts.
    pub stats: Stats,
}

/// An image that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltImage {
    /// What it runs on.
    pub platform: Platform,
    /// The digest of its config, docker's image id.
    pub config: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// The size of its manifest in bytes.
    pub manifest_size: u64,
    /// Its layers, bottom first.
    pub layers: Vec<BuiltLayer>,
}

/// A layer of an image that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The size of the layer's blob in bytes: uncompressed for layers made here.
    pub size: u64,
    /// The instruction that made it.
    pub created_by: String,
}
