//! Splitting a line into words.

use super::line::Piece;
use crate::ast::Escape;

/// The blanks that separate keyword, flags and plain words.
pub(super) fn is_blank(ch: char) -> bool {
    matches!(ch, '\t' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// Splits off the first word; both parts are trimmed.
pub(super) fn first_word(piece: Piece<'_>) -> (Piece<'_>, Piece<'_>) {
    let piece = piece.trim();
    let len = piece.text().find(is_blank).unwrap_or(piece.len());
    (piece.sub(0..len), piece.from(len).trim())
}

/// Splits at blanks; quotes mean nothing.
pub(super) fn plain(piece: Piece<'_>) -> Vec<Piece<'_>> {
    let text = piece.text();
    let words = text.split(is_blank).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            piece.sub(start..start + word.len())
        })
        .collect()
}

/// Splits at white space outside quotes; quotes and escapes stay in the words.
///
/// An escape character at the very end is dropped.
pub(super) fn quoted(piece: Piece<'_>, escape: Escape) -> Vec<Piece<'_>> {
    let mut words = Vec::new();
    let mut start = None;
    let mut scan = QuoteScan::new(escape);
    let mut end = piece.len();
    for (offset, ch) in piece.text().char_indices() {
        let role = scan.next(ch);
        if role == Role::Blank {
            words.extend(start.take().map(|start| piece.sub(start..offset)));
        } else {
            start = start.or(Some(offset));
        }
    }
    if scan.is_escaping() {
        end -= escape.as_char().len_utf8();
    }
    words.extend(
        start
            .filter(|start| *start < end)
            .map(|start| piece.sub(start..end)),
    );
    words
}

/// What a character does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// White space outside quotes.
    Blank,
    /// A quote that opens or closes.
    Quote,
    /// An escape character.
    Escape,
    /// Anything else.
    Plain,
}

/// Follows quotes and escapes through a text, character by character.
///
/// The escape character works everywhere but in single quotes.
pub(super) struct QuoteScan {
    escape: char,
    quote: Option<char>,
    escaped: bool,
}

impl QuoteScan {
    pub(super) fn new(escape: Escape) -> Self {
        Self {
            escape: escape.as_char(),
            quote: None,
            escaped: false,
        }
    }

    /// Says what the next character does.
    pub(super) fn next(&mut self, ch: char) -> Role {
        if std::mem::take(&mut self.escaped) {
            return Role::Plain;
        }
        if ch == self.escape && self.quote != Some('\'') {
            self.escaped = true;
            return Role::Escape;
        }
        match self.quote {
            Some(quote) if ch == quote => {
                self.quote = None;
                Role::Quote
            }
            None if ch == '\'' || ch == '"' => {
                self.quote = Some(ch);
                Role::Quote
            }
            None if ch.is_whitespace() => Role::Blank,
            _ => Role::Plain,
        }
    }

    /// Says whether the last character was an escape that escapes nothing yet.
    pub(super) fn is_escaping(&self) -> bool {
        self.escaped
    }

    /// Says whether a quote is open.
    pub(super) fn is_quoting(&self) -> bool {
        self.quote.is_some()
    }
}
