use acetate_frontend::{Diagnostic, SourceFile};
use acetate_graph::Origin;
use acetate_image::ImageError;
use acetate_store::StoreError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a build has no result.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile is wrong; each diagnostic names its place.
    #[error("the Dockerfile has errors")]
    Dockerfile {
        /// Its text.
        file: Arc<SourceFile>,
        /// What is wrong, errors and warnings.
        diagnostics: Vec<Diagnostic>,
    },
    /// A step failed.
    #[error("{message}")]
    Step {
        /// The name of the step.
        name: String,
        /// Where it stands.
        origin: Option<Origin>,
        /// The text that it stands in.
        file: Arc<SourceFile>,
        /// What went wrong.
        message: String,
        /// What to do about it, where that is known.
        hint: Option<String>,
        /// The exit code of the process, if there was one.
        exit_code: Option<i32>,
    },
    /// The build was cancelled.
    #[error("the build was cancelled")]
    Cancelled,
    /// A file or directory that the user named cannot be read.
    #[error("failed to {action} `{}`: {source}", path.display())]
    Input {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A flag has a value that cannot be used.
    #[error("{message}")]
    Request {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// An image cannot be resolved or fetched.
    #[error("failed to {0}")]
    Image(#[from] ImageError),
    /// A registry does not take what is pushed, or does not give what is asked for.
    #[error("failed to {0}")]
    Registry(#[from] acetate_registry::RegistryError),
    /// An output cannot be written.
    #[error("failed to {0}")]
    Export(#[from] acetate_image::ExportError),
    /// A file or a repository cannot be fetched.
    #[error("failed to {0}")]
    Remote(#[from] acetate_remote::RemoteError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot failed.
    #[error(transparent)]
    Snapshot(#[from] acetate_snapshot::SnapshotError),
    /// Files could not be read or written.
    #[error(transparent)]
    Files(#[from] acetate_files::FilesError),
    /// A sandbox could not be made.
    #[error(transparent)]
    Exec(#[from] acetate_exec::ExecError),
}

impl BuildError {
    /// The error and what it came from, in one line; of a wrong Dockerfile the first error.
    pub fn words(&self) -> String {
        if let Self::Dockerfile { diagnostics, .. } = self
            && let Some(first) = diagnostics.iter().find(|found| found.is_error())
        {
            return first.message.clone();
        }
        words(self)
    }

    /// What to do about it, where that is known and not said by the error itself.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Request { hint, .. } | Self::Step { hint, .. } => hint.as_deref(),
            Self::Image(ImageError::Store(error)) | Self::Store(error) => of_store(error),
            Self::Image(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            _ => None,
        }
    }

    /// An error of a file that the user named; what was tried is the rest of "failed to".
    pub(crate) fn input(
        action: &'static str,
        path: &std::path::Path,
    ) -> impl Fn(io::Error) -> Self {
        move |source| Self::Input {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// An error in a flag.
    pub(crate) fn request(message: impl Into<String>) -> Self {
        Self::Request {
            message: message.into(),
            hint: None,
        }
    }

    /// An error in a flag, with what to do.
    pub(crate) fn request_with(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Request {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

fn of_store(error: &StoreError) -> Option<&'static str> {
    let is_full = matches!(error, StoreError::Full { .. });
    is_full.then_some("make room: `acetate prune` removes what no image and no build needs")
}

/// An error and what it came from, in one line, without saying anything twice.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    text
}
