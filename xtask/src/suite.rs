//! `cargo xtask test`: everything that must hold before a change is handed over.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{self, Stream};
use crate::project::Project;
use crate::{bases, differential, peers, tidy};

/// The parts, in the order in which they run; the first ones take least time.
const PARTS: &[&str] = &[
    "setup",
    "fmt",
    "tidy",
    "clippy",
    "bases",
    "unit",
    "differential",
    "deny",
];

/// What passed and what failed, tests and checks alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
}

impl Totals {
    fn check(&mut self, name: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("== {name}: ok");
            }
            Err(error) => {
                self.failed += 1;
                println!("== {name}: FAILED: {error:#}");
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

pub(crate) fn run(project: &Project, words: &[String]) -> Result<()> {
    if let Some(word) = words.iter().find(|word| !PARTS.contains(&word.as_str())) {
        bail!("`{word}` is none of the parts: {}", PARTS.join(" "));
    }
    let mut totals = Totals::default();
    for part in PARTS {
        if words.is_empty() || words.iter().any(|word| word == part) {
            println!("== {part}");
            run_part(project, part, &mut totals);
        }
    }
    println!("{} passed, {} failed", totals.passed, totals.failed);
    match totals.failed {
        0 => Ok(()),
        failed => bail!("{failed} tests or checks failed"),
    }
}

fn run_part(project: &Project, part: &str, totals: &mut Totals) {
    let cargo = |args: &[&str]| process::run(project.cargo().args(args));
    match part {
        "setup" => totals.check(part, peers::for_tests(project)),
        "fmt" => totals.check(part, cargo(&["fmt", "--all", "--check"])),
        "tidy" => totals.check(part, tidy::run(project)),
        "clippy" => {
            let args = ["clippy", "--workspace", "--all-targets", "--quiet", "--"];
            totals.check(part, cargo(&[&args[..], &["-D", "warnings"]].concat()));
        }
        "bases" => totals.check(part, bases::make_all(project).map(|_| ())),
        "unit" => unit(project, totals),
        "differential" => totals.check(part, differential::part(project)),
        _ => deny(project, totals),
    }
}

/// All tests of all packages. The program is built with them, since one of its own tests starts
/// it, and handed to those of other packages: building it apart would compile every dependency a
/// second time with other features.
fn unit(project: &Project, totals: &mut Totals) {
    let build = ["test", "--workspace", "--no-run", "--quiet"];
    totals.check("build", process::run(project.cargo().args(build)));
    let mut command = project.cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command.env("ACETATE_TEST_PROGRAM", project.target("debug/acetate"));
    let server = project.target("debug/acetate-cache-server");
    command.env("ACETATE_TEST_CACHE_SERVER", server);
    match process::tee(&mut command, Stream::Stdout) {
        Ok((status, text)) => {
            let counted = count(&text);
            totals.add(counted);
            // A test program that crashed, or did not compile, names no failed test.
            if !status.success() && counted.failed == 0 {
                totals.check(
                    "unit",
                    Err(anyhow::anyhow!("`cargo test` ended with {status}")),
                );
            }
        }
        Err(error) => totals.check("unit", Err(error)),
    }
}

fn deny(project: &Project, totals: &mut Totals) {
    let installed = process::quiet(Command::new("cargo-deny").arg("--version")).is_ok();
    if !installed {
        println!("skipped: cargo-deny is not installed");
        return;
    }
    let args = [
        "deny",
        "--workspace",
        "check",
        "bans",
        "licenses",
        "sources",
    ];
    totals.check("deny", process::run(project.cargo().args(args)));
}

/// Adds up the summary lines of libtest, and those of the suites that have a harness of their own
/// and end with a line `12 passed, 0 failed`.
fn count(text: &str) -> Totals {
    let mut totals = Totals::default();
    for line in text.lines() {
        let summary = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "));
        let counted = match summary {
            Some((_, counts)) => pair(counts, "; "),
            None => pair(line, ", ").filter(|_| line.trim_end().ends_with(" failed")),
        };
        totals.add(counted.unwrap_or_default());
    }
    totals
}

fn pair(text: &str, between: &str) -> Option<Totals> {
    let mut parts = text.trim().split(between);
    let mut number = |word: &str| -> Option<u64> {
        let (count, what) = parts.next()?.split_once(' ')?;
        (what == word).then(|| count.parse().ok()).flatten()
    };
    Some(Totals {
        passed: number("passed")?,
        failed: number("failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_summary_are_added_up() {
        let text = "running 3 tests\n\
            test a ... ok\n\
            test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
            skipped: needs root\n\
            40 passed, 2 failed\n\
            test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(
            count(text),
            Totals {
                passed: 44,
                failed: 3
            }
        );
    }

    #[test]
    fn sentences_that_look_alike_are_not_counted() {
        let text = "3 passed, 0 failed, so far\nsift: 60 of 60 checks passed\n5 passed\n";
        assert_eq!(count(text), Totals::default());
    }

    #[test]
    fn an_unknown_part_is_named() {
        let project = Project::locate().unwrap();
        let error = run(&project, &["units".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("`units`"));
    }
}
