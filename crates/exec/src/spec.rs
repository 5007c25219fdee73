//! [`StepSpec`] and [`Report`]: what travels between the caller's process and the launcher.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use acetate_snapshot::RootMount;
use serde::{Deserialize, Serialize};

use crate::cgroup;
use crate::client;
use crate::error::ExecError;
use crate::mount_spec::{self, MountSpec, SecretVariable};
use crate::outcome::{ExitStatus, Usage};
use crate::request::{
    Abi, CgroupLimits, DEFAULT_PATH, ExecRequest, Network, Script, Security, Stdio, Ulimit, UserIds,
};

/// Everything the launcher needs, sent to it over its control socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StepSpec {
    pub(crate) root: RootSpec,
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) user: UserIds,
    pub(crate) hostname: String,
    pub(crate) network: Network,
    pub(crate) extra_hosts: Vec<(String, IpAddr)>,
    pub(crate) security: Security,
    pub(crate) stdio: Stdio,
    pub(crate) ulimits: Vec<Ulimit>,
    pub(crate) shm_size: u64,
    pub(crate) abi: Abi,
    pub(crate) scripts: Vec<Script>,
    pub(crate) overlay_api: OverlayApi,
    pub(crate) mount_points: Option<String>,
    pub(crate) mounts: Vec<MountSpec>,
    pub(crate) secret_env: Vec<SecretVariable>,
    pub(crate) limits: CgroupLimits,
    /// The name of the container and of the control group, which nothing else on the machine has.
    pub(crate) id: String,
    /// The OCI runtime to use; `None` is the native executor.
    pub(crate) runtime: Option<RuntimeSpec>,
}

/// The OCI runtime that runs a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RuntimeSpec {
    pub(crate) program: String,
    pub(crate) global_args: Vec<String>,
    pub(crate) cgroups: Cgroups,
}

/// What an OCI runtime sees of the host's control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cgroups {
    Shown,
    /// An empty directory in their place.
    Hidden,
}

/// Which calls mount the overlay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OverlayApi {
    /// The new mount API, and mount(2) where the kernel has no `lowerdir+`.
    #[default]
    Auto,
    /// Only mount(2).
    Classic,
}

/// [`RootMount`] with paths that can be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RootSpec {
    Overlay {
        lower: Vec<String>,
        upper: String,
        work: String,
    },
    Dir(String),
}

impl RootSpec {
    /// Returns the directory that holds what the step writes.
    pub(crate) fn writable(&self) -> &str {
        match self {
            Self::Overlay { upper, .. } => upper,
            Self::Dir(dir) => dir,
        }
    }
}

impl TryFrom<&RootMount> for RootSpec {
    type Error = ExecError;

    fn try_from(root: &RootMount) -> Result<Self, ExecError> {
        match root {
            RootMount::Overlay { lower, upper, work } => Ok(Self::Overlay {
                lower: lower
                    .iter()
                    .map(|path| text(path))
                    .collect::<Result<_, _>>()?,
                upper: text(upper)?,
                work: text(work)?,
            }),
            RootMount::Dir(dir) => Ok(Self::Dir(text(dir)?)),
        }
    }
}

/// Returns an absolute path as text.
pub(crate) fn text(path: &Path) -> Result<String, ExecError> {
    if !path.is_absolute() {
        return Err(ExecError::Invalid(format!(
            "the path `{}` is not absolute",
            path.display()
        )));
    }
    path.to_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| ExecError::Path(path.to_owned()))
}

impl StepSpec {
    /// Checks `request` and returns what the launcher is told.
    pub(crate) fn new(
        request: &ExecRequest,
        runtime: Option<RuntimeSpec>,
    ) -> Result<Self, ExecError> {
        check(request)?;
        cgroup::check(&request.limits)?;
        Ok(Self {
            root: RootSpec::try_from(&request.root)?,
            argv: request.argv.clone(),
            env: environment(request),
            cwd: request.cwd.clone(),
            user: request.user.clone(),
            hostname: request.hostname.clone(),
            network: request.network,
            extra_hosts: request.extra_hosts.clone(),
            security: request.security,
            stdio: request.stdio,
            ulimits: request.ulimits.clone(),
            shm_size: request.shm_size,
            abi: request.abi,
            scripts: request.scripts.clone(),
            overlay_api: OverlayApi::default(),
            mount_points: request.mount_points.as_deref().map(text).transpose()?,
            mounts: request
                .mounts
                .iter()
                .map(MountSpec::new)
                .collect::<Result<_, _>>()?,
            secret_env: mount_spec::variables(request)?,
            limits: cgroup::normal(&request.limits),
            id: unique_id(),
            runtime,
        })
    }

    /// Returns everything that the step finds in its environment, secrets included.
    pub(crate) fn whole_environment(&self) -> Vec<String> {
        let secrets = self.secret_env.iter();
        let secrets = secrets.map(|secret| format!("{}={}", secret.name, secret.value.expose()));
        self.env.iter().cloned().chain(secrets).collect()
    }
}

static IDS: AtomicU64 = AtomicU64::new(0);

/// Other processes of ours may run at the same time, in other pid namespaces even.
fn unique_id() -> String {
    let number = IDS.fetch_add(1, Ordering::Relaxed);
    format!(
        "acetate-{}-{:x}-{number}",
        std::process::id(),
        client::monotonic()
    )
}

