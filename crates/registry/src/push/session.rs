//! Upload sessions: begun, asked how far they are, and where they go on.

use acetate_net::{Method, Request, Response, Url};

use super::PushBlob;
use crate::auth::Intent;
use crate::endpoint::Endpoint;
use crate::registries::{Registries, Site, Tries, host_of};
use crate::{RegistryError, Repository};

/// How the upload of a blob begins.
pub(super) enum Begun {
    /// The registry took it from another repository.
    Mounted,
    /// Its bytes are wanted.
    Session(Session),
}

/// An upload that the registry waits for.
#[derive(Debug)]
pub(super) struct Session {
    /// Where the next request goes.
    pub(super) url: Url,
    /// Who is there: the registry, or a host that it names, which gets no credential of it.
    pub(super) site: Site,
    /// How many bytes are there.
    pub(super) offset: u64,
    /// The smallest chunk that the registry takes, but for the last one.
    pub(super) min_chunk: u64,
}

impl Registries {
    /// Begins an upload, by a mount if there is something to mount from.
    pub(super) async fn begin(&self, site: &Site, blob: &PushBlob) -> Result<Begun, RegistryError> {
        for source in &blob.mount_from {
            if source.domain() != site.repository.domain() || *source == site.repository {
                continue;
            }
            let mut with_source = site.clone();
            with_source.scopes = with_source.scopes.and_pull(source);
            let mut request = with_source.request(Method::Post, "blobs/uploads/")?;
            request.edit_url(|url| {
                let mut query = url.query_pairs_mut();
                query.append_pair("mount", &blob.descriptor.digest.to_string());
                query.append_pair("from", source.path());
            });
            match self.open(&with_source, request, blob, Tries::Once).await {
                // One who may not read there can still write here, and what is wrong with the
                // registry itself is told, or helped, by sending.
                Err(error) => tracing::debug!(%error, %source, "the blob is not mounted"),
                outcome => return outcome,
            }
        }
        self.restart(site, blob).await
    }

    /// Begins an upload without a mount.
    pub(super) async fn restart(
        &self,
        site: &Site,
        blob: &PushBlob,
    ) -> Result<Begun, RegistryError> {
        let request = site.request(Method::Post, "blobs/uploads/")?;
        self.open(site, request, blob, Tries::Many).await
    }

    async fn open(
        &self,
        site: &Site,
        request: Request,
        blob: &PushBlob,
        tries: Tries,
    ) -> Result<Begun, RegistryError> {
        let what = blob.what(&site.repository);
        let response = self.send(site, &request.body(*b""), tries).await?;
        match response.status() {
            201 => Ok(Begun::Mounted),
            202 => {
                let min_chunk = response.headers().get("oci-chunk-min-length");
                let min_chunk = min_chunk.and_then(|text| text.trim().parse().ok());
                let url = location(&response, &what)?;
                Ok(Begun::Session(Session {
                    site: self.keeper(site, &url).await?,
                    url,
                    offset: 0,
                    min_chunk: min_chunk.unwrap_or(0),
                }))
            }
            _ => Err(self
                .refusal(site, response, "begin to send", &what)
                .await
                .of_sending("begin to send")),
        }
    }

    /// Whom the address of a session belongs to.
    async fn keeper(&self, site: &Site, url: &Url) -> Result<Site, RegistryError> {
        let own = site.request(Method::Get, "")?;
        if own.url().origin() == url.origin() {
            return Ok(site.clone());
        }
        let host = host_of(url);
        let endpoint = Endpoint {
            host: host.clone(),
            path: site.endpoint.path.clone(),
            mirrors: None,
            is_plain: false,
        };
        let repository = Repository::at(&host, &site.endpoint.path);
        self.site(endpoint, &repository, Intent::Push).await
    }

    /// Goes to where an answer says that the upload goes on, if it says so.
    pub(super) async fn follow_session(
        &self,
        session: &mut Session,
        response: &Response,
        what: &str,
    ) -> Result<(), RegistryError> {
        if response.headers().get("location").is_none() {
            return Ok(());
        }
        let url = location(response, what)?;
        if url.origin() != session.url.origin() {
            session.site = self.keeper(&session.site, &url).await?;
        }
        session.url = url;
        Ok(())
    }

    /// How far a broken upload is; none when it has to begin again.
    pub(super) async fn resume(
        &self,
        mut session: Session,
        blob: &PushBlob,
    ) -> Result<Option<Session>, RegistryError> {
        let what = blob.what(&session.site.repository);
        let request = Request::new(Method::Get, session.url.clone());
        let response = match self.send(&session.site, &request, Tries::Many).await {
            Ok(response) if matches!(response.status(), 200 | 202 | 204) => response,
            Ok(response) => {
                tracing::debug!(status = response.status(), "the upload is lost");
                return Ok(None);
            }
            Err(RegistryError::Net(error)) => {
                tracing::debug!(%error, "the upload cannot be asked for");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Some(n) = n_received(&response).filter(|n| *n <= blob.descriptor.size) else {
            return Ok(None);
        };
        self.follow_session(&mut session, &response, &what).await?;
        session.offset = n;
        Ok(Some(session))
    }
}

/// The bytes that are there, by `Range: 0-LAST`. Some registries say `0-0` for none, so that one byte
/// cannot be told from none.
pub(super) fn n_received(response: &Response) -> Option<u64> {
    let range = response.headers().get("range")?;
    let range = range.trim().strip_prefix("bytes=").unwrap_or(range.trim());
    let last: u64 = range.strip_prefix("0-")?.parse().ok()?;
    (last > 0).then(|| last.saturating_add(1))
}

/// Where an upload goes on: relative or absolute, with its query.
fn location(response: &Response, what: &str) -> Result<Url, RegistryError> {
    let text = response.headers().get("location").unwrap_or_default();
    if text.trim().is_empty() {
        let reason = "the registry does not say where to send it";
        return Err(RegistryError::corrupt(what, reason));
    }
    let from = response.url();
    let mut url = from.join(text.trim()).map_err(|error| {
        RegistryError::corrupt(
            what,
            format!("the registry names a bad address for it: {error}"),
        )
    })?;
    if from.scheme() == "https" && url.scheme() == "http" {
        // Registries behind a proxy that ends TLS do not know that they are spoken to by it.
        let is_same = url.host_str() == from.host_str()
            && (url.port().is_none() || url.port() == from.port());
        let upgraded = is_same && url.set_scheme("https").is_ok() && {
            let port = from.port();
            url.set_port(port).is_ok()
        };
        if !upgraded {
            let reason = "the registry sends it from https to an open connection";
            return Err(RegistryError::corrupt(what, reason));
        }
    }
    Ok(url)
}
