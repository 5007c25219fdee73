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
    for flag in ["--load", "--policy=filename=x"] {
        let name = flag.split('=').next().unwrap();
        run(&["build", flag, "."]).refused(&[&format!("{name} is not supported yet")]);
    }
}

/// Builds with each of `rows`, which must fail with those words and before any step.
fn refuses(rows: &[(&[&str], &str)]) {
    let world = World::new("//- Dockerfile\nFROM scratch\n");
    for (args, words) in rows {
        let outcome = world.build(args);
        assert!(outcome.code == 1 || outcome.code == 2, "{args:?}");
        assert!(
            outcome.stderr.contains(words),
            "{args:?}: {}",
            outcome.stderr
        );
        let has_exported = outcome.steps.iter().any(|it| it.name.starts_with("export"));
        assert!(outcome.ran().is_empty() && !has_exported, "{args:?}");
    }
}

#[test]
fn values_are_checked_before_anything_is_done() {
    refuses(&[
        (&["--platform=what/is/this/here"], "--platform"),
        (&["--network=bridge"], "--network bridge"),
        (&["--isolation=chroot"], "--isolation chroot"),
        (&["--add-host=x"], "--add-host x"),
        (
            &["--add-host=x:gateway"],
            "--add-host x:gateway: `gateway` is no IP address",
        ),
        (&["--build-context=x"], "expected NAME=VALUE"),
        (&["-o", "type=oci,tar=false"], "dest=DIRECTORY is required"),
        (
            &["-o", "type=oci,push=true"],
            "type=oci has no attribute `push`",
        ),
        (&["--push"], "needs a name"),
        (&["-o", "type=registry"], "needs a name"),
        (
            &[
                "-o",
                "type=docker,compression=zstd,dest=x,oci-mediatypes=false",
            ],
            "`compression=zstd` cannot be combined with",
        ),
        (&["-t", "Not A Name"], "Not A Name"),
        (&["-t", "UPPER"], "UPPER"),
        (&["--provenance=mode=mid"], "`mode=mid` of provenance"),
        (
            &["--sbom=1", "--attest=type=sbom"],
            "`sbom` is asked for twice",
        ),
        (
            &["--sbom=1", "-otype=docker,dest=x"],
            "type=docker holds no attestations, and --sbom asks for them",
        ),
        (
            &[
                "-o",
                "type=oci,dest=x,oci-artifact=true,oci-mediatypes=false",
            ],
            "oci-artifact=true needs OCI media types",
        ),
        (
            &["-o", "type=local,dest=x,attestation-prefix=a/b"],
            "attestation-prefix=a/b",
        ),
    ]);
}

#[test]
fn what_steps_are_given_is_checked_before_anything_is_done() {
    refuses(&[
        (
            &["--secret=id=acetate-no-such"],
            "--secret id=acetate-no-such: no variable of the environment and no file",
        ),
        (&["--secret=src=x"], "--secret src=x: the id is missing"),
        (
            &["--secret", "id=x,scr=y"],
            "unknown key `scr` (did you mean src?)",
        ),
        (
            &["--ssh=git=/no/such"],
            "--ssh git=/no/such: `/no/such` cannot be used",
        ),
        (&["--ssh", ""], "expected default, or ID=SOCKET"),
        (
            &["--allow=security.unsafe"],
            "--allow security.unsafe: unknown entitlement",
        ),
        (
            &["--ulimit=nofile=2:1"],
            "--ulimit nofile=2:1: the soft limit must not be above the hard limit",
        ),
        (&["--ulimit=files=2"], "unknown limit `files`"),
        (&["--shm-size=0"], "--shm-size 0: expected a size"),
        (
            &["--resource=cpu-shares=1"],
            "--resource cpu-shares=1: `1` is no share",
        ),
        (&["--resource=cpus=1"], "unknown resource `cpus`"),
        (&["--memory=lots"], "--memory lots: `lots` is no size"),
        (
            &["--memory-swap=1g"],
            "memory and swap together, so memory is needed too",
        ),
        (
            &["--cgroup-parent=a/../.."],
            "--cgroup-parent a/../..: expected",
        ),
        (
            &["-f", "ftp://example.com/D"],
            "--file ftp://example.com/D: `ftp` is not supported",
        ),
    ]);
}

#[test]
fn standard_input_is_wanted_once() {
    run(&["build", "-f-", "-"]).fails(&["--file -: standard input is the context already"]);
}

#[test]
fn a_repository_that_contradicts_itself_is_refused() {
    run(&["build", "https://example.com/x.git?ref=a#b"]).fails(&["context: ref conflicts"]);
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
