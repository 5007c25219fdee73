//! Many machines that want the same at the same time.

use crate::shared_cache::{both, root, warnings, words};
use acetate_tests::{CacheServer, Layout, Outcome, Running, World};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Twenty steps, each of which says in a file of the host's that it ran.
fn twenty() -> World {
    let mut text = "//- Dockerfile\nFROM base\n".to_owned();
    for n in 0..20 {
        text += &format!("RUN cat /proc/sys/kernel/random/uuid > /{n}; echo step {n}\n");
    }
    World::new(&text)
}

fn start(world: &World, machine: &str, flags: &[String]) -> (Running, PathBuf) {
    let dest = world.dir().join(format!("image-{machine}"));
    let output = format!("--output=type=oci,tar=false,dest={}", dest.display());
    let mut args = vec![output.as_str()];
    args.extend(words(flags));
    (
        Running::start(world.command_in(&root(world, machine), &args)),
        dest,
    )
}

/// How often each step ran, over all machines.
fn runs(outcomes: &[Outcome]) -> BTreeMap<String, usize> {
    let mut runs = BTreeMap::new();
    for step in outcomes.iter().flat_map(Outcome::ran) {
        *runs.entry(step).or_default() += 1;
    }
    runs
}

fn digests<'a>(dests: impl Iterator<Item = &'a Path>) -> Vec<acetate_oci::Digest> {
    let mut all: Vec<_> = dests.map(|dest| Layout::read(dest).digest()).collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn eight_machines_run_each_of_twenty_steps_once_in_all() {
    let world = twenty();
    let server = CacheServer::open(&world.dir().join("server"));
    let flags = both(&server.url("org"));
    let started: Vec<_> = (0..8)
        .map(|n| start(&world, &n.to_string(), &flags))
        .collect();
    let mut outcomes = Vec::new();
    let mut dests = Vec::new();
    for (running, dest) in started {
        outcomes.push(running.wait().ok());
        dests.push(dest);
    }
    let runs = runs(&outcomes);
    assert_eq!(runs.len(), 20, "{runs:#?}");
    assert!(runs.values().all(|n| *n == 1), "{runs:#?}");
    assert_eq!(digests(dests.iter().map(PathBuf::as_path)).len(), 1);
    for outcome in &outcomes {
        assert_eq!(warnings(outcome), Vec::<String>::new());
    }
}

#[test]
fn when_the_holder_of_a_lease_is_killed_another_machine_goes_on() {
    let world = World::of(
        "
        FROM base
        RUN echo begun; sleep 3; cat /proc/sys/kernel/random/uuid > /id
    ",
    );
    let server = CacheServer::open(&world.dir().join("server"));
    let flags = both(&server.url("org"));
    let (mut holder, _) = start(&world, "holder", &flags);
    holder.until("a step in flight", || {
        server.get("/x/v1/org/stats").contains("RUN echo begun")
    });
    let others: Vec<_> = ["a", "b"]
        .map(|machine| start(&world, machine, &flags))
        .into();
    std::thread::sleep(Duration::from_millis(500));
    let began = Instant::now();
    holder.signal(Signal::KILL);
    drop(holder.wait());
    let mut outcomes = Vec::new();
    let mut dests = Vec::new();
    for (running, dest) in others {
        outcomes.push(running.wait().ok());
        dests.push(dest);
    }
    assert_eq!(runs(&outcomes).values().copied().collect::<Vec<_>>(), [1]);
    assert_eq!(digests(dests.iter().map(PathBuf::as_path)).len(), 1);
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn who_waits_sees_what_the_other_machine_writes() {
    let world = World::of(
        "
        FROM base
        RUN echo first words; sleep 2; echo last words; cat /proc/sys/kernel/random/uuid > /id
    ",
    );
    let server = CacheServer::open(&world.dir().join("server"));
    let flags = both(&server.url("org"));
    let (mut holder, _) = start(&world, "holder", &flags);
    holder.until("a step in flight", || {
        server.get("/x/v1/org/stats").contains("RUN echo first")
    });
    let (other, _) = start(&world, "other", &flags);
    let holder = holder.wait().ok();
    let other = other.wait().ok();
    assert_eq!((holder.ran().len(), other.ran().len()), (1, 0));
    let log = other.log();
    assert!(
        log.contains("first words\n") && log.contains("last words\n"),
        "{log}"
    );
}

#[test]
fn a_step_that_fails_elsewhere_is_tried_here() {
    let world = World::of(
        "
        FROM base
        RUN sleep 1; exit 7
    ",
    );
    let server = CacheServer::open(&world.dir().join("server"));
    let flags = both(&server.url("org"));
    // It is built before the time counts.
    acetate_tests::acetate_path();
    let began = Instant::now();
    let all: Vec<_> = ["a", "b", "c"]
        .map(|machine| start(&world, machine, &flags))
        .into();
    for (running, _) in all {
        running.wait().fails(&["exit code: 7"]);
    }
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn with_the_lease_off_nobody_waits() {
    let world = World::of(
        "
        FROM base
        RUN sleep 1; cat /proc/sys/kernel/random/uuid > /id
    ",
    );
    let server = CacheServer::open(&world.dir().join("server"));
    let url = server.url("org");
    let flags = [
        format!("--cache-from=type=http,url={url},lease=off"),
        both(&url)[1].clone(),
    ];
    let all: Vec<_> = ["a", "b"]
        .map(|machine| start(&world, machine, &flags))
        .into();
    let outcomes: Vec<Outcome> = all
        .into_iter()
        .map(|(running, _)| running.wait().ok())
        .collect();
    assert_eq!(runs(&outcomes).values().copied().collect::<Vec<_>>(), [2]);
}

#[test]
fn what_a_step_with_a_secret_writes_stays_on_its_machine() {
    let world = World::of(
        "
        FROM base
        ARG WHERE
        COPY --from=base /data/a ${WHERE}
        RUN --mount=type=secret,id=token sleep 1; cat /run/secrets/token; echo; sleep 1
    ",
    );
    let server = CacheServer::open(&world.dir().join("server"));
    std::fs::write(world.dir().join("token"), "hunter2").expect("a secret");
    let secret = world.dir().join("token");
    let mut flags = both(&server.url("org")).to_vec();
    flags.push(format!("--secret=id=token,src={}", secret.display()));
    flags.push("--build-arg=WHERE=/elsewhere-17".to_owned());
    let (mut holder, _) = start(&world, "holder", &flags);
    let mut seen = String::new();
    holder.until("a step in flight", || {
        let stats = server.get("/x/v1/org/stats");
        seen += &stats;
        stats.contains("type=secret")
    });
    let (other, _) = start(&world, "other", &flags);
    assert!(holder.wait().ok().log().contains("hunter2"));
    let other = other.wait().ok();
    assert_eq!(other.ran(), Vec::<String>::new());
    assert!(!other.log().contains("hunter2"), "{}", other.log());
    assert!(!seen.contains("elsewhere-17"), "{seen}");
}
