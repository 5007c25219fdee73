//! Questions about a Dockerfile that are answered without building it.
//!
//! [`lint()`] makes all checks, [`outline()`] lists what a target can be given, [`targets()`] the stages, and
//! [`describe()`] these questions. The answers serialise to what `--call=...,format=json` of other builders prints,
//! apart from the order of members and white space, and render to the texts that they print.

mod describe;
mod lint;
mod location;
mod outline;
mod table;
mod targets;
#[cfg(test)]
mod tests;
mod text;

pub use describe::{Named, Subrequest, describe};
pub use lint::{LintBuildError, LintResult, LintWarning, Linted, Source, lint};
pub use location::{Location, Position, Range};
pub use outline::{Outline, OutlineArg, OutlineCache, OutlineSecret, outline};
pub use targets::{Target, Targets, targets};
pub use text::{describe_text, lint_text, outline_text, targets_text};

use crate::diagnostic::Diagnostic;
use crate::parser;
use crate::source::SourceFile;
use base64::Engine as _;
use serde::{Serialize, Serializer};

/// Serialises an answer to one line of canonical JSON.
pub fn json<T: Serialize>(answer: &T) -> String {
    String::from_utf8_lossy(&acetate_oci::canonical_json(answer)).into_owned()
}

/// Parses what must have no errors.
fn parsed(source: &SourceFile) -> Result<crate::ast::Dockerfile, Vec<Diagnostic>> {
    let mut parsed = parser::parse(source);
    parsed.diagnostics.retain(Diagnostic::is_error);
    if parsed.diagnostics.is_empty() {
        Ok(parsed.ast)
    } else {
        Err(parsed.diagnostics)
    }
}

/// Text as base64, which is how JSON of Go holds bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bytes(pub String);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = base64::engine::general_purpose::STANDARD.encode(&self.0);
        serializer.serialize_str(&text)
    }
}
