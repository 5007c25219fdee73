//! The corpus through BuildKit and through `acetate`: what `cargo xtask differential` starts.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is a command")]

use acetate_tests::differential::{Against, BuildKit, Case, bless, corpus, run, table};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
usage: differential [--bin DIR --state DIR] [--bless] [NAME...]

  --bin DIR    where buildkitd, buildctl and buildx are; without it the goldens are believed
  --state DIR  where the daemon keeps its results
  --bless      keep what BuildKit does now
  NAME         cases whose name or title holds it
";

/// The words of the command line.
#[derive(Default)]
struct Words {
    bin: Option<PathBuf>,
    state: Option<PathBuf>,
    bless: bool,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let Some(words) = words() else {
        eprint!("{HELP}");
        return ExitCode::from(2);
    };
    let wanted = |case: &Case| {
        let holds = |name: &String| case.name.contains(name) || case.title.contains(name);
        words.names.is_empty() || words.names.iter().any(holds)
    };
    let cases: Vec<Case> = corpus().into_iter().filter(wanted).collect();
    let results = match (&words.bin, &words.state) {
        (Some(bin), Some(state)) => match BuildKit::start(&whole(bin), &whole(state)) {
            Ok(buildkit) if words.bless => bless(&cases, &buildkit),
            Ok(buildkit) => run(&cases, Against::BuildKit(&buildkit)),
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::FAILURE;
            }
        },
        _ => run(&cases, Against::Goldens),
    };
    print!("{}", table(&results));
    if results.iter().all(|(_, verdict)| verdict.is_fine()) {
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

/// The daemon takes no relative paths.
fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn words() -> Option<Words> {
    let mut words = Words::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--bin" => words.bin = Some(args.next()?.into()),
            "--state" => words.state = Some(args.next()?.into()),
            "--bless" => words.bless = true,
            flag if flag.starts_with('-') => return None,
            name => words.names.push(name.to_owned()),
        }
    }
    Some(words)
}
