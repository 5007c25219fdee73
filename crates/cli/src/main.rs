//! `acetate`, the command line.
//!
//! **What.** Reads flags and the environment, shows progress and errors, sets the exit code.
//!
//! **Main types.** [`flags::Flags`], [`environment::Environment`], [`progress::View`].
//!
//! **Invariants.** The only crate that prints. A flag works or fails by name; the few that are taken
//! for the sake of old scripts and mean nothing are in [`flags::IgnoredFlags`].
//!
//! **Not here.** Building: that is `acetate-engine`.

mod allow_flag;
mod attest_flag;
mod cache_flag;
mod cache_summary;
mod cache_token;
mod call_flag;
mod command;
mod context_flag;
mod csv;
mod duration;
mod environment;
mod explanations;
mod failure;
mod flags;
mod notes;
mod output_flag;
mod progress;
mod request;
mod resource_flag;
mod secret_flag;
mod size;
mod ssh_flag;
mod ulimit_flag;

use anyhow::Context;
use clap::Parser;
use environment::Environment;
use failure::Failure;
use flags::{Command, Flags};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A re-executed sandbox helper never comes back from here; nothing may start a thread before.
    acetate_exec::reexec_entry();
    let env = Environment::read();
    match start(&env) {
        Ok(code) => code,
        Err(failure) => failure.print(),
    }
}

fn start(env: &Environment) -> Result<ExitCode, Failure> {
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => return Err(Failure::usage(&error, &args)),
    };
    command::log::start(env);
    let is_root = rustix::process::geteuid().is_root();
    let root = flags.root.unwrap_or_else(|| env.default_root(is_root));
    // From here on mounts are ours alone, or the process is root in a user namespace of its own.
    enter(is_root, &root)?;
    match flags.command {
        Command::Build(build) => command::build::build(&root, &build, env),
        Command::Explain(explain) => command::explain::explain(&root, &explain, env),
        Command::Verify(verify) => command::verify::verify(&root, &verify, env),
        Command::Run(run) => command::run::run(&root, run, env),
        Command::Du(du) => command::state::du(&root, &du, env),
        Command::Cache(cache) => command::cache::run(&root, &cache, env),
        Command::Prune(prune) => command::state::prune(&root, &prune, env),
    }
}

/// Root gets mounts of its own; any other user a namespace in which it is root.
fn enter(is_root: bool, root: &Path) -> Result<(), Failure> {
    if is_root {
        let entered = acetate_exec::enter_private_mounts();
        return Ok(entered.context("failed to enter a mount namespace")?);
    }
    // There it looks like root, whose state directory is another.
    let home = [(environment::HOME, root.as_os_str().to_owned())];
    Ok(acetate_exec::enter_if_needed(&home).context("failed to enter a user namespace")?)
}
