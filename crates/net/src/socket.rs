//! HTTP to a program on this machine, over a socket of the file system.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream;
use tokio::sync::mpsc;

use crate::NetError;

/// How long such a program may take to begin an answer to a question.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pieces of a body that may wait for the other side.
const QUEUE: usize = 8;

/// Speaks HTTP to whoever listens at a unix socket.
#[derive(Debug, Clone)]
pub struct SocketClient {
    client: reqwest::Client,
    path: PathBuf,
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
        let builder = reqwest::Client::builder()
            .unix_socket(path.to_owned())
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        let client = builder.build().map_err(|error| NetError::Setup {
            reason: error.to_string(),
        })?;
        Ok(Self {
            client,
            path: path.to_owned(),
        })
    }

    /// Asks for `path`, such as `/_ping`; at most `limit` bytes are read.
    ///
    /// # Errors
    /// When nobody answers, or with more.
    pub async fn get(&self, path: &str, limit: usize) -> Result<SocketAnswer, NetError> {
        let request = self.client.get(address(path)).timeout(PATIENCE);
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
        let request = self.client.post(address(path));
        let request = request
            .header("content-type", media_type)
            .body(reqwest::Body::wrap_stream(pieces));
        self.read(path, request, limit).await
    }

    async fn read(
        &self,
        path: &str,
        request: reqwest::RequestBuilder,
        limit: usize,
    ) -> Result<SocketAnswer, NetError> {
        let shown = format!("unix://{}{path}", self.path.display());
        let unreachable = |cause: reqwest::Error| NetError::Unreachable {
            url: shown.clone(),
            n_tries: 1,
            reason: innermost(&cause),
            cause,
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

/// The host is nobody's: the socket decides.
fn address(path: &str) -> String {
    format!("http://localhost{path}")
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
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
