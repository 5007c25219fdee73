//! What is behind a URL, or came through standard input.

use super::archive;
use crate::BuildError;
use crate::progress::Progress;
use acetate_frontend::remote::file_name;
use acetate_frontend::{GitNeed, PinnedRemote, RemoteNeed, RemoteUrl};
use acetate_graph::{DownloadSource, GitSource, SourceOp};
use acetate_oci::Digest;
use acetate_remote::{Checkout, Download, GitRequest, HttpRequest, Remotes, redacted};
use acetate_store::Store;
use std::path::Path;
use std::sync::Arc;

/// Something that was fetched: what the frontend knows of it, and how to get at its files.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) pin: PinnedRemote,
    pub(crate) origin: RemoteOrigin,
    store: Arc<Store>,
}

/// Where something comes from when it is needed again.
#[derive(Debug, Clone)]
pub(crate) enum RemoteOrigin {
    /// A blob of the store; none of the addresses gave what came through standard input.
    Download {
        /// The digest of its bytes.
        content: Digest,
        /// Its address.
        url: Option<String>,
    },
    /// A repository.
    Git(Checkout),
}

/// The name of an archive in the snapshot that holds it alone.
const ARCHIVE: &str = "context";

/// The context behind a URL, or the Dockerfile that it is instead.
pub(super) enum RemoteContext {
    Files(Fetched),
    Dockerfile(Vec<u8>),
}

/// Fetches what a URL of a context means.
pub(super) struct Fetcher<'a> {
    pub(super) remotes: &'a Remotes,
    pub(super) store: &'a Arc<Store>,
    pub(super) progress: &'a Progress,
    /// `BUILDKIT_CONTEXT_KEEP_GIT_DIR`.
    pub(super) keep_git_dir: bool,
}

