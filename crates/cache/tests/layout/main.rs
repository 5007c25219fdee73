//! A layout under faults that need a process of their own: kills at any instant, builds in other
//! processes, and disks that are full or not to be written.
//!
//! The binary runs itself: without arguments it is the test, with a role it is the victim. A harness
//! of its own is needed because the usual one takes no arguments.

mod common;
mod disks;
mod processes;

use std::path::Path;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let path = |n: usize| Path::new(&args[n]);
    match args.get(1).map(String::as_str) {
        Some("publish") => processes::publish(path(2), &args[3]),
        Some("stop-before-the-index") => processes::stop_before_the_index(path(2)),
        Some("disks") => disks::victim(path(2)),
        // Whatever else is asked (a filter, a flag of the usual harness): the whole test runs.
        _ => {
            processes::test();
            disks::test();
        }
    }
}
