//! Plain-text rendering of diagnostics and source excerpts.

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Severity};
use crate::source::SourceFile;
use crate::span::LineRange;

/// Renders the lines of a source around a range, the range itself marked with `>>>`.
///
/// ```text
/// Dockerfile:3
/// --------------------
///    1 |     FROM scratch
///    2 |
///    3 | >>> RUN false
/// --------------------
/// ```
///
/// A single line gets up to four lines of context, several lines get up to two, shared between both sides.
pub fn render_excerpt(source: &SourceFile, lines: LineRange) -> String {
    let n_lines = source.n_lines();
    let first = lines.first.clamp(1, n_lines);
    let last = lines.last.clamp(first, n_lines);
    let (from, to) = with_context(first, last, n_lines);
    let mut out = format!("{}:{}\n{RULE}\n", source.name(), first);
    for line in from..=to {
        let mark = if (first..=last).contains(&line) {
            ">>>"
        } else {
            "   "
        };
        let text = source.line(line).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(out, " {line:>3} | {mark} {text}");
    }
    out.push_str(RULE);
    out.push('\n');
    out
}

const RULE: &str = "--------------------";

/// Widens a range by one line on each side, in turn, until the padding is used up.
fn with_context(first: u32, last: u32, n_lines: u32) -> (u32, u32) {
    let (mut from, mut to) = (first, last);
    let wanted = if first == last { 4 } else { 2 };
    let mut given = 0;
    while given < wanted {
        if from > 1 {
            from -= 1;
            given += 1;
        }
        if to < n_lines {
            to += 1;
            given += 1;
        }
        given += 1;
    }
    (from, to)
}

/// Renders a diagnostic: severity, message, excerpt of its main place, notes and hint.
pub fn render(source: &SourceFile, diagnostic: &Diagnostic) -> String {
    let word = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let mut out = format!("{word}: {} [{}]\n", diagnostic.message, diagnostic.code);
    if let Some(span) = diagnostic.span() {
        out.push_str(&render_excerpt(source, source.line_range(span)));
    }
    for label in diagnostic
        .labels
        .iter()
        .filter(|label| !label.text.is_empty())
    {
        let (line, column) = source.line_col(label.span.start);
        let _ = writeln!(
            out,
            "note: {}:{line}:{column}: {}",
            source.name(),
            label.text
        );
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = writeln!(out, "hint: {hint}");
    }
    out
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::{render, render_excerpt};
    use crate::diagnostic::Diagnostic;
    use crate::source::SourceFile;
    use crate::span::{LineRange, Span};

    fn source() -> SourceFile {
        SourceFile::new("Dockerfile", "FROM scratch\n\nRUN false\n")
    }

    #[test]
    fn one_line() {
        let expected = expect![[r"
            Dockerfile:3
            --------------------
               1 |     FROM scratch
               2 |     
               3 | >>> RUN false
               4 |     
            --------------------
        "]];
        expected.assert_eq(&render_excerpt(&source(), LineRange::new(3, 3)));
    }

    #[test]
    fn several_lines_get_less_context() {
        let lines: Vec<_> = (1..=20).map(|line| format!("line {line}")).collect();
        let source = SourceFile::new("dir/x", lines.join("\n"));
        let expected = expect![[r"
            dir/x:9
            --------------------
               8 |     line 8
               9 | >>> line 9
              10 | >>> line 10
              11 |     line 11
            --------------------
        "]];
        expected.assert_eq(&render_excerpt(&source, LineRange::new(9, 10)));
    }

    #[test]
    fn ranges_outside_are_clamped() {
        let expected = expect![[r"
            Dockerfile:4
            --------------------
               2 |     
               3 |     RUN false
               4 | >>> 
            --------------------
        "]];
        expected.assert_eq(&render_excerpt(&source(), LineRange::new(70, 80)));
        assert!(render_excerpt(&source(), LineRange::new(0, 0)).starts_with("Dockerfile:1\n"));
    }

    #[test]
    fn diagnostics() {
        let diagnostic = Diagnostic::warning("x-y", "something")
            .at(Span::new(18, 23))
            .labelled(Span::new(5, 12), "because of this")
            .with_hint("do that");
        let expected = expect![[r"
            warning: something [x-y]
            Dockerfile:3
            --------------------
               1 |     FROM scratch
               2 |     
               3 | >>> RUN false
               4 |     
            --------------------
            note: Dockerfile:1:6: because of this
            hint: do that
        "]];
        expected.assert_eq(&render(&source(), &diagnostic));
        let bare = Diagnostic::error("e", "nothing to show");
        assert_eq!(render(&source(), &bare), "error: nothing to show [e]\n");
    }
}
