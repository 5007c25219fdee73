//! Prints how long it takes from text to graph, for ten and for twenty thousand lines, and ends badly
//! when it is too long or not linear: `cargo bench -p acetate-benches --bench frontend`.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use acetate_benches::{application, build, least, single_stage};
use acetate_frontend::{SourceFile, parse};
use std::process::ExitCode;
use std::time::Duration;

const RUNS: usize = 41;
/// How long ten thousand lines may take.
const MAX_TIME: Duration = Duration::from_millis(50);
/// How much longer twice the lines may take: more than twice, as caches hold less of it, but a quadratic
/// part would make it four times.
const MAX_RATIO: f64 = 3.0;

fn main() -> ExitCode {
    let are_fast = [
        measure("stages of fifty lines", application),
        measure("a single stage", single_stage),
    ];
    if are_fast.contains(&false) {
        println!("too slow: at most {MAX_TIME:?} and {MAX_RATIO} times are allowed");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Prints what files of one kind take; false when that is too much.
fn measure(kind: &str, text: fn(usize) -> String) -> bool {
    let times = [10_000, 20_000].map(|n_lines| {
        let text = text(n_lines);
        let source = SourceFile::new("Dockerfile", text.as_str());
        let parsing = millis(least(RUNS, || parse(&source)));
        let times = (0..RUNS).map(|_| build(text.clone()).time);
        let time = times.min().unwrap_or_default();
        let all = millis(time);
        println!("{kind}, {n_lines} lines: {all:.1} ms, of which parsing {parsing:.1} ms");
        time
    });
    let ratio = times[1].as_secs_f64() / times[0].as_secs_f64();
    println!("{kind}: twice the lines take {ratio:.2} times as long");
    times[0] <= MAX_TIME && ratio <= MAX_RATIO
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
