use super::breaker::Breaker;
use super::forward::Queue;
use super::reach::{HOPS, Reach};
use super::{UpstreamConfig, breaker};
use crate::storage::known::Known;
use crate::storage::source::Fetched;
use acetate_cache_api::{Kind, Namespace, Route};
use acetate_net::{Limits, Method, NetClient, PlainHttp, Request, Response, Url};
use acetate_oci::Digest;
use acetate_stdx::Redacted;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::bytes::Bytes;

/// A build waits for this answer, and would rather work than wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// For so long a body may be on its way there.
const SENDING: Duration = Duration::from_secs(600);
/// For so long content that was seen there is believed to be there.
const KNOWN_FOR: Duration = Duration::from_secs(600);
/// Digests of one question.
const DIGESTS: usize = 5000;
/// Keys of one question.
const KEYS: usize = 500;
/// Bodies of more bytes may be all that fitted into an answer: what follows is asked again.
const BODIES: usize = 1 << 20;
/// The bytes of an answer to many questions.
const MAX_ANSWER: u64 = 16 << 20;

/// Another server that is asked for what is missing here.
#[derive(Debug)]
pub(crate) struct Upstream {
    net: NetClient,
    /// For bodies that are sent for longer than anybody is silent.
    sending: NetClient,
    url: Url,
    authorization: Option<Redacted<String>>,
    known: Known,
    breaker: Breaker,
    pub(super) queue: Queue,
}

/// A record of another server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) route: Route,
    pub(crate) body: Bytes,
}

/// Why something was not written there.
#[derive(Debug)]
pub(super) enum Unsent {
    /// Nobody answers just now.
    Unreachable,
    /// The answer is no.
    Refused(u16),
}

