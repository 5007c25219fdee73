//! What `--cache-from` and `--cache-to` say.

pub use acetate_cache::layout::Form as CacheForm;
use acetate_oci::{Compression, Digest};
use acetate_stdx::Redacted;
use std::path::PathBuf;
use std::time::Duration;

/// One `--cache-from`: a cache that results are looked up in, in the order of the flags.
#[derive(Debug, Clone)]
pub struct CacheImport {
    /// Where it is.
    pub place: CachePlace,
    /// Whose results are taken.
    pub trust: Trust,
    /// How long to wait for another machine that is making a step just now; none does not wait.
    pub lease: Option<Duration>,
}

/// One `--cache-to`: a cache that results are given to while the build runs.
#[derive(Debug, Clone)]
pub struct CacheExport {
    /// Where it is.
    pub place: CachePlace,
    /// Which results.
    pub mode: CacheMode,
    /// Only steps of these stages; all when empty. Compared without case.
    pub stages: Vec<String>,
    /// Only steps that took at least so long.
    pub min_cost: Duration,
    /// Ids of cache mounts whose directories are shared after the build.
    pub mounts: Vec<String>,
    /// How many bytes the tar of such a directory may have.
    pub mounts_max: u64,
    /// The private key that signs what this build made.
    pub sign: Option<SigningKey>,
    /// What is shared of the compressed layers that outputs consist of.
    pub forms: CacheForms,
    /// How long the end of the build waits for what is still being sent.
    pub wait: Duration,
    /// Whether a fault of the cache is a warning; else it fails the build when all else is done.
    pub ignore_error: bool,
    /// What the tag leads to where the cache is in a registry.
    pub form: CacheForm,
    /// How layers are kept where the cache is an image layout, or in a registry.
    pub compression: Compression,
    /// The level, where it is not the usual one.
    pub compression_level: Option<i32>,
    /// Whether layers that are compressed otherwise are compressed anew.
    pub force_compression: bool,
}

impl CacheExport {
    /// An export to `place` with everything else as it usually is.
    pub fn new(place: CachePlace) -> Self {
        Self {
            place,
            mode: CacheMode::Min,
            stages: Vec::new(),
            min_cost: Duration::ZERO,
            mounts: Vec::new(),
            mounts_max: 2 << 30,
            sign: None,
            forms: CacheForms::Blobs,
            wait: Duration::from_secs(60),
            ignore_error: true,
            form: CacheForm::default(),
            compression: Compression::Gzip,
            compression_level: None,
            force_compression: false,
        }
    }
}

/// Where a cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachePlace {
    /// `type=http`: a server that speaks the cache protocol, at least its first level.
    Http {
        /// Its address; the path is the namespace.
        url: String,
        /// Sent as a bearer token.
        token: Option<Redacted<String>>,
    },
    /// `type=s3`, `type=gcs` and `type=azblob`: a bucket, with the layout of the protocol's first level.
    Bucket {
        /// `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
        url: String,
        /// What the provider's client is configured with besides, credentials among it.
        options: Redacted<Vec<(String, String)>>,
    },
    /// `type=local`: a directory that is an OCI layout.
    Layout {
        /// The directory.
        dir: PathBuf,
        /// The tag in its index.
        tag: String,
        /// The manifest, where it is not the one that the tag names; when importing only.
        digest: Option<Digest>,
        /// Whether blobs that no manifest names any more are removed; when exporting only.
        reset: bool,
    },
    /// `type=inline`, when exporting only: the records are kept in the config of the image.
    Inline,
    /// `type=registry`, or a reference: a tag of a registry; when importing also an image whose config
    /// holds records.
    Registry {
        /// The name of the cache, or of the image.
        reference: String,
        /// Whether the registry may have no certificate, or none that proves anything.
        insecure: bool,
    },
}

/// Which results are given to a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheMode {
    /// Those whose layers are in the image.
    #[default]
    Min,
    /// Those of all steps.
    Max,
}

/// What a cache is given of the compressed layers that outputs consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheForms {
    /// Nothing.
    None,
    /// What they are called: enough for whoever pushes to a registry that has them.
    Names,
    /// Their bytes, too, so that nobody compresses them again.
    #[default]
    Blobs,
}

/// Whose results are taken from a cache.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Trust {
    /// Anybody's.
    #[default]
    Anyone,
    /// Those that one of the keys signed are preferred: what is signed wrongly is a miss.
    Prefer(PathBuf),
    /// Only those that one of the keys signed.
    Require(PathBuf),
}

/// Where a private key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SigningKey {
    /// In a file.
    File(PathBuf),
    /// Here: it came from the environment.
    Value(Redacted<String>),
}
