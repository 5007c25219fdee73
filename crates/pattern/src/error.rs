//! Why a pattern is refused.

use thiserror::Error;

/// A pattern with an open class, an empty class, a broken range, or an escape of nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("syntax error in pattern `{pattern}`")]
pub struct PatternError {
    /// The pattern as given.
    pub pattern: String,
}

impl PatternError {
    pub(crate) fn new(pattern: &str) -> Self {
        Self {
            pattern: pattern.to_owned(),
        }
    }
}

/// Why a list of ignore rules is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IgnoreError {
    /// A `!` with nothing behind it.
    #[error("illegal exclusion pattern: \"!\"")]
    LoneExclamation {
        /// The line, or the number of the rule, from 1.
        line: usize,
    },
    /// A pattern that is none.
    #[error("line {line}: {source}")]
    Pattern {
        /// The line, or the number of the rule, from 1.
        line: usize,
        /// What is wrong.
        source: PatternError,
    },
}
