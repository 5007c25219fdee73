//! The caller's side of one step: starts the launcher, reads its output and reports.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus as ChildStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::cancel::CancelToken;
use crate::error::ExecError;
use crate::launcher::SUBCOMMAND;
use crate::log::{LogSink, Stream};
use crate::mount_spec::MountSpec;
use crate::outcome::{ExecOutcome, ExitStatus, Timings, Usage};
use crate::program;
use crate::request::Stdio;
use crate::spec::{Report, StepSpec};
use crate::userns;
use crate::wire::{self, FrameReader, Received};

/// A writer that never stops must not starve the other stream or a cancellation.
const READS_PER_TURN: u32 = 4;
/// More than the largest pipe holds; a bound at all, for a stray writer that somebody else started.
const READS_AT_END: u32 = 1 << 16;

/// Runs `spec` to its end.
pub(crate) fn run(
    spec: &StepSpec,
    log: &mut dyn LogSink,
    cancel: &CancelToken,
) -> Result<ExecOutcome, ExecError> {
    let clock = Clock::start();
    check_ids(spec)?;
    if cancel.is_cancelled() {
        return Ok(clock.outcome(&Heard::default(), ExitStatus::Cancelled));
    }
    let (control, theirs) = UnixStream::pair().map_err(ExecError::Spawn)?;
    let mut launcher = Launcher {
        child: spawn(spec.stdio, theirs)?,
        control: Some(control),
    };
    let sent = launcher.send(spec);
    let mut heard = Heard::default();
    let listened = match sent {
        Ok(()) => listen(&mut launcher, &mut heard, log, cancel),
        // It died before it read the request; what it said is in `heard`, how it ended in `finish`.
        Err(_) => Ok(End::Finished),
    };
    let status = launcher.finish().map_err(ExecError::Spawn)?;
    match listened.map_err(ExecError::Spawn)? {
        End::Cancelled => Ok(clock.outcome(&heard, ExitStatus::Cancelled)),
        End::Finished => conclude(&clock, heard, status),
    }
}

fn conclude(clock: &Clock, heard: Heard, status: ChildStatus) -> Result<ExecOutcome, ExecError> {
    if let Some(failure) = heard.failure {
        return Err(failure);
    }
    match heard.exited {
        Some((exit, ..)) => Ok(clock.outcome(&heard, exit)),
        None => Err(ExecError::Launcher(status.to_string())),
    }
}

/// Ids that do not exist here fail by name, before anything is started.
fn check_ids(spec: &StepSpec) -> Result<(), ExecError> {
    let (uids, gids) = userns::current_maps();
    let owners = || spec.mounts.iter().filter_map(MountSpec::owner);
    let mut users = std::iter::once(spec.user.uid).chain(owners().map(|owner| owner.uid));
    if let Some(id) = users.find(|uid| !uids.contains(*uid)) {
        return Err(ExecError::UnmappedId { kind: "user", id });
    }
    let own = std::iter::once(&spec.user.gid).chain(&spec.user.groups);
    let mut groups = own.copied().chain(owners().map(|owner| owner.gid));
    match groups.find(|gid| !gids.contains(*gid)) {
        Some(id) => Err(ExecError::UnmappedId { kind: "group", id }),
        None => Ok(()),
    }
}

/// Starts the launcher with nothing of ours but three streams; std's fast path (no fork) serves.
fn spawn(stdio: Stdio, control: UnixStream) -> Result<Child, ExecError> {
    let program = program::read_only().map_err(|errno| ExecError::Spawn(errno.into()))?;
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.arg0("acetate-step").arg(SUBCOMMAND).env_clear();
    command.stdin(std::os::fd::OwnedFd::from(control));
    if stdio == Stdio::Capture {
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
    }
    command.spawn().map_err(ExecError::Spawn)
}

/// A running launcher; dropping it ends the step.
struct Launcher {
    child: Child,
    /// The lifeline: when it closes, the supervisor kills everything.
    control: Option<UnixStream>,
}

impl Launcher {
    fn send(&self, spec: &StepSpec) -> io::Result<()> {
        let Some(control) = &self.control else {
            return Ok(());
        };
        let stdin = io::stdin();
        let descriptor = (spec.stdio == Stdio::Inherit).then(|| stdin.as_fd());
        wire::write(control.as_fd(), spec, descriptor)
    }

    /// Cuts the lifeline and waits until everything is gone.
    fn finish(&mut self) -> io::Result<ChildStatus> {
        self.control = None;
        self.child.wait()
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        // Also when a log sink panics: nothing may be left. The status is of no interest then, and after
        // `finish` this returns at once.
        let _status = self.finish();
    }
}

/// What the launcher has said so far.
#[derive(Debug, Default)]
struct Heard {
    started: Option<u64>,
    exited: Option<(ExitStatus, Usage, u64)>,
    failure: Option<ExecError>,
}

