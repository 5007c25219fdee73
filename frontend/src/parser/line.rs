//! Logical lines: joined text that knows where every byte came from.

use std::ops::Range;

use crate::span::{Span, Spanned};

/// One instruction's line after joining its continued lines.
#[derive(Debug, Default)]
pub(super) struct LogicalLine {
    text: String,
    /// Start in `text` and in the source of every joined part, in order.
    parts: Vec<(usize, usize)>,
    /// The first blank line inside.
    pub(super) empty_continuation: Option<Span>,
}

impl LogicalLine {
    /// Appends text that stands at `source_start`.
    pub(super) fn push(&mut self, text: &str, source_start: usize) {
        if !text.is_empty() {
            self.parts.push((self.text.len(), source_start));
            self.text.push_str(text);
        }
    }

    /// Translates an offset; one at a seam belongs to the later part.
    fn source_offset(&self, offset: usize) -> usize {
        let idx = self.parts.partition_point(|(start, _)| *start <= offset);
        match idx.checked_sub(1).and_then(|idx| self.parts.get(idx)) {
            Some((start, source)) => source + (offset - start),
            None => 0,
        }
    }

    fn span(&self, range: Range<usize>) -> Span {
        let start = self.source_offset(range.start);
        if range.is_empty() {
            return Span::empty(start);
        }
        // The last byte decides, so that a range up to a seam does not reach into the next part.
        Span::new(start, self.source_offset(range.end - 1) + 1)
    }
}

/// A part of a logical line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'l> {
    line: &'l LogicalLine,
    start: usize,
    end: usize,
}

impl<'l> Piece<'l> {
    /// The whole line.
    pub(super) fn all(line: &'l LogicalLine) -> Self {
        Self {
            line,
            start: 0,
            end: line.text.len(),
        }
    }

    pub(super) fn text(self) -> &'l str {
        &self.line.text[self.start..self.end]
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(super) fn len(self) -> usize {
        self.end - self.start
    }

    /// Returns the bytes `range` of this piece.
    pub(super) fn sub(self, range: Range<usize>) -> Self {
        let end = (self.start + range.end).min(self.end);
        Self {
            line: self.line,
            start: (self.start + range.start).min(end),
            end,
        }
    }

    /// Returns the bytes from `start` on.
    pub(super) fn from(self, start: usize) -> Self {
        self.sub(start..self.len())
    }

    /// Returns the offset of a piece that was cut out of this one.
    pub(super) fn offset_of(self, inner: Piece<'_>) -> usize {
        inner.start.saturating_sub(self.start)
    }

    pub(super) fn trim(self) -> Self {
        let trimmed = self.text().trim_start();
        let start = self.len() - trimmed.len();
        self.sub(start..start + trimmed.trim_end().len())
    }

    pub(super) fn span(self) -> Span {
        self.line.span(self.start..self.end)
    }

    pub(super) fn spanned(self) -> Spanned<String> {
        Spanned::new(self.text().to_owned(), self.span())
    }
}
