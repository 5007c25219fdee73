//! Where an engine is, with all that it takes to get there.

use super::address::{Address, SshHost, shown};
use super::tls::Tls;
use crate::BuildError;
use std::fmt;
use std::path::PathBuf;

/// The port of an engine without TLS, where none is named, as for docker.
const PLAIN_PORT: u16 = 2375;
/// The same with TLS.
const TLS_PORT: u16 = 2376;

/// Where an engine listens.
#[derive(Debug, Clone)]
pub(crate) enum Endpoint {
    /// At a socket of this machine.
    Socket(PathBuf),
    /// At a port.
    Tcp {
        /// `NAME:PORT`.
        host: String,
        /// What all paths are below.
        below: String,
        /// Without it, it is spoken to in the clear.
        tls: Option<Tls>,
    },
    /// Behind ssh.
    Ssh(SshHost),
}

impl Endpoint {
    /// Reads an address that `named_by` gave. `tls` is what it says for ports.
    pub(super) fn named(
        named_by: &str,
        text: &str,
        tls: impl FnOnce() -> Result<Option<Tls>, BuildError>,
    ) -> Result<Self, BuildError> {
        let address = Address::parse(text).map_err(|reason| {
            let text = shown(text);
            BuildError::request_with(
                format!("{named_by} leads to `{text}`, which {reason}"),
                "write unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST[:PORT]",
            )
        })?;
        Ok(match address {
            Address::Socket(path) => Self::Socket(path),
            Address::Ssh(host) => Self::Ssh(host),
            Address::Tcp { host, port, below } => {
                let tls = tls()?;
                let usual = if tls.is_some() { TLS_PORT } else { PLAIN_PORT };
                let host = format!("{host}:{}", port.unwrap_or(usual));
                Self::Tcp { host, below, tls }
            }
        })
    }

    /// What to do when nobody answers there.
    pub(super) fn hint(&self) -> String {
        let there = match self {
            Self::Socket(_) => "see whether it runs and may be used by this user".to_owned(),
            Self::Tcp { tls: None, .. } => {
                "see whether it listens there; where it speaks TLS, set DOCKER_TLS_VERIFY=1"
                    .to_owned()
            }
            Self::Tcp { tls: Some(tls), .. } => format!(
                "see whether it listens there with TLS, and whether `{}` has the certificates for it",
                tls.dir.display()
            ),
            Self::Ssh(host) => format!(
                "see whether `ssh {}docker version` works without asking for anything: ssh needs a \
                 key in an agent, and a known host",
                host.words()
            ),
        };
        format!("{there}, or write an archive with `-o type=docker,dest=FILE`")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, below, .. } => write!(f, "tcp://{host}{below}"),
            Self::Ssh(host) => {
                let socket = host.socket.as_deref().unwrap_or_default();
                write!(f, "ssh://{host}{socket}")
            }
        }
    }
}

impl SshHost {
    /// The words behind `ssh` on a command line, each with a blank behind it.
    fn words(&self) -> String {
        let port = self.port.map(|port| format!("-p {port} "));
        let user = self.user.as_ref().map(|user| format!("{user}@"));
        let (port, user) = (port.unwrap_or_default(), user.unwrap_or_default());
        format!("{port}{user}{} ", self.host)
    }
}

impl fmt::Display for SshHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.host.contains(':') {
            write!(f, "[{}]", self.host)?;
        } else {
            f.write_str(&self.host)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}
