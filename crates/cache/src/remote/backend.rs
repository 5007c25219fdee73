//! What answers requests: a server, or the client of a bucket.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use acetate_net::{Fetched, Headers, Limits, Method, NetClient, NetError, Request, Response};
use acetate_stdx::Redacted;
use futures_util::future::{Either, select};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::time::timeout;

use super::RemoteLimits;
use super::bucket::hide;

/// What answers requests.
#[derive(Debug)]
pub(super) enum Backend {
    Server(Server),
    Bucket(Bucket),
}

/// No answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoAnswer {
    /// Why, fit to be shown.
    pub(super) reason: String,
    pub(super) kind: NoAnswerKind,
}

/// What a missing answer says about who should have given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswerKind {
    /// It gives more than there can be.
    TooLarge,
    /// It failed, and may not fail again.
    Transient,
    /// It would fail again.
    Lasting,
}

impl From<NetError> for NoAnswer {
    fn from(error: NetError) -> Self {
        let kind = match &error {
            NetError::TooLarge { .. } => NoAnswerKind::TooLarge,
            error if error.is_transient() => NoAnswerKind::Transient,
            _ => NoAnswerKind::Lasting,
        };
        Self {
            reason: error.to_string(),
            kind,
        }
    }
}

impl NoAnswer {
    pub(super) fn is_transient(&self) -> bool {
        self.kind == NoAnswerKind::Transient
    }
}

impl Backend {
    /// Asks once.
    pub(super) async fn fetch(&self, request: &Request, limit: u64) -> Result<Fetched, NoAnswer> {
        match self {
            Self::Server(server) => Ok(server.client(request).fetch(request, limit).await?),
            Self::Bucket(bucket) => bucket.fetch(request, limit).await,
        }
    }

    /// Asks once, and bears a long silence.
    pub(super) async fn wait(&self, request: &Request, limit: u64) -> Result<Fetched, NoAnswer> {
        match self {
            Self::Server(server) => Ok(server.patient.fetch(request, limit).await?),
            Self::Bucket(bucket) => bucket.fetch(request, limit).await,
        }
    }

    /// Asks once, and gives the answer when its head is here; none where nobody could give one that
    /// is read in pieces.
    pub(super) async fn send(&self, request: &Request) -> Result<Option<Response>, NoAnswer> {
        match self {
            Self::Server(server) => Ok(Some(server.patient.send(request).await?)),
            Self::Bucket(_) => Ok(None),
        }
    }

    /// The first of two answers, the second asked for when the first takes long to begin.
    pub(super) async fn hedged(
        &self,
        request: &Request,
        limit: u64,
        first_try: Duration,
    ) -> Result<Fetched, NoAnswer> {
        match self {
            Self::Server(server) => {
                let send = async || Ok(server.reader.send(request).await?);
                let response = first_of_two(send, first_try).await?;
                match response.fetch(limit).await {
                    Err(error) if error.is_transient() => self.fetch(request, limit).await,
                    answer => Ok(answer?),
                }
            }
            Self::Bucket(bucket) => first_of_two(|| bucket.fetch(request, limit), first_try).await,
        }
    }

    /// Whether a record can be written only where there is none, though the store looks into nothing.
    pub(super) fn keeps_first(&self) -> bool {
        match self {
            Self::Server(_) => false,
            Self::Bucket(bucket) => bucket.creates.load(Ordering::Relaxed),
        }
    }
}

async fn first_of_two<T, F>(send: impl Fn() -> F, first_try: Duration) -> Result<T, NoAnswer>
where
    F: Future<Output = Result<T, NoAnswer>>,
{
    let mut first = pin!(send());
    match timeout(first_try, &mut first).await {
        Ok(Err(error)) if error.is_transient() => send().await,
        Ok(answer) => answer,
        Err(_) => {
            let second = pin!(send());
            match select(first, second).await {
                Either::Left((Ok(answer), _)) | Either::Right((Ok(answer), _)) => Ok(answer),
                Either::Left((Err(_), second)) => second.await,
                Either::Right((Err(_), first)) => first.await,
            }
        }
    }
}

/// The way to a server.
#[derive(Debug)]
pub(super) struct Server {
    /// For writes.
    client: NetClient,
    /// For questions and reads, all of which go the same way.
    reader: NetClient,
    /// For answers that are waited for longer than any silence is borne.
    patient: NetClient,
}

impl Server {
    pub(super) fn new(limits: &RemoteLimits) -> Self {
        let client = |idle_timeout| {
            NetClient::new(Limits {
                connect_timeout: limits.connect,
                idle_timeout,
                n_retries: 0,
                plain_http: limits.plain_http,
                ..Limits::default()
            })
        };
        Self {
            client: client(limits.silence),
            reader: client(limits.read_silence),
            patient: client(Duration::from_secs(60)),
        }
    }

    fn client(&self, request: &Request) -> &NetClient {
        match request.method() {
            Method::Get | Method::Head => &self.reader,
            Method::Put | Method::Post | Method::Patch | Method::Delete => &self.client,
        }
    }
}

