//! `acetate explain`.

use crate::command::{build, runtime};
use crate::environment::Environment;
use crate::explanations;
use crate::failure::Failure;
use crate::flags::ExplainFlags;
use crate::request;
use acetate_engine::{Engine, ExplainReport};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Says what a build with the same flags would run and why, and runs nothing.
pub(crate) fn explain(
    root: &Path,
    flags: &ExplainFlags,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    let request = request::from_flags(&flags.build, env)?;
    let view = build::mode(&flags.build, env)?.view();
    let sink = view.sink();
    let result = runtime::block_on(|cancel| async move {
        let engine = Engine::open(root, &env.search_path)?;
        let engine = engine.with_environment(env.for_fetching());
        let engine = engine.with_registries(&env.for_registries())?;
        engine.explain(request, sink, cancel).await
    })?;
    view.finish();
    let report = result.map_err(|error| Failure::build(&error, ""))?;
    print(flags, &report);
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(flags: &ExplainFlags, report: &ExplainReport) {
    let ExplainReport {
        explanations,
        n_cached,
        ..
    } = report;
    if flags.json {
        let steps = explanations::json(explanations);
        println!("{}", json!({ "would_run": steps, "cached": n_cached }));
        return;
    }
    print!("{}", explanations::text(explanations));
    match explanations.len() {
        0 => println!("nothing would run: {n_cached} steps are cached"),
        n => println!("{n} steps would run, {n_cached} are cached"),
    }
}
