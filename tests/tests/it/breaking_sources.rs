//! What breaks contexts and what ADD fetches: every failure has its reason, and the next build works.

use acetate_tests::{Mounted, Outcome, Repository, Web, World, have, needs_root};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// The error of the step whose name begins so.
#[track_caller]
fn error_of(outcome: &Outcome, name: &str) -> String {
    let step = outcome
        .steps
        .iter()
        .find(|step| step.name.starts_with(name));
    let error = step.and_then(|step| step.error.clone());
    error.unwrap_or_else(|| panic!("`{name}` did not fail: {outcome:#?}"))
}

/// Directories in each other, whose path is longer than the kernel takes.
fn too_deep(top: &Path) {
    let chain = |name: &str| {
        let mut dir = top.join(name);
        for _ in 0..10 {
            dir.push("d".repeat(250));
        }
        std::fs::create_dir_all(&dir).expect("directories are made");
        dir
    };
    chain("one");
    std::fs::rename(top.join("one"), chain("two").join("one")).expect("it is moved");
}

#[test]
fn what_cannot_be_read_in_a_context_is_told_with_its_reason() {
    let world = World::of("FROM scratch\nCOPY . /\n");
    too_deep(&world.context());
    let outcome = world.build(&[]);
    let reason = "`: File name too long (os error 36)";
    let told = error_of(&outcome, "[internal] load build context");
    assert!(told.starts_with("failed to "), "{told}");
    assert!(told.ends_with(reason), "{told}");
    outcome.fails(&["Dockerfile:2", reason]);
}

#[test]
fn the_step_that_fetches_fails_with_the_words_of_the_error() {
    let world = World::new("");
    let url = Web::serve(&world.dir().join("served")).url("gone");
    world.dockerfile(&format!("FROM scratch\nADD {url} /\n"));
    let outcome = world.build(&[]);
    let words = format!("failed to download `{url}`: the server answered with status 404");
    assert_eq!(error_of(&outcome, &url), words);
    outcome.fails(&["Dockerfile:2", &words]);
}

#[test]
fn bytes_that_are_no_text_are_no_dockerfile() {
    let world = World::new("");
    let web = Web::serve(&world.dir().join("served"));
    let hint = "hint: send a tar, plain or compressed by gzip, bzip2, xz or zstd, or a text";
    // An archive without a file in it is nothing but zeros.
    for bytes in [vec![0; 10_240], b"FROM scratch\n\0".to_vec()] {
        let url = web.put("bytes", &bytes);
        let error = format!("ERROR: `{url}` holds neither an archive nor a Dockerfile");
        Outcome::of(world.command_on(&url, &[])).fails(&[&error, hint]);
        let mut command = world.command_on("-", &[]);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let outcome = Outcome::read(&child.wait_with_output().unwrap());
        let error = "ERROR: standard input holds neither an archive nor a Dockerfile";
        outcome.fails(&[error, hint]);
    }
}

#[test]
fn a_context_without_a_dockerfile_says_where_there_is_none() {
    if !have("git") {
        return;
    }
    let world = World::new("");
    let repository = Repository::new(&world.dir().join("repository"));
    repository
        .write("Dockerfile", "FROM scratch\n")
        .commit("one");
    let web = Web::serve(&world.dir().join("served"));
    let url = web.publish(&repository, "repository");
    let outcome = Outcome::of(world.command_on(&format!("{url}#main:sub"), &[]));
    outcome.fails(&[
        "ERROR: failed to read the Dockerfile `sub/Dockerfile`: the context has no such file",
    ]);
}

#[test]
fn a_repository_that_finds_no_room_is_fetched_once_there_is_some() {
    if needs_root() || !have("git") {
        return;
    }
    let world = World::new("");
    let repository = Repository::new(&world.dir().join("repository"));
    let mut noise = 0x9e37_79b9_u32;
    let bytes = std::iter::repeat_with(|| {
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        char::from(b'!' + (noise % 90) as u8)
    });
    let text: String = bytes.take(6_000_000).collect();
    repository.write("big", &text).commit("one");
    let web = Web::serve(&world.dir().join("served"));
    let url = web.publish(&repository, "repository");
    world.dockerfile(&format!("FROM scratch\nADD {url} /\n"));
    let mounted = Mounted::tmpfs(&world.dir().join("small"), 4);
    let root = world.dir().join("small/root");
    let build = || Outcome::of(world.command_in(&root, &["-otype=cacheonly"]));
    let full = build();
    // Not why it could not be done in a cheaper way.
    let told = full.stderr.clone();
    assert!(!told.contains("shallow"), "{told}");
    full.fails(&["Dockerfile:2", &format!("failed to fetch from `{url}`: ")]);
    mounted.again("size=100m");
    build().ok();
}
