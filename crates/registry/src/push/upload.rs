//! Sends one blob.

use std::sync::Arc;
use std::time::Duration;

use acetate_net::{Method, NetError, Request, Response};

use super::PushBlob;
use super::session::{Begun, Session, n_received};
use super::source::Part;
use crate::auth::Intent;
use crate::registries::{Registries, Site, Tries};
use crate::{Progress, RegistryError, Repository};

/// Bytes of a chunk, where a registry wants chunks.
const CHUNK: u64 = 16 << 20;
/// The smallest chunk that is tried.
const MIN_CHUNK: u64 = 1 << 20;
/// After so many connections that brought nothing, a large blob is sent in chunks: proxies that limit
/// sizes may break off instead of saying so.
const N_WHOLE: u32 = 2;

/// How a blob came to be in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    Present,
    /// The registry took it from another repository.
    Mounted,
    /// Its bytes were sent.
    Sent,
}

/// Why a transfer stopped.
enum Stop {
    /// The registry may take it in smaller parts.
    TooLarge(RegistryError),
    /// It can go on after this wait.
    Passing(RegistryError, Duration),
    /// Nothing helps.
    Final(RegistryError),
}

impl From<RegistryError> for Stop {
    fn from(error: RegistryError) -> Self {
        Self::Final(error)
    }
}

/// One blob on its way.
struct Upload<'a> {
    registries: &'a Registries,
    blob: &'a PushBlob,
    progress: &'a Arc<dyn Progress>,
    what: String,
    /// Set when the registry does not take it in one piece.
    chunk: Option<u64>,
    /// Faults since bytes arrived.
    n_failures: u32,
}

impl Registries {
    /// Brings a blob into a repository: it is looked for, mounted, or sent.
    ///
    /// Any number may be sent at once, of which a few are under way; the same blob wanted twice is
    /// sent once.
    ///
    /// # Errors
    /// When the registry does not take it, or its bytes cannot be read.
    pub async fn push_blob(
        &self,
        to: &Repository,
        blob: &PushBlob,
        progress: &Arc<dyn Progress>,
    ) -> Result<Pushed, RegistryError> {
        let key = (to.clone(), blob.descriptor.digest);
        let work = || async {
            let site = self.origin(to, Intent::Push).await?;
            let _permit = self.uploads.acquire().await.expect("it is never closed");
            self.bring(&site, blob, progress).await
        };
        let pushed = self.sending.get_or_try_init(&key, work).await?;
        // From now on the registry knows; it may also forget, and then a later call sends again.
        self.sending.remove(&key);
        Ok(pushed)
    }

    /// The size of a blob in a repository; none when it is not there.
    ///
    /// # Errors
    /// When the registry does not answer, or not as it should.
    pub async fn has_blob(
        &self,
        repository: &Repository,
        digest: acetate_oci::Digest,
    ) -> Result<Option<u64>, RegistryError> {
        let site = self.origin(repository, Intent::Pull).await?;
        Ok(self
            .look(&site, digest)
            .await?
            .map(Option::unwrap_or_default))
    }

    fn chunk(&self, min_chunk: u64) -> Option<u64> {
        let asked = self.access.chunk_size?;
        Some(asked.max(min_chunk).max(1))
    }

    async fn look(
        &self,
        site: &Site,
        digest: acetate_oci::Digest,
    ) -> Result<Option<Option<u64>>, RegistryError> {
        let request = site.request(Method::Head, &format!("blobs/{digest}"))?;
        let response = self.send(site, &request, Tries::Many).await?;
        match response.status() {
            200 => Ok(Some(response.announced())),
            // Some registries do not speak HEAD here: what cannot be looked for is sent.
            404 | 400 | 405 | 501 => Ok(None),
            _ => {
                let what = format!("the blob `{digest}` of `{}`", site.repository);
                Err(self.refusal(site, response, "look for", &what).await)
            }
        }
    }

    async fn bring(
        &self,
        site: &Site,
        blob: &PushBlob,
        progress: &Arc<dyn Progress>,
    ) -> Result<Pushed, RegistryError> {
        let descriptor = &blob.descriptor;
        // A size of zero is what registries say that do not know it.
        let fits = |size: Option<u64>| size.is_none_or(|size| size == descriptor.size || size == 0);
        if self.look(site, descriptor.digest).await?.is_some_and(fits) {
            return Ok(Pushed::Present);
        }
        match self.begin(site, blob).await? {
            Begun::Mounted => Ok(Pushed::Mounted),
            Begun::Session(session) => {
                let upload = Upload {
                    registries: self,
                    blob,
                    progress,
                    what: blob.what(&site.repository),
                    chunk: self.chunk(session.min_chunk),
                    n_failures: 0,
                };
                upload.run(site, session).await.map(|()| Pushed::Sent)
            }
        }
    }
}