impl Heard {
    fn take(&mut self, report: Report) {
        match report {
            Report::Started { at } => self.started = Some(at),
            Report::Exited { status, usage, at } => self.exited = Some((status, usage, at)),
            Report::Failed(failure) => {
                self.failure.get_or_insert(failure.into());
            }
        }
    }
}

/// Why listening ended.
enum End {
    Finished,
    Cancelled,
}

/// The output pipes of a step; none for inherited streams.
struct Pipes {
    out: Option<ChildStdout>,
    err: Option<ChildStderr>,
    buffer: Vec<u8>,
}

fn listen(
    launcher: &mut Launcher,
    heard: &mut Heard,
    log: &mut dyn LogSink,
    cancel: &CancelToken,
) -> io::Result<End> {
    let mut pipes = Pipes::new(&mut launcher.child)?;
    let mut frames = FrameReader::default();
    let Some(control) = launcher.control.as_ref() else {
        return Ok(End::Finished);
    };
    loop {
        let ready = wait(control, cancel, &pipes)?;
        if ready.cancelled {
            return Ok(End::Cancelled);
        }
        // Pipes first: what was written before the end is read before the end is believed.
        pipes.drain(READS_PER_TURN, log)?;
        if ready.control {
            let received = frames.fill(control)?;
            while let Some(report) = frames.next()? {
                heard.take(report);
            }
            if heard.exited.is_some() || received == Received::Closed {
                // Every writer is dead by now, but a stray holder elsewhere must not keep us.
                pipes.drain(READS_AT_END, log)?;
                return Ok(End::Finished);
            }
        }
    }
}

struct Ready {
    cancelled: bool,
    control: bool,
}

fn wait(control: &UnixStream, cancel: &CancelToken, pipes: &Pipes) -> io::Result<Ready> {
    let mut fds = vec![
        PollFd::new(cancel, PollFlags::IN),
        PollFd::new(control, PollFlags::IN),
    ];
    fds.extend(
        pipes
            .out
            .as_ref()
            .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
    );
    fds.extend(
        pipes
            .err
            .as_ref()
            .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
    );
    let forever: Option<&Timespec> = None;
    rustix::io::retry_on_intr(|| poll(&mut fds, forever))?;
    Ok(Ready {
        cancelled: !fds[0].revents().is_empty(),
        control: !fds[1].revents().is_empty(),
    })
}

impl Pipes {
    fn new(child: &mut Child) -> io::Result<Self> {
        let pipes = Self {
            out: child.stdout.take(),
            err: child.stderr.take(),
            buffer: vec![0; 64 << 10],
        };
        if let Some(pipe) = &pipes.out {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        if let Some(pipe) = &pipes.err {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(pipes)
    }

    /// Reads each pipe until it is empty, but at most `reads` times.
    fn drain(&mut self, reads: u32, log: &mut dyn LogSink) -> io::Result<()> {
        if drain(
            self.out.as_ref(),
            Stream::Stdout,
            reads,
            &mut self.buffer,
            log,
        )? == Received::Closed
        {
            self.out = None;
        }
        if drain(
            self.err.as_ref(),
            Stream::Stderr,
            reads,
            &mut self.buffer,
            log,
        )? == Received::Closed
        {
            self.err = None;
        }
        Ok(())
    }
}

fn drain<F: AsFd>(
    pipe: Option<&F>,
    stream: Stream,
    reads: u32,
    buffer: &mut [u8],
    log: &mut dyn LogSink,
) -> io::Result<Received> {
    let Some(pipe) = pipe else {
        return Ok(Received::Open);
    };
    for _ in 0..reads {
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => return Ok(Received::Closed),
            Ok(n) => log.log(stream, &buffer[..n]),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(Received::Open),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(Received::Open)
}

/// The start of a step on the monotonic clock, which the launcher shares.
struct Clock {
    started: Instant,
    monotonic: u64,
}

impl Clock {
    fn start() -> Self {
        Self {
            started: Instant::now(),
            monotonic: monotonic(),
        }
    }

    fn outcome(&self, heard: &Heard, status: ExitStatus) -> ExecOutcome {
        let between = |from: u64, to: u64| Duration::from_nanos(to.saturating_sub(from));
        let ended = heard.exited.map_or_else(monotonic, |(_, _, at)| at);
        let started = heard.started.unwrap_or(ended);
        ExecOutcome {
            status,
            timings: Timings {
                setup: between(self.monotonic, started),
                run: between(started, ended),
                total: self.started.elapsed(),
            },
            usage: heard
                .exited
                .map_or_else(Usage::default, |(_, usage, _)| usage),
        }
    }
}

/// Nanoseconds of the monotonic clock.
pub(crate) fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
