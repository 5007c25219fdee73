//! Changed Dockerfiles without end: a bounded number of them in each run of the tests, and as many as
//! `ACETATE_FUZZ_SECONDS` allows when it is set. `ACETATE_FUZZ_SEED` chooses where to begin.
//!
//! A text that fails is made smaller and printed; put it into `testdata/fuzz`, where it stays.

use crate::inputs::{Rng, mutate, seeds};
use crate::sound;
use std::panic::catch_unwind;
use std::time::{Duration, Instant};

/// How many texts are tried when nobody says how long.
const N_TEXTS: u64 = 1_500;
/// Longer than this for a few kilobytes is no longer linear, on the slowest machine.
const MAX_TIME: Duration = Duration::from_secs(20);

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name)?.to_str()?.parse().ok()
}

#[test]
fn changed_files_are_sound() {
    let seeds = seeds();
    assert!(seeds.len() >= 100, "{}", seeds.len());
    let seconds = number("ACETATE_FUZZ_SECONDS").map(Duration::from_secs);
    let first = number("ACETATE_FUZZ_SEED").unwrap_or(1);
    let start = Instant::now();
    let mut slowest = (Duration::ZERO, 0);
    let (mut n_texts, mut n_built) = (0, 0);
    while seconds.map_or(n_texts < N_TEXTS, |limit| start.elapsed() < limit) {
        let seed = first.wrapping_mul(1_000_000_007).wrapping_add(n_texts);
        let text = mutate(&seeds, &mut Rng::new(seed));
        let begin = Instant::now();
        let Ok(is_built) = catch_unwind(|| sound::check(&text)) else {
            let small = smaller(text);
            panic!("seed {seed}: this text fails:\n{small}\n{small:?}");
        };
        n_built += u64::from(is_built);
        let taken = begin.elapsed();
        assert!(taken < MAX_TIME, "seed {seed} takes {taken:?}:\n{text}");
        slowest = slowest.max((taken, seed));
        n_texts += 1;
    }
    let (taken, seed) = slowest;
    println!("{n_texts} texts, {n_built} of them built; seed {seed} was the slowest: {taken:?}");
    assert!(n_built * 20 > n_texts, "too few of them are Dockerfiles");
}

/// Every text that failed once, and those that the changes begin with.
#[test]
fn seeds_are_sound() {
    let n_built = seeds().iter().filter(|text| sound::check(text)).count();
    assert!(n_built > 50, "{n_built}");
}

fn fails(text: &str) -> bool {
    catch_unwind(|| sound::check(text)).is_err()
}

/// Leaves out ever smaller parts as long as what is left still fails.
fn smaller(mut text: String) -> String {
    let mut size = text.chars().count().div_ceil(2);
    while size > 0 {
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        let mut shrunk = false;
        while at < chars.len() && !shrunk {
            let end = (at + size).min(chars.len());
            let less: String = chars[..at].iter().chain(&chars[end..]).collect();
            if fails(&less) {
                text = less;
                shrunk = true;
            }
            at = end;
        }
        if !shrunk {
            size /= 2;
        }
    }
    text
}
