//! What a step costs beyond its program.

use std::process::Command;
use std::time::{Duration, Instant};

use acetate_exec::ExecOutcome;

use crate::Test;
use crate::fixture::Fixture;

pub(crate) const TESTS: &[Test] = &[("overhead", overhead)];

const ROUNDS: usize = 40;

/// The shortest and the middle one, in microseconds.
fn spread(times: impl Iterator<Item = Duration>) -> String {
    let mut times: Vec<u128> = times.map(|time| time.as_micros()).collect();
    times.sort_unstable();
    format!("{} .. {}", times[0], times[times.len() / 2])
}

/// Processor time of all children that were waited for.
fn children_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    // cutime and cstime are fields 16 and 17, in hundredths of a second; the first two are cut off.
    let ticks: u64 = fields[13..15]
        .iter()
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

/// Prints the numbers; the bound is far above them, for loaded machines.
fn overhead(f: &Fixture) {
    let bare: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            assert!(
                Command::new("/bin/busybox")
                    .arg("true")
                    .status()
                    .unwrap()
                    .success()
            );
            started.elapsed()
        })
        .collect();
    let steps: Vec<_> = (0..ROUNDS).map(|_| f.step(&["true"])).collect();
    let before = children_time();
    let outcomes: Vec<ExecOutcome> = steps.iter().map(|step| f.run(step).outcome).collect();
    let processor = children_time().saturating_sub(before) / u32::try_from(ROUNDS).unwrap();
    let of = |pick: fn(&ExecOutcome) -> Duration| spread(outcomes.iter().map(pick));
    println!("microseconds, least .. median of {ROUNDS}");
    println!("  bare process {}", spread(bare.into_iter()));
    println!("  step, set up {}", of(|outcome| outcome.timings.setup));
    println!("  step, run    {}", of(|outcome| outcome.timings.run));
    println!("  step, total  {}", of(|outcome| outcome.timings.total));
    println!("  processor time per step {}", processor.as_micros());
    assert!(
        outcomes
            .iter()
            .any(|o| o.timings.total < Duration::from_millis(200))
    );
}
