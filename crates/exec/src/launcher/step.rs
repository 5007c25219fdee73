//! The step's own process, up to the moment where it becomes the step's program.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::mounts::Proc;
use super::resolve::{self, Kind, Stays};
use super::rootfs::{self, Rootfs};
use super::{Control, GROUP, identity, lookup, mounts};
use crate::client::monotonic;
use crate::request::{Network, Security, Stdio};
use crate::seccomp;
use crate::spec::{Doing, Failure, Report, StepSpec};
use crate::sys::{self, CloseHow};

/// Sets the sandbox up, becomes the step, and returns an exit code when that failed.
pub(super) fn run(spec: &StepSpec, control: &Control, stub_report: OwnedFd) -> i32 {
    sys::reset_signals();
    match prepare(spec, stub_report) {
        Ok(()) => {
            control.report(&Report::Started { at: monotonic() });
            become_program(spec)
        }
        Err(failure) => {
            control.report(&Report::Failed(failure));
            1
        }
    }
}

fn prepare(spec: &StepSpec, stub_report: OwnedFd) -> Result<(), Failure> {
    if let Some(group) = GROUP.get() {
        group.join()?;
    }
    rootfs::isolate_mounts()?;
    let rootfs = rootfs::mount_root(spec)?;
    mounts::mount_all(spec, &rootfs, stub_report, Proc::Now)?;
    drop(make_working_directory(spec, &rootfs)?);
    set_streams(spec, rootfs.root.as_fd())?;
    rootfs::pivot(rootfs)?;
    enter_working_directory(&spec.cwd)?;
    limit(spec)?;
    identity::become_user(
        &spec.user,
        seccomp::capabilities(spec.security, spec.network),
        spec.security,
    )
}

/// Makes the working directory where it is missing, for the step's user (S64); unlike mount points it
/// stays in the layer.
pub(super) fn make_working_directory(spec: &StepSpec, rootfs: &Rootfs) -> Result<OwnedFd, Failure> {
    let root = rootfs.root.as_fd();
    let mut made = Stays::default();
    resolve::ensure(root, &spec.cwd, Kind::Dir, &mut made)
        .and_then(|dir| made.give_to(root, &spec.user).map(|()| dir))
        .map_err(|errno| unusable(&spec.cwd, errno))
}

fn unusable(path: &str, errno: Errno) -> Failure {
    let reason = match errno {
        Errno::NOTDIR => "it is not a directory".into(),
        Errno::LOOP => "it leads through a link that the sandbox does not follow".into(),
        errno => std::io::Error::from(errno).to_string(),
    };
    Failure::WorkingDirectory {
        path: path.into(),
        reason,
    }
}

/// Standard input comes from the step's own `/dev/null`; pipes belong to the step's user, so that it
/// can open `/dev/stdout`.
pub(super) fn set_streams(spec: &StepSpec, root: BorrowedFd<'_>) -> Result<(), Failure> {
    if spec.stdio == Stdio::Inherit {
        return Ok(());
    }
    let null = resolve::open(root, "dev/null", OFlags::RDONLY)
        .and_then(|null| sys::replace_stream(&null, 0));
    null.doing(|| "open the step's `/dev/null`".into())?;
    if spec.user.uid != 0 {
        let owner = Some(rustix::fs::Uid::from_raw(spec.user.uid));
        for stream in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
            rustix::fs::fchown(stream, owner, None)
                .doing(|| "hand the output over to the user".into())?;
        }
    }
    Ok(())
}

/// Changes the directory and checks where that led: a descriptor of the host behind
/// `/proc/self/fd` must never become the working directory.
fn enter_working_directory(path: &str) -> Result<(), Failure> {
    let enter = || {
        let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        let dir = resolve::open(root.as_fd(), path, flags)?;
        rustix::process::fchdir(&dir)?;
        rustix::process::getcwd(Vec::new())
    };
    let real = enter().map_err(|errno| unusable(path, errno))?;
    // The kernel puts "(unreachable)" in front of a directory outside of the root.
    if real.as_bytes().first() == Some(&b'/') {
        return Ok(());
    }
    Err(Failure::WorkingDirectory {
        path: path.into(),
        reason: "it is outside of the root".into(),
    })
}

/// All that needs privileges and must come before they are dropped. The limits come last: what comes
/// before may need more than they leave.
fn limit(spec: &StepSpec) -> Result<(), Failure> {
    identity::new_keyring()?;
    if spec.security == Security::Sandbox {
        confine(spec)?;
    }
    identity::set_limits(&spec.ulimits)
}

fn confine(spec: &StepSpec) -> Result<(), Failure> {
    if spec.network == Network::Host {
        // False where the kernel has no such scope; the documentation says what is weaker then.
        sys::scope_abstract_sockets().doing(|| "restrict abstract sockets".into())?;
    }
    let keep = seccomp::capabilities(spec.security, spec.network);
    sys::limit_bounding_set(keep).doing(|| "limit the capabilities".into())?;
    let filter = seccomp::filter(spec.abi, spec.stdio).ok_or_else(|| {
        Failure::Image("this machine's architecture has no system call filter".into())
    })?;
    sys::install_seccomp(&filter).doing(|| "install the system call filter".into())
}

fn become_program(spec: &StepSpec) -> i32 {
    let words = |words: &[String]| -> Vec<CString> {
        words
            .iter()
            .filter_map(|word| CString::new(word.as_str()).ok())
            .collect()
    };
    let (argv, env) = (words(&spec.argv), words(&spec.whole_environment()));
    if sys::close_from(3, CloseHow::OnExec).is_err() {
        return 126;
    }
    let mut denied = None;
    for candidate in lookup::candidates(spec) {
        let Ok(program) = CString::new(candidate.as_str()) else {
            continue;
        };
        match sys::exec(&program, &argv, &env) {
            Errno::NOENT | Errno::NOTDIR if lookup::is_missing(&candidate) => {}
            errno => {
                denied.get_or_insert((candidate, errno));
            }
        }
    }
    lookup::explain(spec, denied)
}
