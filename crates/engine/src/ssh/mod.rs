//! SSH for steps: sockets that speak to an agent of the user, or to one that this build starts.
//!
//! A step never gets the agent's own socket. It gets one that is made for it alone and goes with it,
//! and whatever it asks there beyond keys and signatures is refused before the agent hears of it.

mod agent;
mod filter;
mod proxy;
pub(crate) mod socket;

pub(crate) use proxy::{Proxy, serve};

use crate::SshSpec;
use acetate_store::{Store, StoreError};
use agent::OwnAgent;
use proxy::Passes;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Why a step gets no socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SshError {
    /// Nobody gave any; other builders say the same.
    #[error("no SSH key \"{0}\" forwarded from the client")]
    None(String),
    /// Others were given, but not this one.
    #[error("unset ssh forward key {0}")]
    Unset(String),
    #[error("ssh {id}: {reason}")]
    Spec { id: String, reason: &'static str },
    #[error(
        "ssh: `{program}` was not found in PATH; install openssh-client, or name the socket of an agent"
    )]
    NoProgram { program: &'static str },
    #[error(
        "ssh: the key `{}` is protected by a passphrase; add it to an agent and name the agent's socket",
        path.display()
    )]
    Passphrase { path: PathBuf },
    #[error("ssh: the key `{}` cannot be used: {reason}", path.display())]
    Key { path: PathBuf, reason: String },
    #[error("ssh: `ssh-agent` did not start: {0}")]
    Agent(String),
    #[error("ssh: failed to {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SshError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}

/// What `--ssh` named. Agents of our own start when a step first wants them, and end with this.
#[derive(Debug)]
pub(crate) struct SshAgents {
    specs: BTreeMap<String, SshSpec>,
    search_path: String,
    store: Arc<Store>,
    own: Mutex<BTreeMap<String, OwnAgent>>,
}

impl SshAgents {
    /// Takes the flags in their order; of two with one id the last counts.
    pub(crate) fn new(specs: &[SshSpec], search_path: &str, store: &Arc<Store>) -> Self {
        let specs = specs.iter().map(|spec| (spec.id.clone(), spec.clone()));
        Self {
            specs: specs.collect(),
            search_path: search_path.to_owned(),
            store: Arc::clone(store),
            own: Mutex::default(),
        }
    }

    /// Why there is none of this id, if there is none.
    pub(crate) fn missing(&self, id: &str) -> Option<SshError> {
        match self.specs.get(id) {
            Some(_) => None,
            None if self.specs.is_empty() => Some(SshError::None(id.to_owned())),
            None => Some(SshError::Unset(id.to_owned())),
        }
    }

    /// Makes the socket `name` in `dir` for one step. It answers while it is [`serve`]d. Blocks while
    /// an agent starts.
    pub(crate) fn listen(&self, id: &str, dir: &Path, name: &str) -> Result<Proxy, SshError> {
        let Some(spec) = self.specs.get(id) else {
            return Err(self
                .missing(id)
                .unwrap_or_else(|| SshError::Unset(id.to_owned())));
        };
        let passes = if spec.raw {
            Passes::All
        } else {
            Passes::KeysAndSignatures
        };
        Proxy::bind(&dir.join(name), self.agent(spec)?, passes)
    }

    /// The socket of the agent that a flag names.
    fn agent(&self, spec: &SshSpec) -> Result<PathBuf, SshError> {
        let refuse = |reason| {
            let id = spec.id.clone();
            Err(SshError::Spec { id, reason })
        };
        let mut n_sockets = 0;
        for path in &spec.paths {
            let metadata = path.metadata().map_err(SshError::io("look at", path))?;
            n_sockets += usize::from(metadata.file_type().is_socket());
        }
        match spec.paths.as_slice() {
            [] => refuse("it names neither a socket nor a key"),
            [socket] if n_sockets == 1 => Ok(socket.clone()),
            _ if n_sockets > 0 => refuse("a socket cannot be given together with something else"),
            _ if spec.raw => refuse("`raw` needs a socket"),
            keys => {
                let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(agent) = own.get(&spec.id) {
                    return Ok(agent.socket());
                }
                let agent = OwnAgent::start(keys, &self.search_path, self.store.scratch()?)?;
                Ok(own.entry(spec.id.clone()).or_insert(agent).socket())
            }
        }
    }
}

#[cfg(test)]
mod tests;
