use super::{Bytes, Location};
use crate::ast::Dockerfile;
use crate::checks::{self, Settings};
use crate::diagnostic::Diagnostic;
use crate::parser;
use crate::pins::{Need, Pins};
use crate::plan::{self, Planned, Reach};
use crate::request::PlanRequest;
use crate::source::SourceFile;
use serde::Serialize;

/// All that the checks found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintResult {
    /// The warnings, by line.
    pub warnings: Vec<LintWarning>,
    /// The texts that they are about.
    pub sources: Vec<Source>,
    /// Why there could be no build.
    #[serde(rename = "buildError", skip_serializing_if = "Option::is_none")]
    pub build_error: Option<LintBuildError>,
}

/// One warning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintWarning {
    /// The rule's name.
    #[serde(rename = "ruleName")]
    pub rule_name: String,
    /// What the rule says in general.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The rule's page, relative to the top of the project.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// What it says here.
    pub detail: String,
    /// Where: the whole instruction.
    pub location: Location,
}

/// The error that the checks ended with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LintBuildError {
    /// What is wrong.
    pub message: String,
    /// Where, if it has a place.
    pub location: Location,
}

/// A text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub filename: String,
    /// The text itself.
    pub data: Bytes,
    /// What it is written in.
    pub language: &'static str,
}

/// How far the checks came.
#[derive(Debug, Clone)]
pub enum Linted {
    /// These facts are missing, and what is known without them.
    Needs(Vec<Need>, LintResult),
    /// All checks were made.
    Done(LintResult),
}

/// Makes all checks; of all stages when no target is wanted.
///
/// Images have to be pinned as for a plan. Files and fetches are never asked for, unless the epoch
/// hangs on one.
pub fn lint(source: &SourceFile, request: &PlanRequest, pins: &Pins) -> Linted {
    let parsed = parser::parse_for(source, request);
    let mut maker = Maker {
        source,
        ast: &parsed.ast,
        found: parsed.diagnostics,
    };
    if maker.found.iter().any(Diagnostic::is_error) {
        return Linted::Done(maker.result());
    }
    let has_target = request.target.as_ref().is_some_and(|it| !it.is_empty());
    let reach = if has_target {
        Reach::Target
    } else {
        Reach::All
    };
    let (planned, warnings) = plan::survey(maker.ast, request, pins, reach);
    maker.found.extend(warnings);
    match planned {
        Ok(Planned::Needs(needs)) => {
            let needs: Vec<Need> = needs.into_iter().filter(|need| !is_file(need)).collect();
            if !needs.is_empty() {
                return Linted::Needs(needs, maker.result());
            }
        }
        Ok(Planned::Plan(_)) => {}
        Err(error) => maker.found.push(error),
    }
    let settings = Settings::new(maker.ast, request).unwrap_or_default();
    if !maker.found.iter().any(Diagnostic::is_error) {
        maker.found.extend(settings.verdict(&maker.found));
    }
    Linted::Done(maker.result())
}

fn is_file(need: &Need) -> bool {
    matches!(need, Need::Selection(..))
}

impl LintResult {
    /// The same, ended by an error from outside, such as an image that cannot be resolved.
    pub fn failed(mut self, source: &SourceFile, error: &Diagnostic) -> Self {
        self.build_error = Some(LintBuildError::new(source, error));
        self
    }
}

impl LintBuildError {
    fn new(source: &SourceFile, error: &Diagnostic) -> Self {
        let lines = error.span().map(|span| source.line_range(span));
        Self {
            message: error.message.clone(),
            location: lines.map_or_else(Location::default, Location::of_lines),
        }
    }
}

struct Maker<'a> {
    source: &'a SourceFile,
    ast: &'a Dockerfile,
    found: Vec<Diagnostic>,
}

impl Maker<'_> {
    fn result(&self) -> LintResult {
        let found = self.found.iter().filter(|found| !found.is_error());
        let mut warnings: Vec<LintWarning> = found.map(|found| self.warning(found)).collect();
        let line = |it: &LintWarning| it.location.lines().map_or(0, |lines| lines.first);
        warnings.sort_by_key(line);
        let error = self.found.iter().find(|found| found.is_error());
        LintResult {
            warnings,
            sources: vec![Source {
                filename: self.source.name().to_owned(),
                data: Bytes(self.source.text().to_owned()),
                language: "Dockerfile",
            }],
            build_error: error.map(|error| LintBuildError::new(self.source, error)),
        }
    }

    fn warning(&self, found: &Diagnostic) -> LintWarning {
        let rule = checks::find(found.code);
        let location = checks::lines_of(self.source, self.ast, found);
        LintWarning {
            rule_name: found.code.to_owned(),
            description: rule.map_or("", |rule| rule.description).to_owned(),
            url: rule.map_or("", |rule| rule.page).to_owned(),
            detail: found.message.clone(),
            location: location.map_or_else(Location::default, Location::of_lines),
        }
    }
}
