use acetate_pattern::{IgnoreError, PatternError};
use std::io;
use std::path::{Path, PathBuf};

/// Why files could not be selected or written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A plain source path is not there.
    #[error("\"{}\": not found", slash(path))]
    NotFound {
        /// The path from the root of what is copied from.
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
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A pattern of what is left out is malformed.
    #[error("bad `--exclude`: {0}")]
    Exclude(String),
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
    /// The device node that stands for a deletion.
    #[error("`{}`: a layer cannot hold the device 0:0", slash(path))]
    WhiteoutDevice {
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
    /// Words an error of `--exclude` without the number of a line, for there are none.
    pub(crate) fn exclude(error: IgnoreError) -> Self {
        Self::Exclude(match error {
            IgnoreError::Pattern { source, .. } => source.to_string(),
            lone @ IgnoreError::LoneExclamation { .. } => lone.to_string(),
        })
    }

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

/// Shows a path from the root, as users write it; a terminal must not obey what it is shown.
fn slash(path: &Path) -> String {
    let text = path.display().to_string();
    let mut out = String::new();
    if !text.starts_with('/') {
        out.push('/');
    }
    for letter in text.chars() {
        if letter.is_control() {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}
