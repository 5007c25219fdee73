//! ADD of files behind URLs and of repositories.

use acetate_tests::{Outcome, Repository, Web, World, have};
use expect_test::expect;
use std::process::{Child, Stdio};

fn web(world: &World) -> Web {
    Web::serve(&world.dir().join("web"))
}

#[test]
fn s54_a_url_becomes_a_file_of_root_with_the_time_that_the_server_says() {
    let world =
        World::of("FROM scratch\nARG U\nADD $U/f.txt /dir/\nADD $U/f.txt /named\nADD $U/ /dir/\n");
    let web = web(&world);
    web.put("f.txt", b"hello\n");
    // A server mostly has something at its root.
    let dir = web.url("");
    let base = dir.trim_end_matches('/');
    let arg = format!("--build-arg=U={base}");
    world
        .build(&[&arg])
        .fails(&["status 404", "ADD $U/ /dir/", "Dockerfile:5"]);
    world.dockerfile("FROM scratch\nARG U\nADD $U/f.txt /dir/\nADD $U/f.txt /named\n");
    let (image, outcome) = world.image_and_outcome(&[&arg]);
    let f = image.item("dir/f.txt");
    assert_eq!(f.line(), "-0600 0:0 6 dir/f.txt");
    assert_eq!(f.mtime, Web::DATE.1);
    assert_eq!(image.item("named").line(), "-0600 0:0 6 named");
    assert_eq!(outcome.ran().len(), 2);
    web.log();
    let (again, outcome) = world.image_and_outcome(&[&arg]);
    assert_eq!(again.digest(), image.digest());
    assert_eq!(outcome.ran(), Vec::<String>::new());
    let log = web.log();
    assert_eq!(log, ["304 /f.txt"]);
    web.put("f.txt", b"changed\n");
    let (image, outcome) = world.image_and_outcome(&[&arg]);
    assert_eq!(
        (image.file("named").as_str(), outcome.ran().len()),
        ("changed\n", 2)
    );
}

#[test]
fn s54_the_name_comes_from_the_path_of_the_url() {
    for (path, name) in [
        ("a%20b.txt?x=y/z", "a b.txt"),
        ("deep/er/f#frag", "f"),
        ("[x]*", "[x]*"),
    ] {
        let world = World::of("FROM scratch\nARG U\nADD [\"$U\", \"/d/\"]\n");
        let web = web(&world);
        let served = path.split(['?', '#']).next().unwrap_or_default();
        web.put(served, b"x");
        let image = world.image(&[&format!("--build-arg=U={}", web.url(path))]);
        assert_eq!(
            image.item(&format!("d/{name}")).line(),
            format!("-0600 0:0 1 d/{name}")
        );
    }
}

#[test]
fn flags_of_add_hold_for_urls() {
    let world = World::of("FROM base\nARG U\nADD --chown=app:2 --chmod=755 $U /x/\n");
    let web = web(&world);
    let url = web.put("run", b"#!/bin/sh\n");
    let image = world.image(&[&format!("--build-arg=U={url}")]);
    expect![[r"
        d0755 1000:2 0 x/
        -0755 1000:2 10 x/run
    "]]
    .assert_eq(&image.listing(1));
}

#[test]
fn s55_an_archive_behind_a_url_is_unpacked_only_on_request() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o640);
    header.set_size(1);
    tar.append_data(&mut header, "d/f", &b"f"[..])
        .expect("the test's own files");
    let bytes = tar.into_inner().expect("the test's own files");
    for (flag, expected) in [
        ("", "x/a.tar"),
        ("--unpack=false", "x/a.tar"),
        ("--unpack=true", "x/d/f"),
    ] {
        let world = World::of(&format!("FROM scratch\nARG U\nADD {flag} $U /x/\n"));
        let web = web(&world);
        let url = web.put("a.tar", &bytes);
        let image = world.image(&[&format!("--build-arg=U={url}")]);
        assert!(image.has(expected), "{flag}: {}", image.listing(0));
        assert_eq!(image.has("x/a.tar"), flag != "--unpack=true");
    }
}

#[test]
fn a_checksum_is_checked_and_spares_the_network() {
    let world = World::of("FROM scratch\nARG U\nARG C\nADD --checksum=$C $U /f\n");
    let web = web(&world);
    let url = format!("--build-arg=U={}", web.put("f", b"hello\n"));
    let right = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    let wrong = format!("sha256:{}", "0".repeat(64));
    let outcome = world.build(&[&url, &format!("--build-arg=C={wrong}")]);
    outcome.fails(&["expected the checksum", &wrong, right, "Dockerfile:4"]);
    let right = format!("--build-arg=C={right}");
    let image = world.image(&[&url, &right]);
    assert_eq!(image.file("f"), "hello\n");
    web.log();
    let (_, outcome) = world.image_and_outcome(&[&url, &right]);
    assert_eq!(outcome.cached().len(), 1);
    assert_eq!(web.log(), Vec::<String>::new());
    // Another address is asked, though the bytes are here: the time of the file is its server's.
    let nowhere = "--build-arg=U=http://127.0.0.1:1/f";
    let outcome = world.build(&[nowhere, &right]);
    outcome.fails(&["failed to reach `http://127.0.0.1:1/f`", "Dockerfile:4"]);
}

