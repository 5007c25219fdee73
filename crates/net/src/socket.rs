//! HTTP to one program that the user named: over a socket of the file system, or at a port.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use futures_util::stream;
use tokio::sync::mpsc;

use crate::error::root_cause;
use crate::trust::{certificates, identity};
use crate::{Authorities, ClientIdentity, NetError, Url, Verify, is_loopback};

/// How long such a program may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a connection may take to be made, with the name and TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection to another machine may be silent before it is probed, and between probes.
const PROBE: Duration = Duration::from_secs(15);
/// How many probes in a row may stay without an answer.
const N_PROBES: u32 = 4;
/// How long another machine may leave bytes unacknowledged.
const UNTAKEN: Duration = Duration::from_secs(60);
/// Pieces of a body that may wait for the other side.
const QUEUE: usize = 8;

/// Speaks HTTP to whoever listens at one socket or port.
#[derive(Debug, Clone)]
pub struct SocketClient {
    client: reqwest::Client,
    /// What paths are put behind.
    base: String,
    /// The same as errors name it.
    shown: String,
}

/// How TLS is spoken to a program at a port.
#[derive(Debug, Clone, Default)]
pub struct SocketTls {
    /// How its certificate is judged.
    pub verify: Verify,
    /// Who alone may have signed it; where nobody is named, the authorities of the machine.
    pub authorities: Authorities,
    /// Who we are to it.
    pub identity: Option<ClientIdentity>,
}

/// An answer that has been read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// The body of a request while it is made; dropped, it is at its end.
#[derive(Debug)]
pub struct SocketBody(mpsc::Sender<io::Result<Vec<u8>>>);

impl SocketClient {
    /// A client for the socket at `path`; nothing is connected yet.
    ///
    /// # Errors
    /// When no client can be set up.
    pub fn new(path: &Path) -> Result<Self, NetError> {
        let builder = builder().unix_socket(path.to_owned()).no_proxy();
        // The host is nobody's: the socket decides.
        let base = "http://localhost".to_owned();
        Self::built(builder, base, format!("unix://{}", path.display()))
    }

    /// A client for `host`, as `name:port`, and the path that all others are below (`/base`, or
    /// nothing); nothing is connected yet.
    ///
    /// Without TLS this is plain HTTP to any host: it is for hosts that the user named for that. Hosts
    /// other than this machine are reached by the proxy that the environment names.
    ///
    /// # Errors
    /// When the host cannot stand in an address, or TLS cannot be set up.
    pub fn tcp(host: &str, below: &str, tls: Option<&SocketTls>) -> Result<Self, NetError> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{host}{below}");
        let url = Url::parse(&base).map_err(|error| NetError::Address {
            text: host.to_owned(),
            reason: error.to_string(),
        })?;
        let mut builder = builder()
            .connect_timeout(CONNECT)
            .tcp_keepalive(PROBE)
            .tcp_keepalive_interval(PROBE)
            .tcp_keepalive_retries(N_PROBES)
            .tcp_user_timeout(UNTAKEN);
        if url.host_str().is_some_and(is_loopback) {
            builder = builder.no_proxy();
        }
        builder = match tls {
            Some(tls) => {
                let settled = tls.settle(host, builder);
                settled.map_err(|reason| NetError::Setup { reason })?
            }
            // Without roots to load it works where none are installed.
            None => builder.tls_certs_only([]),
        };
        Self::built(builder, base, format!("tcp://{host}{below}"))
    }

    /// The same, named in errors by another address: that of what the socket leads to.
    #[must_use]
    pub fn shown_as(self, shown: String) -> Self {
        Self { shown, ..self }
    }

    fn built(
        builder: reqwest::ClientBuilder,
        base: String,
        shown: String,
    ) -> Result<Self, NetError> {
        let client = builder.build().map_err(|error| NetError::Setup {
            reason: root_cause(&error),
        })?;
        Ok(Self {
            client,
            base,
            shown,
        })
    }

    /// Asks for `path`, such as `/_ping`; at most `limit` bytes are read.
    ///
    /// # Errors
    /// When nobody answers, or with more.
    pub async fn get(&self, path: &str, limit: usize) -> Result<SocketAnswer, NetError> {
        let request = self.client.get(self.address(path)).timeout(PATIENCE);
        self.read(path, request, limit).await
    }

    /// Posts a body that is made while it is sent.
    ///
    /// `make` gets its end of it on this task and is to give it to a thread.
    ///
    /// # Errors
    /// When nobody answers, or with more than `limit` bytes.
    pub async fn post(
        &self,
        path: &str,
        media_type: &str,
        make: impl FnOnce(SocketBody),
        limit: usize,
    ) -> Result<SocketAnswer, NetError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        make(SocketBody(sender));
        let pieces = stream::unfold(receiver, |mut receiver| async move {
            let piece = receiver.recv().await?;
            Some((piece, receiver))
        });
        let request = self.client.post(self.address(path));
        let request = request
            .header("content-type", media_type)
            .body(reqwest::Body::wrap_stream(pieces));
        self.read(path, request, limit).await
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn read(
        &self,
        path: &str,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<SocketAnswer, NetError> {
        let shown = format!("{}{path}", self.shown);
        let unreachable = |source: reqwest::Error| NetError::Unreachable {
            url: shown.clone(),
            n_tries: 1,
            reason: reason(&source),
            // The address in it is made up for sockets, and said already for ports.
            source: source.without_url(),
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&piece);
            if body.len() > limit {
                return Err(NetError::Setup {
                    reason: format!("`{shown}` answers with more than {limit} bytes"),
                });
            }
        }
        Ok(SocketAnswer {
            status: response.status().as_u16(),
            body,
        })
    }
}

