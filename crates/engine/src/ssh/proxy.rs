use super::SshError;
use super::filter::{REFUSAL, announced, may_pass};
use super::socket;
use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// How many connections of one step are answered at a time; more wait.
const MAX_CLIENTS: usize = 16;

/// How long to wait where the process has no descriptor left for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// A socket that is made for one step, and what is behind it.
#[derive(Debug)]
pub(crate) struct Proxy {
    listener: StdListener,
    path: PathBuf,
    agent: PathBuf,
    passes: Passes,
}

/// What a step may say to what is behind its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passes {
    /// The list of keys and signatures, of an agent.
    KeysAndSignatures,
    /// Anything: the user says that it is no agent.
    All,
}

impl Proxy {
    pub(super) fn bind(path: &Path, agent: PathBuf, passes: Passes) -> Result<Self, SshError> {
        let listener = socket::listen(path).map_err(SshError::io("listen at", path))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            agent,
            passes,
        })
    }

    /// The socket of the step.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Answers at all sockets of a step. Never ends by itself: dropping it closes every connection.
pub(crate) async fn serve(proxies: Vec<Proxy>) -> Infallible {
    let mut tasks = JoinSet::new();
    for proxy in proxies {
        tasks.spawn(accept(proxy));
    }
    while let Some(ended) = tasks.join_next().await {
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "a socket of a step for ssh is not answered");
        }
    }
    std::future::pending().await
}

async fn accept(proxy: Proxy) -> io::Result<Infallible> {
    let listener = UnixListener::from_std(proxy.listener)?;
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                Ok((client, _)) => {
                    clients.spawn(talk(client, proxy.agent.clone(), proxy.passes));
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection of a step was not accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(ended) = clients.join_next(), if !clients.is_empty() => {
                if let Ok(Err(error)) = ended {
                    tracing::debug!(%error, "a connection of a step to ssh broke off");
                }
            }
        }
    }
}

async fn talk(mut client: UnixStream, agent: PathBuf, passes: Passes) -> io::Result<()> {
    let mut agent = socket::connect(&agent).await?;
    match passes {
        Passes::All => tokio::io::copy_bidirectional(&mut client, &mut agent)
            .await
            .map(drop),
        Passes::KeysAndSignatures => filtered(&mut client, &mut agent).await,
    }
}

/// Hands requests and answers on, one after the other, until the client has no more.
async fn filtered(client: &mut UnixStream, agent: &mut UnixStream) -> io::Result<()> {
    while let Some(request) = read_message(client).await? {
        if may_pass(&request) {
            write_message(agent, &request).await?;
            let answer = read_message(agent).await?;
            write_message(client, &answer.ok_or(io::ErrorKind::UnexpectedEof)?).await?;
        } else {
            write_message(client, &REFUSAL).await?;
        }
    }
    Ok(())
}

/// Reads one message without its length; none at the end.
async fn read_message(stream: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let length = announced(length).ok_or(io::ErrorKind::InvalidData)?;
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(Some(message))
}

async fn write_message(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(message);
    stream.write_all(&bytes).await
}
