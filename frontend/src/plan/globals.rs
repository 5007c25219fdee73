//! The global scope: automatic platform variables and the ARGs in front of the first FROM.

use super::scope::{Expander, Scope};
use super::stages::StageTable;
use crate::ast::Escape;
use crate::diagnostic::Diagnostic;
use crate::request::PlanRequest;
use acetate_oci::Platform;
use std::collections::BTreeMap;

/// Evaluates the global scope of every target platform, of which there is at least one.
pub(super) fn of_platforms(
    table: &StageTable<'_>,
    request: &PlanRequest,
    escape: Escape,
) -> Result<Vec<Scope>, Diagnostic> {
    let platforms = request.target_platforms().iter();
    platforms
        .map(|platform| evaluate(table, request, escape, platform))
        .collect()
}

/// Evaluates the global scope of one target platform (S8, S11, S15, S16).
///
/// A build argument beats the automatic value and the default; a default that is beaten is not
/// evaluated at all.
fn evaluate(
    table: &StageTable<'_>,
    request: &PlanRequest,
    escape: Escape,
    platform: &Platform,
) -> Result<Scope, Diagnostic> {
    let mut scope = automatic(table, request, platform);
    for declaration in &table.globals {
        let mut expander = Expander::new(&scope, escape);
        let name = expander.word(&declaration.name.value, declaration.name.span)?;
        let value = match (request.build_args.get(&name), &declaration.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(expander.word(&default.value, default.span)?),
            (None, None) => None,
        };
        if let Some(value) = value {
            scope.set(&name, &value);
        }
    }
    Ok(scope)
}

/// What is there without any declaration, on the first platform.
pub(super) fn automatic_values(
    table: &StageTable<'_>,
    request: &PlanRequest,
) -> BTreeMap<String, String> {
    let platform = request.target_platforms().first();
    let scope = automatic(table, request, platform.unwrap_or(&request.build_platform));
    let names = scope.names();
    let values = names.map(|name| {
        let value = scope.value(name).unwrap_or_default();
        (name.to_owned(), value.to_owned())
    });
    values.collect()
}

fn automatic(table: &StageTable<'_>, request: &PlanRequest, target: &Platform) -> Scope {
    let last = table.stages.last().and_then(|stage| stage.name());
    let stage = request
        .target
        .as_deref()
        .filter(|name| !name.is_empty())
        .or(last);
    let mut scope = Scope::default();
    let mut set = |name: &str, value: &str| {
        let given = request.build_args.get(name).map(String::as_str);
        scope.set(name, given.unwrap_or(value));
    };
    for (prefix, platform) in [("BUILD", &request.build_platform), ("TARGET", target)] {
        set(&format!("{prefix}PLATFORM"), &platform.to_string());
        set(&format!("{prefix}OS"), &platform.os);
        set(
            &format!("{prefix}OSVERSION"),
            platform.os_version.as_deref().unwrap_or_default(),
        );
        set(&format!("{prefix}ARCH"), &platform.architecture);
        set(
            &format!("{prefix}VARIANT"),
            platform.variant.as_deref().unwrap_or_default(),
        );
    }
    set("TARGETSTAGE", stage.unwrap_or("default"));
    scope
}

/// Arguments that reach RUN without a declaration and enter neither key nor history.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];

/// The proxy variables of a RUN: both spellings of each one given, but for those in scope (S73).
pub(super) fn proxies(request: &PlanRequest, scope: &Scope) -> Vec<String> {
    let mut env = Vec::new();
    if request.build_args.is_empty() {
        return env;
    }
    for upper in PROXIES {
        let lower = upper.to_ascii_lowercase();
        let given = |name: &str| {
            request
                .build_args
                .get(name)
                .filter(|value| !value.is_empty())
        };
        let Some(value) = given(upper).or_else(|| given(&lower)) else {
            continue;
        };
        for name in [upper, &lower] {
            if scope.value(name).is_none() {
                let value = given(name).unwrap_or(value);
                env.push(format!("{name}={value}"));
            }
        }
    }
    env
}
