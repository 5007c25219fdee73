use crate::git::{self, Checkout, Commit, GitRequest};
use crate::http::Downloader;
use crate::{Access, Download, HttpRequest, RemoteError};
use acetate_net::{Limits, NetClient, PlainHttp};
use acetate_oci::{Digest, Timestamp};
use acetate_snapshot::{Snapshot, Snapshots};
use acetate_store::{Store, StoreError};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

/// How other programs are found and what they are told of the environment.
#[derive(Debug, Clone, Default)]
pub struct Programs {
    /// `PATH`.
    pub search_path: String,
    /// Variables that name proxies and certificates; nothing else of the environment is passed on.
    pub environment: Vec<(String, String)>,
}

/// Brings in files and repositories for one build. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Remotes(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) net: NetClient,
    pub(crate) programs: Programs,
    pub(crate) access: Access,
}

impl Remotes {
    /// Prepares to fetch into a store; does nothing yet.
    pub fn new(store: Arc<Store>, programs: Programs, access: Access) -> Self {
        let limits = Limits {
            // The user wrote the address, scheme and all, and a checksum where it matters.
            plain_http: PlainHttp::Anywhere,
            n_redirects: 10,
            ..Limits::default()
        };
        Self::with_limits(store, programs, access, limits)
    }

    /// The same with other limits of the HTTP client.
    pub fn with_limits(
        store: Arc<Store>,
        programs: Programs,
        access: Access,
        limits: Limits,
    ) -> Self {
        Self(Arc::new(Inner {
            store,
            net: NetClient::new(limits),
            programs,
            access,
        }))
    }

    /// Fetches a file, or finds that the one fetched earlier is still the same.
    ///
    /// A file with a checksum that its address gave before needs no network.
    pub async fn download(&self, request: &HttpRequest) -> Result<Download, RemoteError> {
        let downloader = Downloader {
            store: &self.0.store,
            net: &self.0.net,
            access: &self.0.access,
        };
        downloader.fetch(request).await
    }

    /// Fetches a short file and reads it.
    pub async fn read(&self, url: &str, limit: u64) -> Result<Vec<u8>, RemoteError> {
        let request = HttpRequest {
            limit,
            ..HttpRequest::new(url)
        };
        let download = self.download(&request).await?;
        match self.0.store.blobs().read(&download.content, limit) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(RemoteError::Lost(download.content)),
            Err(error) => Err(lost(&self.0.store, download.content, error)),
        }
    }

    /// Makes a snapshot with one file in its root: a blob, under a name. Its mode is 0600 and root
    /// owns it (S54); without a time it is as old as can be. Blocks.
    ///
    /// # Errors
    /// [`RemoteError::Lost`] when the blob is damaged or gone; it is removed then.
    pub fn file(
        &self,
        snapshots: &Snapshots,
        content: &Digest,
        name: &str,
        mtime: Option<Timestamp>,
    ) -> Result<Snapshot, RemoteError> {
        let opened = self.0.store.blobs().open(content)?;
        let mut blob = opened.ok_or(RemoteError::Lost(*content))?;
        let layer = snapshots.prepare_layer(&Snapshot::scratch())?;
        let path = layer.path().join(name);
        let mut options = OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(&path);
        let mut file = made.map_err(RemoteError::io("make", name))?;
        if let Err(source) = io::copy(&mut blob, &mut file) {
            return Err(match source.downcast::<StoreError>() {
                Ok(error) => lost(&self.0.store, *content, error),
                Err(source) => RemoteError::io("write", name)(source),
            });
        }
        drop(file);
        settle(&path, 0o600, Some(mtime.unwrap_or_default()))?;
        Ok(layer.commit()?)
    }

    /// Finds out which commit a reference stands for, and fetches it when it is not known yet.
    ///
    /// Dropping the future kills git.
    pub async fn resolve(&self, request: &GitRequest) -> Result<Commit, RemoteError> {
        git::resolve(&self.0, request).await
    }

    /// Writes the files of a commit into a snapshot, fetching it when it is not here.
    ///
    /// Dropping the future kills git.
    pub async fn checkout(
        &self,
        snapshots: &Snapshots,
        checkout: &Checkout,
    ) -> Result<Snapshot, RemoteError> {
        git::checkout(&self.0, snapshots, checkout).await
    }

    /// Reads a short file of a commit, following links inside the directory that `checkout` takes;
    /// `None` when there is no regular file.
    pub async fn read_git(
        &self,
        checkout: &Checkout,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, RemoteError> {
        git::read(&self.0, checkout, path, limit).await
    }
}

/// Takes a damaged blob out of the store, so that the next one who wants it fetches it again.
fn lost(store: &Store, content: Digest, error: StoreError) -> RemoteError {
    if !matches!(error, StoreError::Damaged { .. }) {
        return error.into();
    }
    if let Err(error) = store.blobs().remove(&content) {
        tracing::warn!(%error, "a damaged blob stays");
    }
    RemoteError::Lost(content)
}

/// Gives a file or directory its mode, its owner and its time, whatever the umask and the group of
/// the directory made of it.
pub(crate) fn settle(path: &Path, mode: u32, mtime: Option<Timestamp>) -> Result<(), RemoteError> {
    own(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode))
        .map_err(RemoteError::io("set the mode of", path))?;
    set_time(path, mtime)
}

/// Makes root the owner of what is not root's already; links are not followed.
pub(crate) fn own(path: &Path) -> Result<(), RemoteError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = path
        .symlink_metadata()
        .map_err(RemoteError::io("look at", path))?;
    if (metadata.uid(), metadata.gid()) == (0, 0) {
        return Ok(());
    }
    std::os::unix::fs::lchown(path, Some(0), Some(0))
        .map_err(RemoteError::io("set the owner of", path))
}

/// Sets a time, if one is given; links are not followed.
pub(crate) fn set_time(path: &Path, mtime: Option<Timestamp>) -> Result<(), RemoteError> {
    let Some(mtime) = mtime else {
        return Ok(());
    };
    let time = Timespec {
        tv_sec: mtime.secs,
        tv_nsec: mtime.nanos.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(RemoteError::io("set the time of", path))
}
