//! Steps that wait for other builds: they leave their slot to others, say so, and never wait for
//! each other.

use acetate_tests::{Running, Step, World, files_below};
use rustix::process::Signal;
use std::path::PathBuf;

const BUSY: &str = "waiting for cache mount \"x\" (used by another step)";
const ELSEWHERE: &str = "waiting: another build is running this step";

/// A step that begins a file in a shared directory and ends when `go` is there.
const GATE: &str = "touch /gate/began; until test -e /gate/go; do sleep 0.02; done";

/// The files of this name in cache mounts.
fn cached(world: &World, name: &str) -> Vec<PathBuf> {
    let dir = world.root().join("cache-mounts");
    let files = files_below(&dir).into_iter();
    let named = files.filter(|path| path.ends_with(name));
    named.map(|path| dir.join(path)).collect()
}

/// Lets the step behind the gate end.
fn open_gate(world: &World) {
    for began in cached(world, "began") {
        std::fs::write(began.with_file_name("go"), "").expect("a file is written");
    }
}

/// A build whose step holds the cache mount `x` until the gate opens.
fn holder(world: &World) -> Running {
    let file = world.fresh("Dockerfile");
    let text = format!(
        "FROM base\nRUN --mount=type=cache,id=gate,target=/gate \
         --mount=type=cache,id=x,target=/c,sharing=locked {GATE}; echo held >> /c/log\n"
    );
    std::fs::write(&file, text).expect("a file is written");
    let mut holder = Running::start(world.command(&[&format!("--file={}", file.display())]));
    holder.until("the holder", || !cached(world, "began").is_empty());
    holder
}

fn start(world: &World, args: &[&str]) -> Running {
    Running::start_logged(world.command(args), world.fresh("log"))
}

/// The first of the two wants a directory that others use; it matters as much, so it is tried first.
const TWO: &str = "
    FROM base AS a
    RUN --mount=type=cache,id=x,target=/c,sharing=locked echo waited >> /c/log; cp /c/log /a
    FROM base AS b
    RUN echo the other one ran; echo b > /b
    FROM base
    COPY --from=a /a /
    COPY --from=b /b /
";

#[test]
fn who_waits_for_a_cache_mount_leaves_the_only_slot_to_others() {
    for progress in ["plain", "rawjson"] {
        let world = World::of(TWO);
        let holder = holder(&world);
        let progress = format!("--progress={progress}");
        let mut second = start(&world, &["--max-parallel=1", &progress]);
        second.until_shown(&[BUSY, "the other one ran\n"]);
        open_gate(&world);
        holder.wait().ok();
        second.wait().ok();
        let log = cached(&world, "log");
        assert_eq!(std::fs::read_to_string(&log[0]).unwrap(), "held\nwaited\n");
    }
}

#[test]
fn a_wait_is_told_once_and_the_step_begins_and_ends_once() {
    let world = World::of(TWO);
    let holder = holder(&world);
    let mut second = start(&world, &["--max-parallel=1"]);
    second.until_shown(&[BUSY, "the other one ran\n"]);
    open_gate(&world);
    holder.wait().ok();
    let outcome = second.wait().ok();
    assert_eq!(outcome.log().matches("waiting").count(), 1);
    let ends = |step: &&Step| step.name.contains("RUN --mount");
    assert_eq!(outcome.steps.iter().filter(ends).count(), 1);
    assert_eq!(outcome.ran().len(), 4, "{:#?}", outcome.steps);
}

/// The step of stage `a` is the same for all builds, that of `b` is not.
fn same_step() -> World {
    World::of(&format!(
        "
        FROM base AS a
        RUN --mount=type=cache,id=gate,target=/gate {GATE}; cat /proc/sys/kernel/random/uuid > /a
        FROM base AS b
        ARG WHO
        RUN echo $WHO | tee /b
        FROM base
        COPY --from=a /a /
        COPY --from=b /b /
    "
    ))
}

