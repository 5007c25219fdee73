//! What the two kinds of steps do that make files.

pub(crate) mod exec;
pub(crate) mod file;
pub(crate) mod merge;
pub(crate) mod source;

use crate::blobs::FetchError;
use crate::secrets::SecretError;
use crate::ssh::SshError;
use acetate_exec::ExecError;
use acetate_files::FilesError;
use acetate_snapshot::SnapshotError;
use acetate_store::StoreError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a step has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The process ended with another code than 0.
    #[error("process {command:?} did not complete successfully: {status}")]
    Exit {
        /// The command line.
        command: String,
        /// `exit code: N`.
        status: String,
        /// The code.
        code: i32,
    },
    /// The process, or a program that it started, is for another processor.
    #[error("process {command:?} did not complete successfully: {status}; {hint}")]
    Foreign {
        /// The command line.
        command: String,
        /// `exit code: N`.
        status: String,
        /// The code.
        code: i32,
        /// What is missing, and what to install.
        hint: String,
    },
    #[error("canceled")]
    Cancelled,
    #[error("failed to {0}")]
    Remote(#[from] acetate_remote::RemoteError),
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
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Ssh(#[from] SshError),
    #[error("the limit `{0}` cannot be read")]
    Ulimit(String),
    #[error(
        "device `{0}` cannot be given to a step: devices that `/etc/cdi` and `/var/run/cdi` \
         describe are not supported"
    )]
    Device(String),
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    #[error("{0} cannot be carried out; this is a defect of acetate")]
    Internal(&'static str),
}

impl StepError {
    pub(crate) fn internal(what: &'static str) -> Self {
        Self::Internal(what)
    }

    pub(crate) fn os(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// True when something was read that is not here.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::Snapshot(SnapshotError::Lost(_))
                | Self::Files(FilesError::Snapshot(SnapshotError::Lost(_)))
        )
    }

    /// The error with what it came from, in one line.
    pub(crate) fn words(&self) -> String {
        crate::error::words(self)
    }

    /// What to do about it, where that is known.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Fetch(FetchError::Image(error)) => error.hint().map(str::to_owned),
            _ => None,
        }
    }

    /// The exit code of the process, if one ran.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        match self {
            Self::Exit { code, .. } | Self::Foreign { code, .. } => Some(*code),
            _ => None,
        }
    }
}
