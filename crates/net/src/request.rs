//! What is asked for.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use acetate_stdx::Redacted;
use reqwest::Url;

use crate::NetError;
use crate::origin::shown;

/// The methods that may be retried without thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Asks for head and body.
    Get,
    /// Asks for the head only.
    Head,
    /// Writes what is at the address; writing it twice is writing it once.
    Put,
    /// Removes what is at the address.
    Delete,
    /// Asks by a body; only for questions that may be asked twice.
    Post,
    /// Adds to what is at the address; only by [`crate::NetClient::attempt`], which sends it once.
    Patch,
}

impl Method {
    /// Whether a redirect that may turn the method into a GET is followed (RFC 9110, 15.4).
    pub(crate) fn only_reads(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }
}

/// Gives the bytes of a large body, for every try anew.
pub trait BodySource: std::fmt::Debug + Send + Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// The bytes from the first on; read on a thread that may block.
    fn open(&self) -> io::Result<Box<dyn Read + Send>>;
}

/// What is sent along.
#[derive(Clone)]
pub(crate) enum Body {
    Bytes(Arc<[u8]>),
    /// A file from its beginning, and how many bytes it has.
    File(Arc<File>, u64),
    /// Bytes that are made as they are sent.
    Source(Arc<dyn BodySource>),
}

impl Body {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, size) => *size,
            Self::Source(source) => source.size(),
        }
    }
}

/// One request; cheap to build and to clone, sent as often as the limits allow.
#[derive(Clone)]
pub struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) authorization: Option<Redacted<String>>,
    pub(crate) body: Option<Body>,
}

impl Request {
    /// A request for `url`.
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            authorization: None,
            body: None,
        }
    }

    /// A GET of the address in `text`.
    pub fn get(text: &str) -> Result<Self, NetError> {
        Ok(Self::new(Method::Get, parse(text)?))
    }

    /// The same request by another method.
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Adds a header that holds no secret; it follows redirects.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of the `Authorization` header.
    pub fn credentials(&self) -> Option<&Redacted<String>> {
        self.authorization.as_ref()
    }

    /// Sets the `Authorization` header, which stays with the origin of this request.
    pub fn authorization(mut self, value: Option<Redacted<String>>) -> Self {
        self.authorization = value;
        self
    }

    /// Sets the body; its length is sent along, and it is sent again with every try.
    pub fn body(mut self, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.body = Some(Body::Bytes(bytes.into()));
        self
    }

    /// Sets the body to the bytes of a file of this size, which are read as they are sent. Nobody else
    /// may use this handle meanwhile, since it has one position.
    pub fn file(mut self, file: Arc<File>, size: u64) -> Self {
        self.body = Some(Body::File(file, size));
        self
    }

    /// Sets the body to the bytes of a source, which are read as they are sent.
    ///
    /// Such a request may take as long as it moves: see [`crate::Limits::idle_timeout`].
    pub fn source(mut self, source: Arc<dyn BodySource>) -> Self {
        self.body = Some(Body::Source(source));
        self
    }

    /// Changes the address, for example to add a query.
    pub fn edit_url(&mut self, edit: impl FnOnce(&mut Url)) {
        edit(&mut self.url);
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// A header that was added, by its name in lower case.
    pub fn added(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body; empty where there is none, or where it is a file or a source.
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Some(Body::Bytes(bytes)) => bytes,
            Some(Body::File(..) | Body::Source(_)) | None => &[],
        }
    }

    /// The address asked for.
    pub fn url(&self) -> &Url {
        &self.url
    }
}

fn parse(text: &str) -> Result<Url, NetError> {
    Url::parse(text).map_err(|error| NetError::Address {
        // What cannot be parsed cannot be redacted by parts either.
        text: text
            .split(['@', '?'])
            .next_back()
            .unwrap_or_default()
            .to_owned(),
        reason: error.to_string(),
    })
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &shown(&self.url))
            .field("headers", &headers)
            .field("authorization", &self.authorization)
            .field("n_body", &self.body.as_ref().map(Body::size))
            .finish()
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.method, shown(&self.url))
    }
}
