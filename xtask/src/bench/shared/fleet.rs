//! Many clients that look results up in our server at once.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::table::{Table, US, Unit, Work};
use crate::bench::running::Running;
use crate::process;
use crate::project::{Profile, Project};

/// What the rows are called in the table.
pub(super) const NAME: &str = "server, 200 clients";

const N_CLIENTS: &str = "200";
const SECONDS: &str = "3";

/// What the program of the measurement calls a way to ask, and its rows.
const WAYS: [(&str, Work, Work); 2] = [
    (
        "stay",
        rate("look-ups of 40 keys, connections kept"),
        Work::time("99 of 100 of these are faster than", None),
    ),
    (
        "leave",
        rate("look-ups of 40 keys, each by a new client"),
        Work::time("99 of 100 of those are faster than", None),
    ),
];

const fn rate(name: &'static str) -> Work {
    Work {
        name,
        unit: Unit::PerSecond,
        goal: None,
    }
}

/// Asks a new server a few times. The clients are a program of the product's own client, since what a
/// look-up is made of is its business.
pub(super) fn run(
    project: &Project,
    profile: Profile,
    server: &Path,
    folder: &Path,
    runs: usize,
    table: &mut Table,
) -> Result<()> {
    let server = Running::ours(server, &folder.join("server"), &[])?;
    for _ in 0..runs {
        let said = ask(project, profile, &server.address)?;
        for (name, rate, slowest) in WAYS {
            let number = |field: &str| {
                said[name][field]
                    .as_f64()
                    .with_context(|| format!("no number of `{field}` in {said}"))
            };
            table.add(NAME, rate, US, number("per_second")?);
            table.add(NAME, slowest, US, number("p99_ms")?);
        }
    }
    Ok(())
}

fn ask(project: &Project, profile: Profile, address: &str) -> Result<Value> {
    let mut cargo = project.cargo();
    cargo.args([
        "bench",
        "--quiet",
        "-p",
        "acetate-benches",
        "--bench",
        "fleet",
    ]);
    if profile == Profile::Dev {
        cargo.args(["--profile", "dev"]);
    }
    cargo.args(["--", address, N_CLIENTS, SECONDS]);
    let said = process::stdout(&mut cargo)?;
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("not JSON: `{line}`"))
}
