use acetate_graph::NetworkMode;
use acetate_oci::{Compression, Platform};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// Everything that a build is asked for. The environment was read by whoever made it.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The directory of the context.
    pub context: PathBuf,
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileInput,
    /// `--target`.
    pub target: Option<String>,
    /// `--platform`; empty is the platform of this machine.
    pub platforms: Vec<Platform>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--build-context NAME=VALUE`, the values as the user wrote them.
    pub build_contexts: BTreeMap<String, String>,
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--no-cache-filter`.
    pub no_cache_filter: Vec<String>,
    /// `--network`.
    pub network: NetworkMode,
    /// `--add-host`.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// `--tag`, as the user wrote them.
    pub tags: Vec<String>,
    /// `--output`.
    pub outputs: Vec<OutputSpec>,
    /// `SOURCE_DATE_EPOCH`, in seconds.
    pub epoch: Option<i64>,
    /// What runs the steps.
    pub isolation: Isolation,
    /// How many processes run at the same time; none lets the engine choose.
    pub max_parallel: Option<usize>,
}

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileInput {
    /// `Dockerfile` or `dockerfile` in the context.
    InContext,
    /// A path as the user wrote it, relative to the working directory.
    Path(PathBuf),
    /// The text itself, from standard input.
    Text(String),
}

/// What runs the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Our own launcher.
    #[default]
    Native,
    /// An OCI runtime: crun, runc or youki.
    Oci,
}

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSpec {
    /// What is written.
    pub kind: OutputKind,
    /// Where to; none where the kind needs no place.
    pub dest: Option<Destination>,
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputKind {
    /// An OCI layout.
    Oci {
        /// In one archive or as a directory.
        form: LayoutForm,
        /// How layers are compressed.
        compression: Compression,
    },
    /// An archive for `docker load`.
    Docker {
        /// How layers are compressed.
        compression: Compression,
    },
    /// The files of the image in one tar.
    Tar,
    /// The files of the image in a directory.
    Local,
    /// Nothing: the build only fills the cache.
    CacheOnly,
}

/// How a layout is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutForm {
    /// One tar.
    Archive,
    /// A directory.
    Directory,
}

/// Where an output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A path.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}
