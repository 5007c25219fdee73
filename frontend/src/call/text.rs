//! The answers as people read them.

use super::table::table;
use super::{LintResult, Outline, Subrequest, Targets};
use crate::render;
use crate::source::SourceFile;
use std::fmt::Write as _;

/// Renders the warnings, each with its lines. The error is not in it.
pub fn lint_text(result: &LintResult, source: &SourceFile) -> String {
    let mut text = match result.warnings.len() {
        0 if result.build_error.is_none() => {
            return "Check complete, no warnings found.\n".to_owned();
        }
        0 => return String::new(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        n => format!("Check complete, {n} warnings have been found!\n"),
    };
    for warning in &result.warnings {
        let page = match warning.url.as_str() {
            "" => String::new(),
            url => format!(" - {url}"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "\nWARNING: {}{page}\n{}",
            warning.rule_name, warning.detail
        );
        if let Some(lines) = warning.location.lines() {
            text.push_str(&render::render_excerpt(source, lines));
        }
    }
    text
}

/// Renders what a target can be given.
pub fn outline_text(outline: &Outline) -> String {
    let mut text = String::new();
    let mut section = |rows: Vec<Vec<String>>, gap| {
        text.push_str(&table(&rows, gap));
        text.push('\n');
    };
    if !outline.name.is_empty() || !outline.description.is_empty() {
        let name = match outline.name.as_str() {
            "" => "(default)",
            name => name,
        };
        let mut rows = vec![row(&["TARGET:", name])];
        if !outline.description.is_empty() {
            rows.push(row(&["DESCRIPTION:", &outline.description]));
        }
        section(rows, 1);
    }
    if !outline.args.is_empty() {
        let args = outline.args.iter();
        let args = args.map(|arg| row(&[&arg.name, &arg.value, &arg.description]));
        let head = row(&["BUILD ARG", "VALUE", "DESCRIPTION"]);
        section(std::iter::once(head).chain(args).collect(), 3);
    }
    for (title, list) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if !list.is_empty() {
            let needed = |required| if required { "true" } else { "" };
            let rows = list.iter().map(|it| row(&[&it.name, needed(it.required)]));
            let head = row(&[title, "REQUIRED"]);
            section(std::iter::once(head).chain(rows).collect(), 3);
        }
    }
    if !outline.cache.is_empty() {
        let rows = outline.cache.iter().map(|cache| row(&[&cache.id]));
        let head = row(&["CACHE MOUNT"]);
        section(std::iter::once(head).chain(rows).collect(), 3);
    }
    text
}

/// Renders the stages.
pub fn targets_text(targets: &Targets) -> String {
    let rows = targets.targets.iter().map(|target| {
        let name = match (target.name.as_str(), target.default) {
            ("", true) => "(default)".to_owned(),
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_owned(),
        };
        row(&[&name, &target.description])
    });
    let head = row(&["TARGET", "DESCRIPTION"]);
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), 1)
}

/// Renders the questions.
pub fn describe_text(questions: &[Subrequest]) -> String {
    let rows = questions.iter().map(|question| {
        let name = question.name.trim_start_matches("frontend.");
        row(&[name, question.version, question.description])
    });
    let head = row(&["NAME", "VERSION", "DESCRIPTION"]);
    table(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), 1)
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}
