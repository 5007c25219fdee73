//! Inline documents.

use crate::span::Span;

/// One `<<WORD` document of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The word without quotes; the file's name for COPY and ADD.
    pub name: String,
    /// Whether variables and escapes in the content are to be expanded: the word was not quoted.
    ///
    /// COPY and ADD obey it through [`crate::expand::expand_heredoc`]; RUN leaves expansion to the shell.
    pub expand: bool,
    /// Whether `<<-` was written: leading tabs are stripped.
    pub strip_tabs: bool,
    /// The file descriptor in front of `<<`; 0 without one.
    pub fd: u32,
    /// The lines of the body as written, line endings included.
    pub raw: String,
    /// The body after tab stripping; equal to `raw` without `<<-`.
    pub content: String,
    /// The `<<WORD` in the instruction line.
    pub word_span: Span,
    /// The body, without the line of the terminator.
    pub body_span: Span,
}

impl Heredoc {
    /// Appends a line feed, the raw body and the terminator, as a shell wants it after its line.
    pub fn append_to(&self, text: &mut String) {
        text.push('\n');
        text.push_str(&self.raw);
        text.push_str(&self.name);
    }
}
