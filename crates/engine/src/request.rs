use crate::{CacheExport, CacheImport, OutputSpec};
use acetate_attest::Requested;
use acetate_attest::provenance::Mode;
use acetate_files::HostModes;
use acetate_frontend::Entitlement;
use acetate_graph::{NetworkMode, Resources};
use acetate_oci::Platform;
use acetate_stdx::Redacted;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

/// Everything that a build is asked for. The environment was read by whoever made it.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The context.
    pub context: ContextInput,
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
    /// `SOURCE_DATE_EPOCH` of the environment, as it stands there.
    pub epoch: Option<String>,
    /// `--secret`.
    pub secrets: Vec<SecretSpec>,
    /// `--ssh`.
    pub ssh: Vec<SshSpec>,
    /// `--allow`.
    pub allow: BTreeSet<Entitlement>,
    /// `--ulimit`, as `name=soft:hard`, sorted by name.
    pub ulimits: Vec<String>,
    /// `--shm-size` in bytes.
    pub shm_size: Option<u64>,
    /// `--cgroup-parent` and `--resource`.
    pub resources: Resources,
    /// Experimental checks that are made whatever the Dockerfile says; `all` stands for every one.
    pub checks: Vec<String>,
    /// `--cache-from`, in order.
    pub cache_from: Vec<CacheImport>,
    /// `--cache-to`.
    pub cache_to: Vec<CacheExport>,
    /// `--context-modes`: which permissions files of local contexts have.
    pub context_modes: HostModes,
    /// `--attest`, `--provenance` and `--sbom`.
    pub attest: Requested,
    /// How much the report tells of the provenance; none is nothing.
    pub metadata_provenance: Option<Mode>,
    /// `--pull`.
    pub pull: bool,
    /// `--explain`: whether the report says why each step ran.
    pub explain: bool,
    /// What runs the steps.
    pub isolation: Isolation,
    /// How many processes run at the same time; none lets the engine choose.
    pub max_parallel: Option<usize>,
}

impl BuildRequest {
    /// A request that builds the last stage of the context's Dockerfile and writes nothing.
    pub fn new(context: ContextInput) -> Self {
        Self {
            context,
            dockerfile: DockerfileInput::InContext,
            target: None,
            platforms: Vec::new(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            build_contexts: BTreeMap::new(),
            no_cache: false,
            no_cache_filter: Vec::new(),
            network: NetworkMode::Default,
            extra_hosts: Vec::new(),
            tags: Vec::new(),
            outputs: Vec::new(),
            epoch: None,
            secrets: Vec::new(),
            ssh: Vec::new(),
            allow: BTreeSet::new(),
            ulimits: Vec::new(),
            shm_size: None,
            resources: Resources::default(),
            checks: Vec::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            context_modes: HostModes::Exact,
            attest: Requested::default(),
            metadata_provenance: None,
            pull: false,
            explain: false,
            isolation: Isolation::Native,
            max_parallel: None,
        }
    }
}

/// What the build takes files from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextInput {
    /// A directory.
    Directory(PathBuf),
    /// Standard input: an archive, or a Dockerfile alone.
    Stdin,
    /// The URL of an archive, a Dockerfile or a repository.
    Url(String),
}

/// One `--secret`.
#[derive(Debug, Clone)]
pub struct SecretSpec {
    /// Its name in the Dockerfile.
    pub id: String,
    /// Where its value is.
    pub source: SecretSource,
}

/// Where the value of a secret is.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// In a file, which is read when a step wants it.
    File(PathBuf),
    /// Here: it came from the environment.
    Value(Redacted<Vec<u8>>),
}

/// One `--ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSpec {
    /// Its name in the Dockerfile; `default` where none was given.
    pub id: String,
    /// The socket of an agent, or private keys for an agent of the build's own.
    pub paths: Vec<PathBuf>,
    /// Whether the socket is handed on as it is, whatever speaks behind it.
    pub raw: bool,
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
    /// A URL.
    Url(String),
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