impl Upload<'_> {
    async fn run(mut self, site: &Site, mut session: Session) -> Result<(), RegistryError> {
        loop {
            let (error, wait) = match self.transfer(&mut session).await {
                Ok(()) => return Ok(()),
                Err(Stop::Final(error)) => return Err(error),
                Err(Stop::Passing(error, wait)) => (error, wait),
                Err(Stop::TooLarge(error)) => {
                    self.chunk = Some(self.smaller(session.min_chunk).ok_or(error)?);
                    match self.anew(site).await? {
                        Some(fresh) => session = fresh,
                        None => return Ok(()),
                    }
                    continue;
                }
            };
            self.n_failures += 1;
            if self.n_failures > self.registries.net.limits().n_retries {
                return Err(error);
            }
            tracing::debug!(%error, what = self.what, "going on with the upload");
            tokio::time::sleep(wait).await;
            let digest = self.blob.descriptor.digest;
            // The answer may have been lost on its way.
            if self.registries.look(site, digest).await?.is_some() {
                return Ok(());
            }
            let before = session.offset;
            session = match self.registries.resume(session, self.blob).await? {
                Some(session) => session,
                None => match self.anew(site).await? {
                    Some(fresh) => fresh,
                    None => return Ok(()),
                },
            };
            if session.offset > before {
                self.n_failures = 0;
            } else if self.n_failures >= N_WHOLE && self.blob.descriptor.size > CHUNK {
                self.chunk = self.smaller(session.min_chunk).or(self.chunk);
            }
        }
    }

    /// A new session; none when there is nothing to send any more.
    async fn anew(&self, site: &Site) -> Result<Option<Session>, RegistryError> {
        match self.registries.restart(site, self.blob).await? {
            Begun::Mounted => Ok(None),
            Begun::Session(session) => Ok(Some(session)),
        }
    }

    fn smaller(&self, min_chunk: u64) -> Option<u64> {
        let least = min_chunk.max(MIN_CHUNK);
        match self.chunk {
            None => Some(CHUNK.max(min_chunk)),
            Some(chunk) if chunk / 2 >= least => Some(chunk / 2),
            Some(_) => None,
        }
    }

    /// Sends what is not there yet, and closes the session.
    async fn transfer(&self, session: &mut Session) -> Result<(), Stop> {
        let size = self.blob.descriptor.size;
        if session.offset == 0 && self.chunk.is_none() {
            return self.close(session, Some(self.part(0, size))).await;
        }
        while session.offset < size {
            let rest = size - session.offset;
            let length = self.chunk.map_or(rest, |chunk| chunk.min(rest));
            self.patch(session, length).await?;
        }
        self.close(session, None).await
    }

    fn part(&self, start: u64, length: u64) -> Part {
        Part {
            blob: self.blob.descriptor.clone(),
            source: Arc::clone(&self.blob.source),
            start,
            length,
            progress: Arc::clone(self.progress),
        }
    }

    async fn patch(&self, session: &mut Session, length: u64) -> Result<(), Stop> {
        let start = session.offset;
        let request = Request::new(Method::Patch, session.url.clone())
            .header("content-type", "application/octet-stream")
            .header("content-range", format!("{start}-{}", start + length - 1))
            .source(Arc::new(self.part(start, length)));
        let response = self.send(session, &request).await?;
        match response.status() {
            200 | 201 | 202 | 204 => {}
            _ => return Err(self.judge(&session.site, response).await),
        }
        let registries = self.registries;
        registries
            .follow_session(session, &response, &self.what)
            .await?;
        let received = n_received(&response).unwrap_or(start + length);
        if received <= start || received > start + length {
            let reason = format!("the registry says that it has {received} bytes of it");
            let error = RegistryError::corrupt(&self.what, reason);
            return Err(Stop::Passing(error, Duration::ZERO));
        }
        session.offset = received;
        Ok(())
    }

    /// Ends the session, with the whole blob if it was not sent before.
    async fn close(&self, session: &Session, part: Option<Part>) -> Result<(), Stop> {
        let mut request = Request::new(Method::Put, session.url.clone())
            .header("content-type", "application/octet-stream");
        request.edit_url(|url| {
            let digest = self.blob.descriptor.digest.to_string();
            url.query_pairs_mut().append_pair("digest", &digest);
        });
        let is_whole = part.is_some();
        let request = match part {
            Some(part) => request.source(Arc::new(part)),
            None => request.body(*b""),
        };
        let response = self.send(session, &request).await?;
        match response.status() {
            200 | 201 | 204 => Ok(()),
            405 | 411 | 413 | 415 | 501 if is_whole => {
                Err(Stop::TooLarge(self.refused(&session.site, response).await))
            }
            _ => Err(self.judge(&session.site, response).await),
        }
    }

    async fn send(&self, session: &Session, request: &Request) -> Result<Response, Stop> {
        match self
            .registries
            .send(&session.site, request, Tries::Once)
            .await
        {
            Ok(response) => Ok(response),
            Err(RegistryError::Net(NetError::Body { reason, .. })) => {
                Err(Stop::Final(RegistryError::Source {
                    what: self.what.clone(),
                    source: std::io::Error::other(reason),
                }))
            }
            Err(RegistryError::Net(error)) if error.is_transient() => {
                let wait = self.registries.net.backoff(self.n_failures + 1);
                Err(Stop::Passing(error.into(), wait))
            }
            Err(error) => Err(Stop::Final(error)),
        }
    }

    /// What an answer that is no success means for the upload.
    async fn judge(&self, site: &Site, response: Response) -> Stop {
        let status = response.status();
        let wait = self
            .registries
            .net
            .wait_after(&response, self.n_failures + 1);
        let error = self.refused(site, response).await;
        match (status, wait) {
            (_, Some(wait)) => Stop::Passing(error, wait),
            // The session is gone, or is not where we thought it is.
            (404 | 416, None) => {
                Stop::Passing(error, self.registries.net.backoff(self.n_failures + 1))
            }
            (413, None) if self.chunk.is_some() => Stop::TooLarge(error),
            _ => Stop::Final(error),
        }
    }

    async fn refused(&self, site: &Site, response: Response) -> RegistryError {
        let refusal = self.registries.refusal(site, response, "send", &self.what);
        refusal.await.of_sending("send")
    }
}
