//! What can go wrong when an image is found and fetched.

use std::io;
use std::path::PathBuf;

use acetate_registry::RegistryError;
use acetate_store::StoreError;

/// An image that could not be resolved or fetched.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The name, tag, digest or blob does not exist in a layout or in the store.
    #[error("find {what}")]
    NotFound {
        /// What was looked for, and where.
        what: String,
    },
    /// The image exists, but not for the wanted platform.
    #[error("find `{image}` for `{wanted}`: it is offered for {}", list(offered))]
    NoPlatform {
        /// The image.
        image: String,
        /// The platform asked for.
        wanted: String,
        /// The platforms that exist.
        offered: Vec<String>,
    },
    /// A layout holds several images and none was named.
    #[error(
        "choose an image in `{image}`: it holds {}; name one as `:tag`",
        list(names)
    )]
    Ambiguous {
        /// The layout.
        image: String,
        /// The names that exist, or digests where there are none.
        names: Vec<String>,
    },
    /// Bytes, sizes or structure do not match what was promised.
    #[error("trust {what}: {reason}")]
    Corrupt {
        /// The blob or document.
        what: String,
        /// What does not match.
        reason: String,
    },
    /// Well-formed, but of a kind that is not handled.
    #[error("use {what}: {reason}")]
    Unsupported {
        /// The blob or document.
        what: String,
        /// Why not.
        reason: String,
    },
    /// The registry does not have it, does not let us in, or does not answer as it should.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of a layout could not be read.
    #[error("read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    /// What to do about it, where that is known and not said by the error itself.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Corrupt { .. } => {
                Some("it was damaged on its way or made wrongly: get it again, or make it anew")
            }
            Self::Unsupported { .. } => {
                Some("it was made for another kind of program: pull it with the tool that made it")
            }
            _ => None,
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is passed was made for the error, or is one that ends here"
    )]
    pub(crate) fn corrupt(what: impl ToString, reason: impl ToString) -> Self {
        Self::Corrupt {
            what: what.to_string(),
            reason: reason.to_string(),
        }
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is passed was made for the error"
    )]
    pub(crate) fn unsupported(what: impl ToString, reason: impl ToString) -> Self {
        Self::Unsupported {
            what: what.to_string(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
