//! Variable expansion of words and heredoc bodies.
//!
//! Forms: `$v`, `${v}`, `${v:-w}`, `${v-w}`, `${v:+w}`, `${v+w}`, `${v:?m}`, `${v?m}`, `${v#p}`, `${v##p}`,
//! `${v%p}`, `${v%%p}`, `${v/p/r}`, `${v//p/r}`; words nest. Patterns know `*`, `?` and escapes.
//! Single quotes are literal, double quotes allow `$` and the escape of `"`, `$` and the escape character.

mod lexer;
mod mode;
mod pattern;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use thiserror::Error;

use crate::ast::Escape;
use mode::Mode;

/// Answers what a variable is set to.
pub trait Lookup {
    /// Returns the value; `None` when the variable is not set, which differs from empty.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;
}

impl Lookup for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        BTreeMap::get(self, name).map(|value| Cow::Borrowed(value.as_str()))
    }
}

impl Lookup for [(&str, &str)] {
    /// The last pair of a name wins.
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.iter()
            .rev()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| Cow::Borrowed(*value))
    }
}

impl<const N: usize> Lookup for [(&str, &str); N] {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        Lookup::get(self.as_slice(), name)
    }
}

/// Makes a [`Lookup`] of a function.
#[derive(Clone, Copy, Debug)]
pub struct FromFn<F>(pub F);

impl<F: Fn(&str) -> Option<String>> Lookup for FromFn<F> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        (self.0)(name).map(Cow::Owned)
    }
}

/// An expanded text.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The result.
    pub text: String,
    /// Names that were read without a default and are not set, in order of first use, each once.
    pub unset: Vec<String>,
}

/// Expanded and split words.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ExpandedWords {
    /// The words, none of them empty: a quoted empty word vanishes.
    pub words: Vec<String>,
    /// As in [`Expanded::unset`].
    pub unset: Vec<String>,
}

/// Why a text cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ExpandError {
    /// The finding, in the words that other builders use.
    pub message: String,
    /// The byte offset in the text, at most its length.
    pub offset: usize,
}

/// Expands one word and removes its quotes and escapes; blanks do not split it.
pub fn expand_word(
    word: &str,
    escape: Escape,
    lookup: &(impl Lookup + ?Sized),
) -> Result<Expanded, ExpandError> {
    lexer::expand(word, Mode::word(escape), &|name| lookup.get(name))
}

/// Expands a text, removes quotes and escapes, and splits it at blanks that are neither quoted nor escaped.
///
/// Blanks that come out of a variable outside double quotes split, too.
pub fn expand_words(
    text: &str,
    escape: Escape,
    lookup: &(impl Lookup + ?Sized),
) -> Result<ExpandedWords, ExpandError> {
    lexer::expand_words(text, Mode::word(escape), &|name| lookup.get(name))
}

/// Expands one word like [`expand_word`] but leaves quotes and escapes as written.
pub fn expand_keep_quotes(
    word: &str,
    escape: Escape,
    lookup: &(impl Lookup + ?Sized),
) -> Result<Expanded, ExpandError> {
    lexer::expand(word, Mode::keep_quotes(escape), &|name| lookup.get(name))
}

/// Expands the content of an unquoted COPY or ADD heredoc.
///
/// Quotes are ordinary characters and the escape character is always `\`.
pub fn expand_heredoc(
    body: &str,
    lookup: &(impl Lookup + ?Sized),
) -> Result<Expanded, ExpandError> {
    lexer::expand(body, Mode::heredoc(), &|name| lookup.get(name))
}

/// Expands a text for display: quotes, escapes and unset variables stay as written.
///
/// A text that cannot be expanded is returned unchanged.
pub fn expand_for_display(text: &str, escape: Escape, lookup: &(impl Lookup + ?Sized)) -> String {
    lexer::expand(text, Mode::display(escape), &|name| lookup.get(name))
        .map_or_else(|_| text.to_owned(), |expanded| expanded.text)
}
