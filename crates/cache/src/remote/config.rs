//! Where a remote cache is and what bounds its use.

use std::sync::Arc;
use std::time::Duration;

use acetate_cache_api::{Namespace, NamespaceError};
use acetate_net::{PlainHttp, Url, is_loopback, shown};
use acetate_stdx::Redacted;
use acetate_stdx::clock::{Clock, SystemClock};

use super::{BreakerRules, SigningKey, Trust};

/// What a remote cache is opened with.
#[derive(Debug, Clone)]
pub struct RemoteConfig {
    /// Its address, whose path is the namespace: `https://cache.example/org/repo`.
    pub url: String,
    /// Sent as `Authorization: Bearer TOKEN`, and to no other origin.
    pub token: Option<Redacted<String>>,
    /// Sent instead with what writes: where there is none, one token does both.
    pub write_token: Option<Redacted<String>>,
    /// Whether results of weaker sandboxes are taken (invariant 9).
    pub takes_reduced: bool,
    /// Whose records are taken.
    pub trust: Trust,
    /// Signs what was executed here, where there is one.
    pub signer: Option<SigningKey>,
    /// Who makes records, as signed ones say it: the address of a CI job, or a name.
    pub builder: String,
    /// The time that is written into signatures, and that the validity of keys is compared with.
    pub clock: Arc<dyn Clock>,
    /// The bounds.
    pub limits: RemoteLimits,
}

impl RemoteConfig {
    /// The cache at `url`, without a token or keys, and with the usual bounds.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            write_token: None,
            takes_reduced: false,
            trust: Trust::off(),
            signer: None,
            builder: concat!("acetate/", env!("CARGO_PKG_VERSION")).to_owned(),
            clock: Arc::new(SystemClock),
            limits: RemoteLimits::default(),
        }
    }

    /// Takes the address apart; nothing is asked.
    ///
    /// # Errors
    /// Those of [`RemoteCache::open`](super::RemoteCache::open).
    pub fn address(&self) -> Result<CacheAddress, RemoteError> {
        let address = self.parse()?;
        let origin = &address.origin;
        Ok(CacheAddress {
            url: address.shown(),
            origin: shown(origin).trim_end_matches('/').to_owned(),
            host: origin.host_str().unwrap_or_default().to_owned(),
            port: origin.port(),
        })
    }

    pub(super) fn parse(&self) -> Result<Address, RemoteError> {
        let address = Address::parse(&self.url)?;
        let origin = &address.origin;
        let is_open = origin.scheme() == "http"
            && self.limits.plain_http == PlainHttp::Loopback
            && !origin.host_str().is_some_and(is_loopback);
        if is_open {
            let url = address.shown();
            return Err(RemoteError::PlainHttp { url });
        }
        Ok(address)
    }
}

/// The parts of the address of a cache, spelled in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheAddress {
    /// All of it: two that are equal are the same cache.
    pub url: String,
    /// The server, to which a token belongs: `https://cache.example:8443`.
    pub origin: String,
    /// The name of the machine, or its address.
    pub host: String,
    /// The port, where it is not the usual one.
    pub port: Option<u16>,
}

/// Every number that bounds what is done with a remote cache.
#[derive(Debug, Clone)]
pub struct RemoteLimits {
    /// The longest wait for a connection.
    pub connect: Duration,
    /// After so long without an answer a question is asked a second time beside the first.
    pub first_try: Duration,
    /// The longest that one question takes, its second try included.
    pub question: Duration,
    /// The longest that one look-up takes, however many questions it needs.
    pub lookup: Duration,
    /// The longest that one chunk takes in either direction, for each of its two tries.
    pub transfer: Duration,
    /// The longest silence before and within an answer to a write, which may have to wait for disks.
    pub silence: Duration,
    /// The same for reads.
    pub read_silence: Duration,
    /// A `Retry-After` of more is taken for this.
    pub longest_pause: Duration,
    /// How many requests of one kind are under way at once.
    pub n_parallel: usize,
    /// The largest tar of a layer that is fetched or published, in bytes.
    pub max_layer: u64,
    /// When a failing server is left alone.
    pub breaker: BreakerRules,
    /// Where plain HTTP is spoken.
    pub plain_http: PlainHttp,
}

impl Default for RemoteLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            first_try: Duration::from_millis(500),
            question: Duration::from_secs(4),
            lookup: Duration::from_secs(10),
            transfer: Duration::from_secs(60),
            silence: Duration::from_secs(10),
            read_silence: Duration::from_secs(4),
            longest_pause: Duration::from_secs(60),
            n_parallel: 16,
            max_layer: 64 << 30,
            breaker: BreakerRules::default(),
            plain_http: PlainHttp::default(),
        }
    }
}

