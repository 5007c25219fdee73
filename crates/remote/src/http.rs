//! Files behind URLs: fetched once, asked about afterwards.

use crate::memory::{self, Downloaded};
use crate::{Access, RemoteError, date};
use acetate_net::{Headers, NetClient, NetError, Request, Response, shown};
use acetate_oci::{Digest, Timestamp};
use acetate_store::{BlobWriter, Expect, Ingested, Object, Store, StoreError};
use std::io::Write;
use std::sync::Arc;

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Its address.
    pub url: String,
    /// What its bytes must be.
    pub checksum: Option<Digest>,
    /// How many bytes it may have.
    pub limit: u64,
}

/// A file that is a blob of the store now, pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Download {
    /// The digest of its bytes.
    pub content: Digest,
    /// Its length.
    pub size: u64,
    /// When it was changed last, if its server said so.
    pub mtime: Option<Timestamp>,
}

impl HttpRequest {
    /// More than any file of a build has; a server that never stops is stopped here.
    pub const MAX: u64 = 64 << 30;

    /// A request for whatever is behind an address.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            checksum: None,
            limit: Self::MAX,
        }
    }
}

impl Download {
    fn of(downloaded: &Downloaded) -> Self {
        let modified = downloaded.modified.as_deref();
        Self {
            content: downloaded.content,
            size: downloaded.size,
            mtime: modified.and_then(date::parse).map(Timestamp::from_secs),
        }
    }
}

/// What a download is done with.
#[derive(Debug)]
pub(crate) struct Downloader<'a> {
    pub(crate) store: &'a Arc<Store>,
    pub(crate) net: &'a NetClient,
    pub(crate) access: &'a Access,
}

impl Downloader<'_> {
    /// Fetches a file, or finds that the one fetched earlier is still the same.
    ///
    /// A file with a checksum that this address gave before is not asked about at all. That the bytes are
    /// here from elsewhere is not enough: their time would be another one than on other machines.
    pub(crate) async fn fetch(&self, wanted: &HttpRequest) -> Result<Download, RemoteError> {
        let known = memory::downloaded(self.store, &wanted.url);
        let known = known.filter(|known| wanted.checksum.is_none_or(|sum| sum == known.content));
        let known = match known {
            Some(known) if self.present(&known.content)? == Some(known.size) => Some(known),
            _ => None,
        };
        if let (Some(_), Some(known)) = (&wanted.checksum, &known) {
            return within(wanted, Download::of(known));
        }
        let plain = self.request(&wanted.url)?;
        let asked = known
            .as_ref()
            .map_or_else(|| plain.clone(), |known| ask(&plain, known));
        let response = self.net.send(&asked).await?;
        match (response.status(), known) {
            (304, Some(known)) => within(wanted, Download::of(&known)),
            (200, Some(known)) if is_same(response.headers(), &known) => {
                within(wanted, Download::of(&known))
            }
            (200, _) => self.receive(wanted, &plain, response).await,
            (status, _) => Err(refused(&plain, status)),
        }
    }

    /// The size of a blob that is here; it stays while this process lives.
    fn present(&self, content: &Digest) -> Result<Option<u64>, StoreError> {
        // Where there is nothing to protect, no pin is written.
        if self.store.blobs().has(content)?.is_none() {
            return Ok(None);
        }
        self.store.live().pin(&[Object::Blob(*content)])?;
        self.store.blobs().has(content)
    }

    fn request(&self, url: &str) -> Result<Request, RemoteError> {
        let mut request = Request::get(url)?;
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let host = match request.url().port() {
            Some(port) => format!("{host}:{port}"),
            None => host,
        };
        let authorization = self.access.http(&host);
        if authorization.is_some() {
            // What the user gave as a secret goes before what stands in the address.
            request.edit_url(|url| {
                let _ = url.set_username("");
                let _ = url.set_password(None);
            });
        }
        Ok(request.authorization(authorization))
    }

    /// Reads a body into a blob; after a broken connection it goes on where it stopped if the
    /// server can, and begins anew if not.
    async fn receive(
        &self,
        wanted: &HttpRequest,
        plain: &Request,
        mut response: Response,
    ) -> Result<Download, RemoteError> {
        let mut head = response.headers().clone();
        let mut sink = Sink::new(self.store)?;
        let (mut n_failures, mut furthest) = (0, 0);
        loop {
            match pour(&mut response, &mut sink, wanted).await {
                Ok(()) => break,
                Err(RemoteError::Net(error @ NetError::Interrupted { .. })) => {
                    // What is begun anew gets no further than before.
                    if sink.n_bytes > furthest {
                        (n_failures, furthest) = (0, sink.n_bytes);
                    }
                    n_failures += 1;
                    if n_failures > self.net.limits().n_retries {
                        return Err(error.into());
                    }
                    tracing::debug!(%error, "going on with the download");
                    self.net.pause(n_failures).await;
                }
                Err(error) => return Err(error),
            }
            let strong = head.get("etag").filter(|tag| !tag.starts_with("W/"));
            let rest = strong.map(|tag| {
                let range = format!("bytes={}-", sink.n_bytes);
                plain.clone().header("range", range).header("if-range", tag)
            });
            response = self.net.send(rest.as_ref().unwrap_or(plain)).await?;
            match response.status() {
                206 if range_start(&response) == Some(sink.n_bytes) => {}
                200 => {
                    head = response.headers().clone();
                    sink = Sink::new(self.store)?;
                }
                status => return Err(refused(plain, status)),
            }
        }
        let ingested = sink.commit(wanted.checksum).await;
        let ingested = ingested.map_err(|error| mismatch(plain, error))?;
        let downloaded = Downloaded {
            content: ingested.digest,
            size: ingested.size,
            etag: head.get("etag").map(str::to_owned),
            modified: head.get("last-modified").map(str::to_owned),
        };
        memory::put_downloaded(self.store, &wanted.url, &downloaded);
        Ok(Download::of(&downloaded))
    }
}

