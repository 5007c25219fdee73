//! `acetate build`.

use crate::attest_flag;
use crate::cache_summary;
use crate::cache_token;
use crate::call_flag;
use crate::command::{check, runtime};
use crate::environment::Environment;
use crate::explanations;
use crate::failure::{self, Failure};
use crate::flags::BuildFlags;
use crate::notes;
use crate::progress::Mode;
use crate::request;
use acetate_engine::{BuildReport, BuildRequest, Engine, Explanation, OutputSpec};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

/// Builds, shows how it goes, and writes what the flags ask for.
pub(crate) fn build(
    root: &Path,
    flags: &BuildFlags,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    if let Some(call) = call_flag::wanted(flags)? {
        return check::ask(root, flags, env, mode(flags, env)?, call);
    }
    let mut request = request::from_flags(flags, env)?;
    refuse_terminal(&request)?;
    let mode = mode(flags, env)?;
    let found = cache_token::fill(&mut request, env, |helper, url| {
        runtime::block_on(|cancel| async move {
            acetate_engine::cache_credential(&env.search_path, helper, url, &cancel).await
        })
    })?;
    let unattested = attest_flag::note(&request.attest, &request.outputs);
    let unattested: Vec<String> = unattested.into_iter().collect();
    print_notes(mode, &[notes::of(flags), unattested, found].concat());
    let view = mode.view();
    let sink = view.sink();
    let result = runtime::block_on(|cancel| async move {
        let engine = Engine::open(root, &env.search_path)?;
        let engine = engine.with_environment(env.for_fetching());
        let engine = engine.with_registries(&env.for_registries())?;
        engine.build(request, sink, cancel).await
    })?;
    view.finish();
    print_explanations(mode, flags, &view.explanations(), result.is_ok());
    let report = result.map_err(|error| Failure::build(&error, &view.last_words()))?;
    write_files(flags, &report)?;
    print(mode, flags, &report);
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn mode(flags: &BuildFlags, env: &Environment) -> Result<Mode> {
    if flags.quiet {
        return Ok(Mode::Quiet);
    }
    let text = flags
        .progress
        .as_deref()
        .or(env.progress.as_deref())
        .unwrap_or("auto");
    Mode::choose(text, std::io::stderr().is_terminal())
}

/// An archive is no text: on a terminal it would only do harm.
fn refuse_terminal(request: &BuildRequest) -> Result<()> {
    let to_stdout = request.outputs.iter().any(OutputSpec::is_stdout);
    if to_stdout && std::io::stdout().is_terminal() {
        bail!("refusing to write an archive to the terminal; use dest=FILE or redirect the output");
    }
    Ok(())
}

/// What is not done although a flag asks for it; programs and the quiet are not told.
#[expect(clippy::print_stderr, reason = "a warning to the user")]
fn print_notes(mode: Mode, notes: &[String]) {
    if let Mode::Plain | Mode::Tty = mode {
        for note in notes {
            eprintln!("WARNING: {note}");
        }
    }
}

/// Why steps ran, after a build that failed too; programs read it from the stream of events.
#[expect(clippy::print_stderr, reason = "a part of the progress")]
fn print_explanations(mode: Mode, flags: &BuildFlags, explanations: &[Explanation], is_ok: bool) {
    if !flags.explain || !matches!(mode, Mode::Plain | Mode::Tty) {
        return;
    }
    if explanations.is_empty() && is_ok {
        eprintln!("no step ran: all of them are cached");
    }
    eprint!("{}", explanations::text(explanations));
}

fn write_files(flags: &BuildFlags, report: &BuildReport) -> Result<()> {
    if let (Some(path), Some(id)) = (&flags.iidfile, image_id(report)) {
        std::fs::write(path, id)
            .with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    if let Some(path) = &flags.metadata_file {
        let text = serde_json::to_vec_pretty(&metadata(flags, report)).context("metadata")?;
        std::fs::write(path, text)
            .with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    Ok(())
}

/// The config digest of the one image, or the digest of the index.
fn image_id(report: &BuildReport) -> Option<String> {
    match report.images.as_slice() {
        [image] => Some(image.config.to_string()),
        _ => report.digest.map(|digest| digest.to_string()),
    }
}

fn metadata(flags: &BuildFlags, report: &BuildReport) -> Value {
    let mut object = Map::new();
    if let [image] = report.images.as_slice() {
        object.insert("containerimage.config.digest".into(), json!(image.config));
        object.insert(
            "containerimage.descriptor".into(),
            json!({
                "mediaType": acetate_oci::MediaType::OCI_MANIFEST,
                "digest": image.manifest,
                "size": image.manifest_size,
                "platform": image.platform,
            }),
        );
    }
    if let Some(root) = &report.root {
        // Of an image with attestations, the index over both.
        let mut descriptor = json!(root);
        if let ([image], false) = (report.images.as_slice(), root.media_type.is_index()) {
            descriptor["platform"] = json!(image.platform);
        }
        object.insert("containerimage.descriptor".into(), descriptor);
    }
    for (platform, predicate) in &report.provenance {
        let key = match report.provenance.len() {
            1 => "buildx.build.provenance".to_owned(),
            _ => format!("buildx.build.provenance/{platform}"),
        };
        object.insert(key, predicate.clone());
    }
    if let Some(digest) = report.digest {
        object.insert("containerimage.digest".into(), json!(digest));
    }
    if !report.names.is_empty() {
        object.insert("image.name".into(), json!(report.names.join(",")));
    }
    if !report.caches.is_empty() {
        object.insert("acetate.caches".into(), cache_summary::json(&report.caches));
    }
    object.insert(
        "acetate.steps".into(),
        json!({ "run": report.n_run, "cached": report.n_cached }),
    );
    if flags.explain {
        let list = explanations::json(&report.explanations);
        object.insert("acetate.explanations".into(), list);
    }
    Value::Object(object)
}

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the result"
)]
fn print(mode: Mode, flags: &BuildFlags, report: &BuildReport) {
    if flags.quiet {
        if let Some(id) = image_id(report) {
            println!("{id}");
        }
        return;
    }
    if let (Mode::Plain | Mode::Tty, Some(file)) = (mode, &report.file) {
        let warnings = if flags.debug {
            failure::expanded_warnings(file, &report.warnings)
        } else {
            failure::warnings(file, &report.warnings)
        };
        eprint!("{warnings}");
        for line in report.caches.iter().filter_map(cache_summary::line) {
            eprintln!("{line}");
        }
        if report.images.is_empty() && flags.output.is_empty() {
            eprintln!(
                "WARNING: no output was asked for, the result stays in the cache; \
                 use -t NAME or -o to keep an image"
            );
        }
    }
}
