use super::Issuer;
use super::keys::{Key, Keys};
use acetate_net::{Limits, NetClient, Request, Url, is_loopback};
use acetate_stdx::clock::Clock;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Mutex;

/// Whatever is asked, it is not asked again for so many seconds: tokens with made-up keys must not
/// make this server knock at the issuer.
const PAUSE_SECS: i64 = 60;
/// A description and a set of keys are a few kilobytes.
const MAX_BODY: u64 = 256 << 10;
/// The longest that a request waits for keys.
const PATIENCE: Duration = Duration::from_secs(5);

/// The keys of one issuer: the last ones that it gave.
#[derive(Debug)]
pub(super) struct KeySource {
    issuer: String,
    jwks: Option<String>,
    client: NetClient,
    clock: Arc<dyn Clock>,
    keys: RwLock<Arc<Keys>>,
    /// When they were asked for last; held while they are.
    asked: Mutex<Option<i64>>,
}

/// What an issuer says about itself (`OpenID` Connect Discovery 1.0, 3).
#[derive(Deserialize)]
struct Description {
    issuer: String,
    jwks_uri: String,
}

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    #[error("{0}")]
    Net(#[from] acetate_net::NetError),
    #[error("`{url}` answers with status {status}")]
    Status { url: String, status: u16 },
    #[error("`{0}` gives no description of an issuer")]
    Description(String),
    #[error("`{url}` describes another issuer, `{found}`")]
    Other { url: String, found: String },
    #[error("the address of the keys, `{0}`, is no https address")]
    Address(String),
    #[error("`{0}` gives no set of keys that can be used")]
    Keys(String),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
}

impl KeySource {
    pub(super) fn new(issuer: &Issuer, clock: Arc<dyn Clock>) -> Self {
        let limits = Limits {
            connect_timeout: PATIENCE,
            idle_timeout: PATIENCE,
            n_retries: 0,
            n_redirects: 2,
            ..Limits::default()
        };
        Self {
            issuer: issuer.issuer.clone(),
            jwks: issuer.jwks.clone(),
            client: NetClient::new(limits),
            clock,
            keys: RwLock::default(),
            asked: Mutex::default(),
        }
    }

    /// The key of that name for that algorithm. One that is not known may be new: the issuer is
    /// asked, at most once a minute.
    pub(super) async fn find(&self, id: &str, algorithm: Algorithm) -> Option<Key> {
        if let Some(key) = self.current().find(id, algorithm) {
            return Some(key);
        }
        self.refresh().await;
        self.current().find(id, algorithm)
    }

    /// Asks for the keys, unless that was done a moment ago. Those that are known stay when there is
    /// no answer.
    pub(super) async fn refresh(&self) {
        let mut asked = self.asked.lock().await;
        let now = self.clock.now().0;
        let is_recent = asked.is_some_and(|then| (0..PAUSE_SECS).contains(&(now - then)));
        if is_recent {
            return;
        }
        *asked = Some(now);
        let fetched = tokio::time::timeout(PATIENCE, self.fetch()).await;
        match fetched.unwrap_or(Err(SourceError::Late)) {
            Ok(keys) => {
                tracing::debug!(issuer = self.issuer, n = keys.len(), "fetched keys");
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, %error, "the keys stay as they were");
            }
        }
    }

    async fn fetch(&self) -> Result<Keys, SourceError> {
        let address = match &self.jwks {
            Some(jwks) => jwks.clone(),
            None => self.described().await?,
        };
        let url = check(&address).ok_or_else(|| SourceError::Address(address.clone()))?;
        let body = self.get(url).await?;
        Keys::parse(&body).ok_or(SourceError::Keys(address))
    }

    async fn described(&self) -> Result<String, SourceError> {
        let base = self.issuer.trim_end_matches('/');
        let url = format!("{base}/.well-known/openid-configuration");
        let parsed = check(&url).ok_or_else(|| SourceError::Address(url.clone()))?;
        let body = self.get(parsed).await?;
        let found: Description =
            serde_json::from_slice(&body).map_err(|_| SourceError::Description(url.clone()))?;
        if found.issuer != self.issuer {
            let found = found.issuer;
            return Err(SourceError::Other { url, found });
        }
        Ok(found.jwks_uri)
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, SourceError> {
        let shown = acetate_net::shown(&url);
        let request = Request::new(acetate_net::Method::Get, url);
        let answer = self.client.fetch(&request, MAX_BODY).await?;
        if answer.status != 200 {
            return Err(SourceError::Status {
                url: shown,
                status: answer.status,
            });
        }
        Ok(answer.body)
    }

    fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An address at which only its owner answers: by TLS, or on this machine.
pub(super) fn check(address: &str) -> Option<Url> {
    let url = Url::parse(address).ok()?;
    let is_safe = match url.scheme() {
        "https" => true,
        "http" => url.host_str().is_some_and(is_loopback),
        _ => false,
    };
    is_safe.then_some(url)
}
