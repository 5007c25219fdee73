//! The ways in which a text can be read.

use crate::ast::Escape;

/// What to do with quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// Obey and remove them.
    Remove,
    /// Obey and keep them.
    Keep,
    /// They are ordinary characters.
    Ignore,
}

/// What to do with escapes that escape something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// Remove the escape character.
    Remove,
    /// Keep it in front of what it escapes.
    Keep,
}

/// What to do with variables that are not set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unset {
    /// They are empty.
    Empty,
    /// They stay as written.
    Literal,
}

/// How a text is to be read.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) escape: char,
    pub(super) quotes: Quotes,
    pub(super) escapes: Escapes,
    pub(super) unset: Unset,
}

impl Mode {
    /// Removes quotes and escapes.
    pub(super) fn word(escape: Escape) -> Self {
        Self {
            escape: escape.as_char(),
            quotes: Quotes::Remove,
            escapes: Escapes::Remove,
            unset: Unset::Empty,
        }
    }

    /// Obeys quotes and escapes but leaves them in the result.
    pub(super) fn keep_quotes(escape: Escape) -> Self {
        Self {
            quotes: Quotes::Keep,
            escapes: Escapes::Keep,
            ..Self::word(escape)
        }
    }

    /// Leaves quotes, escapes and unset variables.
    pub(super) fn display(escape: Escape) -> Self {
        Self {
            unset: Unset::Literal,
            ..Self::keep_quotes(escape)
        }
    }

    /// Knows no quotes.
    pub(super) fn heredoc() -> Self {
        Self {
            quotes: Quotes::Ignore,
            ..Self::word(Escape::Backslash)
        }
    }
}
