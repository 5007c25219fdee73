//! Diagnostics: findings about a source text, as data.

use crate::span::Span;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The build cannot go on.
    Error,
    /// The build goes on.
    Warning,
}

/// A place that belongs to a finding, and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A short note for the place; may be empty.
    pub text: String,
}

/// One finding about a Dockerfile.
///
/// The message is one lower-case fragment that stands alone; texts that other tools show for the same
/// mistake are kept word for word, because people search for them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of the kind of finding: kebab-case for errors, the rule's name for lint warnings.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where; the first label is the main one. Empty when the whole file is meant.
    pub labels: Vec<Label>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// Makes an error without a place.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message.into())
    }

    /// Makes a warning without a place.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, message.into())
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Self {
            severity,
            code,
            message,
            labels: Vec::new(),
            hint: None,
        }
    }

    /// Adds a place without a note.
    pub fn at(self, span: Span) -> Self {
        self.labelled(span, "")
    }

    /// Adds a place with a note.
    pub fn labelled(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Sets the advice.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Appends ` (did you mean X?)` to the message when a candidate is close to `word`.
    pub fn suggest<'a>(
        mut self,
        word: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        if let Some(candidate) = crate::suggest::did_you_mean(word, candidates) {
            self.message.push_str(" (did you mean ");
            self.message.push_str(candidate);
            self.message.push_str("?)");
        }
        self
    }

    /// Says whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Returns the main place.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|label| label.span)
    }
}