#[test]
fn a_server_that_is_gone_is_named_with_the_line() {
    let world = World::of("FROM scratch\nADD http://u:secret@127.0.0.1:1/f?t=secret /f\n");
    let outcome = world.build(&[]);
    assert!(
        !outcome
            .stderr
            .replace("ADD http://u:secret@127.0.0.1:1/f?t=secret", "")
            .contains("secret")
    );
    outcome.fails(&["failed to reach `http://127.0.0.1:1/f?...`", "Dockerfile:2"]);
}

#[test]
fn a_secret_named_after_the_host_is_sent_and_shown_nowhere() {
    let world = World::of("FROM scratch\nARG U\nADD $U /f\n");
    let web = Web::guarded(&world.dir().join("web"), "Bearer hunter2");
    let url = format!("--build-arg=U={}", web.put("f", b"f"));
    world.build(&[&url]).fails(&["status 401"]);
    let secret = world.dir().join("secret");
    for (id, value) in [("TOKEN", "hunter2\n"), ("HEADER", "Bearer hunter2")] {
        std::fs::write(&secret, value).expect("the test's own files");
        let flag = format!(
            "--secret=id=HTTP_AUTH_{id}_{},src={}",
            web.host(),
            secret.display()
        );
        let (image, outcome) = world.image_and_outcome(&["--no-cache", &url, &flag]);
        assert_eq!(image.file("f"), "f");
        assert!(!format!("{outcome:?}").contains("hunter2"));
    }
}

fn repository(world: &World) -> Repository {
    let repository = Repository::new(&world.dir().join("repository"));
    repository.write("a", "one\n").write("sub/f", "f\n");
    repository.git(&["config", "core.fileMode", "true"]);
    repository.commit("first");
    repository
}

