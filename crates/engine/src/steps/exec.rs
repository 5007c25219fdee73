//! Processes.

mod devices;
mod limits;
mod mounts;

use super::StepError;
use crate::BuildEvent;
use crate::cache_mounts::CacheMounts;
use crate::output::{Files, Output};
use crate::progress::Progress;
use crate::runner::StepRunner;
use crate::shared::lease::LeaseLog;
use crate::ssh;
use acetate_exec::{
    CancelToken, DEFAULT_HOSTNAME, Emulator, ExecError, ExecRequest, ExitStatus, Network, SCRIPTS,
    Script, Security, Stream, UserIds,
};
use acetate_files::{Account, Tree, ViewTree};
use acetate_graph::{ExecOp, MountSource, NetworkMode, Resources, SecurityMode, Vertex};
use acetate_oci::{Digest, Platform};
use acetate_scheduler::JobCtx;
use acetate_snapshot::{ActiveSnapshot, Snapshot, Snapshots};
use mounts::{Mounts, Sources};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// A Dockerfile is not longer, so neither is a text in it.
const MAX_SCRIPT: u64 = 16 << 20;

/// What one run of a process has that is not of the step itself.
pub(crate) struct Setting {
    /// What its events are called by.
    pub(crate) digest: Digest,
    /// The directories of its cache mounts.
    pub(crate) caches: CacheMounts,
    /// Takes what it writes for those who wait on other machines.
    pub(crate) log: Option<LeaseLog>,
}

/// Runs a process and keeps what it wrote as a layer.
pub(crate) async fn run(
    runner: &StepRunner,
    op: &ExecOp,
    vertex: &Vertex,
    inputs: &[Output],
    setting: Setting,
    ctx: &JobCtx,
) -> Result<Files, StepError> {
    let base = root(op, inputs)?;
    devices::check(&op.devices)?;
    let sources = Sources {
        store: Arc::clone(&runner.store),
        snapshots: runner.snapshots.clone(),
        secrets: Arc::clone(&runner.secrets),
        ssh: Arc::clone(&runner.ssh),
        caches: setting.caches,
        inputs: inputs.to_vec(),
    };
    let mounts = {
        let op = op.clone();
        // A secret may be a pipe into which nobody writes.
        tokio::select! {
            mounts = acetate_stdx::blocking(move || Mounts::prepare(&op, sources)) => mounts?,
            () = ctx.cancel.cancelled() => return Err(StepError::Cancelled),
        }
    };
    let cancel = CancelToken::new().map_err(|error| StepError::Exec(ExecError::Spawn(error)))?;
    let mut job = Job {
        snapshots: runner.snapshots.clone(),
        executor: Arc::clone(&runner.executor),
        progress: runner.progress.clone(),
        base: base.snapshot.clone(),
        root_dir: runner.store.root().to_owned(),
        scripts: Vec::new(),
        op: op.clone(),
        extra_hosts: vertex.meta.extra_hosts.clone(),
        proxy_env: vertex.meta.proxy_env.clone(),
        resources: vertex.meta.resources.clone(),
        mounts,
        digest: setting.digest,
        log: setting.log,
        cancel: cancel.clone(),
    };
    let scripts = op.mounts.iter().filter(|mount| mount.target == SCRIPTS);
    for mount in scripts {
        let MountSource::Input(n) = mount.source else {
            continue;
        };
        let input = inputs
            .get(n as usize)
            .map(Output::files)
            .unwrap_or_default();
        job.scripts
            .extend(read_scripts(&job.snapshots, &input.snapshot)?);
    }
    // The process is told as soon as the build is: the watch ends with the step.
    let cancelled = ctx.cancel.clone();
    let watch = async {
        cancelled.cancelled().await;
        cancel.cancel();
        std::future::pending::<()>().await;
    };
    let proxies = std::mem::take(&mut job.mounts.proxies);
    let snapshot = tokio::select! {
        result = acetate_stdx::blocking(move || job.run()) => result?,
        () = watch => return Err(StepError::Cancelled),
        never = ssh::serve(proxies) => match never {},
    };
    Ok(base.with(snapshot, runner.progress.now()))
}

