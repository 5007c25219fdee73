//! Command lines that are wrong or ask for more than there is.

use acetate_tests::{Outcome, World, acetate};

fn run(args: &[&str]) -> Outcome {
    let mut command = acetate();
    command.args(args);
    Outcome::of(command)
}

#[test]
fn unknown_flags_are_refused_and_guessed() {
    run(&["build", "--no-chache", "."]).refused(&["--no-chache", "--no-cache"]);
    run(&["biuld", "."]).refused(&["biuld", "build"]);
    run(&["build"]).refused(&["<CONTEXT>"]);
    run(&["build", ".", "."]).refused(&["unexpected argument"]);
    run(&[]).refused(&["Usage"]);
}

#[test]
fn unfinished_flags_say_so() {
    for flag in [
        "--push",
        "--load",
        "--cache-from=x",
        "--cache-to=x",
        "--secret=id=x",
        "--ssh=default",
        "--sbom=true",
        "--provenance=false",
        "--annotation=a=b",
        "--ulimit=nofile=1",
    ] {
        let name = flag.split('=').next().unwrap();
        run(&["build", flag, "."]).refused(&[&format!("{name} is not supported yet")]);
    }
    run(&["build", "--secret", "id=x", "."]).refused(&["--secret is not supported yet"]);
}

#[test]
fn values_are_checked_before_anything_is_done() {
    let world = World::new("//- Dockerfile\nFROM scratch\n");
    for (args, words) in [
        (&["--platform=what/is/this/here"][..], "--platform"),
        (&["--network=bridge"], "--network bridge"),
        (&["--isolation=chroot"], "--isolation chroot"),
        (&["--add-host=x"], "--add-host x"),
        (
            &["--add-host=x:host-gateway"],
            "host-gateway is not supported yet",
        ),
        (&["--build-context=x"], "expected NAME=VALUE"),
        (&["-o", "type=oci,tar=false"], "dest=DIRECTORY is required"),
        (
            &["-o", "type=oci,push=true"],
            "attribute `push` is not supported yet",
        ),
        (&["-o", "type=registry"], "is not supported yet"),
        (&["-o", "type=image"], "is not supported yet"),
        (
            &["-o", "type=docker,compression=zstd,dest=x"],
            "compression=zstd needs type=oci",
        ),
        (&["-t", "Not A Name"], "Not A Name"),
        (&["-t", "UPPER"], "UPPER"),
    ] {
        let outcome = world.build(args);
        assert!(outcome.code == 1 || outcome.code == 2, "{args:?}");
        assert!(
            outcome.stderr.contains(words),
            "{args:?}: {}",
            outcome.stderr
        );
        assert!(
            outcome.ran().is_empty()
                && outcome
                    .steps
                    .iter()
                    .all(|step| !step.name.starts_with("export")),
            "{args:?}"
        );
    }
}

#[test]
fn contexts_that_are_no_directory_say_so() {
    for context in ["-", "https://example.com/x.git", "git@example.com:x"] {
        run(&["build", context]).fails(&["not supported yet"]);
    }
}

#[test]
fn the_help_and_the_version_end_well() {
    for args in [
        &["--help"][..],
        &["build", "--help"],
        &["--version"],
        &["run", "--help"],
    ] {
        let outcome = run(args).ok();
        assert!(
            outcome.stdout.contains("acetate") && outcome.stderr.is_empty(),
            "{args:?}"
        );
    }
}

#[test]
fn several_platforms_in_a_docker_archive_are_refused() {
    let world = World::new("//- Dockerfile\nFROM scratch\nCOPY Dockerfile /\n");
    let outcome = world.build(&[
        "--platform=linux/amd64,linux/arm64",
        "-otype=docker,dest=/dev/null",
    ]);
    outcome.fails(&["docker"]);
}
