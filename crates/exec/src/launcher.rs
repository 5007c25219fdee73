//! The launcher: this program, started again, which becomes the step.
//!
//! ```text
//! caller ── launcher ── supervisor (first process of the outer pid namespace)
//!    ╰───── socket ────────╯  ╰── step (first process of the inner pid namespace) or OCI runtime
//! ```
//!
//! All of it is single-threaded. The launcher proper only exists because a process cannot enter a
//! new pid namespace itself.

mod config;
mod dev;
mod files;
mod group;
mod identity;
mod lookup;
mod mask;
mod mounts;
mod resolve;
mod rootfs;
mod runtime;
mod scratch;
mod sources;
mod step;
mod step_mounts;
mod stubs;
mod supervisor;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::process::DumpableBehavior;

use self::group::Group;
use crate::outcome::ExitStatus;
use crate::request::Stdio;
use crate::spec::{Doing, Failure, Report, StepSpec};
use crate::sys::{self, CloseHow, Forked, Namespaces};
use crate::wire;

pub use self::stubs::mount_points;

/// The hidden first argument.
pub(crate) const SUBCOMMAND: &str = "__acetate-step";

/// Becomes the sandbox launcher, and never returns, when this program was started as one.
///
/// Call it first in `main`, before any thread exists; otherwise it does nothing.
pub fn reexec_entry() {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == SUBCOMMAND)
    {
        sys::exit_now(main());
    }
}

/// The launcher's end of the control socket.
#[derive(Debug)]
pub(crate) struct Control(OwnedFd);

impl Control {
    /// Tells the caller; when it is gone there is nobody to tell.
    pub(crate) fn report(&self, report: &Report) {
        let _gone = wire::write(self.0.as_fd(), report, None);
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn main() -> i32 {
    // Nothing of the caller but the three streams; the first is the control socket.
    if sys::close_from(3, CloseHow::Now).is_err() {
        return 1;
    }
    let Ok(control) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map(Control)
    else {
        return 1;
    };
    match launch(&control) {
        Ok(Forked::Child) => supervisor::run(&control),
        Ok(Forked::Parent { child }) => {
            // The supervisor alone holds the streams and the socket, so that their end means its end.
            drop(control);
            (0..3).for_each(sys::close_stream);
            let ended = sys::wait(child, 0);
            let is_done = matches!(
                ended,
                Ok(Some((_, ExitStatus::Exited(supervisor::DONE), _)))
            );
            remove_groups(is_done);
            i32::from(ended.is_err())
        }
        Err(failure) => {
            remove_groups(true);
            control.report(&Report::Failed(failure));
            1
        }
    }
}

/// Removes the step's control groups. A runtime removes its own, unless it was killed.
fn remove_groups(is_done: bool) {
    if let Some(spec) = SPEC.get()
        && (GROUP.get().is_some() || (spec.runtime.is_some() && !is_done))
    {
        group::remove_left(spec);
    }
}

/// The request, kept for the supervisor that is forked from here.
static SPEC: OnceLock<StepSpec> = OnceLock::new();

/// The step's control group, where the native executor has to make one.
static GROUP: OnceLock<Group> = OnceLock::new();

fn launch(control: &Control) -> Result<Forked, Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .doing(|| "hide the launcher".into())?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let (spec, stdin): (StepSpec, _) =
        wire::read_first(control.as_fd()).map_err(|error| Failure::Setup {
            // What the error says may hold a part of the request, and the request holds secrets.
            doing: format!("read the request ({})", error.kind()),
            errno: error.raw_os_error().unwrap_or(libc::EPROTO),
        })?;
    let spec = SPEC.get_or_init(|| spec);
    match spec.stdio {
        // Its own session: no terminal to read a password from, and no Ctrl-C past the caller.
        Stdio::Capture => {
            rustix::process::setsid()
                .map(drop)
                .doing(|| "start a session".into())?;
        }
        Stdio::Inherit => sys::ignore_terminal_signals(),
    }
    let stdin = match stdin {
        Some(stdin) => stdin,
        None => open_null().doing(|| "open `/dev/null`".into())?,
    };
    sys::replace_stream(&stdin, 0).doing(|| "set the standard input".into())?;
    if spec.runtime.is_some() {
        Group::check(spec)?;
    } else if let Some(group) = Group::make(spec)? {
        GROUP.get_or_init(|| group);
    }
    sys::fork_into(Namespaces::PID).doing(|| "start the supervisor".into())
}

fn open_null() -> rustix::io::Result<OwnedFd> {
    File::open("/dev/null")
        .map(OwnedFd::from)
        .map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
}
