//! From a syntax tree to a plan: stages reached, names resolved, variables expanded.
//!
//! Planning is a pure function that is asked again and again: it answers with the facts that it
//! misses ([`Need`]), all that can be known at once, until it has them in [`Pins`]. First it asks for
//! the images of all reachable stages, then for those that ONBUILD triggers of these bring in, and at
//! the end for the files that COPY and ADD select. Stages that the target does not reach are looked at
//! by nobody (S24).

mod chmod;
mod contexts;
mod copy;
mod created_by;
mod env;
mod expose;
mod globals;
mod labels;
mod metadata;
mod model;
mod order;
mod path;
mod resolve;
mod run;
mod scope;
mod signal;
mod stages;
mod triggers;
mod unsupported;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

pub use model::{
    Base, CopyInput, CopyStep, Plan, Planned, PlannedHistory, PlannedStage, PlannedTarget, RunStep,
    Script, StageId, Step, StepAction, StepLabel,
};
pub(crate) use walk::pinned_name;

use crate::ast::Dockerfile;
use crate::diagnostic::Diagnostic;
use crate::pins::{Need, Pins, SelectionSpec};
use crate::request::PlanRequest;
use crate::span::Span;
use std::collections::{BTreeMap, HashSet};

/// Plans a build.
///
/// The tree must come from a parse without errors. The error holds the warnings found so far and then
/// what is wrong. Linear in the length of the file, times the number of platforms.
pub fn plan(
    ast: &Dockerfile,
    request: &PlanRequest,
    pins: &Pins,
) -> Result<Planned, Vec<Diagnostic>> {
    let mut findings = Findings::default();
    match attempt(ast, request, pins, &mut findings) {
        Ok(planned) => Ok(planned),
        Err(error) => {
            crate::parser::lint::drop_skipped(ast, &mut findings.list);
            findings.list.push(error);
            Err(findings.list)
        }
    }
}

fn attempt(
    ast: &Dockerfile,
    request: &PlanRequest,
    pins: &Pins,
    findings: &mut Findings,
) -> Result<Planned, Diagnostic> {
    let table = stages::StageTable::new(ast)?;
    table
        .duplicates()
        .for_each(|warning| findings.warn(warning));
    let reached = resolve::resolve(&table, request, pins, ast.escape, findings)?;
    if !reached.missing.is_empty() {
        return Ok(Planned::Needs(
            reached
                .missing
                .into_iter()
                .map(|(need, span)| Need::Image(need, span))
                .collect(),
        ));
    }
    let mut selections = BTreeMap::new();
    let walked = walk::walk(
        &walk::Ctx {
            table: &table,
            request,
            pins,
            reached: &reached,
            escape: ast.escape,
        },
        findings,
        &mut selections,
    )?;
    let unpinned: Vec<Need> = selections
        .into_iter()
        .filter(|(spec, _): &(SelectionSpec, Span)| !pins.selections.contains_key(spec))
        .map(|(spec, span)| Need::Selection(spec, span))
        .collect();
    if !unpinned.is_empty() {
        return Ok(Planned::Needs(unpinned));
    }
    warn_of_unknown_filters(&table, request, findings);
    crate::parser::lint::drop_skipped(ast, &mut findings.list);
    Ok(Planned::Plan(Plan {
        stages: walked.stages,
        targets: walked.targets,
        hostname: run::hostname(request),
        extra_hosts: request.extra_hosts.clone(),
        epoch: epoch(request)?,
        diagnostics: std::mem::take(&mut findings.list),
    }))
}

fn epoch(request: &PlanRequest) -> Result<Option<i64>, Diagnostic> {
    let given = request.build_args.get("SOURCE_DATE_EPOCH");
    let Some(text) = given
        .or(request.epoch.as_ref())
        .filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let epoch = text.parse::<i64>().ok().filter(|secs| *secs >= 0);
    epoch.map(Some).ok_or_else(|| {
        Diagnostic::error(
            "invalid-epoch",
            format!("invalid SOURCE_DATE_EPOCH: {text}"),
        )
    })
}

fn warn_of_unknown_filters(
    table: &stages::StageTable<'_>,
    request: &PlanRequest,
    findings: &mut Findings,
) {
    let labels: Vec<String> = (0..table.stages.len())
        .map(|idx| table.label(idx))
        .collect();
    for name in &request.no_cache_filter {
        if !labels.iter().any(|label| label.eq_ignore_ascii_case(name)) {
            let message =
                format!("no stage is called \"{name}\", so --no-cache-filter={name} does nothing");
            let warning = Diagnostic::warning("unknown-no-cache-filter", message);
            findings.warn(warning.suggest(name, labels.iter().map(String::as_str)));
        }
    }
}

/// Warnings in the order found; a stage that is planned for several platforms warns once.
#[derive(Debug, Default)]
struct Findings {
    list: Vec<Diagnostic>,
    seen: HashSet<Diagnostic>,
}

impl Findings {
    fn warn(&mut self, warning: Diagnostic) {
        if self.seen.insert(warning.clone()) {
            self.list.push(warning);
        }
    }
}
