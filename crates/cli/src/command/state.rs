//! `acetate du` and `acetate prune`.

use crate::environment::Environment;
use crate::failure::Failure;
use crate::flags::{DuFlags, PruneFlags};
use crate::size::human as size;
use acetate_engine::{Engine, PruneReport, PruneScope, Reason, Tally, Usage};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

/// Shows what the state directory holds.
#[expect(clippy::print_stdout, reason = "this is the result")]
pub(crate) fn du(root: &Path, flags: &DuFlags, env: &Environment) -> Result<ExitCode, Failure> {
    let usage = Engine::open(root, &env.search_path)?.usage()?;
    if flags.json {
        println!("{}", usage_json(&usage));
    } else {
        print!("{}", usage_text(&usage));
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes what is not needed, after asking.
#[expect(clippy::print_stdout, reason = "this is the result")]
pub(crate) fn prune(
    root: &Path,
    flags: &PruneFlags,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    if !flags.force && !confirmed(question(flags.all))? {
        println!("nothing was removed");
        return Ok(ExitCode::FAILURE);
    }
    let scope = if flags.all {
        PruneScope::All
    } else {
        PruneScope::Unnamed
    };
    let report = Engine::open(root, &env.search_path)?.prune(scope)?;
    print!("{}", prune_text(&report));
    Ok(ExitCode::SUCCESS)
}

fn question(all: bool) -> &'static str {
    if all {
        "all images and everything else"
    } else {
        "everything that no image needs and"
    }
}

/// Asks whether to remove something.
#[expect(clippy::print_stderr, reason = "a question to the user")]
pub(crate) fn confirmed(what: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("prune asks before it removes; say --force where nobody can answer");
    }
    eprint!("This removes {what} that is not in use. Go on? [y/N] ");
    std::io::stderr().flush().context("failed to ask")?;
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .context("failed to read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn usage_json(usage: &Usage) -> Value {
    let tally = |tally: Tally| json!({ "count": tally.n, "bytes": tally.bytes });
    let items = usage.items.iter().map(|item| {
        json!({ "object": item.object.to_string(), "bytes": item.bytes, "in_use": item.in_use })
    });
    json!({
        "blobs": tally(usage.blobs),
        "layers": tally(usage.layers),
        "cache_mounts": tally(usage.cache_mounts),
        "temporary": tally(usage.temporary),
        "trash": tally(usage.trash),
        "index_bytes": usage.index_bytes,
        "records": usage.records,
        "facts": usage.facts,
        "reclaimable_bytes": usage.reclaimable,
        "total_bytes": usage.bytes(),
        "items": items.collect::<Vec<_>>(),
    })
}

fn usage_text(usage: &Usage) -> String {
    let mut text = format!("{:<12} {:>8} {:>12}\n", "TYPE", "COUNT", "SIZE");
    let rows = [
        ("blobs", usage.blobs),
        ("layers", usage.layers),
        ("cache mounts", usage.cache_mounts),
        ("temporary", usage.temporary),
        ("trash", usage.trash),
    ];
    for (name, tally) in rows {
        text += &format!("{name:<12} {:>8} {:>12}\n", tally.n, size(tally.bytes));
    }
    text += &format!(
        "{:<12} {:>8} {:>12}\n",
        "index",
        usage.records,
        size(usage.index_bytes)
    );
    text += &format!(
        "Reclaimable: {}\nTotal:       {}\n",
        size(usage.reclaimable),
        size(usage.bytes())
    );
    text
}

/// What a prune did.
pub(crate) fn prune_text(report: &PruneReport) -> String {
    let mut text = format!(
        "removed {} blobs, {} layers, {} cache mounts, {} temporary files and {} records\n",
        report.blobs.n,
        report.layers.n,
        report.cache_mounts.n,
        report.temporary.n + report.trash.n,
        report.records
    );
    for kept in &report.kept {
        text += &format!("kept {}: {}\n", kept.object, reason(kept.reason));
    }
    if report.cache_mounts_in_use > 0 {
        let n = report.cache_mounts_in_use;
        text += &format!("kept {n} cache mounts: {}\n", reason(Reason::Held));
    }
    for failure in &report.failures {
        text += &format!("not removed: {failure}\n");
    }
    text + &format!("Total reclaimed space: {}\n", size(report.bytes()))
}

fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Pinned => "an image or a running process needs it",
        Reason::Held => "a running process uses it",
    }
}
