//! What is known of a build when it is over.

use super::sources::{self, Inputs};
use crate::context::RemoteOrigin;
use crate::runner::StepRunner;
use crate::{BuildRequest, ContextInput, DockerfileInput};
use acetate_attest::provenance::{ConfigSource, Facts, NeededId, needed};
use acetate_frontend::{ImageResult, Lowered, MainContext};
use acetate_graph::{Edge, ExecOp, MountSource, NetworkMode, Op};
use acetate_oci::{Digest, Platform, Timestamp};
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

/// What reads the Dockerfile.
const FRONTEND: &str = "dockerfile.v0";

/// What all images of a build have in common.
pub(super) struct Run {
    started: Timestamp,
    finished: Timestamp,
    epoch: Option<Timestamp>,
    /// Whether what differs between two runs is left out.
    reproducible: bool,
    id: String,
}

impl Run {
    pub(super) fn new(runner: &StepRunner, lowered: &Lowered, request: &BuildRequest) -> Self {
        let wanted = request.attest.provenance.as_ref();
        let epoch = lowered.epoch.map(Timestamp::from_secs);
        Self {
            started: runner.now,
            finished: runner.progress.now(),
            epoch,
            reproducible: epoch.is_some() || wanted.is_some_and(|wanted| wanted.reproducible),
            id: invocation(runner),
        }
    }

    /// The time of a scan. What claims to be reproducible has the image's own, which a cached build
    /// has again.
    pub(super) fn scanned_at(&self, created: Option<Timestamp>) -> Timestamp {
        let own = created.filter(|_| self.reproducible);
        self.epoch.or(own).unwrap_or(self.started)
    }

    /// The time of files beside a result.
    pub(super) fn epoch_or_now(&self) -> Timestamp {
        self.epoch.unwrap_or(self.started)
    }

    pub(super) fn facts(
        &self,
        runner: &StepRunner,
        lowered: &Lowered,
        request: &BuildRequest,
        image: &ImageResult,
    ) -> Facts {
        let targets: Vec<Edge> = image.output.into_iter().collect();
        let needed = needed(&lowered.graph, &targets);
        let mut inputs = Inputs::default();
        let mut used = Used::default();
        for id in runner.graph.ids().filter(|id| needed[id.idx()]) {
            match &runner.graph.vertex(id).op {
                Op::Source(source) => inputs.add(&sources::find(runner, id, source)),
                Op::Exec(exec) => used.add(exec),
                Op::File(_) | Op::Merge | Op::Diff => {}
            }
        }
        let config = config(runner, request, &mut inputs);
        let facts = Facts {
            config,
            build_args: request.build_args.clone(),
            labels: request.labels.clone(),
            target: request.target.clone(),
            other_args: other_args(request, &image.platform),
            secrets: used.secrets,
            ssh: used.ssh,
            locals: inputs.locals.into_iter().collect(),
            materials: inputs.materials,
            incomplete: inputs.incomplete,
            network: used.network,
            invocation_id: Some(self.id.clone()),
            started: Some(self.started),
            finished: Some(self.finished),
            ..Facts::new(FRONTEND, Platform::host())
        };
        if self.reproducible {
            facts.reproducible(self.epoch)
        } else {
            facts
        }
    }
}

/// A name that no other build has.
fn invocation(runner: &StepRunner) -> String {
    let now = runner.now;
    let chance = RandomState::new().hash_one((now.secs, std::process::id()));
    let text = format!("{}.{} {chance}", now.secs, now.nanos);
    Digest::of(text.as_bytes()).hex()[..25].to_owned()
}

/// What steps were given besides files.
#[derive(Default)]
struct Used {
    secrets: Vec<NeededId>,
    ssh: Vec<NeededId>,
    network: bool,
}

impl Used {
    fn add(&mut self, exec: &ExecOp) {
        self.network |= exec.network != NetworkMode::None;
        let needed = |id: &str, required: bool| NeededId {
            id: id.to_owned(),
            optional: !required,
        };
        let variables = exec.secret_env.iter();
        self.secrets
            .extend(variables.map(|secret| needed(&secret.id, secret.required)));
        for mount in &exec.mounts {
            match &mount.source {
                MountSource::Secret(secret) => {
                    self.secrets.push(needed(&secret.id, secret.required));
                }
                MountSource::Ssh(agent) => self.ssh.push(needed(&agent.id, agent.required)),
                _ => {}
            }
        }
    }
}

/// Where the Dockerfile came from; what it takes from outside joins the other inputs.
fn config(runner: &StepRunner, request: &BuildRequest, inputs: &mut Inputs) -> ConfigSource {
    let name = runner.contexts.source.name();
    let mut config = ConfigSource {
        path: name.to_owned(),
        ..ConfigSource::default()
    };
    match (&request.context, runner.contexts.main()) {
        (ContextInput::Directory(_), _) => {
            // Where it lies on this machine is nobody's business.
            config.path = base_name(name);
            match request.dockerfile {
                DockerfileInput::Url(_) => inputs.incomplete = true,
                _ => _ = inputs.locals.insert("dockerfile".to_owned()),
            }
        }
        (ContextInput::Stdin, _) | (_, MainContext::Empty) => inputs.incomplete = true,
        (ContextInput::Url(url), _) => {
            config.uri = Some(url.clone());
            if let Some(origin) = runner.contexts.origin() {
                config.digest = digest_of(origin);
                inputs.remote(origin);
            }
        }
    }
    config
}

pub(super) fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn digest_of(origin: &RemoteOrigin) -> BTreeMap<String, String> {
    let (kind, value) = match origin {
        RemoteOrigin::Download { content, .. } => ("sha256", content.hex()),
        RemoteOrigin::Git(checkout) if checkout.commit.len() == 64 => {
            ("sha256", checkout.commit.clone())
        }
        RemoteOrigin::Git(checkout) => ("sha1", checkout.commit.clone()),
    };
    BTreeMap::from([(kind.to_owned(), value)])
}

/// Other settings, by the names that BuildKit's frontend has for them.
fn other_args(request: &BuildRequest, platform: &Platform) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (name, value) in &request.build_contexts {
        let is_image = value.starts_with("docker-image://");
        let value = match value.strip_prefix("oci-layout://") {
            Some(_) => format!("oci-layout:{name}"),
            None if is_image || value.contains("://") || value.starts_with("git@") => value.clone(),
            None => format!("local:{name}"),
        };
        args.insert(format!("context:{name}"), value);
    }
    if !request.platforms.is_empty() {
        args.insert("platform".to_owned(), platform.to_string());
    }
    if request.no_cache || !request.no_cache_filter.is_empty() {
        args.insert("no-cache".to_owned(), request.no_cache_filter.join(","));
    }
    let network = match request.network {
        NetworkMode::Default => None,
        NetworkMode::Host => Some("host"),
        NetworkMode::None => Some("none"),
    };
    if let Some(network) = network {
        args.insert("force-network-mode".to_owned(), network.to_owned());
    }
    if let Some(size) = request.shm_size {
        args.insert("shm-size".to_owned(), size.to_string());
    }
    if !request.ulimits.is_empty() {
        args.insert("ulimit".to_owned(), request.ulimits.join(","));
    }
    args
}
