//! What `check` directives and comments say, and what follows for the warnings found.

use super::rules::{self, RULES};
use crate::ast::{Comment, DirectiveKind, Dockerfile, Instruction};
use crate::diagnostic::Diagnostic;
use crate::request::PlanRequest;
use crate::span::Span;

/// The build argument that takes the place of the directive.
pub const CHECK_ARG: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// Which checks run, and whether a warning is as bad as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    skip: Names,
    experimental: Names,
    fails: bool,
}

/// A list of rules, or all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    all: bool,
    /// The names as written, with their offset in the text that they stand in.
    names: Vec<(usize, String)>,
}

impl Names {
    fn read(text: &str, offset: usize) -> Self {
        if text.trim().eq_ignore_ascii_case("all") {
            return Self {
                all: true,
                names: Vec::new(),
            };
        }
        let mut names = Vec::new();
        let mut at = offset;
        for word in text.split(',') {
            let indent = word.len() - word.trim_start().len();
            names.push((at + indent, word.trim().to_owned()));
            at += word.len() + 1;
        }
        Self { all: false, names }
    }

    fn hold(&self, name: &str) -> bool {
        let mut names = self.names.iter();
        self.all || names.any(|(_, known)| known.eq_ignore_ascii_case(name))
    }
}

impl Settings {
    /// The settings of a file under a request: `BUILDKIT_DOCKERFILE_CHECK` goes before the directive,
    /// and the request may ask for more experimental checks.
    ///
    /// The error says which option cannot be read.
    pub fn new(ast: &Dockerfile, request: &PlanRequest) -> Result<Self, Diagnostic> {
        let given = request.build_args.get(CHECK_ARG);
        let mut settings = match given {
            Some(text) => Self::read(text, None)?,
            None => Self::of_file(ast)?,
        };
        for name in &request.checks {
            settings.experimental.all |= name.eq_ignore_ascii_case("all");
            settings.experimental.names.push((0, name.clone()));
        }
        Ok(settings)
    }

    /// The settings of a file alone.
    pub(crate) fn of_file(ast: &Dockerfile) -> Result<Self, Diagnostic> {
        match ast.directive(DirectiveKind::Check) {
            Some(check) => Self::read(check.as_str(), Some(check.span)),
            None => Ok(Self::default()),
        }
    }

    /// Reads `skip=A,B;error=true;experimental=all`.
    fn read(text: &str, place: Option<Span>) -> Result<Self, Diagnostic> {
        let mut settings = Self::default();
        if text.trim().is_empty() {
            return Ok(settings);
        }
        let mut offset = 0;
        for part in text.split(';') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| invalid(place, format!("invalid check option {part:?}")))?;
            let at = offset + key.len() + 1;
            match key.trim() {
                "skip" => settings.skip = Names::read(value, at),
                "experimental" => settings.experimental = Names::read(value, at),
                "error" => {
                    settings.fails = boolean(value).ok_or_else(|| {
                        invalid(place, format!("failed to parse check option {part:?}"))
                    })?;
                }
                other => {
                    let error = invalid(place, format!("invalid check option {other:?}"));
                    return Err(error.suggest(other, ["skip", "error", "experimental"]));
                }
            }
            offset += part.len() + 1;
        }
        Ok(settings)
    }

    /// Says whether a check runs at all. What is no rule but a warning of another kind always does.
    pub fn runs(&self, name: &str) -> bool {
        match rules::find(name) {
            Some(rule) if rule.experimental => self.experimental.hold(name),
            Some(_) => !self.skip.hold(name),
            None => true,
        }
    }

    /// Removes the warnings of checks that do not run, and those that a comment above their
    /// instruction skips. Errors stay.
    pub fn filter(&self, ast: &Dockerfile, diagnostics: &mut Vec<Diagnostic>) {
        diagnostics.retain(|found| {
            found.is_error() || (self.runs(found.code) && !is_skipped_here(ast, found))
        });
    }

    /// The error that `error=true` makes of warnings (S113). They are to be shown before it.
    pub fn verdict(&self, diagnostics: &[Diagnostic]) -> Option<Diagnostic> {
        let found = diagnostics.iter().filter(|found| !found.is_error());
        let mut violated: Vec<&Diagnostic> = found
            .filter(|found| rules::find(found.code).is_some())
            .collect();
        if !self.fails || violated.is_empty() {
            return None;
        }
        let place = violated.iter().find_map(|found| found.span());
        violated.sort_by_key(|found| found.code);
        violated.dedup_by_key(|found| found.code);
        let names: Vec<&str> = violated.iter().map(|found| found.code).collect();
        let message = format!("lint violation found for rules: {}", names.join(", "));
        let error = Diagnostic::error("lint-violation", message);
        Some(match place {
            Some(place) => error.at(place),
            None => error,
        })
    }
}

