//! [`Executor`] and the native one.

use crate::cancel::CancelToken;
use crate::client;
use crate::error::ExecError;
use crate::log::LogSink;
use crate::outcome::ExecOutcome;
use crate::request::ExecRequest;
use crate::spec::StepSpec;

/// Runs steps.
pub trait Executor: Send + Sync + std::fmt::Debug {
    /// Runs one step to its end, and blocks until then.
    ///
    /// When it returns, no process and no mount of the step is left and the root may be committed. After
    /// [`ExecOutcome::status`] `Cancelled`, or an error, what is in the writable directory is of no use.
    ///
    /// # Errors
    /// When the step could not be run; a non-zero exit is an outcome.
    fn run(
        &self,
        request: &ExecRequest,
        log: &mut dyn LogSink,
        cancel: &CancelToken,
    ) -> Result<ExecOutcome, ExecError>;
}

/// Runs steps in a sandbox that this program sets up itself, by starting itself again.
///
/// Needs [`reexec_entry`](crate::reexec_entry) as first call in `main`, root (of a user namespace at
/// least) and Linux 5.12.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeExecutor;

impl Executor for NativeExecutor {
    fn run(
        &self,
        request: &ExecRequest,
        log: &mut dyn LogSink,
        cancel: &CancelToken,
    ) -> Result<ExecOutcome, ExecError> {
        client::run(&StepSpec::new(request, None)?, log, cancel)
    }
}
