//! What every FROM is warned about, reached or not.

use super::Findings;
use super::globals;
use super::scope::Scope;
use super::stages::StageTable;
use crate::ast::Escape;
use crate::checks::{self, FromLine};
use crate::request::PlanRequest;
use std::collections::BTreeMap;

/// Checks the variables of all FROMs in the global scope of each platform.
pub(super) fn check(
    table: &StageTable<'_>,
    request: &PlanRequest,
    scopes: &[Scope],
    escape: Escape,
    findings: &mut Findings,
) {
    let has_variable = |text: &str| text.contains('$');
    if table
        .stages
        .iter()
        .any(|stage| has_variable(stage.from.image.as_str()))
    {
        check_defaults(table, request, escape, findings);
    }
    for scope in scopes {
        let declared = table.globals.iter().map(|arg| arg.name.as_str());
        let names: Vec<&str> = scope.names().chain(declared).collect();
        for stage in &table.stages {
            let line = FromLine {
                from: stage.from,
                scope,
                names: &names,
                escape,
            };
            line.check().into_iter().for_each(|it| findings.warn(it));
        }
    }
}

/// Looks at the base images as they are when nobody sets an argument.
fn check_defaults(
    table: &StageTable<'_>,
    request: &PlanRequest,
    escape: Escape,
    findings: &mut Findings,
) {
    let bare = PlanRequest {
        build_args: BTreeMap::new(),
        ..request.clone()
    };
    // What cannot be evaluated is refused where it matters.
    let scopes = globals::of_platforms(table, &bare, escape).unwrap_or_default();
    let Some(defaults) = scopes.first() else {
        return;
    };
    let found = table
        .stages
        .iter()
        .filter_map(|stage| checks::default_base(stage.from, defaults, escape));
    found.for_each(|it| findings.warn(it));
}
