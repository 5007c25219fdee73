use std::io;
use std::path::{Path, PathBuf};

/// Why files could not be selected or written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A plain source path is not there.
    #[error("`{}`: not found", slash(path))]
    NotFound {
        /// The path as the user wrote it.
        path: PathBuf,
    },
    /// A path leads through too many symbolic links.
    #[error("`{}`: too many levels of symbolic links", slash(path))]
    Loop {
        /// The path as the user wrote it.
        path: PathBuf,
    },
    /// A component of a path is no directory.
    #[error("cannot copy to non-directory: `{}`", slash(path))]
    NotADirectory {
        /// The component.
        path: PathBuf,
    },
    /// A file would take the place of a directory.
    #[error("cannot replace to directory `{}` with file", slash(path))]
    IsADirectory {
        /// The directory.
        path: PathBuf,
    },
    /// Several sources and a destination that is no directory.
    #[error("`{dest}` is no directory, but there are several sources; end it with `/`")]
    SeveralSources {
        /// The destination as the user wrote it.
        dest: String,
    },
    /// A wildcard is malformed.
    #[error("bad pattern `{pattern}`: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A mode is malformed.
    #[error("invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777")]
    Mode(String),
    /// A user or group is in no file.
    #[error("no {kind} `{name}` in `{file}` of the image that is copied to")]
    NoSuchName {
        /// `user` or `group`.
        kind: &'static str,
        /// The name that was looked for.
        name: String,
        /// Where.
        file: &'static str,
    },
    /// A name that the layer format keeps for deletions.
    #[error(
        "`{}`: a layer cannot hold a name that begins with `.wh.`",
        slash(path)
    )]
    WhiteoutName {
        /// The path.
        path: PathBuf,
    },
    /// The bytes are not those that the key was made from.
    #[error("context changed during build: `{}`", slash(path))]
    Changed {
        /// The file that changed.
        path: PathBuf,
    },
    /// An archive cannot be read.
    #[error("broken archive `{}`: {reason}", slash(path))]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The snapshot that is read or written failed.
    #[error(transparent)]
    Snapshot(#[from] acetate_snapshot::SnapshotError),
    /// The operating system refused something.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

impl FilesError {
    /// Wraps an error of the operating system.
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source: source.into(),
        }
    }
}

/// Shows a path from the root, as users write it.
fn slash(path: &Path) -> String {
    let text = path.display().to_string();
    if text.starts_with('/') {
        text
    } else {
        format!("/{text}")
    }
}
