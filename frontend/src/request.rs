use acetate_graph::{NetworkMode, Resources};
use acetate_oci::Platform;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// Everything beside the Dockerfile that decides what is built.
///
/// Plain data: the caller has parsed its flags, and has taken values of `--build-arg NAME` from the
/// environment where there was one (S14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRequest {
    /// The name of the Dockerfile, for messages and origins.
    pub file: String,
    /// The stage wanted, by name; the last one when absent.
    pub target: Option<String>,
    /// The platforms wanted, each one an image; empty means the build platform.
    pub platforms: Vec<Platform>,
    /// The platform that the build runs on.
    pub build_platform: Platform,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--label`, applied after every other label (S103).
    pub labels: BTreeMap<String, String>,
    /// `--build-context`, by the name given.
    pub contexts: BTreeMap<String, NamedContext>,
    /// Runs every step again.
    pub no_cache: bool,
    /// Runs the steps of these stages again; compared without regard to case.
    pub no_cache_filter: Vec<String>,
    /// The network of RUN steps that name none.
    pub network: NetworkMode,
    /// `--add-host`: the names belong to the steps' keys, the addresses do not.
    pub extra_hosts: Vec<(String, IpAddr)>,
    /// The host name of RUN steps; `buildkitsandbox` when absent (S60).
    pub hostname: Option<String>,
    /// `SOURCE_DATE_EPOCH` of the environment, as it stands there. It counts like a `--build-arg`
    /// where there is none, so a global ARG comes after it (S53, S98); empty counts as absent.
    pub epoch: Option<String>,
    /// What the main context is.
    pub context: MainContext,
    /// `.dockerignore` of the main context, for the checks.
    pub ignore: Option<String>,
    /// Experimental checks that are made whatever the file says; `all` stands for every one.
    pub checks: Vec<String>,
    /// `--allow`.
    pub allow: BTreeSet<Entitlement>,
    /// `--ulimit`, as `name=soft:hard`, sorted by name.
    pub ulimits: Vec<String>,
    /// `--shm-size` in bytes.
    pub shm_size: Option<u64>,
    /// `--cgroup-parent` and `--resource`.
    pub resources: Resources,
}

/// What the main context is. Where it lies is the caller's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MainContext {
    /// A local directory.
    #[default]
    Local,
    /// An archive or a repository: [`RemoteNeed::Context`](crate::RemoteNeed::Context) with the
    /// empty name.
    Remote,
    /// Nothing: the Dockerfile came alone.
    Empty,
}

/// What `--allow` grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entitlement {
    /// `network.host`: the network of the host for a RUN.
    NetworkHost,
    /// `security.insecure`: a RUN without the sandbox.
    SecurityInsecure,
    /// `device`: every device, or those of this name.
    Device(Option<String>),
}

impl fmt::Display for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NetworkHost => f.write_str("network.host"),
            Self::SecurityInsecure => f.write_str("security.insecure"),
            Self::Device(None) => f.write_str("device"),
            Self::Device(Some(name)) => write!(f, "device={name}"),
        }
    }
}

impl PlanRequest {
    /// A request for the last stage on one platform, with nothing else set.
    pub fn new(build_platform: Platform) -> Self {
        Self {
            file: "Dockerfile".to_owned(),
            target: None,
            platforms: Vec::new(),
            build_platform,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            contexts: BTreeMap::new(),
            no_cache: false,
            no_cache_filter: Vec::new(),
            network: NetworkMode::Default,
            extra_hosts: Vec::new(),
            hostname: None,
            epoch: None,
            context: MainContext::Local,
            ignore: None,
            checks: Vec::new(),
            allow: BTreeSet::new(),
            ulimits: Vec::new(),
            shm_size: None,
            resources: Resources::default(),
        }
    }
}

impl PlanRequest {
    /// The platforms that images are wanted for, never none.
    pub(crate) fn target_platforms(&self) -> &[Platform] {
        match self.platforms.as_slice() {
            [] => std::slice::from_ref(&self.build_platform),
            platforms => platforms,
        }
    }

    /// Says whether something was granted.
    pub(crate) fn allows(&self, wanted: &Entitlement) -> bool {
        self.allow.iter().any(|granted| match (granted, wanted) {
            (Entitlement::Device(None), Entitlement::Device(_)) => true,
            (Entitlement::Device(Some(granted)), Entitlement::Device(Some(wanted))) => {
                is_device(granted, wanted)
            }
            _ => granted == wanted,
        })
    }
}

/// `vendor/class` and `vendor/class=*` are all devices of the class.
fn is_device(granted: &str, wanted: &str) -> bool {
    let class = granted.strip_suffix("=*").unwrap_or(granted);
    granted == wanted
        || (!class.contains('=') && wanted.split_once('=').is_some_and(|(of, _)| of == class))
}

/// What a `--build-context` stands for. Where it lies is the caller's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// `docker-image://REFERENCE`; `scratch` is the empty image.
    Image(String),
    /// `oci-layout://DIR`.
    Layout,
    /// A URL of an archive, a file or a repository.
    Remote,
    /// A local directory.
    Local,
}
