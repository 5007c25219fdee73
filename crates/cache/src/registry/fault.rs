//! What went wrong with a registry, in the words of caches.

use std::error::Error;

use acetate_registry::RegistryError;

use super::cache::Owner;
use crate::layout::load::Absent;
use crate::remote::Cause;

/// Why there are no records to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// What is there holds none.
    #[error(transparent)]
    Absent(#[from] Absent),
    /// The registry does not give them.
    #[error("failed to {0}")]
    Registry(#[from] RegistryError),
    /// It takes too long.
    #[error("the registry does not answer in time")]
    Late,
}

impl Unread {
    /// Which cause it is.
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Absent(Absent::Directory | Absent::Entry(_)) | Self::Late => Cause::Unreachable,
            Self::Absent(Absent::Io(error)) => crate::layout::notes::cause(error),
            Self::Absent(_) => Cause::Damaged,
            Self::Registry(error) => cause(error),
        }
    }

    /// Whose the tag is.
    pub(super) fn owner(&self) -> Owner {
        match self {
            Self::Absent(Absent::Newer(_)) => Owner::Newer,
            Self::Absent(Absent::Foreign(_)) => Owner::Image,
            _ => Owner::Us,
        }
    }
}

/// Which cause an error of a registry is.
pub(super) fn cause(error: &RegistryError) -> Cause {
    match error {
        RegistryError::NotFound { .. } | RegistryError::Net(_) => Cause::Unreachable,
        RegistryError::Denied { .. } => Cause::Forbidden,
        RegistryError::Corrupt { .. } => Cause::Damaged,
        RegistryError::Refused { status, .. } => match status {
            429 | 503 => Cause::Busy,
            413 | 507 => Cause::Full,
            _ => Cause::Failing,
        },
        RegistryError::Token { source, .. } => cause(source),
        RegistryError::Helper { .. } | RegistryError::Settings(_) => Cause::Unauthorized,
        RegistryError::Source { .. } => Cause::Failing,
        RegistryError::Overwritten { .. } => Cause::Busy,
    }
}

/// An error with its causes, each of them said once.
pub(super) fn words(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = error.source();
    }
    text
}