/// The environment but its secrets. A step always has a search path, as some runtimes have none of
/// their own (S60); a secret takes the place of a variable with its name, since which of two a program
/// reads is up to the program.
fn environment(request: &ExecRequest) -> Vec<String> {
    let is_secret = |name: &str| request.secret_env.iter().any(|(secret, _)| secret == name);
    let name = |entry: &str| {
        entry
            .split_once('=')
            .map_or("", |(name, _)| name)
            .to_owned()
    };
    let entries = request.env.iter();
    let mut env: Vec<String> = entries
        .filter(|entry| !is_secret(&name(entry)))
        .cloned()
        .collect();
    if !env.iter().any(|entry| entry.starts_with("PATH=")) && !is_secret("PATH") {
        env.push(format!("PATH={DEFAULT_PATH}"));
    }
    env
}

fn check(request: &ExecRequest) -> Result<(), ExecError> {
    let invalid = |why: String| Err(ExecError::Invalid(why));
    if request.argv.first().is_none_or(String::is_empty) {
        return invalid("it names no program".into());
    }
    if !request.cwd.starts_with('/') {
        return invalid(format!(
            "the working directory `{}` is not absolute",
            request.cwd
        ));
    }
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']);
    if let Some(script) = request.scripts.iter().find(|script| !is_name(&script.name)) {
        return invalid(format!("`{}` is no file name for a script", script.name));
    }
    if request.hostname.len() > 64 {
        return invalid(format!(
            "the host name `{}` is longer than 64 bytes",
            request.hostname
        ));
    }
    let mut words = request
        .argv
        .iter()
        .chain(&request.env)
        .chain([&request.cwd]);
    if words.any(|word| word.contains('\0')) {
        return invalid("a word of its command, environment or directory holds a NUL byte".into());
    }
    if let Some(entry) = request.env.iter().find(|entry| !entry.contains('=')) {
        return invalid(format!("the environment entry `{entry}` has no `=`"));
    }
    let mut names = request
        .extra_hosts
        .iter()
        .map(|(name, _)| name)
        .chain([&request.hostname]);
    if let Some(name) = names.find(|name| name.contains(|c: char| c.is_whitespace() || c == '#')) {
        return invalid(format!(
            "the host name `{}` is malformed",
            name.escape_default()
        ));
    }
    Ok(())
}

/// What the launcher tells its caller, in order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The step's program starts now (monotonic nanoseconds).
    Started { at: u64 },
    /// The sandbox could not be made; an `Exited` may follow and says nothing.
    Failed(Failure),
    /// The step ended.
    Exited {
        status: ExitStatus,
        usage: Usage,
        at: u64,
    },
}

/// Why the sandbox could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// A system call failed.
    Setup { doing: String, errno: i32 },
    /// The working directory is unusable.
    WorkingDirectory { path: String, reason: String },
    /// Something could not be mounted for the step.
    Mount { target: String, reason: String },
    /// A control group could not be made or limited.
    Limit { limit: String, reason: String },
    /// The image is in the way.
    Image(String),
    /// The OCI runtime's own error.
    Runtime { runtime: PathBuf, message: String },
}

impl From<Failure> for ExecError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Setup { doing, errno } => Self::Setup {
                doing,
                source: std::io::Error::from_raw_os_error(errno),
            },
            Failure::WorkingDirectory { path, reason } => Self::WorkingDirectory { path, reason },
            Failure::Mount { target, reason } => Self::Mount { target, reason },
            Failure::Limit { limit, reason } => Self::Limit { limit, reason },
            Failure::Image(why) => Self::Image(why),
            Failure::Runtime { runtime, message } => Self::Runtime { runtime, message },
        }
    }
}

/// Adds to a failed call what was being done.
pub(crate) trait Doing<T> {
    /// Turns the error into a [`Failure::Setup`] that says `doing`.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T> Doing<T> for Result<T, rustix::io::Errno> {
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|errno| Failure::Setup {
            doing: doing(),
            errno: errno.raw_os_error(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> ExecRequest {
        ExecRequest::new(RootMount::Dir("/r".into()), ["true"])
    }

    #[test]
    fn bad_requests_are_refused_by_name() {
        type Change = fn(&mut ExecRequest);
        let cases: [(&str, Change); 7] = [
            ("names no program", |r| r.argv.clear()),
            ("`x` is not absolute", |r| r.cwd = "x".into()),
            ("NUL byte", |r| r.argv.push("a\0b".into())),
            ("`HOME` has no `=`", |r| r.env.push("HOME".into())),
            ("longer than 64", |r| r.hostname = "h".repeat(65)),
            ("`a b` is malformed", |r| {
                r.extra_hosts
                    .push(("a b".into(), IpAddr::from([1, 2, 3, 4])));
            }),
            ("`r` is not absolute", |r| {
                r.root = RootMount::Dir("r".into());
            }),
        ];
        for (expected, change) in cases {
            let mut request = request();
            change(&mut request);
            let error = StepSpec::new(&request, None).unwrap_err().to_string();
            assert!(
                error.contains(expected),
                "{error:?} does not contain {expected:?}"
            );
        }
    }

    #[test]
    fn a_spec_survives_the_wire() {
        let spec = StepSpec::new(&request(), None).unwrap();
        let bytes = serde_json::to_vec(&spec).unwrap();
        let back: StepSpec = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(format!("{back:?}"), format!("{spec:?}"));
    }
}
