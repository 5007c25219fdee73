//! Copies of what the ignore file leaves out.

use crate::diagnostic::Diagnostic;
use crate::span::Span;
use acetate_pattern::{IgnoreMatcher, clean};

/// An ignore file that can be judged without looking at the context.
#[derive(Debug)]
pub(crate) struct Ignored(IgnoreMatcher);

impl Ignored {
    /// None without a file, for one that cannot be read, and for one with `!`: what such a rule
    /// brings back below a directory cannot be known from the text.
    pub(crate) fn new(text: Option<&str>) -> Option<Self> {
        let text = text?;
        if text.lines().any(|line| line.trim_start().starts_with('!')) {
            return None;
        }
        IgnoreMatcher::parse(text).ok().map(Self)
    }

    /// A source of COPY or ADD that is left out of the context.
    pub(crate) fn check(&self, keyword: &str, source: &str, place: Span) -> Option<Diagnostic> {
        let cleaned = clean(source);
        let path = cleaned.trim_start_matches('/');
        if path.is_empty() || !self.0.matches(path) {
            return None;
        }
        let does = if keyword == "ADD" { "Add" } else { "Copy" };
        let message =
            format!("Attempting to {does} file {path:?} that is excluded by .dockerignore");
        let warning = Diagnostic::warning("CopyIgnoredFile", message).at(place);
        Some(warning.with_hint("take the path out of the ignore file, or out of the instruction"))
    }
}
