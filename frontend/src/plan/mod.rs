//! From a syntax tree to a plan: stages reached, names resolved, variables expanded.
//!
//! Planning is a pure function that is asked again and again: it answers with the facts that it
//! misses ([`Need`]), all that can be known at once, until it has them in [`Pins`]. If
//! `SOURCE_DATE_EPOCH` names something that is fetched, it asks for that first. Then it asks for
//! the images of all reachable stages, then for those that ONBUILD triggers of these bring in, and at
//! the end for what instructions take from contexts and from behind addresses. Stages that the target
//! does not reach are looked at by nobody (S24).

mod chmod;
mod contexts;
mod control;
mod copy;
mod copy_parts;
mod created_by;
mod devices;
mod env;
mod epoch;
mod expose;
mod from_checks;
mod froms;
mod globals;
mod labels;
mod metadata;
mod model;
mod order;
mod path;
mod remotes;
mod resolve;
mod run;
mod run_mounts;
mod scans;
mod scope;
mod signal;
mod stages;
mod triggers;
mod walk;
mod wanted;
mod written;

#[cfg(test)]
pub(crate) mod tests;

pub use model::{
    Base, CopyPart, CopyStep, Input, Link, Plan, Planned, PlannedHistory, PlannedStage,
    PlannedTarget, RunCache, RunMount, RunMountSource, RunStep, Script, StageId, Step, StepAction,
    StepLabel,
};
pub use scans::{ScanArg, ScanArgs};
pub(crate) use walk::pinned_name;

use crate::ast::Dockerfile;
use crate::checks::{Ignored, Settings};
use crate::diagnostic::Diagnostic;
use crate::pins::{Need, Pins};
use crate::request::PlanRequest;
use epoch::Epoch;
use std::collections::{BTreeMap, HashSet};
use wanted::Wanted;

/// Plans a build.
///
/// The tree must come from a parse without errors. The error holds the warnings found so far and then
/// what is wrong. Linear in the length of the file, times the number of platforms.
pub fn plan(
    ast: &Dockerfile,
    request: &PlanRequest,
    pins: &Pins,
) -> Result<Planned, Vec<Diagnostic>> {
    let (planned, findings) = survey(ast, request, pins, Reach::Target);
    ended(planned, findings)
}

/// Plans a build like [`plan()`], but does not wait for files and fetches.
///
/// What a plan says does not depend on them, so it names them in [`Plan::needs`] instead: pin these,
/// then lower the plan, and nothing is planned twice.
pub fn draft(
    ast: &Dockerfile,
    request: &PlanRequest,
    pins: &Pins,
) -> Result<Planned, Vec<Diagnostic>> {
    let (planned, findings) = filtered(ast, request, pins, Reach::Target);
    ended(planned, findings)
}

/// Joins a plan, or the error, with the warnings.
fn ended(
    planned: Result<Planned, Diagnostic>,
    mut findings: Vec<Diagnostic>,
) -> Result<Planned, Vec<Diagnostic>> {
    match planned {
        Ok(Planned::Plan(mut plan)) => {
            plan.diagnostics = findings;
            Ok(Planned::Plan(plan))
        }
        Ok(needs) => Ok(needs),
        Err(error) => {
            findings.push(error);
            Err(findings)
        }
    }
}

/// How much of a file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What the target needs.
    Target,
    /// Every stage, for the warnings: which files and fetches it takes is not asked.
    All,
}

/// Plans, and returns the warnings apart from it: also those found before something was missing.
pub(crate) fn survey(
    ast: &Dockerfile,
    request: &PlanRequest,
    pins: &Pins,
    reach: Reach,
) -> (Result<Planned, Diagnostic>, Vec<Diagnostic>) {
    let (planned, findings) = filtered(ast, request, pins, reach);
    let planned = planned.map(|planned| match planned {
        Planned::Plan(plan) if reach == Reach::Target && !plan.needs.is_empty() => {
            Planned::Needs(plan.needs)
        }
        planned => planned,
    });
    (planned, findings)
}

/// Attempts to plan; of the warnings those are kept that are wanted.
fn filtered(
    ast: &Dockerfile,
    request: &PlanRequest,
    pins: &Pins,
    reach: Reach,
) -> (Result<Planned, Diagnostic>, Vec<Diagnostic>) {
    let settings = match Settings::new(ast, request) {
        Ok(settings) => settings,
        Err(error) => return (Err(error), Vec::new()),
    };
    let mut findings = Findings::default();
    let planned = attempt(ast, request, pins, reach, &mut findings);
    settings.filter(ast, &mut findings.list);
    (planned, findings.list)
}

/// The variables of the global scope that are there by themselves, on the first platform.
pub(crate) fn automatic_values(
    ast: &Dockerfile,
    request: &PlanRequest,
) -> Result<BTreeMap<String, String>, Diagnostic> {
    let table = stages::StageTable::new(ast)?;
    Ok(globals::automatic_values(&table, request))
}

fn attempt(
    ast: &Dockerfile,
    request: &PlanRequest,
    pins: &Pins,
    reach: Reach,
    findings: &mut Findings,
) -> Result<Planned, Diagnostic> {
    let table = stages::StageTable::new(ast)?;
    table
        .duplicates()
        .for_each(|warning| findings.warn(warning));
    let mut request = epoch::inherit(request);
    let multi_platform = control::multi_platform(&request)?;
    let mut globals = globals::of_platforms(&table, &request, ast.escape)?;
    let epoch = match epoch::resolve(&table, &request, pins, ast.escape, &globals[0])? {
        Epoch::Known(epoch) => epoch,
        Epoch::Missing(need, span) => return Ok(Planned::Needs(vec![Need::Remote(need, span)])),
    };
    epoch::settle(&mut request, &mut globals, epoch);
    let request: &PlanRequest = &request;
    from_checks::check(&table, request, &globals, ast.escape, findings);
    let reached = resolve::resolve(&table, request, pins, ast.escape, globals, reach)?;
    if !reached.missing.is_empty() {
        let missing = reached.missing.into_iter();
        let needs = missing.map(|(need, span)| Need::Image(need, span));
        return Ok(Planned::Needs(needs.collect()));
    }
    let ignored = Ignored::new(request.ignore.as_deref());
    let ctx = walk::Ctx {
        table: &table,
        request,
        pins,
        reached: &reached,
        escape: ast.escape,
        multi_platform,
        ignored: ignored.as_ref(),
    };
    let mut wanted = Wanted::default();
    let walked = walk::walk(&ctx, findings, &mut wanted)?;
    warn_of_unknown_filters(&table, request, findings);
    Ok(Planned::Plan(Plan {
        stages: walked.stages,
        targets: walked.targets,
        hostname: run::hostname(request),
        extra_hosts: request.extra_hosts.clone(),
        ulimits: request.ulimits.clone(),
        shm_size: request.shm_size,
        resources: request.resources.clone(),
        multi_platform,
        epoch,
        needs: wanted.missing(pins),
        diagnostics: Vec::new(),
    }))
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
