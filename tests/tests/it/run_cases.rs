//! RUN over both executors, case by case.

use acetate_tests::{Case, Layout, Outcome, World, have};

const CASES: &str = include_str!("../../cases/run.txt");

/// Builds a case and compares what came of it.
pub(crate) fn check(case: &Case, isolation: &str) {
    let world = World::new(&case.files);
    let context = world.context();
    let mut args = vec![isolation.to_owned()];
    for arg in case.args("args") {
        args.push(arg.replace("$CONTEXT", &context.to_string_lossy()));
    }
    let dest = world.fresh("layout");
    args.push(format!(
        "--output=type=oci,tar=false,dest={}",
        dest.display()
    ));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = world.build(&args);
    let fails: Vec<&str> = case.body("fails").lines().collect();
    if !fails.is_empty() {
        outcome.fails(&fails);
        return;
    }
    compare(case, &outcome.ok(), &dest);
}

fn compare(case: &Case, outcome: &Outcome, dest: &std::path::Path) {
    let image = Layout::read(dest);
    for section in &case.sections {
        match section.name.as_str() {
            "out" => assert_eq!(image.file("out"), section.body),
            "log" => assert_eq!(outcome.log(), section.body),
            "layer" => assert_eq!(image.listing(image.n_layers() - 1), section.body),
            "args" => {}
            other => panic!("no section is called `{other}`"),
        }
    }
}

#[test]
fn natively() {
    let cases = Case::all(CASES);
    assert!(cases.len() >= 80, "{} cases", cases.len());
    super::cases::each(&cases, |case| check(case, "--isolation=native"));
}

#[test]
fn in_an_oci_runtime() {
    if have("runc") {
        super::cases::each(&Case::all(CASES), |case| check(case, "--isolation=oci"));
    }
}