impl Fetcher<'_> {
    /// The main context: a file that is no archive is the Dockerfile.
    pub(super) async fn main(&self, url: &RemoteUrl) -> Result<RemoteContext, BuildError> {
        let url = match url {
            RemoteUrl::Git(git) => {
                let fetched = self.git(&git.need(self.keep_git_dir)).await?;
                return Ok(RemoteContext::Files(fetched));
            }
            RemoteUrl::Http(url) => url,
        };
        let name = format!("[internal] load remote build context {}", redacted(url));
        let download = self.download(&HttpRequest::new(url), &name).await?;
        if let Some(fetched) = self.archive(download.content, Some(url)).await? {
            return Ok(RemoteContext::Files(fetched));
        }
        let read = self
            .store
            .blobs()
            .read(&download.content, super::MAX_DOCKERFILE)?;
        let lost = acetate_remote::RemoteError::Lost(download.content);
        Ok(RemoteContext::Dockerfile(read.ok_or(lost)?))
    }

    /// A named context: a file that is no archive is that file.
    pub(super) async fn named(&self, url: &RemoteUrl) -> Result<Fetched, BuildError> {
        let url = match url {
            RemoteUrl::Git(git) => return self.git(&git.need(self.keep_git_dir)).await,
            RemoteUrl::Http(url) => url,
        };
        let request = HttpRequest::new(url);
        let download = self.download(&request, &redacted(url)).await?;
        match self.archive(download.content, Some(url)).await? {
            Some(fetched) => Ok(fetched),
            None => Ok(self.file(&request, download)),
        }
    }

    /// A need of the frontend that says by itself where it is.
    pub(super) async fn need(&self, need: &RemoteNeed) -> Result<Fetched, BuildError> {
        match need {
            RemoteNeed::Http { url, checksum } => {
                let request = HttpRequest {
                    checksum: *checksum,
                    ..HttpRequest::new(url)
                };
                let download = self.download(&request, &redacted(url)).await?;
                Ok(self.file(&request, download))
            }
            RemoteNeed::Git(need) => self.git(need).await,
            RemoteNeed::Context(name) => Err(BuildError::request(format!(
                "build context `{name}` is not remote"
            ))),
        }
    }

    /// Takes a blob as a context if it is an archive.
    pub(super) async fn archive(
        &self,
        content: Digest,
        url: Option<&str>,
    ) -> Result<Option<Fetched>, BuildError> {
        let store = Arc::clone(self.store);
        let scanned = acetate_stdx::blocking(move || archive::scan(&store, &content)).await?;
        let Some(tree) = scanned else {
            return Ok(None);
        };
        let source = DownloadSource {
            content,
            name: ARCHIVE.to_owned(),
            mtime: None,
        };
        Ok(Some(Fetched {
            pin: PinnedRemote {
                source: SourceOp::Download(source),
                unpack: true,
                time: tree.newest,
            },
            origin: RemoteOrigin::Download {
                content,
                url: url.map(str::to_owned),
            },
            store: Arc::clone(self.store),
        }))
    }

    async fn download(&self, request: &HttpRequest, name: &str) -> Result<Download, BuildError> {
        let step = self.progress.internal(name);
        let download = self.remotes.download(request).await;
        let download = download.map_err(BuildError::from);
        step.end(&download);
        download
    }

    fn file(&self, request: &HttpRequest, download: Download) -> Fetched {
        let source = DownloadSource {
            content: download.content,
            name: file_name(&request.url),
            mtime: download.mtime,
        };
        Fetched {
            pin: PinnedRemote {
                source: SourceOp::Download(source),
                unpack: false,
                time: download.mtime.map(|time| time.secs),
            },
            origin: RemoteOrigin::Download {
                content: download.content,
                url: Some(request.url.clone()),
            },
            store: Arc::clone(self.store),
        }
    }

    async fn git(&self, need: &GitNeed) -> Result<Fetched, BuildError> {
        let shown = redacted(&need.remote);
        let of = need.reference.iter().map(|name| format!("#{name}"));
        let name = format!(
            "[internal] load git source {shown}{}",
            of.collect::<String>()
        );
        let step = self.progress.internal(&name);
        let request = GitRequest {
            remote: need.remote.clone(),
            reference: need.reference.clone(),
            checksum: need.checksum.clone(),
            by_commit: need.fetch_by_commit,
        };
        let commit = self.remotes.resolve(&request).await;
        let commit = commit.map_err(BuildError::from);
        step.end(&commit);
        let commit = commit?;
        // A directory of a repository is none.
        let keeps = need.keep_git_dir && need.subdir.is_empty();
        let git_dir = keeps.then_some(shown);
        let checkout = Checkout {
            remote: need.remote.clone(),
            commit: commit.id.clone(),
            reference: commit.reference,
            subdir: need.subdir.clone(),
            git_dir: git_dir.clone(),
            submodules: need.submodules,
            time: need.commit_times.then_some(commit.time),
        };
        let source = GitSource {
            commit: commit.id,
            subdir: need.subdir.clone(),
            git_dir,
            submodules: need.submodules,
            commit_times: need.commit_times,
        };
        Ok(Fetched {
            pin: PinnedRemote {
                source: SourceOp::Git(source),
                unpack: false,
                time: Some(commit.time),
            },
            origin: RemoteOrigin::Git(checkout),
            store: Arc::clone(self.store),
        })
    }
}

impl Fetched {
    /// The directory of a repository that is the context; empty is all of it.
    pub(super) fn subdir(&self) -> &Path {
        match &self.origin {
            RemoteOrigin::Git(checkout) => Path::new(&checkout.subdir),
            RemoteOrigin::Download { .. } => Path::new(""),
        }
    }

    /// Reads a short file of a context; the path is clean.
    pub(super) async fn read(
        &self,
        remotes: &Remotes,
        path: &Path,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, BuildError> {
        match &self.origin {
            RemoteOrigin::Git(checkout) => {
                let path = path.to_string_lossy();
                Ok(remotes.read_git(checkout, &path, limit).await?)
            }
            RemoteOrigin::Download { content, .. } => {
                let (store, content) = (Arc::clone(&self.store), *content);
                let path = path.to_owned();
                let read = move || archive::read(&store, &content, &path, limit);
                acetate_stdx::blocking(read).await
            }
        }
    }
}
