//! Says where something is in a registry.

use std::fmt;

use acetate_oci::{Digest, Reference};

/// A repository of a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    domain: String,
    path: String,
}

impl Repository {
    /// A repository on a host that stands for a registry.
    pub(crate) fn at(host: &str, path: &str) -> Self {
        Self {
            domain: host.to_owned(),
            path: path.to_owned(),
        }
    }

    /// The registry as users name it, with its port.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name within the registry.
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl From<&Reference> for Repository {
    fn from(image: &Reference) -> Self {
        Self {
            domain: image.domain().to_owned(),
            path: image.path().to_owned(),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)
    }
}

/// What names a manifest within its repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// A tag, which moves.
    Tag(String),
    /// A digest, which never does.
    Digest(Digest),
}

impl From<&Reference> for Name {
    /// The digest of a reference goes before its tag.
    fn from(image: &Reference) -> Self {
        match (image.digest(), image.tag()) {
            (Some(digest), _) => Self::Digest(digest),
            (None, tag) => Self::Tag(tag.unwrap_or("latest").to_owned()),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}
