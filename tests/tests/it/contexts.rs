//! Contexts that are no directory, and named contexts of every kind.

use acetate_tests::{Layout, Outcome, Repository, Web, World, have, tool};
use expect_test::expect;
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a command with bytes as its standard input.
fn fed(mut command: Command, bytes: &[u8]) -> Outcome {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // One that does not want it all has said why.
    drop(child.stdin.take().expect("a pipe").write_all(bytes));
    Outcome::read(&child.wait_with_output().expect("the program ends"))
}

/// Builds on a context and reads the image.
#[track_caller]
fn image_on(world: &World, context: &str, args: &[&str], input: &[u8]) -> (Layout, Outcome) {
    let dest = world.fresh("layout");
    let output = format!("--output=type=oci,tar=false,dest={}", dest.display());
    let mut all = vec![output.as_str()];
    all.extend(args);
    let outcome = fed(world.command_on(context, &all), input).ok();
    (Layout::read(&dest), outcome)
}

#[track_caller]
fn build_on(world: &World, context: &str, args: &[&str], input: &[u8]) -> Outcome {
    fed(world.command_on(context, args), input)
}

/// A tar with these files; a target behind ` -> ` makes a link.
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(7);
        header.set_gid(7);
        header.set_mtime(1_000_000_000);
        if let Some((path, target)) = path.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, path, target)
                .expect("the test's own files");
        } else {
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes())
                .expect("the test's own files");
        }
    }
    tar.into_inner().expect("the test's own files")
}

const FILES: &[(&str, &str)] = &[
    ("Dockerfile", "FROM scratch\nCOPY a d /x/\n"),
    ("a", "a\n"),
    ("d/b", "b\n"),
    (".dockerignore", "a\n"),
];

#[test]
fn a_dockerfile_from_standard_input_has_an_empty_context() {
    let world = World::of("");
    let (image, _) = image_on(&world, "-", &[], b"FROM scratch\nCOPY <<EOF /f\nf\nEOF\n");
    assert_eq!(image.file("f"), "f\n");
    let outcome = build_on(&world, "-", &[], b"FROM scratch\nCOPY f /f\n");
    outcome.fails(&["COPY f /f"]);
    let outcome = build_on(&world, "-", &["-f", "x"], b"FROM scratch\n");
    outcome.fails(&["ambiguous Dockerfile source"]);
    build_on(&world, "-", &[], b"").fails(&["the Dockerfile cannot be empty"]);
}