#[test]
fn a_repository_is_added_with_plain_modes_and_without_its_git_directory() {
    if !have("git") {
        return;
    }
    let world = World::of("FROM scratch\nARG U\nADD $U /x/\nADD $U#main:sub /sub/\n");
    let repository = repository(&world);
    let web = web(&world);
    let url = format!("--build-arg=U={}", web.publish(&repository, "x"));
    let (image, _) = world.image_and_outcome(&[&url]);
    expect![[r"
        d0755 0:0 0 x/
        -0644 0:0 4 x/a
        d0755 0:0 0 x/sub/
        -0644 0:0 2 x/sub/f
    "]]
    .assert_eq(&image.listing(0));
    assert_eq!(image.listing(1), "d0755 0:0 0 sub/\n-0644 0:0 2 sub/f\n");
    let (again, outcome) = world.image_and_outcome(&[&url]);
    assert_eq!(outcome.ran(), Vec::<String>::new());
    assert_eq!(again.digest(), image.digest());
}

#[test]
fn s58_a_kept_git_directory_is_clean_and_a_checksum_changes_no_key() {
    if !have("git") {
        return;
    }
    let world = World::of("FROM scratch\nARG U\nADD --keep-git-dir=true $U /x/\n");
    let repository = repository(&world);
    let web = web(&world);
    let url = format!("--build-arg=U={}", web.publish(&repository, "x"));
    let dest = world.fresh("files");
    let output = format!("--output=type=local,dest={}", dest.display());
    world.build(&[&url, &output]).ok();
    let place = dest.join("x").display().to_string();
    let git = |args: &[&str]| {
        let mut all = vec!["-c", "safe.directory=*", "-C", &place];
        all.extend(args);
        acetate_tests::tool("git", &all).trim().to_owned()
    };
    assert_eq!(git(&["status", "--porcelain"]), "");
    assert_eq!(
        git(&["rev-parse", "HEAD"]),
        repository.git(&["rev-parse", "HEAD"])
    );
    assert_eq!(
        format!("--build-arg=U={}", git(&["remote", "get-url", "origin"])),
        url
    );
    let commit = repository.git(&["rev-parse", "HEAD"]);
    for checksum in [&commit, &commit[..8]] {
        world.dockerfile(&format!(
            "FROM scratch\nARG U\nADD --keep-git-dir=true --checksum={checksum} $U /x/\n"
        ));
        let outcome = world.build(&[&url]).ok();
        assert_eq!(outcome.ran(), Vec::<String>::new());
    }
    world.dockerfile("FROM scratch\nARG U\nADD --checksum=abcdef1 $U /x/\n");
    let outcome = world.build(&[&url]);
    outcome.fails(&["expected the commit `abcdef1`", &commit, "Dockerfile:3"]);
}

#[test]
fn submodules_come_along_unless_they_are_not_wanted() {
    if !have("git") {
        return;
    }
    let world = World::of("FROM scratch\nARG U\nADD $U /x/\nADD $U?submodules=false /y/\n");
    let inner = Repository::new(&world.dir().join("inner"));
    inner.write("i", "i\n").commit("inner");
    let web = web(&world);
    let inner = web.publish(&inner, "inner");
    let outer = repository(&world);
    outer.git(&["submodule", "add", "-q", &inner, "mod"]);
    outer.git(&[
        "config",
        "-f",
        ".gitmodules",
        "submodule.mod.url",
        "../inner.git",
    ]);
    outer.commit("with a submodule");
    let url = format!("--build-arg=U={}", web.publish(&outer, "x"));
    let image = world.image(&[&url]);
    assert_eq!(image.file("x/mod/i"), "i\n");
    assert!(!image.has("y/mod/i"));
}

#[test]
fn a_token_for_git_is_sent_and_shown_nowhere() {
    if !have("git") {
        return;
    }
    let world = World::of("FROM scratch\nARG U\nADD $U /x/\n");
    let repository = repository(&world);
    let web = Web::guarded(
        &world.dir().join("web"),
        "basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==",
    );
    let url = format!("--build-arg=U={}", web.publish(&repository, "x"));
    world
        .build(&[&url])
        .fails(&["failed to list the references of", "Dockerfile:3"]);
    let secret = world.dir().join("secret");
    std::fs::write(&secret, "hunter2\n").expect("the test's own files");
    let flag = |id: &str| format!("--secret=id={id},src={}", secret.display());
    for id in [
        "GIT_AUTH_TOKEN".to_owned(),
        format!("GIT_AUTH_TOKEN.{}", web.host()),
    ] {
        let (image, outcome) = world.image_and_outcome(&[&url, &flag(&id)]);
        assert_eq!(image.file("x/a"), "one\n");
        assert!(!format!("{outcome:?}").contains("hunter2"));
    }
    std::fs::write(&secret, "hunter3\n").expect("the test's own files");
    let outcome = world.build(&[&url, &flag("GIT_AUTH_TOKEN")]);
    assert!(!outcome.stderr.contains("hunter3") && !outcome.stderr.contains("aHVudGVyMw"));
    outcome.fails(&["failed to list the references of"]);
}

#[test]
fn what_was_fetched_of_repositories_goes_with_a_prune() {
    if !have("git") {
        return;
    }
    let world = World::of("FROM scratch\nARG U\nADD $U /x/\n");
    let repository = repository(&world);
    let web = web(&world);
    let url = format!("--build-arg=U={}", web.publish(&repository, "x"));
    world.image(&[&url]);
    let mirrors = || {
        let entries = std::fs::read_dir(world.root().join("git")).expect("a directory");
        let heads =
            entries.filter(|entry| entry.as_ref().is_ok_and(|e| e.path().join("HEAD").exists()));
        heads.count()
    };
    assert_eq!(mirrors(), 1);
    world.acetate(&["prune", "--all", "--force"]).ok();
    assert_eq!(mirrors(), 0);
    assert_eq!(world.image(&[&url]).file("x/a"), "one\n");
}

#[test]
fn builds_at_the_same_time_share_what_they_fetch() {
    if !have("git") {
        return;
    }
    let world = World::of("FROM scratch\nARG U\nARG F\nADD $U /x/\nADD $F /f\n");
    let repository = repository(&world);
    let web = web(&world);
    let url = format!("--build-arg=U={}", web.publish(&repository, "x"));
    let file = format!("--build-arg=F={}", web.put("f", b"f"));
    let builds: Vec<_> = (0..4)
        .map(|_| world.command(&[&url, &file]))
        .map(|mut command| command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn())
        .collect();
    let outcomes: Vec<Outcome> = builds
        .into_iter()
        .map(|child| {
            child
                .and_then(Child::wait_with_output)
                .expect("acetate runs")
        })
        .map(|output| Outcome::read(&output).ok())
        .collect();
    let ran = outcomes.iter().flat_map(Outcome::ran);
    let n_git = ran
        .filter(|name| name.starts_with("ADD") && name.ends_with("/x/"))
        .count();
    assert_eq!(n_git, 1, "{outcomes:#?}");
}
