//! The suite that every executor must pass. Not under the usual harness: the program starts itself
//! again as sandbox launcher, and that must come before any thread.
//!
//! Arguments select tests by a part of their names.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "this is a test harness of its own, which clippy does not see as a test"
)]

mod basics;
mod fixture;
mod groups;
mod insecure;
mod layers;
mod lifecycle;
mod mounts;
mod rootless;
mod sandbox;
mod secrets;
mod sources;
mod speed;
mod targets;
mod traces;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use acetate_exec::{Executor, NativeExecutor, OciExecutor, Runtime};

use self::fixture::{Fixture, is_root};

/// A named test; the fixture says which executor it is for.
type Test = (&'static str, fn(&Fixture));

fn main() {
    acetate_exec::reexec_entry();
    if let Some(role) = std::env::args()
        .nth(1)
        .filter(|arg| arg.starts_with("__role-"))
    {
        std::process::exit(role_main(&role));
    }
    if !is_root() {
        println!("skipped: needs root");
        return;
    }
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let mut tally = Tally::default();
    for (executor, name) in executors() {
        let fixture = Fixture::new(executor, name);
        let common = [
            basics::TESTS,
            sandbox::TESTS,
            layers::TESTS,
            lifecycle::TESTS,
            targets::TESTS,
            mounts::TESTS,
            traces::TESTS,
            secrets::TESTS,
            insecure::TESTS,
            groups::TESTS,
        ]
        .concat();
        for test in common {
            tally.run(&fixture, test, &filters);
        }
        if name == "native" {
            for test in [
                sandbox::NATIVE,
                layers::NATIVE,
                groups::NATIVE,
                rootless::TESTS,
                speed::TESTS,
            ]
            .concat()
            {
                tally.run(&fixture, test, &filters);
            }
        }
    }
    println!("\n{} passed, {} failed", tally.passed, tally.failed);
    std::process::exit(i32::from(tally.failed > 0));
}

/// Other programs that tests need, this one in disguise.
fn role_main(role: &str) -> i32 {
    match role {
        "__role-victim" => lifecycle::victim(),
        "__role-inherit" => basics::inherit(),
        "__role-unified" => groups::unified(),
        "__role-rootless" => rootless::user(),
        other => panic!("unknown role {other}"),
    }
}

/// The native executor, and every runtime that works on this machine.
fn executors() -> Vec<(Arc<dyn Executor>, &'static str)> {
    let mut executors: Vec<(Arc<dyn Executor>, &'static str)> =
        vec![(Arc::new(NativeExecutor), "native")];
    let dir = tempfile::tempdir().unwrap();
    for name in Runtime::NAMES {
        let found = ["/usr/bin", "/usr/sbin", "/usr/local/bin"]
            .map(|dir| std::path::Path::new(dir).join(name))
            .into_iter()
            .find(|path| path.is_file());
        let Some(program) = found else { continue };
        match Runtime::probe(&program, dir.path()) {
            Ok(runtime) => executors.push((Arc::new(OciExecutor::new(runtime)), name)),
            Err(error) => println!("skipped: {name} does not work here: {error}"),
        }
    }
    executors
}

#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    fn run(&mut self, fixture: &Fixture, (name, body): Test, filters: &[String]) {
        let name = format!("{}::{name}", fixture.name);
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            return;
        }
        let ok = catch_unwind(AssertUnwindSafe(|| body(fixture))).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        if ok {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}