/// Warns of names in directive and comments that no rule has.
pub(crate) fn unknown_names(ast: &Dockerfile, found: &mut Vec<Diagnostic>) {
    if let Some(check) = ast.directive(DirectiveKind::Check)
        && let Ok(settings) = Settings::read(check.as_str(), Some(check.span))
    {
        let start = check.span.start as usize;
        for (offset, name) in settings
            .skip
            .names
            .iter()
            .chain(&settings.experimental.names)
        {
            let place = Span::new(start + offset, start + offset + name.len());
            found.extend(unknown(name, place));
        }
    }
    for item in &ast.items {
        for comment in comments_above(ast, item) {
            let settings = skips(comment);
            for (_, name) in settings.iter().flat_map(|settings| &settings.names) {
                found.extend(unknown(name, comment.span));
            }
        }
    }
}

fn unknown(name: &str, place: Span) -> Option<Diagnostic> {
    if rules::find(name).is_some() || name.is_empty() {
        return None;
    }
    let message = format!("no check is called {name:?}");
    let warning = Diagnostic::warning("unknown-check", message).at(place);
    Some(warning.suggest(name, RULES.iter().map(|rule| rule.name)))
}

/// The comment lines directly above an instruction.
pub(crate) fn comments_above<'a>(ast: &'a Dockerfile, item: &Instruction) -> &'a [Comment] {
    let comments = ast.comments.get(item.leading_comments.clone());
    comments.unwrap_or_default()
}

/// Says whether a comment sets checks instead of telling a reader something.
pub(crate) fn is_setting(comment: &Comment) -> bool {
    skips(comment).is_some()
}

/// Reads `check=skip=A,B // reason`.
fn skips(comment: &Comment) -> Option<Names> {
    let text = comment.text.split("//").next().unwrap_or_default();
    let check = text.trim().strip_prefix("check=")?;
    let mut parts = check.split(';');
    let skip = parts.find_map(|part| part.trim().strip_prefix("skip="))?;
    Some(Names::read(skip, 0))
}

fn is_skipped_here(ast: &Dockerfile, found: &Diagnostic) -> bool {
    let Some(item) = found.span().and_then(|span| item_at(ast, span)) else {
        return false;
    };
    let mut comments = comments_above(ast, item).iter();
    comments.any(|comment| skips(comment).is_some_and(|skip| skip.hold(found.code)))
}

/// The instruction that a place belongs to.
pub(crate) fn item_at(ast: &Dockerfile, span: Span) -> Option<&Instruction> {
    let idx = ast.items.partition_point(|item| item.span.end < span.end);
    ast.items
        .get(idx)
        .filter(|item| item.span.start <= span.end)
}

fn invalid(place: Option<Span>, reason: String) -> Diagnostic {
    let message = format!("failed to parse check options: {reason}");
    let error = Diagnostic::error("invalid-check", message);
    match place {
        Some(place) => error.at(place),
        None => error,
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn s113_settings_are_read_as_elsewhere() {
        for (text, runs, does_not, fails) in [
            ("", "UndefinedVar", "SecretCopied", false),
            ("skip=UndefinedVar", "FromAsCasing", "UndefinedVar", false),
            (
                "skip= A , undefinedvar",
                "FromAsCasing",
                "UndefinedVar",
                false,
            ),
            ("skip=all;error=true", "unknown-check", "FromAsCasing", true),
            (
                "error=T;skip=FromAsCasing",
                "UndefinedVar",
                "FromAsCasing",
                true,
            ),
            (
                "experimental=SecretCopied",
                "SecretCopied",
                "PackageListsLeft",
                false,
            ),
            (
                "skip=all;experimental=all",
                "SecretCopied",
                "UndefinedVar",
                false,
            ),
            // As elsewhere, what is asked for by name is not skipped by `all`.
            (
                "skip=InvalidDefinitionDescription;experimental=all;error=0",
                "InvalidDefinitionDescription",
                "",
                false,
            ),
        ] {
            let settings = Settings::read(text, None).unwrap();
            assert!(settings.runs(runs), "{text}");
            assert!(does_not.is_empty() || !settings.runs(does_not), "{text}");
            assert_eq!(settings.fails, fails, "{text}");
        }
    }

    #[test]
    fn s113_options_that_cannot_be_read_are_errors() {
        for (text, message) in [
            ("skip", "invalid check option \"skip\""),
            ("skip=all;", "invalid check option \"\""),
            (
                "skpi=all",
                "invalid check option \"skpi\" (did you mean skip?)",
            ),
            (
                "error=maybe",
                "failed to parse check option \"error=maybe\"",
            ),
        ] {
            let error = Settings::read(text, None).unwrap_err();
            assert_eq!(
                error.message,
                format!("failed to parse check options: {message}")
            );
        }
    }
}
