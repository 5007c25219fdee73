//! The step's process below an OCI runtime: finishes the mounts, writes the bundle, becomes the runtime.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::thread::set_name;

use super::config::bundle_config;
use super::mounts::Proc;
use super::scratch::{PLAIN, attach, new_filesystem};
use super::{Control, lookup, mounts, resolve, rootfs, step};
use crate::client::monotonic;
use crate::request::{Network, Security};
use crate::seccomp;
use crate::spec::{Cgroups, Doing, Failure, Report, RuntimeSpec, StepSpec};
use crate::sys::{self, CloseHow};

/// Where the runtime itself looks for its helpers; the step has its own environment.
const RUNTIME_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Sets the mounts up, becomes the runtime, and returns an exit code when that failed.
pub(super) fn run(spec: &StepSpec, control: &Control, stub_report: OwnedFd, log: &OwnedFd) -> i32 {
    sys::reset_signals();
    let Some(runtime) = &spec.runtime else {
        return 1;
    };
    match prepare(spec, runtime, stub_report, log) {
        Ok(Prepared::Missing(code)) => code,
        Ok(Prepared::Command(argv)) => {
            control.report(&Report::Started { at: monotonic() });
            let failure = become_runtime(runtime, &argv, log);
            control.report(&Report::Failed(failure));
            1
        }
        Err(failure) => {
            control.report(&Report::Failed(failure));
            1
        }
    }
}

enum Prepared {
    Command(Vec<String>),
    /// The step's program does not exist or cannot run; this is the step's exit code.
    Missing(i32),
}

fn prepare(
    spec: &StepSpec,
    runtime: &RuntimeSpec,
    stub_report: OwnedFd,
    log: &OwnedFd,
) -> Result<Prepared, Failure> {
    // The name under which the process table shows it until the runtime is there.
    set_name(c"acetate-step").doing(|| "set the name".into())?;
    rootfs::isolate_mounts()?;
    hide_host(runtime)?;
    let rootfs = rootfs::mount_root(spec)?;
    mounts::mount_all(spec, &rootfs, stub_report, Proc::ByRuntime)?;
    let cwd = step::make_working_directory(spec, &rootfs)?;
    // The runtime's `/proc` is not there yet, and must not become the working directory later.
    let real = resolve::real_path(rootfs.root.as_fd(), cwd.as_fd())
        .doing(|| "find the working directory".into())?;
    if real.split('/').next() == Some("proc") {
        return Err(Failure::WorkingDirectory {
            path: spec.cwd.clone(),
            reason: "it is in `/proc`".into(),
        });
    }
    if let Err(code) = lookup::precheck(spec, rootfs.root.as_fd()) {
        return Ok(Prepared::Missing(code));
    }
    let bundle = rootfs.scratch.path();
    let available = rustix::thread::capabilities(None)
        .doing(|| "read the capabilities".into())?
        .permitted
        .bits();
    let root = format!("{bundle}/{}", rootfs::NAME);
    let config = bundle_config(spec, &root, available);
    let config = config.to_string();
    drop(rootfs.scratch.write("config.json", config.as_bytes())?);
    if spec.security == Security::Sandbox && spec.network == Network::Host {
        sys::scope_abstract_sockets().doing(|| "restrict abstract sockets".into())?;
    }
    if spec.security == Security::Sandbox
        && let Some(filter) = seccomp::socket_filter(spec.abi, spec.stdio)
    {
        sys::install_seccomp(&filter).doing(|| "install the socket filter".into())?;
    }
    step::set_streams(spec, rootfs.root.as_fd())?;
    let mut argv = vec![runtime.program.clone()];
    argv.extend(runtime.global_args.iter().cloned());
    let log = format!("/proc/self/fd/{}", log.as_raw_fd());
    let state = format!("{bundle}/state");
    for word in ["--root", &state, "--log", &log, "--log-format", "json"] {
        argv.push(word.to_owned());
    }
    for word in ["run", "--bundle", bundle, &spec.id] {
        argv.push(word.to_owned());
    }
    Ok(Prepared::Command(argv))
}

/// Gives the runtime a `/proc` in which it finds itself, and takes the control groups away where told.
fn hide_host(runtime: &RuntimeSpec) -> Result<(), Failure> {
    let cover = |path: &str, kind: &str| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mount = new_filesystem(kind, &[], PLAIN)?;
        rustix::fs::open(path, flags, Mode::empty())
            .and_then(|target| attach(mount.as_fd(), target.as_fd()))
            .doing(|| format!("cover `{path}`"))
    };
    cover("/proc", "proc")?;
    match runtime.cgroups {
        Cgroups::Shown => Ok(()),
        Cgroups::Hidden => cover("/sys/fs/cgroup", "tmpfs"),
    }
}

fn become_runtime(runtime: &RuntimeSpec, argv: &[String], log: &OwnedFd) -> Failure {
    let failed = |errno: rustix::io::Errno| Failure::Runtime {
        runtime: runtime.program.clone().into(),
        message: format!("it cannot be started: {}", std::io::Error::from(errno)),
    };
    let kept = sys::close_from(3, CloseHow::OnExec)
        .and_then(|()| rustix::io::fcntl_setfd(log, FdFlags::empty()));
    if let Err(errno) = kept {
        return failed(errno);
    }
    let words: Vec<CString> = argv
        .iter()
        .filter_map(|word| CString::new(word.as_str()).ok())
        .collect();
    let env: Vec<CString> = CString::new(RUNTIME_PATH).into_iter().collect();
    match words.first() {
        Some(program) => failed(sys::exec(program, &words, &env)),
        None => failed(rustix::io::Errno::NOENT),
    }
}

/// Returns what the runtime itself complained about: a step that merely fails leaves no error there.
pub(super) fn logged_error(log: &str) -> Option<String> {
    let entries = log
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let text = |entry: &serde_json::Value, key: &str| {
        entry
            .get(key)
            .and_then(|value| value.as_str())
            .map(ToOwned::to_owned)
    };
    entries
        .filter(|entry| {
            text(entry, "level").is_some_and(|level| level == "error" || level == "fatal")
        })
        .filter_map(|entry| text(&entry, "msg"))
        .next_back()
}

#[cfg(test)]
mod tests {
    use super::logged_error;

    #[test]
    fn only_errors_of_the_runtime_count() {
        assert_eq!(logged_error(""), None);
        assert_eq!(
            logged_error("{\"level\":\"warning\",\"msg\":\"hm\"}\nnot json\n"),
            None
        );
        let log =
            "{\"level\":\"error\",\"msg\":\"no cgroup\"}\n{\"level\":\"debug\",\"msg\":\"x\"}";
        assert_eq!(logged_error(log).as_deref(), Some("no cgroup"));
    }
}
