//! Physical lines, joined into logical ones; heredoc bodies.

use super::heredoc::HeredocWord;
use super::line::LogicalLine;
use crate::ast::{Comment, Escape, Heredoc};
use crate::diagnostic::Diagnostic;
use crate::source::SourceFile;
use crate::span::Span;

/// The longest physical line, in bytes without its ending.
const MAX_LINE: usize = 64 * 1024 - 1;

/// One physical line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Physical<'s> {
    /// The text without its ending.
    pub(super) text: &'s str,
    /// Byte offset of the text.
    pub(super) start: usize,
    /// From 1.
    pub(super) number: u32,
}

impl Physical<'_> {
    pub(super) fn end(self) -> usize {
        self.start + self.text.len()
    }

    pub(super) fn is_comment(self) -> bool {
        self.text.trim_start().starts_with('#')
    }

    pub(super) fn comment(self) -> Comment {
        let hash = self.text.len() - self.text.trim_start().len();
        let text = self.text[hash..].trim_start_matches('#').trim().to_owned();
        Comment {
            text,
            span: Span::new(self.start + hash, self.end()),
            line: self.number,
        }
    }
}

/// Splits a text into lines; a byte order mark does not belong to the first one.
pub(super) fn physical(source: &SourceFile) -> impl Iterator<Item = Physical<'_>> {
    let text = source.text();
    let mut at = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    let mut number = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let len = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let start = at;
        at += len;
        number += 1;
        let text = rest[..len].trim_end_matches(['\r', '\n']);
        Some(Physical {
            text,
            start,
            number,
        })
    })
}

/// Hands out logical lines and heredoc bodies in order, and collects comments on the way.
#[derive(Debug)]
pub(super) struct Lines<'s> {
    source: &'s SourceFile,
    all: Vec<Physical<'s>>,
    /// Index of the line to read next.
    next: usize,
    /// Index behind the last line that belongs to the current instruction.
    used: usize,
    escape: char,
    comments: Vec<Comment>,
}

impl<'s> Lines<'s> {
    /// Reads from line `skip` on; a line that is too long is an error.
    pub(super) fn new(
        source: &'s SourceFile,
        escape: Escape,
        skip: usize,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let all: Vec<_> = physical(source).collect();
        let too_long = all.iter().filter(|line| line.text.len() > MAX_LINE);
        diagnostics.extend(too_long.map(|line| {
            let message = format!("dockerfile line greater than max allowed size of {MAX_LINE}");
            Diagnostic::error("line-too-long", message).at(Span::new(line.start, line.end()))
        }));
        let escape = escape.as_char();
        Self {
            source,
            all,
            next: skip,
            used: skip,
            escape,
            comments: Vec::new(),
        }
    }

    /// Joins the next instruction's lines; nothing at the end of the text.
    pub(super) fn next_logical(&mut self) -> Option<LogicalLine> {
        let first = loop {
            let line = self.take()?;
            if line.is_comment() {
                self.comments.push(line.comment());
            } else if !line.text.trim().is_empty() {
                break line;
            }
        };
        self.used = self.next;
        let mut logical = LogicalLine::default();
        let indent = first.text.len() - first.text.trim_start().len();
        let mut goes_on = self.append(&mut logical, first, indent);
        while goes_on {
            let Some(line) = self.take() else { break };
            if line.is_comment() {
                self.comments.push(line.comment());
            } else if line.text.trim().is_empty() {
                let place = Span::new(line.start, line.end());
                logical.empty_continuation = logical.empty_continuation.or(Some(place));
            } else {
                goes_on = self.append(&mut logical, line, 0);
                self.used = self.next;
            }
        }
        Some(logical)
    }

    /// Reads the bodies of the heredocs, one after the other.
    pub(super) fn read_heredocs(
        &mut self,
        words: &[HeredocWord<'_>],
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Vec<Heredoc> {
        let mut heredocs = Vec::with_capacity(words.len());
        for word in words {
            let first = self.next;
            let start = self
                .all
                .get(first)
                .map_or(self.source.text().len(), |line| line.start);
            let end = loop {
                let Some(line) = self.take() else {
                    diagnostics.push(unterminated(word));
                    break self.source.text().len();
                };
                if word.is_terminator(line.text) {
                    break line.start;
                }
            };
            self.used = self.next;
            heredocs.push(word.heredoc(self.source, Span::new(start, end)));
        }
        heredocs
    }

    /// The last line of the current instruction.
    pub(super) fn last_line(&self) -> u32 {
        self.last().map_or(1, |line| line.number)
    }

    /// The end of the last line of the current instruction, trailing blanks excluded.
    pub(super) fn last_byte(&self) -> u32 {
        let end = self
            .last()
            .map_or(0, |line| line.start + line.text.trim_end().len());
        Span::empty(end).start
    }

    /// The last line of the current instruction, without its ending.
    pub(super) fn last_span(&self) -> Span {
        self.last()
            .map_or(Span::empty(0), |line| Span::new(line.start, line.end()))
    }

    /// Returns the comments seen.
    pub(super) fn into_comments(self) -> Vec<Comment> {
        self.comments
    }

    fn last(&self) -> Option<&Physical<'s>> {
        self.used.checked_sub(1).and_then(|idx| self.all.get(idx))
    }

    fn take(&mut self) -> Option<Physical<'s>> {
        let line = self.all.get(self.next).copied()?;
        self.next += 1;
        Some(line)
    }

    /// Appends a line from byte `from` on, and says whether it is continued.
    fn append(&self, logical: &mut LogicalLine, line: Physical<'_>, from: usize) -> bool {
        let text = &line.text[from..];
        let (text, goes_on) = match continued(text, self.escape) {
            Some(kept) => (kept, true),
            None => (text, false),
        };
        logical.push(text, line.start + from);
        goes_on
    }
}

/// Returns the text in front of a continuation: an escape character at the end, not itself escaped.
fn continued(text: &str, escape: char) -> Option<&str> {
    let kept = text.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!kept.ends_with(escape)).then_some(kept)
}

fn unterminated(word: &HeredocWord<'_>) -> Diagnostic {
    let note = format!("no line is exactly `{}`", word.name);
    Diagnostic::error("unterminated-heredoc", "unterminated heredoc").labelled(word.span, note)
}
