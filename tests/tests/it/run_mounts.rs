//! RUN with mounts: over both executors, case by case, and what is keyed by content.

use super::run_cases::check;
use acetate_tests::{Case, World, have};

const CASES: &str = include_str!("../../cases/mounts.txt");

#[test]
fn natively() {
    let cases = Case::all(CASES);
    assert!(cases.len() >= 35, "{} cases", cases.len());
    super::cases::each(&cases, |case| check(case, "--isolation=native"));
}

#[test]
fn in_an_oci_runtime() {
    if have("runc") {
        super::cases::each(&Case::all(CASES), |case| check(case, "--isolation=oci"));
    }
}

/// What runs again when the files of a stage change.
#[track_caller]
fn runs(world: &World) -> Vec<String> {
    world.build(&[]).ok().ran()
}

const BOUND: &str = "
    //- Dockerfile
    FROM base AS a
    COPY a.txt b.txt /d/
    FROM base
    RUN --mount=from=a,source=/d/a.txt,target=/m MODE cat /m > /out
    //- a.txt
    a
    //- b.txt
    b
";

#[test]
fn s80_a_mount_is_keyed_by_what_it_shows() {
    for mode in ["", ",rw"] {
        let world = World::new(&BOUND.replace(" MODE", mode));
        assert_eq!(runs(&world).len(), 2);
        world.write("b.txt", "changed\n");
        assert_eq!(runs(&world), ["COPY a.txt b.txt /d/"]);
        world.write("a.txt", "changed\n");
        assert_eq!(runs(&world).len(), 2);
        assert_eq!(world.image(&[]).file("out"), "changed\n");
        world.chmod("a.txt", 0o755);
        assert_eq!(runs(&world).len(), 2, "a mode is content");
    }
}

#[test]
fn s80_the_context_is_keyed_by_what_is_mounted() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        RUN --mount=source=a.txt,target=/m cat /m > /out
        //- a.txt
        a
        //- b.txt
        b
    ",
    );
    assert_eq!(runs(&world).len(), 1);
    world.write("b.txt", "changed\n");
    assert_eq!(runs(&world), Vec::<String>::new());
    world.write("a.txt", "changed\n");
    assert_eq!(runs(&world).len(), 1);
}

#[test]
fn s80_a_file_that_is_mounted_twice_counts_with_its_directory() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base
        RUN --mount=source=.,target=/all --mount=source=b.txt,target=/b cat /all/a.txt /b > /out
        //- a.txt
        a
        //- b.txt
        b
    ",
    );
    assert_eq!(world.image(&[]).file("out"), "a\nb\n");
    world.write("b.txt", "B\n");
    assert_eq!(world.image(&[]).file("out"), "a\nB\n");
    world.write("a.txt", "A\n");
    assert_eq!(world.image(&[]).file("out"), "A\nB\n");
    assert_eq!(runs(&world), Vec::<String>::new());
}

#[test]
fn s83_a_stage_that_makes_the_same_again_costs_no_step_that_mounts_it() {
    let world = World::new(
        "
        //- Dockerfile
        FROM base AS a
        COPY seed /seed
        RUN mkdir /d && cut -c1 /seed > /d/f
        FROM base
        RUN --mount=from=a,source=/d,target=/m cat /m/f > /out
        //- seed
        one
    ",
    );
    assert_eq!(runs(&world).len(), 3);
    world.write("seed", "other\n");
    let ran = runs(&world);
    assert_eq!(
        ran,
        ["COPY seed /seed", "RUN mkdir /d && cut -c1 /seed > /d/f"]
    );
    world.write("seed", "two\n");
    assert_eq!(runs(&world).len(), 3);
    assert_eq!(world.image(&[]).file("out"), "t\n");
}

#[test]
fn s81_only_the_place_of_a_cache_is_in_the_key() {
    let world = World::new("");
    let ran = |mount: &str| {
        world.dockerfile(&format!(
            "FROM base\nRUN --mount=type=cache,{mount} echo x\n"
        ));
        runs(&world).len()
    };
    assert_eq!(ran("target=/c"), 1);
    assert_eq!(ran("target=/c,id=other"), 0);
    assert_eq!(ran("target=/c,sharing=locked"), 0);
    assert_eq!(ran("target=/d"), 1);
    assert_eq!(ran("target=/d,id=x,sharing=private"), 0);
}

#[test]
fn s73_limits_are_in_the_key_and_the_use_of_resources_is_not() {
    let world = World::of("FROM base\nRUN ulimit -n\n");
    let ran = |args: &[&str]| world.build(args).ok().ran().len();
    assert_eq!(ran(&[]), 1);
    assert_eq!(ran(&["--ulimit=nofile=100"]), 1);
    assert_eq!(ran(&["--ulimit=nofile=100:100"]), 0);
    assert_eq!(ran(&["--shm-size=1m"]), 1);
    assert_eq!(ran(&["--shm-size=1024k"]), 0);
    assert_eq!(ran(&["--resource=memory=64m,cpu-shares=512"]), 0);
}

#[test]
fn a_step_gets_no_more_memory_than_it_may_have() {
    if acetate_tests::needs_root() {
        return;
    }
    let world = World::of("FROM base\nRUN dd if=/dev/zero of=/dev/null bs=200M count=1\n");
    let outcome = world.build(&["--resource=memory=32m,memory-swap=32m"]);
    // Where this process may make no control groups it says so, and runs nothing without its limit.
    let is_refused = outcome.stderr.contains("the limit `memory`");
    let is_killed = outcome.stderr.contains("exit code: 137");
    assert!(is_refused || is_killed, "{}", outcome.stderr);
    assert_eq!(outcome.code, 1);
    world.build(&[]).ok();
}