/// Asks only for what is not the known file.
fn ask(plain: &Request, known: &Downloaded) -> Request {
    let mut asked = plain.clone();
    if let Some(etag) = &known.etag {
        asked = asked.header("if-none-match", etag);
    }
    if let Some(modified) = &known.modified {
        asked = asked.header("if-modified-since", modified);
    }
    asked
}

/// Whether a server that took no notice of the conditions sends the known file again.
fn is_same(headers: &Headers, known: &Downloaded) -> bool {
    let etag = headers.get("etag");
    etag.is_some() && etag == known.etag.as_deref()
}

fn within(wanted: &HttpRequest, download: Download) -> Result<Download, RemoteError> {
    if download.size > wanted.limit {
        let plain = Request::get(&wanted.url)?;
        return Err(too_large(&plain, wanted.limit));
    }
    Ok(download)
}

fn too_large(plain: &Request, limit: u64) -> RemoteError {
    RemoteError::TooLarge {
        url: shown(plain.url()),
        limit,
    }
}

fn refused(plain: &Request, status: u16) -> RemoteError {
    RemoteError::Status {
        url: shown(plain.url()),
        status,
    }
}

fn mismatch(plain: &Request, error: RemoteError) -> RemoteError {
    match error {
        RemoteError::Store(StoreError::WrongDigest { expected, found }) => RemoteError::Checksum {
            url: shown(plain.url()),
            expected,
            found,
        },
        error => error,
    }
}

/// The first byte of a partial answer.
fn range_start(response: &Response) -> Option<u64> {
    let range = response.headers().get("content-range")?;
    range
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .parse()
        .ok()
}

async fn pour(
    response: &mut Response,
    sink: &mut Sink,
    wanted: &HttpRequest,
) -> Result<(), RemoteError> {
    let too_large = |url| RemoteError::TooLarge {
        url: shown(url),
        limit: wanted.limit,
    };
    let announced = response.announced().unwrap_or(0);
    if sink.n_bytes.saturating_add(announced) > wanted.limit {
        return Err(too_large(response.url()));
    }
    while let Some(piece) = response.chunk().await? {
        let piece = piece.as_ref();
        if sink.n_bytes + piece.len() as u64 > wanted.limit {
            return Err(too_large(response.url()));
        }
        sink.put(piece).await?;
    }
    Ok(())
}

/// A blob being written in pieces large enough that changing threads for them costs nothing.
struct Sink {
    /// None only while a piece of it is being written.
    writer: Option<BlobWriter>,
    buffer: Vec<u8>,
    n_bytes: u64,
}

const N_BUFFER: usize = 1 << 20;

impl Sink {
    fn new(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            writer: Some(store.blobs().writer()?),
            buffer: Vec::new(),
            n_bytes: 0,
        })
    }

    async fn put(&mut self, piece: &[u8]) -> Result<(), RemoteError> {
        self.buffer.extend_from_slice(piece);
        self.n_bytes += piece.len() as u64;
        if self.buffer.len() < N_BUFFER {
            return Ok(());
        }
        self.write_out().await
    }

    async fn write_out(&mut self) -> Result<(), RemoteError> {
        let Some(mut writer) = self.writer.take() else {
            return Err(RemoteError::Cancelled);
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = acetate_stdx::blocking(move || {
            writer.write_all(&buffer).map(|()| {
                buffer.clear();
                (writer, buffer)
            })
        });
        let (writer, buffer) = written.await.map_err(RemoteError::io("write", "a blob"))?;
        (self.writer, self.buffer) = (Some(writer), buffer);
        Ok(())
    }

    async fn commit(mut self, checksum: Option<Digest>) -> Result<Ingested, RemoteError> {
        self.write_out().await?;
        let Some(writer) = self.writer.take() else {
            return Err(RemoteError::Cancelled);
        };
        let expect = Expect {
            digest: checksum,
            size: Some(self.n_bytes),
        };
        Ok(acetate_stdx::blocking(move || writer.commit(expect)).await?)
    }
}
