//! The project's own commands: `cargo xtask setup | peers | bases | demo | test | tidy | bench |
//! differential`.
//!
//! # Main types
//! [`project::Project`] knows where things lie in the checkout. Every command is one module with
//! a `run` function that takes it and the words of the command line.
//!
//! # Invariants
//! No crate of the product is used here: the demo, the end-to-end checks and the measurements see
//! Acetate only as a user does, through its binary and the files that it writes.
//!
//! # Not here
//! Tests of the product (`tests/` and each crate) and anything that a user of the product needs.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its user"
)]

mod bases;
mod bench;
mod demo;
mod differential;
mod layout;
mod peers;
mod process;
mod progress;
mod project;
mod suite;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};
use project::Project;

const HELP: &str = "\
usage: cargo xtask COMMAND

  setup            install the system packages that the tests and the demo use
  peers            setup, and build the Go programs that we compare with
  bases            make the Debian and busybox base images below target/bases
  demo [--dev]     build, rebuild, change and run examples/demo
  test [PART...]   everything that must hold: fmt, tidy, clippy, tests, deny
  tidy             the structure checks alone
  differential [NAME...]
                   build a corpus beside BuildKit [--bless]
  bench [NAME...]  measure beside BuildKit and buildah [--runs N] [--dev] [--no-peers]
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let command = words.next().unwrap_or_default();
    let rest: Vec<String> = words.collect();
    match dispatch(&command, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: &str, rest: &[String]) -> Result<()> {
    let project = Project::locate()?;
    match command {
        "setup" => peers::setup(),
        "peers" => peers::peers(&project),
        "bases" => bases::make_all(&project).map(|_| ()),
        "demo" => demo::run(&project, rest),
        "test" => suite::run(&project, rest),
        "tidy" => tidy::run(&project),
        "differential" => differential::run(&project, rest),
        "bench" => bench::run(&project, rest),
        "" | "help" | "-h" | "--help" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("unknown command `{other}`\n\n{HELP}"),
    }
}
