//! Sends requests, follows redirects, tries again.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Url;

use crate::backoff::{delay, is_transient, retry_after};
use crate::error::root_cause;
use crate::origin::{check, same_origin, shown};
use crate::request::{Body, Method, Request};
use crate::response::{Fetched, Response};
use crate::sending::{Watched, stream};
use crate::trust::Trusted;
use crate::{HostTrust, Limits, NetError};

/// The HTTP client; clones share connections.
///
/// Nothing is set up before the first request, and TLS not before the first `https:` one.
/// Requests over TLS use the proxy that the environment names, plain ones never do.
#[derive(Clone, Debug)]
pub struct NetClient {
    inner: Arc<Inner>,
    trusted: Option<Arc<Trusted>>,
}

#[derive(Debug)]
struct Inner {
    limits: Limits,
    tls: Clients,
    plain: Clients,
}

/// A client for ordinary requests and one for large bodies, made when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    asking: OnceLock<Result<reqwest::Client, String>>,
    /// Without the limit on silence, which would count the time that a body takes to be sent.
    sending: OnceLock<Result<reqwest::Client, String>>,
}

impl Clients {
    fn get(
        &self,
        request: &Request,
        limits: &Limits,
        settle: impl FnOnce(reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, String>,
    ) -> Result<&reqwest::Client, NetError> {
        let (slot, builder) = match request.body {
            Some(Body::Source(_)) => (&self.sending, builder(limits)),
            _ => (
                &self.asking,
                builder(limits).read_timeout(limits.idle_timeout),
            ),
        };
        let made = slot.get_or_init(|| build(settle(builder)?));
        made.as_ref().map_err(|reason| NetError::Setup {
            reason: reason.clone(),
        })
    }
}

/// How one try ended when it brought no answer.
enum Failed {
    /// No answer arrived from this address; another try may bring one.
    Sending(String, reqwest::Error),
    /// Another try cannot help.
    Final(NetError),
}

impl NetClient {
    /// A client with these limits; cheap.
    pub fn new(limits: Limits) -> Self {
        Self {
            inner: Arc::new(Inner {
                limits,
                tls: Clients::default(),
                plain: Clients::default(),
            }),
            trusted: None,
        }
    }

