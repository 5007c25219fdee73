//! [`ExecOutcome`]: how a step ended.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How the step's first process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this code, 0 to 255.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
    /// The token was cancelled; everything in the step was killed.
    Cancelled,
}

impl ExitStatus {
    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }

    /// Returns the exit code as a shell counts it: 128 and the signal's number for a signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128 + signal,
            Self::Cancelled => 128 + libc::SIGKILL,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            status => write!(f, "exit code: {}", status.code()),
        }
    }
}

/// Where the time went, by the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the call to the start of the step's program.
    pub setup: Duration,
    /// From the start of the step's program to its end.
    pub run: Duration,
    /// From the call to the return, tearing down included.
    pub total: Duration,
}

/// What the step used, as the kernel counted it for all its waited-for processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// The largest resident size of one process, in bytes.
    pub max_rss: u64,
}

/// How a step ended. A code other than 0 is an outcome, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecOutcome {
    /// How its first process ended.
    pub status: ExitStatus,
    /// Where the time went.
    pub timings: Timings,
    /// What it used.
    pub usage: Usage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(ExitStatus::Exited(127).to_string(), "exit code: 127");
        assert_eq!(ExitStatus::Signaled(11).to_string(), "exit code: 139");
        assert_eq!(ExitStatus::Cancelled.to_string(), "cancelled");
        assert!(ExitStatus::Exited(0).success());
        assert!(!ExitStatus::Cancelled.success());
    }
}
