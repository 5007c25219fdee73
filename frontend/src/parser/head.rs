//! Keyword, flags and arguments of an instruction.

use super::line::Piece;
use super::words::{QuoteScan, Role, first_word};
use crate::ast::{Escape, Flag};
use crate::span::{Span, Spanned};

/// An instruction's line in three parts.
#[derive(Debug)]
pub(super) struct Head<'l> {
    /// The whole line, trimmed.
    pub(super) all: Piece<'l>,
    pub(super) keyword: Piece<'l>,
    pub(super) flags: Vec<Flag>,
    /// What stands behind the flags, trimmed.
    pub(super) args: Piece<'l>,
}

impl Head<'_> {
    /// The upper-case keyword.
    pub(super) fn name(&self) -> String {
        self.keyword.text().to_ascii_uppercase()
    }
}

/// Splits a trimmed line.
pub(super) fn split(all: Piece<'_>, escape: Escape) -> Head<'_> {
    let (keyword, rest) = first_word(all);
    let (flags, args) = split_flags(rest, escape);
    Head {
        all,
        keyword,
        flags,
        args,
    }
}

/// Takes words that start with `--` off the front, up to a word that is just `--`.
fn split_flags(rest: Piece<'_>, escape: Escape) -> (Vec<Flag>, Piece<'_>) {
    let mut flags = Vec::new();
    let mut rest = rest.trim();
    while rest.text().starts_with("--") {
        let word = Word::read(rest, escape);
        rest = rest.from(word.raw.len()).trim();
        if word.text == "--" {
            break;
        }
        flags.push(word.into_flag());
    }
    (flags, rest)
}

/// A word with its quotes and escapes removed.
struct Word<'l> {
    raw: Piece<'l>,
    text: String,
    /// Offset of the first `=`: in the text, and in `raw`.
    equals: Option<(usize, usize)>,
}

impl<'l> Word<'l> {
    /// Reads up to white space that is neither quoted nor escaped.
    fn read(piece: Piece<'l>, escape: Escape) -> Self {
        let mut scan = QuoteScan::new(escape);
        let mut text = String::new();
        let mut equals = None;
        let mut len = piece.len();
        for (offset, ch) in piece.text().char_indices() {
            match scan.next(ch) {
                Role::Blank => {
                    len = offset;
                    break;
                }
                Role::Quote | Role::Escape => {}
                Role::Plain => {
                    if ch == '=' && equals.is_none() {
                        equals = Some((text.len(), offset));
                    }
                    text.push(ch);
                }
            }
        }
        Self {
            raw: piece.sub(0..len),
            text,
            equals,
        }
    }

    fn into_flag(self) -> Flag {
        let Self { raw, text, equals } = self;
        let dashes = 2.min(raw.len());
        let (name_end, raw_end) = equals.unwrap_or((text.len(), raw.len()));
        let name = text.get(dashes..name_end).unwrap_or_default().to_owned();
        let value = equals.map(|(at, raw_at)| {
            let value = text[at + 1..].to_owned();
            let raw_value = raw.from(raw_at + 1);
            let span = if raw_value.is_empty() {
                // In front of a continuation, not on the line behind it.
                Span::empty(raw.span().end as usize)
            } else {
                raw_value.span()
            };
            Spanned::new(value, span)
        });
        let name = Spanned::new(name, raw.sub(dashes..raw_end).span());
        Flag {
            name,
            value,
            span: raw.span(),
        }
    }
}