    /// A client that treats one host differently; it shares everything else with this one.
    ///
    /// What a redirect leads to on other hosts is treated as by this client.
    pub fn trusting(&self, trust: HostTrust) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            trusted: Some(Arc::new(Trusted::new(trust))),
        }
    }

    /// The limits of this client.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Sends a request and gives the answer as soon as its head is here.
    ///
    /// Failed connections and the statuses 429, 500, 502, 503 and 504 are tried again within the
    /// limits; the last such answer is given back as it is.
    ///
    /// # Errors
    /// [`NetError`] when there is no answer at all, or none that may be asked for.
    pub async fn send(&self, request: &Request) -> Result<Response, NetError> {
        let mut n_tries = 0;
        loop {
            n_tries += 1;
            let last = n_tries > self.inner.limits.n_retries;
            let wait = match self.follow(request).await {
                Ok(response) => match self.wait_after(&response, n_tries) {
                    Some(wait) if !last => wait,
                    _ => return Ok(response),
                },
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Sending(url, error)) if last => {
                    return Err(unreachable_error(url, n_tries, error));
                }
                Err(Failed::Sending(_, error)) => {
                    tracing::debug!(%request, n_tries, cause = root_cause(&error), "trying again");
                    delay(&self.inner.limits, n_tries)
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends a request once, for callers that must look before they try again.
    ///
    /// # Errors
    /// As [`Self::send`]; transient ones too.
    pub async fn attempt(&self, request: &Request) -> Result<Response, NetError> {
        self.follow(request).await.map_err(|failed| match failed {
            Failed::Final(error) => error,
            Failed::Sending(url, error) => unreachable_error(url, 1, error),
        })
    }

    /// Sends a request and reads its whole body of at most `limit` bytes; a body that stops early
    /// is asked for again.
    ///
    /// # Errors
    /// As [`Self::send`], and [`NetError::TooLarge`].
    pub async fn fetch(&self, request: &Request, limit: u64) -> Result<Fetched, NetError> {
        let mut n_tries = 0;
        loop {
            n_tries += 1;
            match self.send(request).await?.fetch(limit).await {
                Err(NetError::Interrupted { reason, .. })
                    if n_tries <= self.inner.limits.n_retries =>
                {
                    tracing::debug!(%request, n_tries, reason, "body stopped early");
                    tokio::time::sleep(delay(&self.inner.limits, n_tries)).await;
                }
                result => return result,
            }
        }
    }

    /// Waits as before retry `n_failures`, for callers that resume what they were reading.
    pub async fn pause(&self, n_failures: u32) {
        tokio::time::sleep(self.backoff(n_failures)).await;
    }

    /// The wait before retry `n_failures`.
    pub fn backoff(&self, n_failures: u32) -> Duration {
        delay(&self.inner.limits, n_failures)
    }

    /// The wait before an answer's request is sent for the time `n_tries + 1`; none when another try
    /// would not help, or the server asks for a longer wait than the limits allow.
    pub fn wait_after(&self, response: &Response, n_tries: u32) -> Option<Duration> {
        if !is_transient(response.status()) {
            return None;
        }
        let asked = retry_after(response.headers()).unwrap_or_default();
        (asked <= self.inner.limits.longest_backoff)
            .then(|| asked.max(delay(&self.inner.limits, n_tries)))
    }

    /// One try, through all its redirects.
    async fn follow(&self, request: &Request) -> Result<Response, Failed> {
        let mut url = request.url.clone();
        for _ in 0..=self.inner.limits.n_redirects {
            self.check(&url).map_err(Failed::Final)?;
            let response = self.send_once(request, &url).await?;
            match target(&response, request.method) {
                None => return Ok(response),
                Some(next) => url = next.map_err(Failed::Final)?,
            }
        }
        Err(Failed::Final(NetError::Redirect {
            url: shown(&request.url),
            reason: format!("more than {} redirects", self.inner.limits.n_redirects),
        }))
    }

    async fn send_once(&self, request: &Request, url: &Url) -> Result<Response, Failed> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Head => reqwest::Method::HEAD,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
            Method::Post => reqwest::Method::POST,
            Method::Patch => reqwest::Method::PATCH,
        };
        let client = self.client_for(request, url).map_err(Failed::Final)?;
        let mut builder = client.request(method, url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        if let Some(secret) = &request.authorization
            && same_origin(&request.url, url)
        {
            builder = builder.header("authorization", secret.expose());
        }
        let mut watched = None;
        if let Some(body) = &request.body {
            builder = match body {
                Body::Bytes(bytes) => builder.body(bytes.to_vec()),
                Body::File(file, size) => {
                    let file = rewound(file).map_err(|error| {
                        let reason = format!("read the file to send: {error}");
                        Failed::Final(NetError::Setup { reason })
                    })?;
                    builder.header("content-length", *size).body(file)
                }
                Body::Source(source) => {
                    let (body, watch) = stream(Arc::clone(source));
                    watched = Some(watch);
                    builder.header("content-length", source.size()).body(body)
                }
            };
        }
        let sent = match watched {
            None => builder.send().await,
            Some(watch) => self.watch(request, builder, watch).await?,
        };
        match sent {
            Ok(response) => Ok(Response::new(response, self.inner.limits.idle_timeout)),
            // A header that is not text: the same on every try.
            Err(error) if error.is_builder() => {
                Err(Failed::Final(unreachable_error(shown(url), 1, error)))
            }
            // Where a redirect led, if there was one: that host is the one to look at.
            Err(error) => Err(Failed::Sending(shown(url), error)),
        }
    }

    /// Sends a large body for as long as its bytes move.
    async fn watch(
        &self,
        request: &Request,
        builder: reqwest::RequestBuilder,
        watch: Watched,
    ) -> Result<reqwest::Result<reqwest::Response>, Failed> {
        tokio::select! {
            sent = builder.send() => match watch.fault() {
                // The other side sees a cut body; what cut it is the cause to report.
                Some(reason) => Err(Failed::Final(NetError::Body { url: shown(&request.url), reason })),
                None => Ok(sent),
            },
            () = watch.stalled(self.inner.limits.idle_timeout) => Err(Failed::Final(NetError::Stalled {
                url: shown(&request.url),
                n_bytes: watch.n_bytes(),
            })),
        }
    }

    fn check(&self, url: &Url) -> Result<(), NetError> {
        match &self.trusted {
            Some(trusted) if trusted.allows(url) => Ok(()),
            _ => check(url, self.inner.limits.plain_http),
        }
    }

    fn client_for(&self, request: &Request, url: &Url) -> Result<&reqwest::Client, NetError> {
        let limits = &self.inner.limits;
        if url.scheme() == "http" {
            // Without roots to load this one is ready at once and works where none are installed.
            let settle =
                |builder: reqwest::ClientBuilder| Ok(builder.no_proxy().tls_certs_only([]));
            return self.inner.plain.get(request, limits, settle);
        }
        match &self.trusted {
            Some(trusted) if trusted.is_for(url) => {
                let settle = |builder| trusted.settle(builder);
                trusted.clients.get(request, limits, settle)
            }
            _ => self.inner.tls.get(request, limits, Ok),
        }
    }
}

/// The file from its beginning, for every try anew.
fn rewound(file: &std::fs::File) -> std::io::Result<tokio::fs::File> {
    let mut file = file.try_clone()?;
    std::io::Seek::rewind(&mut file)?;
    Ok(tokio::fs::File::from_std(file))
}

fn builder(limits: &Limits) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(&limits.user_agent)
        .connect_timeout(limits.connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    builder.build().map_err(|error| root_cause(&error))
}

/// Where an answer redirects to; `None` when it does not.
fn target(response: &Response, method: Method) -> Option<Result<Url, NetError>> {
    let keeps_method = matches!(response.status(), 307 | 308);
    let may_change = matches!(response.status(), 301..=303);
    let is_followed = keeps_method || (may_change && method.only_reads());
    if !is_followed {
        return None;
    }
    let from = response.url();
    let refuse = |reason: String| NetError::Redirect {
        url: shown(from),
        reason,
    };
    let Some(location) = response.headers().get("location") else {
        return Some(Err(refuse("it names no target".to_owned())));
    };
    Some(match from.join(location) {
        Err(error) => Err(refuse(format!("its target is no address: {error}"))),
        Ok(next) if from.scheme() == "https" && next.scheme() != "https" => Err(refuse(
            "it leads from https to an open connection".to_owned(),
        )),
        Ok(next) => Ok(next),
    })
}

fn unreachable_error(url: String, n_tries: u32, error: reqwest::Error) -> NetError {
    let reason = if error.is_timeout() {
        "no answer within the time limit".to_owned()
    } else {
        root_cause(&error)
    };
    NetError::Unreachable {
        url,
        n_tries,
        reason,
        cause: error.without_url(),
    }
}
