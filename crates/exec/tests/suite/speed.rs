//! What a step costs beyond its program.

use std::process::Command;
use std::time::{Duration, Instant};

use acetate_exec::ExecOutcome;

use crate::Test;
use crate::fixture::Fixture;

pub(crate) const TESTS: &[Test] = &[("overhead", overhead)];

const ROUNDS: usize = 40;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Prints the numbers; the bound is far above them, for loaded machines.
fn overhead(f: &Fixture) {
    let bare = (0..ROUNDS).map(|_| {
        let started = Instant::now();
        assert!(Command::new("/bin/busybox").arg("true").status().unwrap().success());
        started.elapsed()
    });
    let bare = median(bare.collect());
    let steps: Vec<_> = (0..ROUNDS).map(|_| f.step(&["true"])).collect();
    let outcomes: Vec<ExecOutcome> = steps.iter().map(|step| f.run(step).outcome).collect();
    let of = |pick: fn(&ExecOutcome) -> Duration| median(outcomes.iter().map(pick).collect());
    let (setup, run, total) =
        (of(|o| o.timings.setup), of(|o| o.timings.run), of(|o| o.timings.total));
    println!("bare {bare:?}; step: setup {setup:?}, run {run:?}, total {total:?}");
    assert!(total < Duration::from_millis(100), "{total:?}");
}
