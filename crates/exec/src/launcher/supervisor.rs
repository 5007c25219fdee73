//! The supervisor: first process of the outer pid namespace; when it ends, the kernel ends all below it.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::{Control, GROUP, SPEC, runtime, step, stubs};
use crate::client::monotonic;
use crate::outcome::{ExitStatus, Usage};
use crate::request::Network;
use crate::spec::{Doing, Failure, Report, RuntimeSpec, StepSpec};
use crate::sys::{self, Forked, Namespaces};
use crate::wire::{self, FrameReader, Received};

/// Runs the step below this process and returns this process's exit code.
pub(super) fn run(control: &Control) -> i32 {
    let Some(spec) = SPEC.get() else { return 1 };
    match supervise(spec, control) {
        Ok(Finish::Reported) => DONE,
        // Whatever is left, the launcher removes it.
        Ok(Finish::Abandoned) => 1,
        Err(failure) => {
            control.report(&Report::Failed(failure));
            1
        }
    }
}

/// The exit code of a supervisor whose step came to its own end.
pub(super) const DONE: i32 = 0;

/// How supervising ended.
enum Finish {
    Reported,
    /// The caller is gone, or wants the step gone.
    Abandoned,
}

fn supervise(spec: &StepSpec, control: &Control) -> Result<Finish, Failure> {
    let children = sys::child_events().doing(|| "watch the step".into())?;
    let (stubs_read, stubs_write) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .doing(|| "open a pair of sockets".into())?;
    let runtime_log = match &spec.runtime {
        // Not closed on exec: the runtime writes its own errors there.
        Some(_) => Some(
            memfd_create("runtime-log", MemfdFlags::empty())
                .doing(|| "open the runtime's log".into())?,
        ),
        None => None,
    };
    let child = match fork_step(spec).doing(|| "start the step".into())? {
        Forked::Child => {
            drop((children, stubs_read));
            sys::exit_now(match runtime_log {
                Some(log) => runtime::run(spec, control, stubs_write, &log),
                None => step::run(spec, control, stubs_write),
            })
        }
        Forked::Parent { child } => child,
    };
    drop(stubs_write);
    (0..3).for_each(sys::close_stream);
    let (status, usage) = match wait_for(child, control, &children)? {
        End::Exited(status, usage) => (status, usage),
        End::Abandoned => {
            sys::kill_all();
            while matches!(sys::wait(-1, 0), Ok(Some(_))) {}
            // The root is of no use any more, but cache mounts are. There is nobody to tell a failure.
            let _gone = remove_stubs(spec, &stubs_read);
            return Ok(Finish::Abandoned);
        }
    };
    let at = monotonic();
    remove_stubs(spec, &stubs_read)?;
    if let (Some(runtime), Some(log)) = (&spec.runtime, runtime_log) {
        check_runtime(runtime, log)?;
    }
    control.report(&Report::Exited { status, usage, at });
    Ok(Finish::Reported)
}

/// Starts the step's process in the namespaces that its executor wants from us.
fn fork_step(spec: &StepSpec) -> rustix::io::Result<Forked> {
    let mut namespaces = Namespaces::MOUNT.and(Namespaces::UTS).and(Namespaces::IPC);
    if spec.network == Network::None {
        namespaces = namespaces.and(Namespaces::NET);
    }
    if spec.runtime.is_some() {
        // The runtime makes the pid namespace itself, and needs to see the cgroups.
        return sys::fork_into(namespaces);
    }
    namespaces = namespaces.and(Namespaces::PID);
    if GROUP.get().is_some() {
        // It first has to join its group.
        return sys::fork_into(namespaces);
    }
    namespaces = namespaces.and(Namespaces::CGROUP);
    match sys::fork_into(namespaces) {
        // A kernel without cgroups.
        Err(rustix::io::Errno::INVAL) => sys::fork_into(namespaces.without(Namespaces::CGROUP)),
        forked => forked,
    }
}

enum End {
    Exited(ExitStatus, Usage),
    /// The caller is gone, or wants the step gone.
    Abandoned,
}

fn wait_for(child: i32, control: &Control, children: &OwnedFd) -> Result<End, Failure> {
    let mut frames = FrameReader::default();
    loop {
        // Before the first poll as well: a child may have ended before SIGCHLD was looked at.
        while let Ok(Some((pid, status, usage))) = sys::wait(-1, libc::WNOHANG) {
            if pid == child {
                return Ok(End::Exited(status, usage));
            }
        }
        let mut fds = [
            PollFd::new(control, PollFlags::IN),
            PollFd::new(children, PollFlags::IN),
        ];
        rustix::io::retry_on_intr(|| poll(&mut fds, None)).doing(|| "wait for the step".into())?;
        let [lifeline, events] = fds.map(|fd| !fd.revents().is_empty());
        if lifeline && !matches!(frames.fill(control), Ok(Received::Open)) {
            return Ok(End::Abandoned);
        }
        if events {
            let mut record = [0_u8; 128];
            let _none = rustix::io::read(children, &mut record);
        }
    }
}

/// Takes the mount points away that the step's process has made.
fn remove_stubs(spec: &StepSpec, socket: &OwnedFd) -> Result<(), Failure> {
    let report = wire::receive_descriptors(socket.as_fd()).map_err(|error| Failure::Setup {
        doing: "read what was made for mounting".into(),
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    })?;
    stubs::remove(spec, report)
}

/// Tells a failure of the runtime from a failure of the step: only the first is logged.
fn check_runtime(runtime: &RuntimeSpec, log: OwnedFd) -> Result<(), Failure> {
    let mut text = String::new();
    let mut log = File::from(log);
    // An unreadable log means that nothing is known against the runtime.
    let _unreadable = log.rewind().and_then(|()| log.read_to_string(&mut text));
    match runtime::logged_error(&text) {
        Some(message) => Err(Failure::Runtime {
            runtime: runtime.program.clone().into(),
            message,
        }),
        None => Ok(()),
    }
}
