//! A source file and its line arithmetic.

use crate::span::{LineRange, Span};

/// The text of one Dockerfile and the name that messages use for it.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    name: String,
    text: String,
    /// Byte offset of the first byte of every line; always starts with 0.
    line_starts: Vec<u32>,
}

impl std::fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceFile")
            .field("name", &self.name)
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl SourceFile {
    /// Takes a name (as the user wrote it, for messages only) and the text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = newlines.map(|(offset, _)| Span::empty(offset + 1).start);
        let line_starts = std::iter::once(0).chain(starts).collect();
        Self {
            name: name.into(),
            text,
            line_starts,
        }
    }

    /// Takes raw bytes; what is not UTF-8 becomes U+FFFD, so that spans fit the kept text.
    pub fn from_bytes(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(name, String::from_utf8_lossy(bytes))
    }

    /// Returns the name for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text of a span; spans of other files give the empty string.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Returns line and column of a byte offset, both from 1; columns count characters.
    pub fn line_col(&self, offset: u32) -> (u32, u32) {
        let line = self
            .line_starts
            .partition_point(|start| *start <= offset)
            .max(1);
        let start = self.line_starts[line - 1] as usize;
        let end = (offset as usize).min(self.text.len()).max(start);
        let before = self.text.as_bytes().get(start..end).unwrap_or_default();
        // Continuation bytes of UTF-8 do not start a character.
        let column = before.iter().filter(|byte| **byte & 0xC0 != 0x80).count() + 1;
        (Span::empty(line).start, Span::empty(column).start)
    }

    /// Returns the lines that a span touches; an empty span touches one line.
    pub fn line_range(&self, span: Span) -> LineRange {
        let first = self.line_col(span.start).0;
        let last_byte = if span.is_empty() {
            span.end
        } else {
            span.end - 1
        };
        LineRange::new(first, self.line_col(last_byte).0)
    }

    /// Returns the number of lines; a final newline does start one more, empty line.
    pub fn n_lines(&self) -> u32 {
        Span::empty(self.line_starts.len()).start
    }

    /// Returns a line (from 1) without its line ending, or nothing past the end.
    pub fn line(&self, line: u32) -> Option<&str> {
        let idx = (line as usize).checked_sub(1)?;
        let start = *self.line_starts.get(idx)? as usize;
        let end = self
            .line_starts
            .get(idx + 1)
            .map_or(self.text.len(), |next| *next as usize);
        let text = self.text.get(start..end)?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        Some(text.strip_suffix('\r').unwrap_or(text))
    }
}

#[cfg(test)]
mod tests {
    use super::SourceFile;
    use crate::span::{LineRange, Span};

    #[test]
    fn lines_and_columns() {
        let source = SourceFile::new("x", "ab\nä🦀c\r\n\nend");
        for (offset, expected) in [
            (0, (1, 1)),
            (1, (1, 2)),
            (2, (1, 3)),
            (3, (2, 1)),
            (5, (2, 2)),
            (9, (2, 3)),
            (12, (3, 1)),
            (13, (4, 1)),
            (16, (4, 4)),
            (99, (4, 4)),
        ] {
            assert_eq!(source.line_col(offset), expected, "{offset}");
        }
        assert_eq!(source.n_lines(), 4);
        assert_eq!(source.line(2), Some("ä🦀c"));
        assert_eq!(source.line(3), Some(""));
        assert_eq!(source.line(4), Some("end"));
        assert_eq!(source.line(5), None);
        assert_eq!(source.line(0), None);
    }

    #[test]
    fn ranges() {
        let source = SourceFile::new("x", "a\nb\nc\n");
        for (span, expected) in [
            (Span::new(0, 1), (1, 1)),
            (Span::new(0, 2), (1, 1)),
            (Span::new(0, 3), (1, 2)),
            (Span::new(2, 5), (2, 3)),
            (Span::empty(2), (2, 2)),
            (Span::empty(6), (4, 4)),
        ] {
            let (first, last) = expected;
            assert_eq!(
                source.line_range(span),
                LineRange::new(first, last),
                "{span}"
            );
        }
        assert_eq!(source.slice(Span::new(2, 3)), "b");
        assert_eq!(source.slice(Span::new(5, 99)), "");
    }

    #[test]
    fn empty_and_broken_text() {
        let source = SourceFile::new("x", "");
        assert_eq!(source.line_col(0), (1, 1));
        assert_eq!(source.n_lines(), 1);
        assert_eq!(SourceFile::from_bytes("x", b"a\xffb").text(), "a\u{fffd}b");
    }
}