/// The way to a bucket. What a server of the first level would answer is answered from here, so that
/// everything behind is the same.
#[derive(Debug)]
pub(super) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// It can write an object only where there is none.
    creates: AtomicBool,
    options: Redacted<Vec<(String, String)>>,
}

impl Bucket {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        options: Redacted<Vec<(String, String)>>,
    ) -> Self {
        Self {
            store,
            creates: AtomicBool::new(true),
            options,
        }
    }

    async fn fetch(&self, request: &Request, limit: u64) -> Result<Fetched, NoAnswer> {
        let path = Path::from(request.url().path().trim_start_matches('/'));
        let done = match request.method() {
            Method::Get => self.get(&path, limit).await,
            Method::Head => self.store.head(&path).await.map(|_| Vec::new()),
            Method::Put => self.put(&path, request).await,
            Method::Delete => self.remove(&path).await.map(|()| Vec::new()),
            Method::Post | Method::Patch => return Ok(answer(request, 405, Vec::new())),
        };
        match done {
            Ok(body) if body.len() as u64 > limit => Err(NoAnswer {
                reason: "it is larger than it can be".to_owned(),
                kind: NoAnswerKind::TooLarge,
            }),
            Ok(body) => Ok(answer(request, 200, body)),
            Err(error) => match status_of(&error, request.method()) {
                Some(status) => Ok(answer(request, status, Vec::new())),
                None => Err(self.blame(&error)),
            },
        }
    }

    /// The object; no more than one byte above the limit of one that is too large.
    async fn get(&self, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
        let found = self.store.get(path).await?;
        if found.meta.size > limit {
            let most = usize::try_from(limit).unwrap_or(usize::MAX);
            return Ok(vec![0; most.saturating_add(1)]);
        }
        Ok(found.bytes().await?.into())
    }

    async fn put(&self, path: &Path, request: &Request) -> Result<Vec<u8>, Error> {
        let payload = || PutPayload::from(request.bytes().to_vec());
        let is_create = request.added("if-none-match") == Some("*");
        if is_create && self.creates.load(Ordering::Relaxed) {
            let options = PutOptions::from(PutMode::Create);
            match self.store.put_opts(path, payload(), options).await {
                // Some services know no conditions: there the last one stays.
                Err(error) if is_unknown(&error) => self.creates.store(false, Ordering::Relaxed),
                done => return done.map(|_| Vec::new()),
            }
        }
        self.store.put(path, payload()).await.map(|_| Vec::new())
    }

    /// Some services do not say whether there was anything.
    async fn remove(&self, path: &Path) -> Result<(), Error> {
        self.store.head(path).await?;
        self.store.delete(path).await
    }

    fn blame(&self, error: &Error) -> NoAnswer {
        let is_bucket = matches!(error, Error::NotFound { .. });
        // The innermost cause: the outer ones repeat the address and the time.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let told = hide(&cause.to_string(), self.options.expose());
        NoAnswer {
            reason: if is_bucket {
                "there is no such bucket, or nobody may know of it".to_owned()
            } else {
                told
            },
            kind: match error {
                Error::Generic { .. } | Error::JoinError { .. } => NoAnswerKind::Transient,
                _ => NoAnswerKind::Lasting,
            },
        }
    }
}

fn answer(request: &Request, status: u16, body: Vec<u8>) -> Fetched {
    Fetched {
        status,
        headers: Headers::default(),
        body,
        url: request.url().clone(),
    }
}

/// What a server would say; none where there was no answer, or one that tells of the bucket itself.
fn status_of(error: &Error, method: Method) -> Option<u16> {
    match error {
        // An object cannot be missing where it is written, only what it is to be in.
        Error::NotFound { .. } if method == Method::Put => None,
        Error::NotFound { source, .. } if is_about_bucket(&source.to_string()) => None,
        Error::NotFound { .. } => Some(404),
        Error::AlreadyExists { .. } | Error::Precondition { .. } => Some(412),
        Error::PermissionDenied { .. } => Some(403),
        Error::Unauthenticated { .. } => Some(401),
        Error::Generic { source, .. } => status_in(&source.to_string()),
        _ => None,
    }
}

fn is_about_bucket(text: &str) -> bool {
    let codes = [
        "NoSuchBucket",
        "ContainerNotFound",
        "The specified bucket does not exist",
    ];
    codes.iter().any(|code| text.contains(code))
}

fn is_unknown(error: &Error) -> bool {
    let is_refused = |status| matches!(status, Some(400 | 405 | 501));
    match error {
        Error::NotImplemented { .. } | Error::NotSupported { .. } => true,
        Error::Generic { source, .. } => is_refused(status_in(&source.to_string())),
        _ => false,
    }
}

/// The status in the words of the client, which tells it in no other way.
fn status_in(text: &str) -> Option<u16> {
    let (_, behind) = text.split_once("status code: ")?;
    behind.get(..3)?.parse().ok()
}
