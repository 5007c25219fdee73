//! What the two kinds of steps do that make files.

pub(crate) mod exec;
pub(crate) mod file;

use crate::blobs::FetchError;
use acetate_exec::ExecError;
use acetate_files::FilesError;
use acetate_snapshot::SnapshotError;
use acetate_store::StoreError;

/// Why a step has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The process ended with another code than 0.
    #[error("process \"{command}\" did not complete successfully: {status}")]
    Exit {
        /// The command line.
        command: String,
        /// `exit code: N`.
        status: String,
        /// The code.
        code: i32,
    },
    #[error("canceled")]
    Cancelled,
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{0} cannot be carried out; this is a defect of acetate")]
    Internal(&'static str),
}

impl StepError {
    pub(crate) fn internal(what: &'static str) -> Self {
        Self::Internal(what)
    }

    /// The error with what it came from, in one line.
    pub(crate) fn words(&self) -> String {
        crate::error::words(self)
    }

    /// The exit code of the process, if one ran.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Exit { code, .. } => Some(*code),
            _ => None,
        }
    }
}
