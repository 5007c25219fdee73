//! What is remembered as facts of the store: advice that may be lost at any time.

use acetate_oci::Digest;
use acetate_store::{FactKey, Store};
use serde::{Deserialize, Serialize};

/// What was downloaded from an address, and what its server said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Downloaded {
    pub(crate) content: Digest,
    pub(crate) size: u64,
    /// `ETag`, as it was sent.
    pub(crate) etag: Option<String>,
    /// `Last-Modified`, as it was sent.
    pub(crate) modified: Option<String>,
}

/// Looks up what an address gave last.
pub(crate) fn downloaded(store: &Store, url: &str) -> Option<Downloaded> {
    serde_json::from_slice(&fact(store, download_key(url))?).ok()
}

/// Remembers what an address gave.
pub(crate) fn put_downloaded(store: &Store, url: &str, downloaded: &Downloaded) {
    match serde_json::to_vec(downloaded) {
        Ok(bytes) => store.index().put_facts(vec![(download_key(url), bytes)]),
        Err(error) => tracing::debug!(%error, "a download is not remembered"),
    }
}

/// Looks up when a commit was made, in seconds.
pub(crate) fn commit_time(store: &Store, commit: &str) -> Option<i64> {
    let bytes = fact(store, commit_key(commit))?;
    Some(i64::from_le_bytes(bytes.try_into().ok()?))
}

/// Remembers when a commit was made.
pub(crate) fn put_commit_time(store: &Store, commit: &str, time: i64) {
    let fact = (commit_key(commit), time.to_le_bytes().to_vec());
    store.index().put_facts(vec![fact]);
}

fn fact(store: &Store, key: FactKey) -> Option<Vec<u8>> {
    match store.index().facts(&[key]) {
        Ok(mut facts) => facts.pop().flatten(),
        Err(error) => {
            tracing::debug!(%error, "what was fetched before is not known");
            None
        }
    }
}

/// An address can hold a credential, so the index names it by its digest.
fn download_key(url: &str) -> FactKey {
    FactKey::new("download", Digest::of(url.as_bytes()).as_bytes())
}

fn commit_key(commit: &str) -> FactKey {
    FactKey::new("commit-time", commit.as_bytes())
}