#[test]
fn an_archive_from_standard_input_is_the_context_however_it_is_compressed() {
    let world = World::of("");
    let plain = tar(FILES);
    for (program, expected) in [
        ("", "ran"),
        ("gzip", ""),
        ("bzip2", ""),
        ("xz", ""),
        ("zstd", ""),
    ] {
        let bytes = if program.is_empty() {
            plain.clone()
        } else {
            if !have(program) {
                continue;
            }
            let file = world.fresh("context.tar");
            std::fs::write(&file, &plain).expect("the test's own files");
            let from = format!("{program} -c <{}", file.display());
            let output = Command::new("sh")
                .args(["-c", &from])
                .output()
                .expect("sh runs");
            output.stdout
        };
        let (image, outcome) = image_on(&world, "-", &[], &bytes);
        expect![[r"
            d0755 0:0 0 x/
            -0644 7:7 2 x/a
            -0644 7:7 2 x/b
        "]]
        .assert_eq(&image.listing(0));
        assert_eq!(
            outcome.ran().is_empty(),
            expected.is_empty(),
            "{program}: {outcome:?}"
        );
    }
    build_on(&world, "-", &[], &plain[..700]).fails(&["context"]);
    let mut broken = vec![0x1f, 0x8b, 0x08];
    broken.extend([0; 600]);
    build_on(&world, "-", &[], &broken).fails(&["neither an archive nor a Dockerfile"]);
}

#[test]
fn the_dockerfile_of_an_archive_is_found_like_that_of_a_directory() {
    let world = World::of("FROM scratch\nLABEL from=outside\n");
    let label = |image: &Layout| image.config.config.labels["from"].clone();
    let text = |name: &str| format!("FROM scratch\nLABEL from={name}\n");
    let (lower, other, deep) = (text("lower"), text("other"), text("deep"));
    let archive = tar(&[
        ("./dockerfile", &lower),
        ("other", &other),
        ("sub/deep", &deep),
        ("sub/Link -> /sub/../sub/deep", ""),
    ]);
    let outside = world.context().join("Dockerfile").display().to_string();
    for (args, expected) in [
        (vec![], "lower"),
        (vec!["-f", "other"], "other"),
        (vec!["-f", "./sub/deep"], "deep"),
        (vec!["-f", "sub/Link"], "deep"),
        (vec!["-f", &outside], "outside"),
    ] {
        let (image, _) = image_on(&world, "-", &args, &archive);
        assert_eq!(label(&image), expected, "{args:?}");
    }
    let outcome = build_on(&world, "-", &["-f", "none"], &archive);
    outcome.fails(&["failed to read the Dockerfile `none`"]);
    let outcome = build_on(&world, "-", &["-f", "-"], &archive);
    outcome.fails(&["standard input is the context already"]);
}

fn repository(world: &World) -> Repository {
    let repository = Repository::new(&world.dir().join("repository"));
    repository
        .write("Dockerfile", "FROM scratch\nCOPY . /x/\n")
        .write(".dockerignore", "a\n")
        .write("a", "one\n")
        .write("sub/Dockerfile", "FROM scratch\nCOPY f /f\n")
        .write("sub/f", "f\n");
    repository.commit("first");
    repository
}

#[test]
fn a_repository_is_a_context_with_a_reference_and_a_directory() {
    if !have("git") {
        return;
    }
    let world = World::of("");
    let repository = repository(&world);
    repository.git(&["tag", "-a", "-m", "x", "v1"]);
    let web = Web::serve(&world.dir().join("web"));
    let url = web.publish(&repository, "x");
    let (image, _) = image_on(&world, &url, &[], b"");
    expect![[r"
        d0755 0:0 0 x/
        -0644 0:0 2 x/.dockerignore
        -0644 0:0 24 x/Dockerfile
        -0644 0:0 4 x/a
        d0755 0:0 0 x/sub/
        -0644 0:0 23 x/sub/Dockerfile
        -0644 0:0 2 x/sub/f
    "]]
    .assert_eq(&image.listing(0));
    let (image, outcome) = image_on(&world, &format!("{url}#v1:sub"), &[], b"");
    assert_eq!(image.listing(0), "-0644 0:0 2 f\n");
    assert_eq!(outcome.ran(), ["COPY f /f"]);
    // The same commit by another name.
    let (_, outcome) = image_on(&world, &format!("{url}?ref=main&subdir=sub"), &[], b"");
    assert_eq!(outcome.cached(), ["COPY f /f"]);
    repository.write("a", "two\n").commit("second");
    let url = web.publish(&repository, "x");
    let (image, outcome) = image_on(&world, &url, &[], b"");
    assert_eq!(image.file("x/a"), "two\n");
    assert_eq!(outcome.ran(), ["COPY . /x/"]);
    let (_, outcome) = image_on(&world, &format!("{url}#v1"), &[], b"");
    assert_eq!(outcome.ran(), Vec::<String>::new());
    let missing = build_on(&world, &format!("{url}#none"), &[], b"");
    missing.fails(&["there is no such branch, tag or commit", "`none`"]);
    let missing = build_on(&world, &format!("{url}#v1:none"), &[], b"");
    missing.fails(&["failed to read the Dockerfile"]);
}

#[test]
fn the_git_directory_of_a_context_stays_when_it_is_asked_for() {
    if !have("git") {
        return;
    }
    let world = World::of("");
    let repository = repository(&world);
    let web = Web::serve(&world.dir().join("web"));
    let url = web.publish(&repository, "x");
    let keep = "--build-arg=BUILDKIT_CONTEXT_KEEP_GIT_DIR=1";
    let (image, _) = image_on(&world, &url, &[keep], b"");
    assert!(image.has("x/.git/HEAD"));
    let (image, _) = image_on(&world, &url, &[], b"");
    assert!(!image.has("x/.git/HEAD"));
}

#[test]
fn an_archive_behind_a_url_is_the_context() {
    let world = World::of("");
    let web = Web::serve(&world.dir().join("web"));
    let url = web.put("c.tar", &tar(FILES));
    let (first, _) = image_on(&world, &url, &[], b"");
    // The ignore file is for directories.
    assert_eq!(first.file("x/a"), "a\n");
    let (second, outcome) = image_on(&world, &url, &[], b"");
    assert_eq!(outcome.cached(), ["COPY a d /x/"]);
    assert_eq!(web.log(), ["200 /c.tar", "304 /c.tar"]);
    assert_eq!(first.tar(0), second.tar(0));
    let mut files = FILES.to_vec();
    files[1].1 = "changed\n";
    web.put("c.tar", &tar(&files));
    let (image, outcome) = image_on(&world, &url, &[], b"");
    assert_eq!(outcome.ran(), ["COPY a d /x/"]);
    assert_eq!(image.file("x/a"), "changed\n");
    // A file that no step takes changes nothing.
    files.push(("other", "o"));
    web.put("c.tar", &tar(&files));
    let (_, outcome) = image_on(&world, &url, &[], b"");
    assert_eq!(outcome.cached(), ["COPY a d /x/"]);
}

#[test]
fn a_text_behind_a_url_is_the_dockerfile_whatever_the_flag_says() {
    let world = World::of("FROM scratch\nLABEL from=file\n");
    let web = Web::serve(&world.dir().join("web"));
    let url = web.put("anything", b"FROM scratch\nLABEL from=url\n");
    for args in [vec![], vec!["-f", "Dockerfile"]] {
        let (image, _) = image_on(&world, &url, &args, b"");
        assert_eq!(image.config.config.labels["from"], "url");
    }
    let (image, _) = image_on(
        &world,
        &world.context().display().to_string(),
        &["-f", &url],
        b"",
    );
    assert_eq!(image.config.config.labels["from"], "url");
    let none = web.url("none");
    for outcome in [
        build_on(&world, &none, &[], b""),
        world.build(&["-f", &none]),
    ] {
        outcome.fails(&["failed to download", &none, "status 404"]);
    }
}

#[test]
fn a_dockerfile_by_url_takes_files_of_the_context() {
    let world = World::new("//- a\na\n//- b\nb\n//- .dockerignore\nb\n");
    let web = Web::serve(&world.dir().join("web"));
    let url = web.put("D", b"FROM scratch\nCOPY . /x/\n");
    let image = world.image(&["-f", &url]);
    assert!(image.has("x/a") && !image.has("x/b"));
}

#[test]
fn named_contexts_are_repositories_archives_files_and_directories() {
    if !have("git") {
        return;
    }
    let world = World::of(
        "
        FROM scratch
        COPY --from=repo sub/f /repo
        COPY --from=archive d/b /archive
        COPY --from=file t.txt /file
        COPY --from=dir . /dir/
        ",
    );
    let repository = repository(&world);
    let web = Web::serve(&world.dir().join("web"));
    let dir = world.dir().join("named");
    std::fs::create_dir(&dir).expect("the test's own files");
    for (name, text) in [
        ("kept", "k"),
        ("hidden", "h"),
        (".dockerignore", "hidden\n.dockerignore"),
    ] {
        std::fs::write(dir.join(name), text).expect("the test's own files");
    }
    let contexts = [
        format!(
            "--build-context=repo={}#main",
            web.publish(&repository, "x")
        ),
        format!("--build-context=archive={}", web.put("c.tar", &tar(FILES))),
        format!("--build-context=file={}", web.put("t.txt", b"t\n")),
        format!("--build-context=dir={}", dir.display()),
    ];
    let args: Vec<&str> = contexts.iter().map(String::as_str).collect();
    let image = world.image(&args);
    for (path, text) in [
        ("repo", "f\n"),
        ("archive", "b\n"),
        ("file", "t\n"),
        ("dir/kept", "k"),
    ] {
        assert_eq!(image.file(path), text, "{path}");
    }
    assert!(!image.has("dir/hidden"));
    let (_, outcome) = world.image_and_outcome(&args);
    assert_eq!(outcome.ran(), Vec::<String>::new());
}

#[test]
fn a_named_context_replaces_a_stage_and_is_fetched_only_where_it_is_used() {
    if !have("git") {
        return;
    }
    let world =
        World::of("FROM scratch AS s\nCOPY none /\nFROM scratch\nCOPY --from=s /sub/f /f\n");
    let repository = repository(&world);
    let web = Web::serve(&world.dir().join("web"));
    let url = web.publish(&repository, "x");
    let unused = web.put("unused.tar", b"");
    let (s, unused) = (
        format!("--build-context=s={url}"),
        format!("--build-context=u={unused}"),
    );
    let image = world.image(&[&s, &unused]);
    assert_eq!(image.file("f"), "f\n");
    assert!(!web.log().iter().any(|line| line.contains("unused")));
    let dir = world.dir().join("bad");
    std::fs::create_dir(&dir).expect("the test's own files");
    std::fs::write(dir.join(".dockerignore"), "!").expect("the test's own files");
    world.image(&[&s, &format!("--build-context=u={}", dir.display())]);
    let missing = world.build(&[&s, "--build-context=u=/no/such/dir"]);
    missing.fails(&["/no/such/dir"]);
}

#[test]
fn without_git_the_error_names_the_package() {
    let world = World::of("");
    let mut command = world.command_on("https://example.org/x.git", &[]);
    command.env("PATH", "/nonexistent");
    fed(command, b"").fails(&["failed to run `git`", "install the package `git`"]);
}

#[test]
fn s53_a_repository_with_the_epoch_of_its_commit() {
    if !have("git") {
        return;
    }
    let world = World::of("");
    let repository = repository(&world);
    let web = Web::serve(&world.dir().join("web"));
    let url = web.publish(&repository, "x");
    let (image, _) = image_on(
        &world,
        &url,
        &["--build-arg=SOURCE_DATE_EPOCH=context"],
        b"",
    );
    assert_eq!(image.config.created.unwrap_or_default().secs, 1_700_000_000);
    assert_eq!(tool("git", &["--version"]).split(' ').next(), Some("git"));
}
