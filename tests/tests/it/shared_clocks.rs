//! Machines whose clocks are a day apart share a cache all the same.

use crate::shared_cache::{TWO_STAGES, both, root, warnings, words};
use crate::shared_signed::{PRIVATE, PUBLIC};
use acetate_tests::{CacheServer, Layout, Outcome, World, have};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// A build on a machine whose clock is off by what `faketime` understands.
fn build_at(world: &World, clock: &str, machine: &str, flags: &[&str]) -> (Layout, Outcome) {
    let dest = world.fresh("image");
    let output = format!("--output=type=oci,tar=false,dest={}", dest.display());
    let mut args = vec![output.as_str()];
    args.extend(flags);
    let plain = world.command_in(&root(world, machine), &args);
    let mut command = Command::new("faketime");
    command.args(["-f", clock]).arg(plain.get_program());
    command.args(plain.get_args());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    if let Some(dir) = plain.get_current_dir() {
        command.current_dir(dir);
    }
    // Waits are measured by another clock, which nobody sets.
    command.env("DONT_FAKE_MONOTONIC", "1");
    let outcome = Outcome::of(command).ok();
    (Layout::read(&dest), outcome)
}

/// How long ago an image was made, by the true clock.
fn seconds_since(image: &Layout) -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("a time after 1970");
    let made = image.config.created.expect("a time");
    i64::try_from(since.as_secs()).expect("seconds") - made.secs
}

#[test]
fn a_day_ahead_or_behind_changes_nothing() {
    if !have("faketime") {
        return;
    }
    let world = World::new(TWO_STAGES);
    let server = CacheServer::open(&world.dir().join("server"));
    let flags = both(&server.url("org"));
    let leased = format!("{},lease=30s", flags[0]);
    let flags = [leased, flags[1].clone()];
    let (made, outcome) = build_at(&world, "-1d", "behind", &words(&flags));
    assert_eq!(warnings(&outcome), Vec::<String>::new());
    assert!(seconds_since(&made) > 80_000, "the clock was another one");
    let n = server.files("ac").len();
    for (clock, machine) in [("+1d", "ahead"), ("+0", "right"), ("-1d", "behind too")] {
        let (taken, outcome) = build_at(&world, clock, machine, &words(&flags));
        assert_eq!(outcome.ran(), Vec::<String>::new(), "{machine}");
        assert_eq!(warnings(&outcome), Vec::<String>::new(), "{machine}");
        assert_eq!(taken.digest(), made.digest(), "{machine}");
    }
    assert_eq!(server.files("ac").len(), n, "nothing is removed");
}

#[test]
fn what_a_machine_signed_tomorrow_is_taken_today() {
    if !have("faketime") {
        return;
    }
    let world = World::new(TWO_STAGES);
    let server = CacheServer::open(&world.dir().join("server"));
    let (key, list) = (world.dir().join("key"), world.dir().join("list"));
    std::fs::write(&key, PRIVATE).expect("a key is written");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("a mode");
    std::fs::write(&list, format!("{PUBLIC} main\n")).expect("a list is written");
    let url = server.url("org");
    let from = format!("--cache-from={url},trust={}", list.display());
    let to = format!(
        "--cache-to=type=http,url={url},mode=max,sign={}",
        key.display()
    );
    let (made, _) = build_at(&world, "+1d", "ahead", &[&from, &to]);
    assert!(seconds_since(&made) < -80_000, "the clock was another one");
    for (clock, machine) in [("+0", "right"), ("-1d", "behind")] {
        let (taken, outcome) = build_at(&world, clock, machine, &[&from]);
        assert_eq!(outcome.ran(), Vec::<String>::new(), "{machine}");
        assert_eq!(taken.digest(), made.digest(), "{machine}");
    }
}
