//! [`ExecError`]: why a step could not be run.

use std::io;
use std::path::PathBuf;

/// Why a step could not be run. A step that ran and failed is an outcome, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// The request cannot be run by anybody.
    #[error("the step is not valid: {0}")]
    Invalid(String),
    /// A path of this machine that cannot be handed to the launcher.
    #[error("the path `{0}` is not UTF-8")]
    Path(PathBuf),
    /// An id of the step does not exist in this user namespace.
    #[error(
        "the {kind} id {id} is not mapped in this user namespace; give the user a range in \
         `/etc/subuid` and `/etc/subgid` that covers it"
    )]
    UnmappedId {
        /// `user` or `group`.
        kind: &'static str,
        /// The id.
        id: u32,
    },
    /// The launcher could not be started.
    #[error("starting the sandbox launcher failed")]
    Spawn(#[source] io::Error),
    /// The launcher ended without saying why.
    #[error("the sandbox launcher ended early ({0})")]
    Launcher(String),
    /// The sandbox could not be set up.
    #[error("setting up the sandbox failed: {doing}")]
    Setup {
        /// What was being done, a fragment such as "mount `/proc`".
        doing: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The working directory cannot be used.
    #[error("the working directory `{path}` cannot be used: {reason}")]
    WorkingDirectory {
        /// As requested.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Something that the step asks for cannot be mounted.
    #[error("mounting `{target}` failed: {reason}")]
    Mount {
        /// As requested.
        target: String,
        /// Why not.
        reason: String,
    },
    /// A limit cannot be set, and a step never runs without one that it was given.
    #[error("the limit `{limit}` cannot be set: {reason}")]
    Limit {
        /// `memory`, `cpu-quota` and so on: the name of the flag.
        limit: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// Something of the image is in the way of the sandbox.
    #[error("the image cannot be run: {0}")]
    Image(String),
    /// The OCI runtime failed, as distinct from the step.
    #[error("the runtime `{runtime}` failed: {message}")]
    Runtime {
        /// The program's path.
        runtime: PathBuf,
        /// What it logged.
        message: String,
    },
}
