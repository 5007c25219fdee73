use super::changes::Changes;
use super::known::Known;
use super::source::Fetched;
use super::tasks::Tasks;
use super::{Condition, Put, StorageError, Stored, content};
use acetate_cache_api::{Kind, Route};
use acetate_oci::Digest;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::bytes::Bytes;

/// Longer than all tries of one small request take together.
const PATIENCE: Duration = Duration::from_secs(15);
/// The same for content that is sent in one piece.
const SENT_WITHIN: Duration = Duration::from_secs(60);
/// Questions about presence that are open at a time, for one request of a client.
const AT_ONCE: usize = 64;
/// Mebibytes of parts that are on their way to the bucket, for all uploads together.
const SENDING: usize = 64;

/// Objects in a bucket, with the same names as on a disk. What is here is the truth: any number of
/// servers work on it, and none of them lists it.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) store: Arc<dyn ObjectStore>,
    prefix: Path,
    known: Known,
    changes: Changes,
    pub(super) sending: Arc<Semaphore>,
    pub(super) tasks: Tasks,
}

impl Bucket {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: Path, known_for: Duration) -> Self {
        Self {
            store,
            prefix,
            known: Known::new(known_for),
            changes: Changes::default(),
            sending: Arc::new(Semaphore::new(SENDING)),
            tasks: Tasks::default(),
        }
    }

    /// Where an object is kept.
    pub(super) fn path(&self, route: &Route) -> Path {
        let hex = route.key.hex();
        let dir = match route.kind {
            Kind::Content => self.prefix.clone().join("cas"),
            Kind::Action => {
                let namespace = Digest::of(route.namespace.as_str().as_bytes()).hex();
                self.prefix.clone().join("ac").join(namespace)
            }
        };
        dir.join(&hex[..2]).join(hex)
    }

    /// Where the version of the layout is written.
    pub(super) fn marker(&self) -> Path {
        self.prefix.clone().join("acetate-cache")
    }

    /// A number that grows when this server sees that a record may be another one or incomplete.
    pub(super) fn changes(&self, record: &Digest) -> u64 {
        self.changes.of(record)
    }

    /// True when content was seen a short while ago.
    pub(super) fn knows(&self, digest: &Digest) -> bool {
        self.known.has(digest)
    }

    /// Content is there, as somebody saw.
    pub(super) fn saw(&self, digest: &Digest) {
        self.known.add(digest);
    }

    /// Content is not there, as somebody saw: records that name it are looked at again.
    pub(super) fn lost(&self, digest: &Digest) {
        if self.known.forget(digest) {
            self.changes.count(&content(*digest));
        }
    }

    /// Begins to read content.
    pub(super) async fn fetch(&self, digest: &Digest) -> Result<Option<Fetched>, StorageError> {
        let path = self.path(&content(*digest));
        let Some(result) = found(bounded(self.store.get(&path)).await)? else {
            self.lost(digest);
            return Ok(None);
        };
        self.saw(digest);
        let size = result.meta.size;
        let pieces = result.into_stream().map_err(std::io::Error::other).boxed();
        Ok(Some(Fetched { size, pieces }))
    }

    /// The size of content; always asks.
    pub(super) async fn size_of(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        let path = self.path(&content(*digest));
        let found = found(bounded(self.store.head(&path)).await)?;
        match &found {
            Some(_) => self.saw(digest),
            None => self.lost(digest),
        }
        Ok(found.map(|meta| meta.size))
    }

    /// What of all this is not there, in the order of the question.
    pub(super) async fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StorageError> {
        let ask = |digest: &Digest| {
            let digest = *digest;
            async move {
                let is_here = self.knows(&digest) || self.size_of(&digest).await?.is_some();
                Ok::<_, StorageError>((!is_here).then_some(digest))
            }
        };
        // Futures are made before they are polled, so that none borrows from the closure.
        let asked: Vec<_> = digests.iter().map(ask).collect();
        let answers = futures_util::stream::iter(asked).buffered(AT_ONCE);
        let answers: Vec<Option<Digest>> = answers.try_collect().await?;
        Ok(answers.into_iter().flatten().collect())
    }

    /// Reads a record of at most so many bytes.
    pub(super) async fn record(
        &self,
        route: &Route,
        most: u64,
    ) -> Result<Option<Stored>, StorageError> {
        let path = self.path(route);
        let read = async {
            let result = self.store.get(&path).await?;
            if result.meta.size > most {
                return Ok(None);
            }
            let version = object_store::UpdateVersion {
                e_tag: result.meta.e_tag.clone(),
                version: result.meta.version.clone(),
            };
            let body = result.bytes().await?;
            let version = Some(version);
            Ok(Some(Stored { body, version }))
        };
        Ok(found(bounded(read).await)?.flatten())
    }

    /// Writes a record when the condition holds, which the bucket decides.
    pub(super) async fn put_record(
        &self,
        route: &Route,
        body: Bytes,
        condition: &Condition,
    ) -> Result<Put, StorageError> {
        let mode = match condition {
            Condition::Any => PutMode::Overwrite,
            Condition::Absent => PutMode::Create,
            Condition::Replaces(stored) => match stored.version.clone() {
                Some(version) => PutMode::Update(version),
                // It was not read from here.
                None => return Ok(Put::Changed),
            },
        };
        let path = self.path(route);
        let put = self.store.put_opts(&path, body.into(), mode.into());
        match bounded(put).await {
            Ok(_) => {
                self.changes.count(route);
                Ok(Put::Written)
            }
            Err(Some(Error::AlreadyExists { .. } | Error::Precondition { .. })) => Ok(Put::Changed),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Writes content in one piece.
    pub(super) async fn put(&self, digest: &Digest, bytes: Bytes) -> Result<(), StorageError> {
        let path = self.path(&content(*digest));
        let put = self.store.put(&path, PutPayload::from_bytes(bytes));
        within(SENT_WITHIN, put).await.map_err(unavailable)?;
        Ok(())
    }

    /// Removes an object; true when there was one.
    pub(super) async fn remove(&self, route: &Route) -> Result<bool, StorageError> {
        let path = self.path(route);
        // Deleting what is not there succeeds as well.
        let there = found(bounded(self.store.head(&path)).await)?.is_some();
        if there {
            found(bounded(self.store.delete(&path)).await)?;
        }
        match route.kind {
            Kind::Content => self.lost(&route.key),
            Kind::Action => self.changes.count(route),
        }
        Ok(there)
    }

    /// Writes the version of the layout where there is none, and finds out whether the bucket can be
    /// used: it must be there, take objects, and keep the first of two that may not replace another.
    pub(super) async fn check(&self) -> Result<(), StorageError> {
        let marker = self.marker();
        let create = || {
            let options = PutOptions::from(PutMode::Create);
            bounded(self.store.put_opts(&marker, LAYOUT.into(), options))
        };
        let setup = |what: &str, error: Option<Error>| {
            let error = error.map_or("no answer in time".to_owned(), |error| told(&error));
            StorageError::Setup(format!("{what}: {error}"))
        };
        match create().await {
            Ok(_) => match create().await {
                Err(Some(Error::AlreadyExists { .. } | Error::Precondition { .. })) => Ok(()),
                Ok(_) => Err(StorageError::Setup(
                    "the bucket does not keep the first of two objects (`If-None-Match: *`), which \
                     servers that share it need"
                        .to_owned(),
                )),
                Err(error) => Err(setup("the bucket cannot be written", error)),
            },
            Err(Some(Error::AlreadyExists { .. } | Error::Precondition { .. })) => {
                self.check_layout().await
            }
            Err(error) => Err(setup("the bucket cannot be written", error)),
        }
    }

    /// Reads the version of the layout.
    pub(super) async fn check_layout(&self) -> Result<(), StorageError> {
        let read = async { self.store.get(&self.marker()).await?.bytes().await };
        let bytes = bounded(read).await.map_err(unavailable)?;
        if bytes == LAYOUT {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes);
        Err(StorageError::Setup(format!(
            "the bucket has the layout `{}`, which this version does not know: use a newer server or \
             another prefix",
            text.trim().escape_debug()
        )))
    }
}

/// The version of the names and of what is behind them.
const LAYOUT: &str = "acetate-cache 1\n";

/// Waits no longer than a bucket that works needs; none as the error is no answer in time.
async fn bounded<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Option<Error>> {
    within(PATIENCE, request).await
}

async fn within<T>(
    patience: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Option<Error>> {
    match tokio::time::timeout(patience, request).await {
        Ok(done) => done.map_err(Some),
        Err(_) => Err(None),
    }
}

/// Absence is a value; all else that is not there for us may well be there.
fn found<T>(done: Result<T, Option<Error>>) -> Result<Option<T>, StorageError> {
    match done {
        Ok(found) => Ok(Some(found)),
        Err(Some(Error::NotFound { source, .. })) if names_no_bucket(source.as_ref()) => Err(
            StorageError::Unavailable("there is no such bucket".to_owned()),
        ),
        Err(Some(Error::NotFound { .. })) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

/// A bucket that is gone answers with the same status as an object that is gone.
fn names_no_bucket(error: &dyn std::error::Error) -> bool {
    let text = error.to_string();
    ["NoSuchBucket", "ContainerNotFound"]
        .iter()
        .any(|code| text.contains(code))
}

pub(super) fn unavailable(error: Option<Error>) -> StorageError {
    let text = error.map_or("no answer in time".to_owned(), |error| told(&error));
    StorageError::Unavailable(text)
}

/// One line of an error, which may hold a whole page of the bucket's.
fn told(error: &Error) -> String {
    let text = error.to_string();
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(400).collect()
}
