//! Counting, and warning of each cause once.

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::Fidelity;
use crate::remote::{Cause, Put, RemoteHit, RemoteRecord, Skip, Stats, Warning, Warnings};

/// What a cache has to say when a build ends.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    inner: Mutex<(Stats, Warnings)>,
}

impl Notes {
    /// Counts something.
    pub(crate) fn count(&self, count: impl FnOnce(&mut Stats)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut inner.0);
    }

    /// Warns, unless that was done for the cause.
    pub(crate) fn warn(&self, cause: Cause, text: impl FnOnce() -> String) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.1.add(cause, text);
    }

    /// Takes a record, unless a weaker sandbox made its result.
    pub(crate) fn judge(&self, record: Option<RemoteRecord>) -> Option<RemoteHit> {
        self.count(|stats| match &record {
            Some(record) if record.fidelity == Fidelity::Full => {
                stats.hits += 1;
                stats.saved_ms += record.duration_ms;
            }
            Some(_) => stats.reduced += 1,
            None => stats.misses += 1,
        });
        let record = record.filter(|record| record.fidelity == Fidelity::Full)?;
        Some(RemoteHit {
            signer: None,
            envelope: None,
            record,
            namespace: None,
        })
    }

    /// Counts what became of the keys of a result that was given.
    pub(crate) fn count_given(&self, n_keys: usize, outcome: &Result<Vec<Put>, Skip>) {
        let n_keys = n_keys as u64;
        self.count(|stats| match outcome {
            Ok(puts) => {
                let n_written = puts.iter().filter(|put| **put == Put::Written).count() as u64;
                stats.published += n_written;
                stats.kept += n_keys - n_written;
            }
            Err(_) => stats.skipped += n_keys,
        });
    }

    /// The counts so far, and the warnings that were not taken before.
    pub(crate) fn take(&self) -> (Stats, Vec<Warning>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        (inner.0.clone(), inner.1.take())
    }
}

/// Which cause an error of the operating system is.
pub(crate) fn cause(error: &io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Cause::Full,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Cause::Forbidden,
        io::ErrorKind::TimedOut => Cause::Busy,
        io::ErrorKind::NotFound => Cause::Unreachable,
        _ => Cause::Failing,
    }
}