#[test]
fn who_waits_for_another_build_leaves_the_only_slot_to_others_and_takes_its_result() {
    let world = same_step();
    let mut first = start(&world, &["--build-arg=WHO=first"]);
    first.until("the step", || !cached(&world, "began").is_empty());
    let mut second = start(&world, &["--max-parallel=1", "--build-arg=WHO=second"]);
    second.until_shown(&[ELSEWHERE, "second\n"]);
    open_gate(&world);
    let first = first.wait().ok();
    let second = second.wait().ok();
    assert!(!first.log().contains("waiting"), "{}", first.log());
    assert_eq!(second.log().matches(ELSEWHERE).count(), 1);
    let runs = |names: Vec<String>| {
        names
            .into_iter()
            .filter(|name| name.contains("uuid"))
            .count()
    };
    assert_eq!((runs(first.ran()), runs(second.ran())), (1, 0));
    assert_eq!(runs(second.cached()), 1);
}

#[test]
fn who_waits_for_a_killed_build_carries_the_step_out() {
    let world = same_step();
    let mut first = start(&world, &["--build-arg=WHO=first"]);
    first.until("the step", || !cached(&world, "began").is_empty());
    let mut second = start(&world, &["--max-parallel=1", "--build-arg=WHO=second"]);
    second.until_shown(&[ELSEWHERE, "second\n"]);
    first.signal(Signal::KILL);
    drop(first.wait());
    open_gate(&world);
    let second = second.wait().ok();
    assert!(second.ran().iter().any(|name| name.contains("uuid")));
}

#[test]
fn who_waits_is_stopped_at_once_and_said_to_be() {
    let world = World::of(TWO);
    let holder = holder(&world);
    let mut second = start(&world, &["--max-parallel=1"]);
    second.until_shown(&[BUSY, "the other one ran\n"]);
    let asked = std::time::Instant::now();
    second.signal(Signal::INT);
    let outcome = second.wait();
    assert!(asked.elapsed().as_secs() < 5, "{:?}", asked.elapsed());
    assert_eq!(outcome.code, 1);
    let waiting = |step: &&Step| step.name.contains("RUN --mount");
    let step = outcome.steps.iter().find(waiting).expect("it ended");
    assert_eq!(step.error.as_deref(), Some("canceled"));
    open_gate(&world);
    holder.wait().ok();
}

#[test]
fn a_failure_elsewhere_ends_a_wait() {
    let world = World::of(&TWO.replace("echo b > /b", "exit 9"));
    let holder = holder(&world);
    let outcome = world.build(&["--max-parallel=1"]);
    outcome.fails(&["exit code: 9"]);
    open_gate(&world);
    holder.wait().ok();
}

/// Stages that want the same two directories, in another order each, and one slot in each build.
#[test]
fn builds_with_one_slot_never_wait_for_each_other() {
    let stage = |n: usize| {
        let (first, second) = if n.is_multiple_of(2) {
            ("x", "y")
        } else {
            ("y", "x")
        };
        format!(
            "FROM base AS s{n}\nRUN --mount=type=cache,id={first},target=/1,sharing=locked \
             --mount=type=cache,id={second},target=/2,sharing=locked \
             --mount=type=cache,id=z{n},target=/3,sharing=locked \
             mkdir /1/busy /2/busy && sleep 0.02 && rmdir /1/busy /2/busy && echo {n} > /out{n}\n"
        )
    };
    let mut text: String = (0..6).map(stage).collect();
    text += "FROM base\n";
    for n in 0..6 {
        text += &format!("COPY --from=s{n} /out{n} /\n");
    }
    let world = World::of(&text);
    let forced = |n: usize| n >= 4;
    let start = |n: usize| {
        let args: &[&str] = if forced(n) {
            &["--max-parallel=1", "--no-cache"]
        } else {
            &["--max-parallel=1"]
        };
        Running::start(world.command(args))
    };
    let running: Vec<Running> = (0..6).map(start).collect();
    let mut ran = Vec::new();
    for (n, running) in running.into_iter().enumerate() {
        let outcome = running.wait().ok();
        if !forced(n) {
            ran.extend(
                outcome
                    .ran()
                    .into_iter()
                    .filter(|name| name.contains("RUN")),
            );
        }
    }
    let n_ran = ran.len();
    ran.sort();
    ran.dedup();
    assert_eq!(ran.len(), n_ran, "a step ran more than once: {ran:#?}");
}
