//! Repositories: from a reference to a commit, and from a commit to a layer.
//!
//! Every remote has one bare repository below the store, its mirror, that many processes use at
//! once: whoever fetches holds its lock alone, whoever reads shares it. A commit is in a mirror when
//! `refs/acetate/commits/<commit>` is, which is written after everything else.

mod address;
mod checkout;
mod kept;
mod mirror;
mod program;
mod references;
mod submodules;

pub use address::redacted;

use crate::RemoteError;
use crate::memory;
use crate::process;
use crate::remotes::Inner;
use acetate_snapshot::{Snapshot, Snapshots};
use acetate_store::Store;
use address::Address;
use mirror::Session;
use std::path::PathBuf;
use std::sync::Arc;

/// A commit to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitRequest {
    /// Where the repository is.
    pub remote: String,
    /// A branch, a tag, a full reference or a commit; none is the default branch.
    pub reference: Option<String>,
    /// A commit or the beginning of one, which the reference must stand for.
    pub checksum: Option<String>,
    /// Whether a full commit in `checksum` is fetched by its name, without asking for the reference.
    pub by_commit: bool,
}

/// A commit that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full name in lower-case hexadecimal.
    pub id: String,
    /// When it was made, in seconds.
    pub time: i64,
    /// The full name of the reference that stood for it.
    pub reference: Option<String>,
}

/// The files of a commit that are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Where the repository is.
    pub remote: String,
    /// The full name of the commit.
    pub commit: String,
    /// A reference that stood for it, which some servers want to be asked for.
    pub reference: Option<String>,
    /// The directory taken, relative to the top; empty is all of it.
    pub subdir: String,
    /// The remote that a kept `.git` names; none when there is no `.git`.
    pub git_dir: Option<String>,
    /// Whether submodules are brought in.
    pub submodules: bool,
    /// The time that files get; none leaves them that of the checkout.
    pub time: Option<i64>,
}

/// The directory of the store that mirrors are in.
pub(crate) const DIR: &str = "git";

pub(crate) fn dir(store: &Store) -> PathBuf {
    store.root().join(DIR)
}

/// True for the full name of a commit, by SHA-1 or by SHA-256.
pub(crate) fn is_full(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) async fn resolve(
    inner: &Arc<Inner>,
    request: &GitRequest,
) -> Result<Commit, RemoteError> {
    let (inner, request) = (Arc::clone(inner), request.clone());
    process::cancellable(move |cancel| {
        let address = Address::parse(&request.remote)?;
        let session = Session::new(&inner, cancel, &address)?;
        let found = references::find(&session, &address, &request)?;
        // What is known of a commit never changes.
        if let Some(time) = memory::commit_time(&inner.store, &found.commit) {
            return Ok(Commit {
                id: found.commit,
                time,
                reference: found.name,
            });
        }
        let (id, time) = session.whole(&address, &found.commit, || {
            let fetched = session.ensure(&address, &found.commit, found.name.as_deref())?;
            let id = fetched.commit_id(&session, &found.commit)?;
            let time = fetched.commit_time(&session, &id)?;
            Ok((id, time))
        })?;
        references::check(&request, &id, found.tag.as_deref())?;
        memory::put_commit_time(&inner.store, &id, time);
        Ok(Commit {
            id,
            time,
            reference: found.name,
        })
    })
    .await
}

pub(crate) async fn checkout(
    inner: &Arc<Inner>,
    snapshots: &Snapshots,
    checkout: &Checkout,
) -> Result<Snapshot, RemoteError> {
    let (inner, checkout) = (Arc::clone(inner), checkout.clone());
    let snapshots = snapshots.clone();
    process::cancellable(move |cancel| {
        let address = Address::parse(&checkout.remote)?;
        let session = Session::new(&inner, cancel, &address)?;
        session.whole(&address, &checkout.commit, || {
            checkout::write(&session, &snapshots, &address, &checkout)
        })
    })
    .await
}

pub(crate) async fn read(
    inner: &Arc<Inner>,
    checkout: &Checkout,
    path: &str,
    limit: u64,
) -> Result<Option<Vec<u8>>, RemoteError> {
    let (inner, checkout, path) = (Arc::clone(inner), checkout.clone(), path.to_owned());
    process::cancellable(move |cancel| {
        let address = Address::parse(&checkout.remote)?;
        let session = Session::new(&inner, cancel, &address)?;
        let commit = &checkout.commit;
        session.whole(&address, commit, || {
            let fetched = session.ensure(&address, commit, checkout.reference.as_deref())?;
            fetched.read(&session, commit, &checkout.subdir, &path, limit)
        })
    })
    .await
}
