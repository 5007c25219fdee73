//! What is known of a cache before it is asked, and who knows the token of one.

use crate::CachePlace;
use acetate_cache::remote::{CacheAddress, RemoteConfig, RemoteError, RemoteLimits};
use acetate_net::PlainHttp;
use acetate_remote::CredentialError;
use acetate_scheduler::CancellationToken;
use acetate_stdx::Redacted;
use std::time::Duration;

/// How long a credential helper has: some ask another server.
const HELPER: Duration = Duration::from_secs(10);

impl CachePlace {
    /// The address of a server, taken apart; none where the place is no server.
    ///
    /// # Errors
    /// When no cache can be opened at the address.
    pub fn address(&self) -> Result<Option<CacheAddress>, RemoteError> {
        match self {
            Self::Http { url, .. } => remote_config(url).address().map(Some),
            Self::Bucket { .. } | Self::Layout { .. } | Self::Inline | Self::Registry { .. } => {
                Ok(None)
            }
        }
    }
}

/// How a server is spoken to: whoever writes `http:` into the flag means it.
pub(crate) fn remote_config(url: &str) -> RemoteConfig {
    RemoteConfig {
        limits: RemoteLimits {
            plain_http: PlainHttp::Anywhere,
            ..RemoteLimits::default()
        },
        ..RemoteConfig::new(url)
    }
}

/// Asks the program `acetate-credential-HELPER` for the token of the cache at an address; none when
/// it knows of none.
///
/// # Errors
/// When there is no such program, it does not answer as it should, or nobody waits for it any more.
pub async fn cache_credential(
    search_path: &str,
    helper: &str,
    url: &str,
    cancel: &CancellationToken,
) -> Result<Option<Redacted<String>>, CredentialError> {
    tokio::select! {
        answer = acetate_remote::credential(search_path, helper, url, HELPER) => answer,
        () = cancel.cancelled() => Err(CredentialError::Cancelled),
    }
}
