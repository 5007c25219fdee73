//! `acetate build --check` and `--call`: questions about a Dockerfile, answered without building it.

use crate::call_flag::{Call, Question};
use crate::command::runtime;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::flags::BuildFlags;
use crate::progress::Mode;
use crate::request;
use acetate_engine::{CallAnswer, CallKind, CallReport, Engine};
use acetate_frontend::call::{self, LintResult};
use acetate_frontend::{SourceFile, render};
use std::path::Path;
use std::process::ExitCode;

/// Asks, and prints the answer on standard output.
///
/// The exit code is 1 when the checks found something.
pub(crate) fn ask(
    root: &Path,
    flags: &BuildFlags,
    env: &Environment,
    mode: Mode,
    call: Call,
) -> Result<ExitCode, Failure> {
    let kind = match call.question {
        Question::Describe => {
            describe(call);
            return Ok(ExitCode::SUCCESS);
        }
        Question::Check => CallKind::Check,
        Question::Outline => CallKind::Outline,
        Question::Targets => CallKind::Targets,
    };
    let request = request::from_flags(flags, env)?;
    let view = mode.view();
    let sink = view.sink();
    let result = runtime::block_on(|cancel| async move {
        let engine = Engine::open(root, &env.search_path)?;
        let engine = engine.with_environment(env.for_fetching());
        let engine = engine.with_registries(&env.for_registries())?;
        engine.call(request, kind, sink, cancel).await
    })?;
    view.finish();
    let CallReport { file, answer } = result.map_err(|error| Failure::build(&error, ""))?;
    match answer {
        CallAnswer::Outline(outline) => {
            say(
                call,
                || call::json(&outline),
                || call::outline_text(&outline),
            );
        }
        CallAnswer::Targets(targets) => {
            say(
                call,
                || call::json(&targets),
                || call::targets_text(&targets),
            );
        }
        CallAnswer::Check(result) => return check(call, &file, &result),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(call: Call, file: &SourceFile, result: &LintResult) -> Result<ExitCode, Failure> {
    say(
        call,
        || call::json(result),
        || call::lint_text(result, file),
    );
    if let Some(error) = &result.build_error {
        let mut text = format!("ERROR: {}\n", error.message);
        if let Some(lines) = error.location.lines() {
            text += &render::render_excerpt(file, lines);
        }
        return Err(Failure::told(text));
    }
    let is_fine = result.warnings.is_empty() || call.ignores_status;
    Ok(ExitCode::from(u8::from(!is_fine)))
}

fn describe(call: Call) {
    let questions = call::describe();
    say(
        call,
        || call::json(&questions),
        || call::describe_text(&questions),
    );
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn say(call: Call, json: impl FnOnce() -> String, text: impl FnOnce() -> String) {
    if call.is_json {
        println!("{}", json());
    } else {
        print!("{}", text());
    }
}
