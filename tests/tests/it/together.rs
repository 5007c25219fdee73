//! Many processes at once on one state directory.

use acetate_tests::{Layout, Running, World, processes_of};

const WORLD: &str = "
    //- Dockerfile
    FROM base AS a
    RUN sleep 0.2; cat /proc/sys/kernel/random/uuid > /a
    FROM base AS b
    RUN sleep 0.1; cat /proc/sys/kernel/random/uuid > /b
    FROM base
    COPY --from=a /a /
    COPY --from=b /b /
    COPY f /
    RUN cat /a /b /f > /c
    //- f
    f
";

#[test]
fn ten_builds_at_once_run_every_step_once() {
    run_every_step_once(&[]);
}

/// With one slot in each a build that held it while it waits would stop all others.
#[test]
fn ten_builds_of_one_slot_at_once_run_every_step_once() {
    run_every_step_once(&["--max-parallel=1"]);
}

fn run_every_step_once(args: &[&str]) {
    let world = World::new(WORLD);
    let dests: Vec<_> = (0..10)
        .map(|n| world.dir().join(format!("dest{n}")))
        .collect();
    let start = |dest: &std::path::PathBuf| {
        let output = format!("-otype=oci,tar=false,dest={}", dest.display());
        let mut all = vec![output.as_str()];
        all.extend(args);
        Running::start(world.command(&all))
    };
    let running: Vec<Running> = dests.iter().map(start).collect();
    let mut ran = Vec::new();
    for running in running {
        ran.extend(running.wait().ok().ran());
    }
    ran.sort();
    let mut once = ran.clone();
    once.dedup();
    assert_eq!(once.len(), 6);
    assert_eq!(ran, once, "a step ran more than once");
    let digests: Vec<_> = dests
        .iter()
        .map(|dest| Layout::read(dest).digest())
        .collect();
    assert!(
        digests.iter().all(|digest| *digest == digests[0]),
        "{digests:?}"
    );
}

#[test]
fn different_builds_at_once_do_not_hurt_each_other() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        ARG N
        RUN echo shared > /shared
        RUN echo $N > /own
        COPY --from=base /data /copy
    ",
    );
    let dests: Vec<_> = (0..8)
        .map(|n| world.dir().join(format!("dest{n}")))
        .collect();
    let start = |(n, dest): (usize, &std::path::PathBuf)| {
        let output = format!("-otype=oci,tar=false,dest={}", dest.display());
        Running::start(world.command(&[&format!("--build-arg=N={n}"), &output, &format!("-tn{n}")]))
    };
    let running: Vec<Running> = dests.iter().enumerate().map(start).collect();
    for running in running {
        running.wait().ok();
    }
    for (n, dest) in dests.iter().enumerate() {
        assert_eq!(Layout::read(dest).file("own"), format!("{n}\n"));
        assert_eq!(
            world
                .acetate(&["run", &format!("n{n}"), "cat", "/own"])
                .ok()
                .stdout,
            format!("{n}\n")
        );
    }
}

#[test]
fn one_that_waits_for_a_step_that_fails_fails_too_or_tries_itself() {
    let world = World::of("FROM base\nRUN sleep 0.3; exit 7\n");
    let running: Vec<Running> = (0..3).map(|_| Running::start(world.command(&[]))).collect();
    for running in running {
        running.wait().fails(&["exit code: 7"]);
    }
}

#[test]
fn one_that_waits_for_a_killed_process_takes_over() {
    let world = World::new("");
    world.dockerfile(&format!(
        "FROM base\nRUN : {}; sleep 1.5; echo done > /done\n",
        world.marker()
    ));
    let mut first = Running::start(world.command(&[]));
    first.until("a step", || {
        processes_of(&world.marker())
            .iter()
            .any(|line| line.contains("sleep 1.5; echo"))
    });
    let second = Running::start(world.command(&[]));
    first.signal(rustix::process::Signal::KILL);
    assert_eq!(first.wait().code, -1);
    assert_eq!(second.wait().ok().ran().len(), 1);
}
