//! What people ask a shared cache and do to it, by name. Here a fault is an error: somebody wants to
//! know.

use std::time::Duration;

use acetate_cache_api::admin::{MAX_MISSES, Miss, RecordPage, Removed, ServerStats, Verified};
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_net::{Fetched, Method, Request};
use acetate_oci::Digest;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::client::RemoteCache;
use super::lookup::json;

/// A list of a thousand records has less.
const MAX_ANSWER: u64 = 4 << 20;
/// The longest that an answer takes; the server looks at many files for some.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the server is asked to wait for the end of what it does, in seconds.
const WAIT_SECS: u64 = 20;
/// What is shown of the reason that a server gives.
const MAX_REASON: usize = 200;

/// Why a cache did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no answer.
    #[error("the cache {cache} does not answer: {reason}")]
    Unreachable {
        /// Which cache.
        cache: String,
        /// Why.
        reason: String,
    },
    /// There is no answer in time.
    #[error("the cache {cache} does not answer within {} s", PATIENCE.as_secs())]
    Late {
        /// Which cache.
        cache: String,
    },
    /// It wants a token.
    #[error("the cache {cache} does not know this token: give one that it knows")]
    Unauthorized {
        /// Which cache.
        cache: String,
    },
    /// The token is for less.
    #[error("the token does not allow this at the cache {cache}: it needs `{scope}`")]
    Forbidden {
        /// Which cache.
        cache: String,
        /// The scope that would.
        scope: String,
    },
    /// It is another kind of server.
    #[error("the cache {cache} cannot do this: it is no acetate-cache-server, or an older one")]
    Unsupported {
        /// Which cache.
        cache: String,
    },
    /// It answers that something is wrong.
    #[error("the cache {cache} answers with status {status}: {reason}")]
    Refused {
        /// Which cache.
        cache: String,
        /// The status.
        status: u16,
        /// What it says, on one line.
        reason: String,
    },
    /// The answer means nothing.
    #[error("the answer of the cache {cache} cannot be read")]
    Unreadable {
        /// Which cache.
        cache: String,
    },
}

impl RemoteCache {
    /// What the server keeps and did, and what is being made in this namespace.
    pub async fn server_stats(&self) -> Result<ServerStats, AdminError> {
        self.call(Method::Get, "stats", "read").await
    }

    /// Records of this namespace and below it, in parts of at most `limit`; `after` is the `next` of
    /// the part before.
    pub async fn records(
        &self,
        limit: usize,
        after: Option<&str>,
    ) -> Result<RecordPage, AdminError> {
        // Only what came from a server as a place is sent back as one.
        let is_place = |c: char| c.is_ascii_alphanumeric() || "./_-:".contains(c);
        let after = after.unwrap_or_default().replace(|c| !is_place(c), "");
        let rest = format!("records?limit={limit}&after={after}");
        self.call(Method::Get, &rest, "read").await
    }

    /// Removes a record; false when there is none.
    pub async fn remove(&self, namespace: &Namespace, key: &Digest) -> Result<bool, AdminError> {
        let route = Route {
            namespace: namespace.clone(),
            kind: Kind::Action,
            key: *key,
        };
        let transport = &self.0.transport;
        let url = transport.address.join(&route.path());
        let request = transport.request(Method::Delete, url);
        let answer = self.answer(&request).await?;
        match answer.status {
            200..=204 => Ok(true),
            404 | 410 => Ok(false),
            _ => Err(self.refused(&answer, &format!("{namespace}:admin"))),
        }
    }

    /// Lets the server make room now, where it has to.
    pub async fn collect(&self) -> Result<Removed, AdminError> {
        self.call(Method::Post, "gc", "admin").await
    }

    /// Lets the server hash all its content again and tells how that went; `each` sees how far it is.
    /// Dropping the future does not end it.
    pub async fn verify(&self, mut each: impl FnMut(&Verified)) -> Result<Verified, AdminError> {
        let rest = format!("verify?wait={WAIT_SECS}");
        let mut tally: Verified = self.call(Method::Post, &rest, "admin").await?;
        while tally.running {
            each(&tally);
            tally = self.call(Method::Get, &rest, "admin").await?;
        }
        Ok(tally)
    }

    /// Tells why steps had to run, for the page of the server; the last ones where there are many.
    /// Nothing depends on it, so nothing is warned of when it is not taken.
    pub async fn post_misses(&self, misses: &[Miss]) {
        let is_possible = matches!(self.may_extend().await, Ok(true));
        let transport = &self.0.transport;
        if misses.is_empty() || !is_possible || transport.check_writable().is_err() {
            return;
        }
        let last = &misses[misses.len().saturating_sub(MAX_MISSES)..];
        let url = transport.address.call("/x/v1", "misses");
        let request = json(transport.request(Method::Post, url), &last);
        let status = transport
            .quiet(&request)
            .await
            .map(|answer| answer.status());
        tracing::debug!(?status, n = last.len(), "told why steps ran");
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        rest: &str,
        access: &str,
    ) -> Result<T, AdminError> {
        let transport = &self.0.transport;
        let (path, query) = rest.split_once('?').unzip();
        let mut url = transport.address.call("/x/v1", path.unwrap_or(rest));
        url.set_query(query);
        let answer = self.answer(&transport.request(method, url)).await?;
        if answer.status != 200 {
            let scope = format!("{}:{access}", transport.address.namespace);
            return Err(self.refused(&answer, &scope));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| AdminError::Unreadable { cache: self.name() })
    }

    async fn answer(&self, request: &Request) -> Result<Fetched, AdminError> {
        let cache = self.name();
        let fetched = self.0.transport.fetch(request, MAX_ANSWER);
        match timeout(PATIENCE, fetched).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let reason = error.reason;
                Err(AdminError::Unreachable { cache, reason })
            }
            Err(_) => Err(AdminError::Late { cache }),
        }
    }

    fn refused(&self, answer: &Fetched, scope: &str) -> AdminError {
        let cache = self.name();
        match answer.status {
            401 => AdminError::Unauthorized { cache },
            403 => AdminError::Forbidden {
                cache,
                scope: scope.to_owned(),
            },
            404 | 405 | 501 => AdminError::Unsupported { cache },
            status => AdminError::Refused {
                cache,
                status,
                reason: one_line(&answer.body),
            },
        }
    }
}

/// The first line of an answer, without what a terminal could take for a command.
fn one_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default();
    let plain = line.chars().filter(|c| !c.is_control());
    plain.take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn reasons_are_plain_text() {
        assert_eq!(one_line(b"no\x1b[31m room\nmore"), "no[31m room");
        assert_eq!(one_line(b""), "");
        assert_eq!(one_line(&[b'x'; 999]).len(), 200);
    }
}