/// The files of a snapshot that holds nothing but the texts of heredocs.
fn read_scripts(snapshots: &Snapshots, snapshot: &Snapshot) -> Result<Vec<Script>, StepError> {
    let tree = ViewTree::new(snapshots.view(snapshot)?);
    let mut scripts = Vec::new();
    for node in tree.read_dir(Path::new(""))? {
        if let Some(bytes) = tree.read_small(&node.path, MAX_SCRIPT)? {
            let name = node.name().to_string_lossy().into_owned();
            scripts.push(Script {
                name,
                text: String::from_utf8_lossy(&bytes).into_owned(),
            });
        }
    }
    Ok(scripts)
}

/// A directory of mount points below the layers spares each step the making of its own; without it
/// they are made in place.
pub(crate) fn mount_points(dir: &Path) -> Option<PathBuf> {
    acetate_exec::mount_points(dir)
        .inspect_err(|error| tracing::debug!(%error, "mount points are made in place"))
        .ok()
}

/// The snapshot that is mounted as the root.
fn root(op: &ExecOp, inputs: &[Output]) -> Result<Files, StepError> {
    let Some(mount) = op.mounts.iter().find(|mount| mount.target == "/") else {
        return Err(StepError::internal("a process without a root"));
    };
    match mount.source {
        MountSource::Input(n) => {
            let input = inputs.get(n as usize).map(Output::files);
            input.ok_or_else(|| StepError::internal("a process on no input"))
        }
        _ => Ok(Files::default()),
    }
}

struct Job {
    snapshots: Snapshots,
    executor: Arc<dyn acetate_exec::Executor>,
    progress: Progress,
    base: Snapshot,
    root_dir: PathBuf,
    scripts: Vec<Script>,
    op: ExecOp,
    extra_hosts: Vec<(String, std::net::IpAddr)>,
    proxy_env: Vec<String>,
    resources: Resources,
    mounts: Mounts,
    digest: Digest,
    log: Option<LeaseLog>,
    cancel: CancelToken,
}

impl Job {
    fn run(mut self) -> Result<Snapshot, StepError> {
        let began = Instant::now();
        let active = self.snapshots.prepare(&self.base)?;
        let request = self.request(&active)?;
        let prepared = began.elapsed();
        let mut log = |stream: Stream, bytes: &[u8]| {
            if let Some(log) = &self.log {
                log.write(stream == Stream::Stdout, bytes);
            }
            self.progress.emit(BuildEvent::Log {
                vertex: self.digest,
                at: self.progress.now(),
                stream: if stream == Stream::Stdout { 1 } else { 2 },
                data: bytes.to_vec(),
            });
        };
        let outcome = self.executor.run(&request, &mut log, &self.cancel)?;
        tracing::debug!(?prepared, timings = ?outcome.timings, "process ended");
        match outcome.status {
            status if status.success() => Ok(active.commit()?),
            ExitStatus::Cancelled => Err(StepError::Cancelled),
            status => Err(failure(&self.op, status)),
        }
    }

