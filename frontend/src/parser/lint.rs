//! The warnings that only reading can raise.

use crate::diagnostic::Diagnostic;
use crate::span::Span;

/// A blank line inside a continued instruction, whose last line is what other builders name.
pub(super) fn empty_continuation(blank: Span, last: Span) -> Diagnostic {
    Diagnostic::warning("NoEmptyContinuation", "Empty continuation line")
        .at(last)
        .labelled(blank, "the empty line")
        .with_hint("remove the blank line, or the continuation character above it")
}
