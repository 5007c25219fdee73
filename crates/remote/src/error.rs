use acetate_net::NetError;
use acetate_oci::Digest;
use acetate_snapshot::SnapshotError;
use acetate_store::StoreError;
use std::io;
use std::path::{Path, PathBuf};

/// Why something cannot be brought in; no text of it holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There was no usable answer.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The server answered, but not with the file.
    #[error("download `{url}`: the server answered with status {status}")]
    Status {
        /// The address asked for.
        url: String,
        /// What it said.
        status: u16,
    },
    /// The file is not the one that the checksum names.
    #[error("download `{url}`: expected the checksum `{expected}`, found `{found}`")]
    Checksum {
        /// The address asked for.
        url: String,
        /// What was wanted.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The file is too long for what it is wanted for.
    #[error("download `{url}`: larger than the limit of {limit} bytes")]
    TooLarge {
        /// The address asked for.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// There is no git program here.
    #[error(
        "run `git`, which brings in repositories: it is not in PATH; install the package `git`"
    )]
    NoGit,
    /// The address of a repository cannot be used.
    #[error("use the repository `{remote}`: {reason}")]
    Address {
        /// The address, without what could be a credential.
        remote: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Git failed.
    #[error("{action} `{remote}`: {reason}")]
    Git {
        /// What was tried.
        action: &'static str,
        /// With which repository.
        remote: String,
        /// What git said.
        reason: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("find `{reference}` in `{remote}`: there is no such branch, tag or commit")]
    NoReference {
        /// What was asked for.
        reference: String,
        /// In which repository.
        remote: String,
    },
    /// The reference stands for another commit than the checksum says.
    #[error("check `{reference}` of `{remote}`: expected the commit `{expected}`, found `{found}`")]
    Commit {
        /// What was asked for.
        reference: String,
        /// In which repository.
        remote: String,
        /// The commit wanted, or the beginning of its name.
        expected: String,
        /// The commit found.
        found: String,
    },
    /// The repository has no such directory.
    #[error("find the directory `{subdir}` in `{remote}` at commit `{commit}`: there is none")]
    NoDirectory {
        /// The directory wanted.
        subdir: String,
        /// In which repository.
        remote: String,
        /// At which commit.
        commit: String,
    },
    /// A submodule cannot be brought in.
    #[error("bring in the submodule `{path}`: {reason}")]
    Submodule {
        /// Where it is in the repository.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// Bytes that were fetched earlier are damaged now, or gone.
    #[error("read the blob `{0}`: it is damaged or gone")]
    Lost(Digest),
    /// Nobody waits for it any more.
    #[error("fetch on: it was cancelled")]
    Cancelled,
    /// A file of ours cannot be read or written.
    #[error("{action} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The layer could not be made.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl RemoteError {
    /// For `map_err` on system calls.
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
