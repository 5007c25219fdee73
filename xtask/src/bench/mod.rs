//! Whole-process measurements of Acetate beside `BuildKit` and buildah, on inputs made here.
//!
//! Every figure is the wall-clock time of a complete command, start of the process included, as a
//! user waits for it. The stores of all tools are empty at the start and lie below
//! `target/bench`; the numbers go to `target/bench/results.json` and to a table.

mod acetate;
mod buildah;
mod buildkit;
mod export;
mod export_input;
mod input;
mod random;
mod registry;
mod report;
mod runc;
mod running;
mod samples;
mod server;
mod server_input;
mod shared;
mod tool;
mod workloads;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::{Profile, Project};
use crate::{bases, peers, process};
use report::Report;
use tool::Tool;

/// What the command line asked for.
#[derive(Debug)]
struct Options {
    runs: usize,
    profile: Profile,
    acetate: bool,
    peers: bool,
    only: Vec<String>,
}

pub(crate) fn run(project: &Project, words: &[String]) -> Result<()> {
    let options = parse(words)?;
    let folder = project.target("bench");
    let stores = folder.join("stores");
    remove(&stores)?;
    fs::create_dir_all(&stores)?;
    let mut report = Report::new(options.runs);
    if workloads::NAMES.iter().any(|name| options.wants(name)) {
        builds(project, &options, &folder, &stores, &mut report)?;
    }
    if options.wants(server::NAME) && options.acetate {
        let below = stores.join(server::NAME);
        match server::run(project, &below, options.profile, options.runs) {
            Ok(measured) => report.append(measured),
            Err(error) => report.absent("the cache server", &error),
        }
        remove(&stores)?;
    }
    if options.wants(shared::NAME) {
        match shared::run(project, &stores.join(shared::NAME), &options) {
            Ok(measured) => report.append(measured),
            Err(error) => report.absent("what machines share", &error),
        }
        remove(&stores)?;
    }
    if options.wants(export::NAME) {
        match export::run(project, &stores.join(export::NAME), &options) {
            Ok(measured) => report.append(measured),
            Err(error) => report.absent("exports", &error),
        }
        remove(&stores)?;
    }
    if options.wants(registry::NAME) && options.acetate {
        match registry::run(project, &stores.join(registry::NAME), &options) {
            Ok(measured) => report.append(measured),
            Err(error) => report.absent("registries", &error),
        }
        remove(&stores)?;
    }
    report.write(&folder)?;
    match report.n_failed() {
        0 => Ok(()),
        failed => bail!("{failed} measurements of Acetate failed"),
    }
}

/// Measures builds with all tools.
fn builds(
    project: &Project,
    options: &Options,
    folder: &Path,
    stores: &Path,
    report: &mut Report,
) -> Result<()> {
    let bases = bases::make_all(project)?;
    let mut tools: Vec<Box<dyn Tool>> = Vec::new();
    if options.acetate {
        let binary = project.build_acetate(options.profile)?;
        tools.push(Box::new(acetate::Acetate::new(
            binary,
            stores,
            &bases.busybox,
        )));
    }
    if options.peers {
        peers::peers(project)?;
        match buildkit::BuildKit::start(&peers::bin(project), stores, &bases.busybox) {
            Ok(tool) => tools.push(Box::new(tool)),
            Err(error) => report.absent("BuildKit", &error),
        }
        match buildah::Buildah::prepare(stores, &bases.busybox) {
            Ok(tool) => tools.push(Box::new(tool)),
            Err(error) => report.absent("buildah", &error),
        }
    }
    let inputs = folder.join("inputs");
    workloads::run_all(options, &inputs, &mut tools, report)?;
    if options.peers && options.wants("run") {
        match runc::bare(stores, &bases.busybox, options.runs) {
            Ok(samples) => report.add("one uncached RUN", "runc run, bare", samples),
            Err(error) => report.absent("runc", &error),
        }
    }
    // The daemons end before their stores go.
    drop(tools);
    remove(stores)
}

impl Options {
    fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == workload)
    }
}

/// What can be asked for by name.
fn names() -> impl Iterator<Item = &'static str> {
    workloads::NAMES.iter().copied().chain([
        server::NAME,
        shared::NAME,
        export::NAME,
        registry::NAME,
    ])
}

/// Removes the stores of an earlier run, with the mounts that a peer may have left in them.
fn remove(stores: &Path) -> Result<()> {
    if !stores.exists() {
        return Ok(());
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    // The last one mounted is taken down first.
    for target in targets
        .filter(|target| Path::new(target).starts_with(stores))
        .rev()
    {
        process::quiet(Command::new("umount").arg(target))?;
    }
    fs::remove_dir_all(stores).with_context(|| format!("cannot remove {}", stores.display()))
}

fn parse(words: &[String]) -> Result<Options> {
    let mut options = Options {
        runs: 5,
        profile: Profile::Release,
        acetate: true,
        peers: true,
        only: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--runs" => {
                let count = words.next().context("`--runs` takes a number")?;
                options.runs = count.parse().ok().filter(|n| *n > 0).with_context(|| {
                    format!("`--runs` takes a number of at least one, not `{count}`")
                })?;
            }
            "--dev" => options.profile = Profile::Dev,
            "--no-peers" => options.peers = false,
            "--peers-only" => options.acetate = false,
            name if names().any(|known| known == name) => options.only.push(name.to_owned()),
            other => bail!(
                "`{other}` is neither a flag nor one of {}",
                names().collect::<Vec<_>>().join(" ")
            ),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_and_names_are_told_apart() {
        let options = parse(&words("cached --runs 3 --no-peers")).unwrap();
        assert_eq!((options.runs, options.peers), (3, false));
        assert!(options.wants("cached") && !options.wants("run"));
        assert!(parse(&[]).unwrap().wants("run"));
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert!(
            parse(&words("--fast"))
                .unwrap_err()
                .to_string()
                .contains("--fast")
        );
        assert!(parse(&words("--runs 0")).is_err());
    }
}