/// A configuration that no remote cache can be opened with.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The text is no address of a cache.
    #[error("`{text}` is no address of a cache: {reason}")]
    Address {
        /// The text, without what could be a credential.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address holds a user or a password.
    #[error("the address of the cache `{url}` holds credentials: give the token by itself")]
    Credentials {
        /// The address without them.
        url: String,
    },
    /// Plain HTTP to another machine was not allowed.
    #[error("speak plain http to the cache `{url}`: allowed for loopback addresses only")]
    PlainHttp {
        /// The address.
        url: String,
    },
    /// The provider's client cannot be set up.
    #[error("open the bucket `{url}`: {reason}")]
    Bucket {
        /// The address.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The path is no namespace.
    #[error("the path of the cache `{url}` is no namespace")]
    Namespace {
        /// The address.
        url: String,
        /// What is wrong with the path.
        #[source]
        source: NamespaceError,
    },
}

/// The address of a cache, taken apart.
#[derive(Debug, Clone)]
pub(super) struct Address {
    origin: Url,
    pub(super) namespace: Namespace,
}

impl Address {
    /// The address of a server.
    pub(super) fn parse(text: &str) -> Result<Self, RemoteError> {
        Self::parse_of(text, &["http", "https"], "only http and https are spoken")
    }

    /// The address of a bucket, whose prefix is the namespace.
    pub(super) fn parse_bucket(text: &str) -> Result<Self, RemoteError> {
        let schemes = &["s3", "gs", "az"];
        Self::parse_of(text, schemes, "buckets are s3, gs and az")
    }

    fn parse_of(text: &str, schemes: &[&str], others: &str) -> Result<Self, RemoteError> {
        let refuse = |reason: String| RemoteError::Address {
            text: text
                .rsplit(['@'])
                .next()
                .map(without_query)
                .unwrap_or_default(),
            reason,
        };
        let url = Url::parse(text).map_err(|error| refuse(error.to_string()))?;
        if !schemes.contains(&url.scheme()) {
            return Err(refuse(others.to_owned()));
        }
        if url.host_str().unwrap_or_default().is_empty() {
            return Err(refuse("it names no host".to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RemoteError::Credentials { url: shown(&url) });
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it has a query or a fragment".to_owned()));
        }
        let path = url.path().trim_start_matches('/').trim_end_matches('/');
        let namespace = path.parse().map_err(|source| RemoteError::Namespace {
            url: shown(&url),
            source,
        })?;
        let mut origin = url;
        origin.set_path("");
        Ok(Self { origin, namespace })
    }

    /// The address of a path, which begins with a slash and needs no escapes.
    pub(super) fn join(&self, path: &str) -> Url {
        let mut url = self.origin.clone();
        url.set_path(path);
        url
    }

    /// The scheme, and the host or the bucket.
    pub(super) fn parts(&self) -> (&str, &str) {
        let host = self.origin.host_str().unwrap_or_default();
        (self.origin.scheme(), host)
    }

    /// The address of something that is not an object: `/v2/{namespace}/{rest}`.
    pub(super) fn call(&self, prefix: &str, rest: &str) -> Url {
        let slash = if self.namespace.is_root() { "" } else { "/" };
        self.join(&format!("{prefix}/{}{slash}{rest}", self.namespace))
    }

    /// The address as it may be shown.
    pub(super) fn shown(&self) -> String {
        let slash = if self.namespace.is_root() { "" } else { "/" };
        let origin = shown(&self.origin);
        format!("{}{slash}{}", origin.trim_end_matches('/'), self.namespace)
    }
}

fn without_query(text: &str) -> String {
    text.split('?').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_the_namespace() {
        for (text, shown, capabilities) in [
            (
                "http://127.0.0.1:1",
                "http://127.0.0.1:1",
                "/v2/capabilities",
            ),
            ("http://[::1]:1/", "http://[::1]:1", "/v2/capabilities"),
            (
                "https://c.example/org/repo/",
                "https://c.example/org/repo",
                "/v2/org/repo/capabilities",
            ),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.shown(), shown);
            assert_eq!(address.call("/v2", "capabilities").path(), capabilities);
        }
        let batch = Address::parse("http://h.example/a").unwrap();
        assert_eq!(
            batch.call("/x/v1", "ac:batchGet").as_str(),
            "http://h.example/x/v1/a/ac:batchGet"
        );
    }

    #[test]
    fn the_prefix_of_a_bucket_is_the_namespace() {
        for (text, parts, shown) in [
            (
                "s3://My_bucket.x/a/b/",
                ("s3", "My_bucket.x"),
                "s3://My_bucket.x/a/b",
            ),
            ("gs://b", ("gs", "b"), "gs://b"),
        ] {
            let address = Address::parse_bucket(text).unwrap();
            assert_eq!((address.parts(), address.shown().as_str()), (parts, shown));
            let key = address.join("/a/ac/1");
            assert_eq!(key.path(), "/a/ac/1");
        }
        for (text, words) in [
            ("https://b", "buckets are s3, gs and az"),
            ("s3:b", "it names no host"),
            ("s3:///b", "it names no host"),
            ("s3://id:secret@b", "holds credentials"),
            ("s3://b/a b", "is no namespace"),
        ] {
            let error = Address::parse_bucket(text).unwrap_err().to_string();
            assert!(
                error.contains(words) && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn equal_addresses_are_spelled_in_one_way() {
        for (text, url, origin, host, port) in [
            (
                "HTTPS://Cache.Example:443/org/repo/",
                "https://cache.example/org/repo",
                "https://cache.example",
                "cache.example",
                None,
            ),
            (
                "http://[::1]:8080",
                "http://[::1]:8080",
                "http://[::1]:8080",
                "[::1]",
                Some(8080),
            ),
        ] {
            let expected = CacheAddress {
                url: url.to_owned(),
                origin: origin.to_owned(),
                host: host.to_owned(),
                port,
            };
            assert_eq!(RemoteConfig::new(text).address().unwrap(), expected);
        }
        let open = RemoteConfig::new("http://cache.example/a").address();
        assert!(matches!(open, Err(RemoteError::PlainHttp { .. })));
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_secrets() {
        for (text, words) in [
            ("cache", "is no address of a cache"),
            ("ftp://h/x", "only http and https are spoken"),
            ("https://u:secret@h/x", "holds credentials"),
            ("https://u:secret@[h/x", "is no address of a cache"),
            ("https://h/x?sig=secret", "a query or a fragment"),
            ("https://h/a/../b%2fc", "is no namespace"),
            ("s3://b", "only http and https are spoken"),
        ] {
            let error = Address::parse(text).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(words), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}
