//! `cargo xtask differential`: the corpus through `BuildKit` and through the product.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::peers;
use crate::process;
use crate::project::{Profile, Project};

/// The programs without which only what is kept of `BuildKit` can be compared.
const PROGRAMS: &[&str] = &["buildkitd", "buildctl", "buildx"];

/// Compares, beside a daemon where there is one. The words are those of the program that does it:
/// names of cases, and `--bless` to keep what `BuildKit` does now.
pub(crate) fn run(project: &Project, words: &[String]) -> Result<()> {
    let bin = peers::bin(project);
    let mut args: Vec<PathBuf> = Vec::new();
    match lacking(project) {
        None => {
            args.extend(["--bin".into(), bin]);
            args.extend(["--state".into(), project.target("differential/buildkit")]);
        }
        Some(why) if words.iter().any(|word| word == "--bless") => {
            bail!("only BuildKit can say what is right: {why}")
        }
        Some(why) => {
            println!("skipped: {why}; comparing with what is kept of BuildKit");
        }
    }
    let acetate = project.build_acetate(Profile::Dev)?;
    let mut command = project.cargo();
    command.args(["run", "--quiet", "--package", "acetate-tests"]);
    command.args(["--bin", "differential", "--"]);
    command.args(args).args(words);
    process::run(command.env("ACETATE_TEST_PROGRAM", acetate))
}

/// The part of `cargo xtask test`: whether what is kept of `BuildKit` is still true. The tests of
/// the product compare with it on every machine, so that nothing is lost where there is no daemon.
pub(crate) fn part(project: &Project) -> Result<()> {
    if let Some(why) = lacking(project) {
        println!("skipped: {why}");
        return Ok(());
    }
    run(project, &[])
}

/// What is missing for a daemon of our own.
fn lacking(project: &Project) -> Option<&'static str> {
    let bin = peers::bin(project);
    if !PROGRAMS.iter().all(|name| bin.join(name).is_file()) {
        return Some("needs BuildKit and buildx: `cargo xtask peers`");
    }
    (!process::is_root()).then_some("needs root, for BuildKit's daemon")
}
