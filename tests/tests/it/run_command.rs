//! `acetate run`.

use acetate_tests::{Outcome, World, acetate};

fn world() -> World {
    let world = World::of(
        "
        FROM base
        RUN mkdir /w && chown app /w && echo built > /w/f
        USER app
        WORKDIR /w
        ENV A=from-image
        ENTRYPOINT [\"/bin/sh\", \"-c\"]
        CMD [\"cat f; echo $A $(id -un) $(pwd)\"]
    ",
    );
    world.build(&["-tname", "-texample.com/x/y:1"]).ok();
    world
}

#[test]
fn the_image_says_what_is_run() {
    let world = world();
    let outcome = world.acetate(&["run", "name"]).ok();
    assert_eq!(outcome.stdout, "built\nfrom-image app /w\n");
    assert_eq!(outcome.stderr, "");
    assert_eq!(
        world
            .acetate(&["run", "example.com/x/y:1", "echo other"])
            .ok()
            .stdout,
        "other\n"
    );
    assert_eq!(
        world
            .acetate(&["run", "docker.io/library/name:latest", "echo full"])
            .ok()
            .stdout,
        "full\n"
    );
}

#[test]
fn the_exit_code_is_that_of_the_process() {
    let world = world();
    assert_eq!(world.acetate(&["run", "name", "exit 42"]).code, 42);
    assert_eq!(
        world
            .acetate(&["run", "name", "echo err >&2; exit 1"])
            .stderr,
        "err\n"
    );
    assert_eq!(
        world
            .acetate(&["run", "name", "sh -c 'kill -9 $$'; exit $?"])
            .code,
        137
    );
}

#[test]
fn what_it_writes_vanishes() {
    let world = world();
    let before = world.acetate(&["du", "--json"]).ok().stdout;
    world
        .acetate(&["run", "name", "echo x > /w/new && cat /w/new"])
        .ok();
    assert_ne!(world.acetate(&["run", "name", "test -e /w/new"]).code, 0);
    assert_eq!(world.acetate(&["du", "--json"]).ok().stdout, before);
}

#[test]
fn words_behind_the_image_are_the_commands_own() {
    let world = World::of("FROM base\n");
    world.build(&["-tb"]).ok();
    assert_eq!(
        world
            .acetate(&["run", "b", "echo", "--root", "-x", "--help"])
            .ok()
            .stdout,
        "--root -x --help\n"
    );
}

#[test]
fn standard_input_is_read() {
    let world = World::of("FROM base\n");
    world.build(&["-tb"]).ok();
    let mut command = acetate();
    command
        .arg("--root")
        .arg(world.root())
        .args(["run", "b", "cat"]);
    command.stdin(std::fs::File::open(world.context().join("Dockerfile")).unwrap());
    assert_eq!(Outcome::of(command).ok().stdout, "FROM base\n");
}

#[test]
fn a_layout_is_run_too() {
    let world = World::of("FROM base\n");
    let layout = format!("oci-layout://{}", world.base().display());
    assert_eq!(
        world
            .acetate(&["run", &layout, "cat", "/data/a"])
            .ok()
            .stdout,
        "a\n"
    );
    assert_eq!(
        world
            .acetate(&["run", world.base().to_str().unwrap(), "cat", "/data/b"])
            .ok()
            .stdout,
        "b\n"
    );
}

#[test]
fn both_ways_and_both_networks() {
    let world = World::of("FROM base\n");
    world.build(&["-tb"]).ok();
    for isolation in ["native", "oci"] {
        let outcome = world.acetate(&[
            "run",
            "--isolation",
            isolation,
            "--network=none",
            "b",
            "ls",
            "/sys/class/net",
        ]);
        assert_eq!(outcome.ok().stdout, "lo\n", "{isolation}");
    }
}

#[test]
fn what_is_not_there_is_one_clear_error() {
    let world = World::of("FROM scratch\nLABEL a=b\n");
    world
        .acetate(&["run", "nothing"])
        .fails(&["no image is named `nothing:latest`"]);
    world
        .acetate(&["run", "oci-layout:///nowhere"])
        .fails(&["/nowhere"]);
    world.build(&["-tempty"]).ok();
    world
        .acetate(&["run", "empty"])
        .fails(&["the image has no command"]);
    let outcome = world.acetate(&["run", "empty", "/x"]);
    assert!(
        outcome.code != 0 && outcome.stderr.contains("/x"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_name_moves_with_the_newest_build() {
    let world = World::of("FROM base\nARG N\nRUN echo $N > /n\n");
    for n in ["1", "2"] {
        world.build(&["-tx", &format!("--build-arg=N={n}")]).ok();
        assert_eq!(
            world.acetate(&["run", "x", "cat", "/n"]).ok().stdout,
            format!("{n}\n")
        );
    }
}
