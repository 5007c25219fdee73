//! A connection to an engine, by whichever way leads there.

use super::endpoint::Endpoint;
use super::tunnel::Tunnel;
use crate::{BuildError, DaemonEnvironment};
use acetate_net::{NetError, SocketClient};
use acetate_store::Store;
use std::sync::Arc;
use std::time::Duration;

/// How long an engine at a port may take to answer at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same behind ssh, which has 30 seconds for its own part.
const SSH_PATIENCE: Duration = Duration::from_secs(50);
/// The most bytes of the answer that are read.
const LIMIT: usize = 64 << 10;

/// Speaks to one engine.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) client: SocketClient,
    endpoint: Endpoint,
    tunnel: Option<Tunnel>,
}

/// Refuses a load that has nowhere to go, before anything is built.
///
/// # Errors
/// When no engine is found, or one on another machine does not answer.
pub(crate) async fn reach(
    environment: &DaemonEnvironment,
    context: Option<&str>,
    store: &Arc<Store>,
) -> Result<(), BuildError> {
    if let Some(words) = environment.contradiction().filter(|_| context.is_none()) {
        tracing::warn!("{words}");
    }
    let connection = Connection::open(environment, context, store)?;
    match connection.endpoint {
        // Whether it answers shows when the image is there: it may be started until then.
        Endpoint::Socket(_) => Ok(()),
        Endpoint::Tcp { .. } => connection.ping(PATIENCE).await,
        Endpoint::Ssh(_) => connection.ping(SSH_PATIENCE).await,
    }
}

impl Connection {
    /// Prepares the way to the engine that the environment, or an output's `context`, leads to.
    ///
    /// # Errors
    /// When there is none, or what it takes to get there is missing.
    pub(crate) fn open(
        environment: &DaemonEnvironment,
        context: Option<&str>,
        store: &Arc<Store>,
    ) -> Result<Self, BuildError> {
        let endpoint = environment.endpoint(context)?;
        let mut tunnel = None;
        let client = match &endpoint {
            Endpoint::Socket(path) => SocketClient::new(path),
            Endpoint::Tcp { host, below, tls } => {
                let tls = tls.as_ref().map(|tls| &tls.settings);
                SocketClient::tcp(host, below, tls)
            }
            Endpoint::Ssh(host) => {
                let dug = Tunnel::dig(host, &environment.search_path, store.scratch()?)?;
                let client = SocketClient::new(dug.path());
                tunnel = Some(dug);
                client.map(|client| client.shown_as(endpoint.to_string()))
            }
        };
        let client = client.map_err(|error| unusable(&endpoint, &error))?;
        Ok(Self {
            client,
            endpoint,
            tunnel,
        })
    }

    /// Where it leads, for messages.
    pub(super) fn shown(&self) -> String {
        self.endpoint.to_string()
    }

    /// Asks whether somebody is there.
    async fn ping(&self, patience: Duration) -> Result<(), BuildError> {
        let asked = self.client.get("/_ping", LIMIT);
        let reason = match tokio::time::timeout(patience, asked).await {
            Ok(Ok(answer)) if answer.status == 200 => return Ok(()),
            Ok(Ok(answer)) => {
                let said = super::load::said(&String::from_utf8_lossy(&answer.body));
                let words = format!("it answers {}: {}", answer.status, said.trim());
                words.trim_end_matches(": ").to_owned()
            }
            Ok(Err(error)) => self.words(&error).await,
            Err(_) => {
                let words = format!("no answer within {} seconds", patience.as_secs());
                self.with_complaint(words).await
            }
        };
        Err(BuildError::request_with(
            format!(
                "failed to reach the engine at `{}`: {reason}",
                self.endpoint
            ),
            self.endpoint.hint(),
        ))
    }

    /// Why nothing was loaded.
    pub(super) async fn fault(&self, error: &NetError) -> BuildError {
        let reason = self.words(error).await;
        BuildError::request_with(
            format!(
                "failed to load the image into the engine at `{}`: {reason}",
                self.endpoint
            ),
            self.endpoint.hint(),
        )
    }

    async fn words(&self, error: &NetError) -> String {
        let words = match error {
            // The address stands before it already.
            NetError::Unreachable { reason, .. } => reason.clone(),
            other => crate::error::words(other),
        };
        self.with_complaint(words).await
    }

    /// What ssh says goes first, for it is the cause of everything else.
    async fn with_complaint(&self, words: String) -> String {
        let Some(tunnel) = &self.tunnel else {
            return words;
        };
        match tunnel.complaint().await {
            Some(complaint) => format!("ssh says: {complaint} ({words})"),
            None => words,
        }
    }
}

fn unusable(endpoint: &Endpoint, error: &NetError) -> BuildError {
    let reason = crate::error::words(error);
    BuildError::request_with(
        format!("failed to speak to the engine at `{endpoint}`: {reason}"),
        endpoint.hint(),
    )
}
