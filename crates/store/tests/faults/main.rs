//! Faults that need a process of their own: kills at any instant, and a full disk.
//!
//! The binary runs itself: without arguments it is the test, with a role it is the victim. A harness of
//! its own is needed because the usual one takes no arguments.

mod full_disk;
mod killed;

use std::path::Path;
use std::process::Command;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.get(1).map(String::as_str) {
        Some("work-until-killed") => killed::work(Path::new(&args[2]), &args[3]),
        Some("fill-the-disk") => full_disk::fill(Path::new(&args[2])),
        // Whatever else is asked (a filter, a flag of the usual harness): the whole test runs.
        _ => {
            killed::test();
            full_disk::test();
        }
    }
}

/// This binary in the role `args[0]`.
fn victim(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a program knows its path"));
    command.args(args);
    command
}