impl Upstream {
    pub(crate) fn new(config: UpstreamConfig) -> Self {
        let limits = Limits {
            connect_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(10),
            n_retries: 0,
            plain_http: PlainHttp::Anywhere,
            user_agent: concat!("acetate-cache-server/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..Limits::default()
        };
        let sending = Limits {
            idle_timeout: SENDING,
            ..limits.clone()
        };
        let bearer = |token: Redacted<String>| Redacted::new(format!("Bearer {}", token.expose()));
        Self {
            net: NetClient::new(limits),
            sending: NetClient::new(sending),
            url: config.url.0,
            authorization: config.token.map(bearer),
            known: Known::new(KNOWN_FOR),
            breaker: Breaker::default(),
            queue: Queue::default(),
        }
    }

    /// Begins to read content; none when it is not there or nobody answers.
    pub(crate) async fn content(&self, digest: &Digest, reach: &Reach) -> Option<Fetched> {
        let request = self.request(Method::Get, &content_path(digest, reach), reach);
        let response = self.ask(request).await?;
        if response.status() != 200 {
            self.known.forget(digest);
            return None;
        }
        let size = response.announced()?;
        let pieces = futures_util::stream::try_unfold(response, |mut response| async move {
            match response.chunk().await {
                Ok(None) => Ok(None),
                Ok(Some(piece)) => Ok(Some((Bytes::from_owner(piece), response))),
                Err(error) => Err(io::Error::other(error.to_string())),
            }
        });
        let pieces = pieces.boxed();
        Some(Fetched { size, pieces })
    }

    /// The size of content that is there.
    pub(crate) async fn size_of(&self, digest: &Digest, reach: &Reach) -> Option<u64> {
        let request = self.request(Method::Head, &content_path(digest, reach), reach);
        let response = self.ask(request).await?;
        (response.status() == 200).then(|| response.announced())?
    }

    /// What of all this is not there either, in the order of the question; all of it when nobody
    /// answers.
    pub(crate) async fn missing(&self, mut digests: Vec<Digest>, reach: &Reach) -> Vec<Digest> {
        digests.retain(|digest| !self.known.has(digest));
        let mut missing = Vec::new();
        for some in digests.chunks(DIGESTS) {
            match self.ask_missing(some, reach).await {
                None => missing.extend_from_slice(some),
                Some(lacking) => {
                    let (absent, there): (Vec<Digest>, Vec<Digest>) =
                        some.iter().partition(|digest| lacking.contains(digest));
                    for digest in &there {
                        self.known.add(digest);
                    }
                    missing.extend(absent);
                }
            }
        }
        missing
    }

    /// What of a few digests is not there; none when nobody answers.
    pub(super) async fn ask_missing(
        &self,
        digests: &[Digest],
        reach: &Reach,
    ) -> Option<HashSet<Digest>> {
        // Nothing has no bytes, and is therefore never missing: the size must not be zero.
        let named = |digest: &Digest| json!({"hash": digest.hex(), "sizeBytes": "1"});
        let named: Vec<_> = digests.iter().map(named).collect();
        let body = json!({"blobDigests": named}).to_string();
        let path = verb_path("v2", "blobs:findMissing", reach);
        let answer: Missing = self.question(&path, body, reach).await?;
        let hashes = answer.missing_blob_digests.into_iter();
        Some(
            hashes
                .filter_map(|n| Digest::from_hex(&n.hash).ok())
                .collect(),
        )
    }

    /// Records of a namespace and of those above it.
    pub(crate) async fn records(&self, keys: &[Digest], reach: &Reach) -> Vec<Found> {
        let mut found = Vec::new();
        let mut left = keys;
        while !left.is_empty() {
            let some = &left[..left.len().min(KEYS)];
            let Some(records) = self.ask_records(some, reach).await else {
                break;
            };
            let bytes: usize = records.iter().map(|found| found.body.len()).sum();
            let last = records.last().map(|found| found.route.key);
            let last = last.and_then(|last| some.iter().position(|key| *key == last));
            let answered = match last {
                Some(last) if bytes >= BODIES => last + 1,
                _ => some.len(),
            };
            left = &left[answered..];
            found.extend(records);
        }
        found
    }

    async fn ask_records(&self, keys: &[Digest], reach: &Reach) -> Option<Vec<Found>> {
        let hexes: Vec<String> = keys.iter().map(Digest::hex).collect();
        let body = json!({"keys": hexes}).to_string();
        let path = verb_path("x/v1", "ac:batchGet", reach);
        let answer: Records = self.question(&path, body, reach).await?;
        let asked: HashSet<&Digest> = keys.iter().collect();
        let own = |record: Record| {
            let found = record.found()?;
            let fits = asked.contains(&found.route.key)
                && reach.namespace.is_within(&found.route.namespace);
            fits.then_some(found)
        };
        Some(answer.records.into_iter().filter_map(own).collect())
    }

    async fn question<T: for<'a> Deserialize<'a>>(
        &self,
        path: &str,
        body: String,
        reach: &Reach,
    ) -> Option<T> {
        let request = self.request(Method::Post, path, reach);
        let request = request.body(body.into_bytes());
        let asked = async {
            let response = self.ask(request).await?;
            if response.status() != 200 {
                return None;
            }
            let fetched = response.fetch(MAX_ANSWER).await;
            fetched.inspect_err(|error| self.failed(error)).ok()
        };
        let fetched = tokio::time::timeout(PATIENCE, asked).await.ok()??;
        let answer = serde_json::from_slice(&fetched.body);
        answer
            .inspect_err(|error| tracing::warn!(%error, "the upstream gave a strange answer"))
            .ok()
    }

    /// Sends content from a file.
    pub(super) async fn put_content(
        &self,
        digest: &Digest,
        (file, size): (Arc<File>, u64),
        reach: &Reach,
    ) -> Result<(), Unsent> {
        let request = self.request(Method::Put, &content_path(digest, reach), reach);
        self.put(request.file(file, size)).await?;
        self.known.add(digest);
        Ok(())
    }

    /// Sends a record.
    pub(super) async fn put_record(
        &self,
        route: &Route,
        body: &[u8],
        only_new: OnlyNew,
        reach: &Reach,
    ) -> Result<(), Unsent> {
        let mut request = self.request(Method::Put, &route.path(), reach).body(body);
        if only_new == OnlyNew::Yes {
            request = request.header("if-none-match", "*");
        }
        self.put(request).await
    }

    async fn put(&self, request: Request) -> Result<(), Unsent> {
        if !self.breaker.admits() {
            return Err(Unsent::Unreachable);
        }
        match self.sending.send(&request).await {
            Err(error) => {
                self.failed(&error);
                Err(Unsent::Unreachable)
            }
            Ok(response) => {
                self.breaker.succeeded();
                match response.status() {
                    200..300 | 412 => Ok(()),
                    status => Err(Unsent::Refused(status)),
                }
            }
        }
    }

    fn request(&self, method: Method, path: &str, reach: &Reach) -> Request {
        let mut url = self.url.clone();
        url.set_path(path);
        Request::new(method, url)
            .authorization(self.authorization.clone())
            .header(HOPS, reach.header())
    }

    /// The head of an answer that says what is there; none when there is no such answer in time.
    async fn ask(&self, request: Request) -> Option<Response> {
        if !self.breaker.admits() {
            return None;
        }
        let sent = tokio::time::timeout(PATIENCE, self.net.send(&request)).await;
        match sent {
            Err(_) => self.failed(&"no answer in time"),
            Ok(Err(error)) => self.failed(&error),
            Ok(Ok(response)) if response.status() >= 500 || response.status() == 401 => {
                self.failed(&format_args!("it answers {}", response.status()));
            }
            Ok(Ok(response)) => {
                self.breaker.succeeded();
                return Some(response);
            }
        }
        None
    }

    fn failed(&self, why: &dyn std::fmt::Display) {
        if self.breaker.failed() {
            let rest = breaker::REST.as_secs();
            tracing::warn!(%why, "the upstream is left alone, and tried again every {rest} s");
        } else {
            tracing::debug!(%why, "the upstream did not answer");
        }
    }
}

/// Whether a record may replace another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnlyNew {
    Yes,
    No,
}

fn content_path(digest: &Digest, reach: &Reach) -> String {
    Route {
        namespace: reach.namespace.clone(),
        kind: Kind::Content,
        key: *digest,
    }
    .path()
}

fn verb_path(level: &str, verb: &str, reach: &Reach) -> String {
    let slash = if reach.namespace.is_root() { "" } else { "/" };
    format!("/{level}{slash}{}/{verb}", reach.namespace.as_str())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Missing {
    missing_blob_digests: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    hash: String,
}

#[derive(Deserialize)]
struct Records {
    records: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    key: String,
    namespace: String,
    body: String,
}

impl Record {
    fn found(self) -> Option<Found> {
        let namespace: Namespace = self.namespace.parse().ok()?;
        let route = Route {
            namespace,
            kind: Kind::Action,
            key: Digest::from_hex(&self.key).ok()?,
        };
        let body = STANDARD.decode(&self.body).ok()?.into();
        Some(Found { route, body })
    }
}
