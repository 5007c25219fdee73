//! `acetate verify`.

use crate::command::{build, runtime};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::flags::VerifyFlags;
use crate::request;
use acetate_engine::{Change, Comparison, Engine, EntryChange, LayerComparison, VerifyReport};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

/// So many paths of a layer are told, unless a program reads them.
const MAX_PATHS: usize = 20;

/// Builds twice, the second time without the cache, and says what differs.
pub(crate) fn verify(
    root: &Path,
    flags: &VerifyFlags,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    let request = request::from_flags(&flags.build, env)?;
    let view = build::mode(&flags.build, env)?.view();
    let sink = view.sink();
    let result = runtime::block_on(|cancel| async move {
        let engine = Engine::open(root, &env.search_path)?;
        let engine = engine.with_environment(env.for_fetching());
        let engine = engine.with_registries(&env.for_registries())?;
        engine.verify(request, sink, cancel).await
    })?;
    view.finish();
    let report = result.map_err(|error| Failure::build(&error, &view.last_words()))?;
    print(flags, &report);
    Ok(if report.is_reproducible() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(flags: &VerifyFlags, report: &VerifyReport) {
    if flags.json {
        println!("{}", object(report));
    } else {
        print!("{}", text(report));
    }
}

fn text(report: &VerifyReport) -> String {
    let mut out = String::new();
    for comparison in &report.comparisons {
        out += &platform(comparison, report.n_run);
    }
    let time_only = report.comparisons.iter().all(Comparison::is_time_only);
    if !report.is_reproducible() && time_only && !report.has_epoch {
        out += "hint: only times differ; give the build one, as with SOURCE_DATE_EPOCH=0\n";
    }
    out
}

fn platform(comparison: &Comparison, n_run: usize) -> String {
    let (first, second) = comparison.manifests;
    let platform = &comparison.platform;
    if comparison.is_equal() {
        return format!("{platform}: reproducible, {n_run} steps ran again\n");
    }
    let mut out = format!("{platform}: not reproducible, `{first}` and then `{second}`\n");
    if !comparison.config.is_empty() {
        out += "  configuration\n";
    }
    for line in &comparison.config {
        out += &format!("    {line}\n");
    }
    for layer in &comparison.layers {
        out += &of_layer(layer);
    }
    out
}

fn of_layer(layer: &LayerComparison) -> String {
    let mut out = format!("  layer {}: {}\n", layer.index + 1, layer.created_by);
    for change in layer.changes.iter().take(MAX_PATHS) {
        out += &format!("    {}: {}\n", change.path, words(&change.change));
    }
    let rest = layer.changes.len().saturating_sub(MAX_PATHS);
    if rest > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "    and {rest} more; --json tells all");
    }
    if layer.changes.is_empty() {
        out += "    the same entries, written in another way\n";
    }
    out
}

fn words(change: &Change) -> String {
    match change {
        Change::Removed => "only in the first build".to_owned(),
        Change::Added => "only in the second build".to_owned(),
        Change::Content(old, new) if old == new => format!("other content, {old} bytes"),
        Change::Content(old, new) => format!("other content, {old} bytes and then {new}"),
        Change::Attribute(name, old, new) => format!("{name} was {old}, is {new}"),
        Change::Time => "other time".to_owned(),
    }
}

fn object(report: &VerifyReport) -> Value {
    let change =
        |change: &EntryChange| json!({ "path": change.path, "difference": words(&change.change) });
    let layer = |layer: &LayerComparison| {
        let changes: Vec<Value> = layer.changes.iter().map(change).collect();
        json!({ "layer": layer.index, "createdBy": layer.created_by, "differences": changes })
    };
    let platform = |one: &Comparison| {
        json!({
            "platform": one.platform.to_string(),
            "reproducible": one.is_equal(),
            "manifests": [one.manifests.0, one.manifests.1],
            "configuration": one.config,
            "layers": one.layers.iter().map(layer).collect::<Vec<_>>(),
        })
    };
    json!({
        "reproducible": report.is_reproducible(),
        "stepsRun": report.n_run,
        "platforms": report.comparisons.iter().map(platform).collect::<Vec<_>>(),
    })
}
