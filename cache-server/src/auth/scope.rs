use acetate_cache_api::{Namespace, NamespaceError};
use std::str::FromStr;

/// What can be done with a namespace; each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Reading.
    Read,
    /// Writing.
    Write,
    /// Removing, collecting, looking at what others did.
    Admin,
}

/// A namespace with all below it, and what is allowed there: `org/repo:write`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    namespace: Namespace,
    access: Access,
}

/// Why a text is no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// What is before the colon is no namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// What is behind the colon says nothing.
    #[error("`{0}` is no scope: expected NAMESPACE:read, :write or :admin")]
    Access(String),
}

impl Scope {
    /// True when the scope allows this in the namespace.
    pub fn grants(&self, namespace: &Namespace, access: Access) -> bool {
        access <= self.access && namespace.is_within(&self.namespace)
    }

    /// What is allowed here, allowed for another namespace.
    pub(super) fn at(&self, namespace: Namespace) -> Self {
        Self {
            namespace,
            access: self.access,
        }
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let unknown = || ScopeError::Access(text.to_owned());
        let (namespace, access) = text.rsplit_once(':').ok_or_else(unknown)?;
        let access = match access {
            "read" => Access::Read,
            "write" => Access::Write,
            "admin" => Access::Admin,
            _ => return Err(unknown()),
        };
        Ok(Self {
            namespace: namespace.parse()?,
            access,
        })
    }
}
