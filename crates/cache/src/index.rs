//! The narrow trait that every cache of records has.

use crate::{CacheKey, CacheRecord};

/// One result to be recorded under all its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its names: by definition, by content when known, and the hint.
    pub keys: Vec<CacheKey>,
    /// The result.
    pub record: CacheRecord,
}

/// Maps keys to records; advisory, so it has no errors.
///
/// A fault is a miss and one warning. An index may forget anything at any time.
pub trait CacheIndex: std::fmt::Debug + Send + Sync {
    /// Answers all keys in one question: per key the candidates, best first, none for a miss.
    ///
    /// A hint that is known has one candidate without layers.
    fn lookup(&self, keys: &[CacheKey]) -> Vec<Vec<CacheRecord>>;

    /// Records results; returns before they are durable.
    fn record(&self, entries: Vec<Entry>);
}
