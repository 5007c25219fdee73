//! What came back.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderMap;

use crate::NetError;
use crate::error::root_cause;
use crate::origin::shown;

/// The headers of an answer.
#[derive(Clone, Debug, Default)]
pub struct Headers(HeaderMap);

impl Headers {
    /// The first value of a header, when it is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(|value| value.to_str().ok())
    }

    /// All values of a header that are text, in order.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0
            .get_all(name)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
    }
}

/// An answer whose body is read in pieces.
#[derive(Debug)]
pub struct Response {
    inner: reqwest::Response,
    headers: Headers,
    n_read: u64,
    idle_timeout: Duration,
}

/// An answer whose body has been read whole.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The body, as it was sent.
    pub body: Vec<u8>,
    /// The address that answered, after redirects.
    pub url: Url,
}

impl Response {
    pub(crate) fn new(inner: reqwest::Response, idle_timeout: Duration) -> Self {
        let headers = Headers(inner.headers().clone());
        Self {
            inner,
            headers,
            n_read: 0,
            idle_timeout,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// The headers.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The address that answered, after redirects.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// The size of the body in bytes, when it was announced.
    pub fn announced(&self) -> Option<u64> {
        self.headers.get("content-length")?.trim().parse().ok()
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`NetError::Interrupted`] when the body stops early or the server is silent too long.
    pub async fn chunk(
        &mut self,
    ) -> Result<Option<impl AsRef<[u8]> + Send + 'static + use<>>, NetError> {
        let next = tokio::time::timeout(self.idle_timeout, self.inner.chunk());
        match next.await {
            Ok(Ok(Some(bytes))) => {
                self.n_read += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) if !error.is_timeout() => {
                Err(self.interrupted(root_cause(&error), Some(error)))
            }
            Ok(Err(_)) | Err(_) => {
                Err(self.interrupted("no byte arrived within the time limit".to_owned(), None))
            }
        }
    }

    fn interrupted(&self, reason: String, source: Option<reqwest::Error>) -> NetError {
        NetError::Interrupted {
            url: shown(self.inner.url()),
            n_bytes: self.n_read,
            reason,
            cause: source.map(reqwest::Error::without_url),
        }
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// [`NetError::TooLarge`] as soon as more than `limit` bytes are announced or seen.
    pub async fn fetch(mut self, limit: u64) -> Result<Fetched, NetError> {
        let too_large = || NetError::TooLarge {
            url: shown(self.inner.url()),
            limit,
        };
        // A HEAD announces the size of a body that never comes, so only a real body counts.
        if self.inner.content_length().is_some_and(|n| n > limit) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if (body.len() + piece.as_ref().len()) as u64 > limit {
                return Err(NetError::TooLarge {
                    url: shown(self.inner.url()),
                    limit,
                });
            }
            body.extend_from_slice(piece.as_ref());
        }
        Ok(Fetched {
            status: self.status(),
            url: self.inner.url().clone(),
            headers: self.headers,
            body,
        })
    }
}
