//! The checks: what a Dockerfile is warned about although it can be built.
//!
//! Names and messages of the shared rules are those of other builders, because people search for them
//! and `# check=skip=` lines name them. What needs nothing but the text is found after parsing
//! ([`of_text`]); the rest is raised by the plan, which calls the functions here where it knows the
//! variables. [`Settings`] decides at the end what is shown. Every rule has a page in `docs/checks`.

mod casing;
mod commands;
mod descriptions;
mod from;
mod ignored;
mod own;
mod rules;
mod secrets;
mod settings;
#[cfg(test)]
mod tests;

pub use rules::{RULES, Rule, find};
pub use settings::{CHECK_ARG, Settings};

pub(crate) use commands::{expose_format, json_args, legacy_pair, maintainer};
pub(crate) use descriptions::description;
pub(crate) use from::{FromLine, default_base};
pub(crate) use ignored::Ignored;
pub use secrets::means_secret;
pub(crate) use secrets::secret_name;

use crate::ast::Dockerfile;
use crate::diagnostic::Diagnostic;
use crate::source::SourceFile;
use crate::span::LineRange;

/// The lines that a warning is shown at: those of the whole instruction, as in other builders.
pub fn lines_of(source: &SourceFile, ast: &Dockerfile, found: &Diagnostic) -> Option<LineRange> {
    let span = found.span()?;
    let own = source.line_range(span);
    // An empty line within an instruction has its own number there, too.
    if found.code == "NoEmptyContinuation" {
        return Some(own);
    }
    Some(settings::item_at(ast, span).map_or(own, |item| item.lines))
}

/// Finds everything that only needs the text. The settings spare the work of checks that do not run;
/// what they skip is still to be filtered.
pub(crate) fn of_text(ast: &Dockerfile, settings: &Settings, found: &mut Vec<Diagnostic>) {
    for item in &ast.items {
        casing::from(item, found);
        found.extend(maintainer(item));
    }
    if settings.runs("InvalidDefinitionDescription") {
        descriptions::check(ast, found);
    }
    settings::unknown_names(ast, found);
}

/// Finds what can only be said of a file without errors.
pub(crate) fn of_whole(ast: &Dockerfile, settings: &Settings, found: &mut Vec<Diagnostic>) {
    casing::keywords(ast, found);
    casing::reserved_names(ast, found);
    own::check(ast, settings, found);
}
