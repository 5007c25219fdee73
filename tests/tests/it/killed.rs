//! Killed at any moment, asked to stop at any moment: nothing is left, and the next build works.

use acetate_tests::{Layout, Running, World, files_below, mounts_of, processes_of};
use rustix::process::Signal;
use std::time::{Duration, Instant};

const WORLD: &str = "
    //- Dockerfile
    FROM base AS a
    ARG ROUND
    RUN echo $ROUND > /round; head -c 3000000 /dev/urandom > /random; sleep 0.05
    FROM base
    COPY --from=a / /copy
    COPY big /
    RUN ls -R /copy > /list
    //- big
    b
";

/// Waits until no process has to do with a directory.
#[track_caller]
fn alone(world: &World) {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let found = processes_of(&world.marker());
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "left running: {found:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn killed_at_any_moment_leaves_nothing_and_the_next_build_works() {
    let world = World::new(WORLD);
    world.write("big", &"0123456789abcdef".repeat(200_000));
    let began = Instant::now();
    world.image(&["--build-arg=ROUND=first"]);
    let whole = began.elapsed();
    for n in 0..20_u32 {
        let dest = world.dir().join(format!("killed-{n}.tar"));
        let output = format!("-otype=oci,dest={}", dest.display());
        let args = [&*format!("--build-arg=ROUND={n}"), &output, "-tkilled"];
        let running = Running::start(world.command(&args));
        std::thread::sleep(whole * n / 19);
        running.signal(Signal::KILL);
        drop(running.wait());
        alone(&world);
        assert_eq!(mounts_of(world.dir()), Vec::<String>::new());
        if dest.exists() {
            Layout::read_archive(&dest);
        }
        if n % 4 == 3 {
            let image = world.image(&[args[0]]);
            assert_eq!(image.file("copy/round"), format!("{n}\n"));
        }
    }
    world.image(&["--build-arg=ROUND=first"]);
    world.acetate(&["prune", "--force"]).ok();
    for name in ["tmp", "trash", "live"] {
        assert_eq!(
            files_below(&world.root().join(name)),
            Vec::<std::path::PathBuf>::new(),
            "{name}"
        );
    }
    world.acetate(&["prune", "--all", "--force"]).ok();
    assert_eq!(world.stored(), Vec::<std::path::PathBuf>::new());
}

fn stopped_by(signal: Signal, isolation: &str) {
    let world = World::new("");
    world.dockerfile(&format!(
        "FROM base\nRUN : {}; sleep 60; true\n",
        world.marker()
    ));
    let mut running = Running::start(world.command(&[isolation]));
    running.until("a step", || {
        processes_of(&world.marker())
            .iter()
            .any(|line| line.contains("sleep 60; true"))
    });
    let asked = Instant::now();
    running.signal(signal);
    let outcome = running.wait();
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.contains("cancel"), "{}", outcome.stderr);
    alone(&world);
    assert_eq!(mounts_of(world.dir()), Vec::<String>::new());
    world.acetate(&["prune", "--all", "--force"]).ok();
    assert_eq!(world.stored(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn an_interrupt_ends_a_build_at_once() {
    stopped_by(Signal::INT, "--isolation=native");
}

#[test]
fn a_request_to_terminate_ends_a_build_at_once() {
    stopped_by(Signal::TERM, "--isolation=native");
}

#[test]
fn an_interrupt_ends_a_runtime_too() {
    stopped_by(Signal::INT, "--isolation=oci");
}

#[test]
fn a_killed_container_leaves_nothing() {
    let world = World::of("FROM base\n");
    world.build(&["-tx"]).ok();
    let mut command = acetate_tests::acetate();
    command
        .arg("--root")
        .arg(world.root())
        .args(["run", "x", "sh", "-c"]);
    command.arg(format!(": {}; sleep 61; true", world.marker()));
    let mut running = Running::start(command);
    running.until("a container", || {
        processes_of(&world.marker())
            .iter()
            .filter(|line| line.contains("sleep 61"))
            .count()
            > 1
    });
    running.signal(Signal::KILL);
    drop(running.wait());
    alone(&world);
    assert_eq!(mounts_of(world.dir()), Vec::<String>::new());
}

#[test]
fn one_failing_stage_stops_the_others() {
    let world = World::of(
        "
        FROM base AS slow
        RUN sleep 62; true
        FROM base AS fails
        RUN sleep 0.2; exit 3
        FROM base
        COPY --from=slow / /1
        COPY --from=fails / /2
    ",
    );
    let began = Instant::now();
    world.build(&[]).fails(&["exit code: 3"]);
    assert!(began.elapsed() < Duration::from_secs(20));
    alone(&world);
}
