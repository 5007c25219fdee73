//! Finding `<<WORD` in an instruction's line.

use std::borrow::Cow;

use super::head::{self, Head};
use super::json;
use super::line::Piece;
use super::words::{QuoteScan, Role};
use crate::ast::{Escape, Heredoc};
use crate::source::SourceFile;
use crate::span::Span;

/// A `<<WORD` whose body is still to be read.
#[derive(Debug)]
pub(super) struct HeredocWord<'l> {
    /// All of it, descriptor and `<<` included.
    pub(super) piece: Piece<'l>,
    pub(super) span: Span,
    pub(super) name: String,
    expand: bool,
    strip_tabs: bool,
    fd: u32,
}

impl HeredocWord<'_> {
    /// Says whether a line, given without its ending, ends the body.
    pub(super) fn is_terminator(&self, line: &str) -> bool {
        let line = if self.strip_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.name
    }

    /// Makes the node from the place of the body.
    pub(super) fn heredoc(&self, source: &SourceFile, body_span: Span) -> Heredoc {
        let raw = source.slice(body_span);
        let content = if self.strip_tabs {
            strip_tabs(raw)
        } else {
            Cow::Borrowed(raw)
        };
        Heredoc {
            name: self.name.clone(),
            expand: self.expand,
            strip_tabs: self.strip_tabs,
            fd: self.fd,
            content: content.into_owned(),
            raw: raw.to_owned(),
            word_span: self.span,
            body_span,
        }
    }
}

fn strip_tabs(raw: &str) -> Cow<'_, str> {
    let lines = raw.split_inclusive('\n');
    Cow::Owned(lines.map(|line| line.trim_start_matches('\t')).collect())
}

/// Returns the heredocs of an instruction, in order; none for instructions and forms that know none.
pub(super) fn words_of<'l>(head: &Head<'l>, escape: Escape) -> Vec<HeredocWord<'l>> {
    match head.name().as_str() {
        "RUN" | "COPY" | "ADD" => find(head.args),
        // A trigger's own keyword decides; deeper nesting is an error anyway.
        "ONBUILD" => {
            let inner = head::split(head.args, escape);
            match inner.name().as_str() {
                "RUN" | "COPY" | "ADD" => find(inner.args),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// Scans arguments; always with `\` as the escape character.
fn find(args: Piece<'_>) -> Vec<HeredocWord<'_>> {
    if !args.text().contains("<<") || json::is_array(args) {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut scan = QuoteScan::new(Escape::Backslash);
    let mut at_word_start = true;
    let mut skip_to = 0;
    for (offset, ch) in args.text().char_indices() {
        if offset < skip_to {
            continue;
        }
        let may_start = at_word_start && (ch == '<' || ch.is_ascii_digit());
        if let Some(word) = may_start.then(|| word_at(args.from(offset))).flatten() {
            skip_to = offset + word.piece.len();
            found.push(word);
            continue;
        }
        at_word_start = scan.next(ch) == Role::Blank;
    }
    // Where quotes are open at the end, nothing on the line can be told apart.
    if scan.is_quoting() { Vec::new() } else { found }
}

/// Reads a heredoc word at the start of a piece.
fn word_at(piece: Piece<'_>) -> Option<HeredocWord<'_>> {
    let text = piece.text();
    let after_fd = text.trim_start_matches(|ch: char| ch.is_ascii_digit());
    let fd = &text[..text.len() - after_fd.len()];
    let after_mark = after_fd.strip_prefix("<<")?;
    let (strip_tabs, rest) = match after_mark.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, after_mark),
    };
    let word = rest.trim_start_matches([' ', '\t']);
    let is_apart = word.len() < rest.len();
    let name = Name::read(word)?;
    if is_apart && name.looks_like_arithmetic() {
        return None;
    }
    let piece = piece.sub(0..text.len() - word.len() + name.raw_len);
    let fd = if fd.is_empty() { 0 } else { fd.parse().ok()? };
    let Name {
        text: name,
        is_quoted,
        ..
    } = name;
    Some(HeredocWord {
        piece,
        span: piece.span(),
        name,
        expand: !is_quoted,
        strip_tabs,
        fd,
    })
}

/// The word behind `<<`.
struct Name {
    text: String,
    raw_len: usize,
    is_quoted: bool,
}

impl Name {
    /// Reads up to white space; an open quote, an empty word and a further `<` make it no heredoc.
    fn read(text: &str) -> Option<Self> {
        let mut scan = QuoteScan::new(Escape::Backslash);
        let mut name = Self {
            text: String::new(),
            raw_len: text.len(),
            is_quoted: false,
        };
        for (offset, ch) in text.char_indices() {
            match scan.next(ch) {
                Role::Blank => {
                    name.raw_len = offset;
                    break;
                }
                Role::Quote => name.is_quoted = true,
                Role::Escape => {}
                Role::Plain if ch == '<' => return None,
                Role::Plain => name.text.push(ch),
            }
        }
        (!scan.is_quoting() && !name.text.is_empty()).then_some(name)
    }

    /// `$((1 << 3))` is a shift; a real word that is set apart by blanks does not look like that.
    fn looks_like_arithmetic(&self) -> bool {
        let starts_with_digit = self.text.starts_with(|ch: char| ch.is_ascii_digit());
        !self.is_quoted && (starts_with_digit || self.text.contains(')'))
    }
}
