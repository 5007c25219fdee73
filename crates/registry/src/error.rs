//! What can go wrong between us and a registry.

use std::io;

use acetate_net::NetError;

use crate::{HelperError, SettingsError};

/// A request to a registry that did not do what was asked for; no credential stands in it.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The name, tag, digest or blob does not exist there.
    #[error("find {what}")]
    NotFound {
        /// What was looked for, and where.
        what: String,
    },
    /// The registry does not let us in.
    #[error("{what}: {reason}; {hint}")]
    Denied {
        /// What was tried.
        what: String,
        /// The registry's words.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The token server that the registry names gives no token.
    #[error("{what}: {source}")]
    Token {
        /// What was tried.
        what: String,
        /// What went wrong between us and that server.
        #[source]
        source: Box<RegistryError>,
    },
    /// Bytes, sizes or structure do not match what was promised.
    #[error("trust {what}: {reason}")]
    Corrupt {
        /// The blob or document.
        what: String,
        /// What does not match.
        reason: String,
    },
    /// The registry answered with a status that helps nobody.
    #[error("{what}: the registry answered {status}{reason}")]
    Refused {
        /// What was tried.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The registry's words, with a separator in front; may be empty.
        reason: String,
    },
    /// Others wrote the same list at the same time, as often as it was tried.
    #[error("{what}: others overwrote it each time; push once more when they are done")]
    Overwritten {
        /// What was tried.
        what: String,
    },
    /// No usable answer from the network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A program that keeps credentials did not give them.
    #[error("log in to `{host}`: {source}")]
    Helper {
        /// The registry.
        host: String,
        /// What the program did.
        #[source]
        source: HelperError,
    },
    /// A file with credentials, settings or certificates cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The bytes to send could not be read.
    #[error("read {what}: {source}")]
    Source {
        /// The blob.
        what: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl RegistryError {
    pub(crate) fn corrupt(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            what: what.into(),
            reason: reason.into(),
        }
    }

    /// What is not found where something is sent is the place itself.
    pub(crate) fn of_sending(self, verb: &str) -> Self {
        match self {
            Self::NotFound { what } => Self::Refused {
                what: format!("{verb} {what}"),
                status: 404,
                reason: ": there is no such repository, or it has to be made first".to_owned(),
            },
            error => error,
        }
    }

    /// Whether a mirror that fails in this way says nothing about the registry itself.
    pub(crate) fn blames_mirror(&self) -> bool {
        !matches!(self, Self::Helper { .. } | Self::Settings(_))
    }
}
