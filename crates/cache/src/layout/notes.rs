//! Counting, and warning of each cause once.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::remote::{Cause, Stats, Warning, Warnings};

/// What a cache has to say when a build ends.
#[derive(Debug, Default)]
pub(super) struct Notes {
    inner: Mutex<(Stats, Warnings)>,
}

impl Notes {
    /// Counts something.
    pub(super) fn count(&self, count: impl FnOnce(&mut Stats)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut inner.0);
    }

    /// Warns, unless that was done for the cause.
    pub(super) fn warn(&self, cause: Cause, text: impl FnOnce() -> String) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.1.add(cause, text);
    }

    /// The counts so far, and the warnings that were not taken before.
    pub(super) fn take(&self) -> (Stats, Vec<Warning>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.0.clone(), inner.1.take())
    }
}

/// Which cause an error of the operating system is.
pub(super) fn cause(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Cause::Forbidden,
        io::ErrorKind::TimedOut => Cause::Busy,
        io::ErrorKind::NotFound => Cause::Unreachable,
        _ => Cause::Failing,
    }
}