    fn request(&mut self, active: &ActiveSnapshot) -> Result<ExecRequest, StepError> {
        let account = account(&self.snapshots, &self.base, &self.op.user)?;
        let mut request = ExecRequest::new(active.root().clone(), self.op.argv.iter().cloned());
        request.env = environment(
            &self.op.env.to_vec(),
            &self.proxy_env,
            account.home.as_deref(),
        );
        request.cwd.clone_from(&self.op.cwd);
        request.user = UserIds {
            uid: account.owner.uid,
            gid: account.owner.gid,
            groups: account.groups,
        };
        request.hostname = self
            .op
            .hostname
            .clone()
            .unwrap_or_else(|| DEFAULT_HOSTNAME.to_owned());
        request.network = network(self.op.network);
        request.scripts.clone_from(&self.scripts);
        request.mount_points = mount_points(&self.root_dir);
        request.extra_hosts.clone_from(&self.extra_hosts);
        request.security = match self.op.security {
            SecurityMode::Sandbox => Security::Sandbox,
            SecurityMode::Insecure => Security::Insecure,
        };
        if let Some(size) = self.op.shm_size {
            request.shm_size = size;
        }
        request.ulimits = limits::ulimits(&self.op.ulimits)?;
        request.limits = limits::cgroup(&self.resources);
        request.mounts = std::mem::take(&mut self.mounts.list);
        request.secret_env = std::mem::take(&mut self.mounts.secret_env);
        Ok(request)
    }
}

/// Why a process failed. Where its programs are for another processor that is the likeliest reason,
/// whatever it was that could not be started.
fn failure(op: &ExecOp, status: ExitStatus) -> StepError {
    let (command, code) = (op.argv.join(" "), status.code());
    let status = status.to_string();
    match foreign(&op.platform, &Emulator::of(&op.platform)) {
        Some(hint) => StepError::Foreign {
            command,
            status,
            code,
            hint,
        },
        None => StepError::Exit {
            command,
            status,
            code,
        },
    }
}

fn foreign(platform: &Platform, emulator: &Emulator) -> Option<String> {
    let host = Platform::host();
    match emulator {
        Emulator::Native | Emulator::Registered => None,
        Emulator::Outside(path) => Some(format!(
            "programs of {platform} are run by `{}` here, which the image does not hold: register \
             it with the flag `F`, as `qemu-user-static` does",
            path.display()
        )),
        Emulator::Missing => Some(format!(
            "this machine runs {host} and has no emulator for {platform}: install one, as with \
             `apt-get install qemu-user-static binfmt-support`, or copy from a stage with \
             `FROM --platform=$BUILDPLATFORM` that builds for $TARGETPLATFORM"
        )),
    }
}

/// Who a process is. Nobody named is root; only its home is what the image's files say.
pub(crate) fn account(
    snapshots: &Snapshots,
    base: &Snapshot,
    user: &str,
) -> Result<Account, StepError> {
    let tree = ViewTree::new(snapshots.view(base)?);
    if user.is_empty() {
        return Ok(Account {
            groups: vec![0],
            ..Account::resolve("0", &tree)?
        });
    }
    Ok(Account::resolve(user, &tree)?)
}

/// The environment: what the step says, proxies, and HOME where nothing says it.
pub(crate) fn environment(env: &[String], proxies: &[String], home: Option<&str>) -> Vec<String> {
    let mut all: Vec<String> = env.iter().chain(proxies).cloned().collect();
    if !all.iter().any(|line| line.starts_with("HOME=")) {
        let home = home.filter(|home| !home.is_empty()).unwrap_or("/");
        all.push(format!("HOME={home}"));
    }
    all
}

/// The network of a process; the default is the host's.
pub(crate) fn network(mode: NetworkMode) -> Network {
    match mode {
        NetworkMode::Default | NetworkMode::Host => Network::Host,
        NetworkMode::None => Network::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_added_only_where_nothing_says_it() {
        let env = |env: &[&str], home| {
            let env: Vec<String> = env.iter().map(|line| (*line).to_owned()).collect();
            environment(&env, &["http_proxy=p".to_owned()], home)
        };
        assert_eq!(
            env(&["A=1"], Some("/home/a")),
            ["A=1", "http_proxy=p", "HOME=/home/a"]
        );
        assert_eq!(
            env(&["HOME=/x"], Some("/home/a")),
            ["HOME=/x", "http_proxy=p"]
        );
        assert_eq!(env(&[], None), ["http_proxy=p", "HOME=/"]);
        assert_eq!(env(&[], Some("")), ["http_proxy=p", "HOME=/"]);
    }
}