impl SocketTls {
    fn settle(
        &self,
        host: &str,
        builder: reqwest::ClientBuilder,
    ) -> Result<reqwest::ClientBuilder, String> {
        let mut builder = builder;
        if !self.authorities.is_empty() {
            builder = builder.tls_certs_only(certificates(host, &self.authorities)?);
        }
        if let Some(us) = &self.identity {
            builder = builder.identity(identity(host, us)?);
        }
        if self.verify == Verify::Never {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        Ok(builder)
    }
}

/// Bodies are sent in chunks, and some of these programs speak HTTP/1.1 only.
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .http1_only()
        .referer(false)
        .redirect(reqwest::redirect::Policy::none())
}

fn reason(error: &reqwest::Error) -> String {
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => format!("no connection within {} seconds", CONNECT.as_secs()),
        (true, false) => format!("no answer within {} seconds", PATIENCE.as_secs()),
        (false, _) => root_cause(error),
    }
}

impl SocketBody {
    /// Ends the body with a fault, so that the other side takes it for no whole one.
    pub fn fail(self, reason: String) {
        // A receiver that is gone has its own error to tell.
        drop(self.0.blocking_send(Err(io::Error::other(reason))));
    }

    /// One more end of the same body, which ends with the last of them.
    pub fn again(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Write for SocketBody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(bytes.to_vec()));
        match sent {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeServer, Reply};

    #[tokio::test]
    async fn a_program_at_a_port_is_asked_below_its_path() {
        let server = FakeServer::start(|seen, _| Reply::new(200, seen.target.clone()));
        let host = server.host();
        let client = SocketClient::tcp(&host, "/below", None).unwrap();
        let answer = client.get("/_ping", 100).await.unwrap();
        assert_eq!(answer.body, b"/below/_ping");
        let error = client.get("/longer-than-allowed", 3).await.unwrap_err();
        assert!(error.to_string().contains("more than 3 bytes"), "{error}");
        let named = client.shown_as("ssh://h".to_owned());
        let error = named.get("/longer", 3).await.unwrap_err().to_string();
        assert!(error.contains("`ssh://h/longer`"), "{error}");
    }

    #[tokio::test]
    async fn what_is_no_tls_is_an_error_that_names_the_port() {
        let server = FakeServer::start(|_, _| Reply::new(200, ""));
        let (host, tls) = (server.host(), SocketTls::default());
        let client = SocketClient::tcp(&host, "", Some(&tls)).unwrap();
        let error = client.get("/", 100).await.unwrap_err().to_string();
        assert!(error.contains(&format!("`tcp://{host}/`")), "{error}");
        let no_pem = SocketTls {
            authorities: vec![b"x".to_vec()],
            ..tls
        };
        let error = SocketClient::tcp(&host, "", Some(&no_pem)).unwrap_err();
        assert!(error.to_string().contains("no PEM certificate"), "{error}");
        assert!(SocketClient::tcp("no host:1", "", None).is_err());
    }
}
