//! The command line itself, through the real program: help, versions, and flags that fail by name.

use std::process::{Command, Output};

fn acetate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_acetate"))
        .args(args)
        .output()
        .expect("acetate starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn help_and_version_end_well_and_go_to_standard_output() {
    let help = acetate(&["--help"]);
    assert!(help.status.success());
    for command in ["build", "run", "du", "prune"] {
        assert!(
            text(&help.stdout).contains(&format!("\n  {command}")),
            "{command}"
        );
    }
    let version = acetate(&["--version"]);
    assert_eq!(
        text(&version.stdout),
        format!("acetate {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn every_flag_of_build_is_in_its_help() {
    let help = text(&acetate(&["build", "--help"]).stdout);
    for flag in [
        "--file",
        "--tag",
        "--target",
        "--build-arg",
        "--build-context",
        "--output",
        "--cache-from",
        "--cache-to",
        "--no-cache",
        "--no-cache-filter",
        "--platform",
        "--label",
        "--network",
        "--add-host",
        "--iidfile",
        "--metadata-file",
        "--progress",
        "--quiet",
        "--isolation",
        "--root",
        "--check",
        "--call",
        "--checks",
        "--pull",
        "--secret",
        "--ssh",
        "--allow",
        "--ulimit",
        "--shm-size",
        "--resource",
        "--cgroup-parent",
        "--max-parallel",
        "--debug",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
    for hidden in [
        "--memory",
        "--cpu-shares",
        "--builder",
        "--squash",
        "--compress",
        "--rm",
        "--security-opt",
    ] {
        assert!(!help.contains(hidden), "{hidden}");
    }
}

#[test]
fn unfinished_and_unknown_flags_fail_by_name() {
    for (args, words) in [
        (
            ["build", "--policy", "."],
            "ERROR: --policy is not supported yet; build without it",
        ),
        (
            ["build", "--no-such", "."],
            "unexpected argument '--no-such'",
        ),
        (["build", "--pull=maybe", "."], "expected true or false"),
        (
            ["build", "--max-parallel=0", "."],
            "invalid value '0' for '--max-parallel <N>'",
        ),
    ] {
        let output = acetate(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            text(&output.stderr).contains(words),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn caches_that_cannot_be_used_fail_before_anything_is_built() {
    for (flag, words) in [
        (
            "--cache-from=https://h,token=hunter2",
            "ERROR: --cache-from https://h,token=****: `token` would be seen",
        ),
        (
            "--cache-to=user/app,mounts=x",
            "ERROR: --cache-to user/app,mounts=x: `mounts` goes with type=http",
        ),
        (
            "--cache-from=https://h",
            "ERROR: ACETATE_CACHE_HELPER: run `acetate-credential-none`: it is not in PATH",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_acetate"))
            .args(["build", flag, "."])
            .env("ACETATE_CACHE_HELPER", "none")
            .output()
            .expect("acetate starts");
        assert_eq!(output.status.code(), Some(1), "{flag}");
        let told = text(&output.stderr);
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn values_that_make_no_sense_fail_before_anything_is_built() {
    for (args, words) in [
        (
            &["build", "--network=bridge", "."][..],
            "--network bridge: expected default, none or host",
        ),
        (
            &["build", "--progress=loud", "."],
            "--progress loud: expected",
        ),
        (
            &["build", "--output=type=oci,tar=false", "."],
            "dest=DIRECTORY is required",
        ),
        (
            &["build", "--add-host=x", "."],
            "--add-host x: expected HOST:IP",
        ),
        (
            &["build", "--platform=linux", "."],
            "`linux` is no platform",
        ),
        (
            &["build", "-f-", "-"],
            "ERROR: --file -: standard input is the context already",
        ),
        (
            &["build", "-f", "ftp://example.org/Dockerfile", "."],
            "ERROR: --file ftp://example.org/Dockerfile: `ftp` is not supported",
        ),
        (
            &["build", "https://example.org/x.git?ref=a#b"],
            "ERROR: context: ref conflicts",
        ),
        (
            &["build", "--secret", "id=no-such-variable", "."],
            "ERROR: --secret id=no-such-variable: no variable of the environment",
        ),
        (
            &["build", "--ssh=git=/no/such/socket", "."],
            "ERROR: --ssh git=/no/such/socket: `/no/such/socket` cannot be used",
        ),
        (
            &["build", "--allow=network.hots", "."],
            "ERROR: --allow network.hots: unknown entitlement `network.hots` (did you mean network.host?)",
        ),
        (
            &["build", "--ulimit=nofile", "."],
            "ERROR: --ulimit nofile: expected NAME=SOFT[:HARD]",
        ),
        (
            &["build", "--shm-size=big", "."],
            "ERROR: --shm-size big: expected a size such as 128m or 1g",
        ),
        (
            &["build", "--resource=memory=much", "."],
            "ERROR: --resource memory=much: `much` is no size",
        ),
        (
            &["build", "-m", "much", "."],
            "ERROR: --memory much: `much` is no size",
        ),
        (
            &["build", "--cgroup-parent=..", "."],
            "ERROR: --cgroup-parent ..: expected a path",
        ),
    ] {
        let output = acetate(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(
            text(&output.stderr).contains(words),
            "{args:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn of_a_flag_that_is_given_twice_the_last_one_counts() {
    let output = acetate(&["build", "--progress=plain", "--progress=loud", "."]);
    assert!(text(&output.stderr).contains("--progress loud: expected"));
    let output = acetate(&[
        "build",
        "--network=nope",
        "--network=none",
        "/no/such/context",
    ]);
    assert!(
        text(&output.stderr).contains("`/no/such/context`"),
        "{}",
        text(&output.stderr)
    );
}
