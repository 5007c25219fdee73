//! Runs one build step as a process in a sandbox, with the native launcher or an OCI runtime.
//!
//! **Main types.** [`ExecRequest`] says what to run, an [`Executor`] ([`NativeExecutor`], [`OciExecutor`])
//! runs it, [`LogSink`] receives its output, [`CancelToken`] stops it, [`ExecOutcome`] says how it ended.
//! [`reexec_entry`] must be the first call of `main` in every program (and test) that runs steps:
//! the sandbox is set up by the same program, started again while it has a single thread.
//!
//! **Invariants.** A step dies with its build: a supervisor, first process of an outer pid namespace, holds
//! a lifeline and its death kills all below it. Everything is mounted in the step's own mount
//! namespace, so that nothing is left behind. Every mount is `nodev`. No inherited descriptor, no host path and
//! no word of the request reaches the step by accident. Mount points that had to be made are taken
//! away again without a trace in the layer.
//!
//! **Not here.** What enters a key (`graph`), how layers are found and committed (`snapshot`), user names
//! (`frontend` and `engine`), the contents of `HOME` and `PATH` (the caller), which directory a cache mount
//! is and who may use it (`engine`).

mod cancel;
mod cgroup;
mod client;
mod emulator;
mod error;
mod executor;
mod launcher;
mod log;
mod mount_spec;
mod network;
mod oci;
mod outcome;
mod private;
mod program;
mod request;
mod seccomp;
mod spec;
mod sys;
mod userns;
mod wire;

pub use cancel::CancelToken;
pub use emulator::Emulator;
pub use error::ExecError;
pub use executor::{Executor, NativeExecutor};
pub use launcher::{mount_points, reexec_entry};
pub use log::{LogSink, Stream};
pub use oci::{OciExecutor, Runtime};
pub use outcome::{ExecOutcome, ExitStatus, Timings, Usage};
pub use private::enter_private_mounts;
pub use request::{
    Abi, CgroupLimits, DEFAULT_HOSTNAME, DEFAULT_PATH, DEFAULT_SHM_SIZE, ExecRequest, Limit,
    MountKind, Network, Resource, SCRIPTS, Script, Security, Stdio, StepMount, Ulimit, UserIds,
};
pub use userns::{IdMap, IdRange, UsernsError, enter_if_needed, id_maps};
