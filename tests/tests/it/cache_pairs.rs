//! Pairs of builds with a change in between: which steps run again, and which results are kept.
#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see the helpers of a test as one"
)]

use acetate_tests::{Case, Layout, Outcome, Section, World};
use std::os::unix::fs::symlink;

const CASES: &str = include_str!("../../cases/cache.txt");

/// What `mark NAME` in a Dockerfile stands for: a result that is never the same twice.
fn with_marks(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("mark ") {
        let (head, tail) = rest.split_at(at);
        let tail = &tail["mark ".len()..];
        let end = tail
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(tail.len());
        out += &format!("{head}{}{}", MARK, &tail[..end]);
        rest = &tail[end..];
    }
    out + rest
}

const MARK: &str = "cat /proc/sys/kernel/random/uuid > /mark-";

fn change(world: &World, section: &Section) {
    let arg = |n: usize| section.args.get(n).map_or("", String::as_str);
    let at = |n: usize| world.context().join(arg(n));
    match section.name.as_str() {
        "touch" => {
            let file = std::fs::File::options().write(true).open(at(0)).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH;
            file.set_modified(time).unwrap();
        }
        "chmod" => world.chmod(arg(1), u32::from_str_radix(arg(0), 8).unwrap()),
        "write" => world.write(arg(0), &format!("{}\n", section.args[1..].join(" "))),
        "rm" if at(0).is_dir() => std::fs::remove_dir_all(at(0)).unwrap(),
        "rm" => std::fs::remove_file(at(0)).unwrap(),
        "mv" => std::fs::rename(at(0), at(1)).unwrap(),
        "ln" => symlink(arg(0), at(1)).unwrap(),
        "xattr" => {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(at(2), arg(0), arg(1).as_bytes(), flags).unwrap();
        }
        "dockerfile" => world.write("Dockerfile", &with_marks(&section.body)),
        "first" | "args" | "runs" => {}
        other => panic!("no change is called `{other}`"),
    }
}

fn build(world: &World, args: &[String]) -> (Layout, Outcome) {
    let context = world.context();
    let args: Vec<String> = args
        .iter()
        .map(|arg| arg.replace("$CONTEXT", &context.to_string_lossy()))
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    world.image_and_outcome(&args)
}

/// The name of a step as the cases write it.
fn shown(name: &str) -> String {
    name.replace(MARK, "mark ")
}

/// A mark that is in both images is another one exactly when its step ran.
fn check_marks(before: &Layout, after: &Layout, ran: &[String]) {
    for n in 0..after.n_layers() {
        for item in after.items(n) {
            let Some(name) = item.path.strip_prefix("mark-") else {
                continue;
            };
            if !before.has(&item.path) {
                continue;
            }
            let is_new = before.file(&item.path) != after.file(&item.path);
            let step = format!("mark {name}");
            let has_run = ran.iter().any(|ran| ran.contains(&step));
            assert_eq!(
                is_new, has_run,
                "the result of `{step}` and its run disagree"
            );
        }
    }
}

fn check(case: &Case) {
    let world = World::new(&with_marks(&case.files));
    let (before, _) = build(&world, &case.args("first"));
    for section in &case.sections {
        change(&world, section);
    }
    let (after, outcome) = build(&world, &case.args("args"));
    let mut ran: Vec<String> = outcome.ran().iter().map(|name| shown(name)).collect();
    ran.sort();
    let expected: Vec<&str> = case.body("runs").lines().collect();
    assert_eq!(ran, expected);
    check_marks(&before, &after, &ran);
}

#[test]
fn every_pair_runs_what_it_says_and_nothing_else() {
    let cases = Case::all(CASES);
    assert!(cases.len() >= 60, "{} cases", cases.len());
    super::cases::each(&cases, check);
}
