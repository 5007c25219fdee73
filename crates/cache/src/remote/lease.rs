//! Who is making a record just now. All of it is advice: whoever gets no answer builds.

use std::time::Duration;

use acetate_cache_api::lease::{Claim, Lease};
use acetate_net::{Method, Url};

use super::action::action_key;
use super::client::RemoteCache;
use super::lookup::json;
use super::transport::Effort;
use crate::CacheKey;

/// More than a server has to say about a lease.
const MAX_ANSWER: u64 = 64 << 10;
/// The longest that a server lets anybody wait in one request.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// What a sign of life brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The lease is held on.
    Held,
    /// Somebody else may hold it now.
    Gone,
    /// No answer came; the next sign may be in time.
    Unknown,
}

impl RemoteCache {
    /// Claims the making of a record; nothing where the server has no leases or does not answer.
    pub async fn claim(&self, key: &CacheKey, claim: &Claim) -> Option<Lease> {
        let url = self.lease_url(key, None).await?;
        let transport = &self.0.transport;
        // A second claim would meet the lease of the first.
        let request = json(transport.request(Method::Post, url), claim);
        let answer = transport
            .ask(&request, MAX_ANSWER, Effort::Once)
            .await
            .ok()?;
        self.read_lease(answer.status, &answer.body)
    }

    /// Tells that the holder of a lease lives.
    pub async fn beat(&self, key: &CacheKey, lease: &str) -> Beat {
        match self.lease_call(Method::Put, key, lease).await {
            Some(200..=204) => Beat::Held,
            Some(404 | 410) => Beat::Gone,
            _ => Beat::Unknown,
        }
    }

    /// Ends a lease early, so that who waits for it need not go on.
    pub async fn give_up(&self, key: &CacheKey, lease: &str) {
        let status = self.lease_call(Method::Delete, key, lease).await;
        tracing::debug!(?status, "gave a lease up");
    }

    /// Waits until the record is there, nobody makes it any more, or the time is up, at most 30 s.
    pub async fn wait(&self, key: &CacheKey, patience: Duration) -> Option<Lease> {
        let patience = patience.min(MAX_WAIT);
        let mut url = self.lease_url(key, None).await?;
        url.set_query(Some(&format!("wait={}", patience.as_secs())));
        let transport = &self.0.transport;
        let request = transport.request(Method::Get, url);
        let effort = Effort::Patient(patience);
        let answer = transport.ask(&request, MAX_ANSWER, effort).await.ok()?;
        self.read_lease(answer.status, &answer.body)
    }

    async fn lease_call(&self, method: Method, key: &CacheKey, lease: &str) -> Option<u16> {
        let url = self.lease_url(key, Some(lease)).await?;
        let transport = &self.0.transport;
        let request = transport.request(method, url);
        let answer = transport
            .ask(&request, MAX_ANSWER, Effort::Hedged)
            .await
            .ok()?;
        Some(answer.status)
    }

    async fn lease_url(&self, key: &CacheKey, lease: Option<&str>) -> Option<Url> {
        if !self.may_extend().await.ok()? {
            return None;
        }
        let mut rest = format!("leases/{}", action_key(key).hex());
        if let Some(lease) = lease {
            // A name from a server must not lead elsewhere.
            if !is_name(lease) {
                return None;
            }
            rest = format!("{rest}/{lease}");
        }
        Some(self.0.transport.address.call("/x/v1", &rest))
    }

    fn read_lease(&self, status: u16, body: &[u8]) -> Option<Lease> {
        if status == 200 {
            return serde_json::from_slice(body).ok();
        }
        self.is_extension(status);
        None
    }
}

/// True for what may stand in a path or a query as it is.
pub(super) fn is_name(lease: &str) -> bool {
    !lease.is_empty() && lease.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
