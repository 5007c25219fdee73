//! How a build is shown.

use acetate_tests::{Outcome, World, acetate};

fn shown(world: &World, args: &[&str]) -> Outcome {
    let mut command = acetate();
    command.arg("--root").arg(world.root()).arg("build");
    command.arg(format!(
        "--build-context=base=oci-layout://{}",
        world.base().display()
    ));
    command.args(args).arg(world.context());
    Outcome::of(command)
}

const DOCKERFILE: &str = "FROM base AS one\nRUN echo said by a step\nFROM one\nCOPY Dockerfile /\n";

#[test]
fn plain_tells_names_words_and_ends() {
    let world = World::of(DOCKERFILE);
    for args in [
        &["--progress=plain", "--no-cache"][..],
        &["--progress", "auto", "--no-cache"],
        &["--no-cache"],
    ] {
        let text = shown(&world, args).ok().stderr;
        for words in [
            "[one 2/2] RUN echo said by a step\n",
            " said by a step\n",
            " DONE ",
            "COPY Dockerfile /\n",
        ] {
            assert!(text.contains(words), "{args:?}: no `{words}` in {text}");
        }
    }
    let again = shown(&world, &["--progress=plain"]).ok().stderr;
    assert!(
        again.contains(" CACHED\n")
            && !again
                .lines()
                .any(|line| line.ends_with(" said by a step") && !line.contains("RUN")),
        "{again}"
    );
}

#[test]
fn plain_tells_errors_and_the_last_words() {
    let world = World::of("FROM base\nRUN echo last words; exit 4\n");
    let text = shown(&world, &["--progress=plain"])
        .fails(&["ERROR", "exit code: 4"])
        .stderr;
    assert!(text.contains(" last words\n"), "{text}");
    let quiet = shown(&world, &["--progress=quiet"])
        .fails(&["exit code: 4", ">>> RUN echo last words; exit 4"])
        .stderr;
    assert!(quiet.contains("last words\n"), "{quiet}");
}

#[test]
fn quiet_and_none_show_nothing() {
    let world = World::of(DOCKERFILE);
    for mode in ["quiet", "none"] {
        let outcome = shown(&world, &["--progress", mode]).ok();
        assert_eq!((&*outcome.stdout, &*outcome.stderr), ("", ""));
    }
}

#[test]
fn rawjson_is_one_object_a_line() {
    let world = World::of(DOCKERFILE);
    let outcome = shown(&world, &["--progress=rawjson"]).ok();
    assert_eq!(outcome.stderr, "", "all lines were objects");
    let names: Vec<&str> = outcome
        .steps
        .iter()
        .map(|step| step.name.as_str())
        .collect();
    assert!(
        names.contains(&"[one 2/2] RUN echo said by a step"),
        "{names:?}"
    );
    assert!(
        names.contains(&"[stage-1 1/1] COPY Dockerfile /"),
        "{names:?}"
    );
}

#[test]
fn a_terminal_is_needed_where_it_is_drawn_on() {
    let world = World::of(DOCKERFILE);
    shown(&world, &["--progress=tty"]).fails(&["no terminal"]);
}

#[test]
fn the_environment_chooses_and_flags_win() {
    let world = World::of(DOCKERFILE);
    let run = |value: &str, args: &[&str]| {
        let mut command = acetate();
        command
            .env("BUILDKIT_PROGRESS", value)
            .arg("--root")
            .arg(world.root())
            .arg("build");
        command.arg(format!(
            "--build-context=base=oci-layout://{}",
            world.base().display()
        ));
        command.args(args).arg(world.context());
        Outcome::of(command)
    };
    assert!(run("quiet", &[]).ok().stderr.is_empty());
    assert!(
        run("quiet", &["--progress=plain"])
            .ok()
            .stderr
            .contains("COPY")
    );
    run("fancy", &[]).fails(&["fancy"]);
}

#[test]
fn a_terminal_is_drawn_on() {
    if !acetate_tests::have("script") {
        return;
    }
    let world = World::of(DOCKERFILE);
    let program = acetate_tests::acetate_path().display();
    let (root, base) = (world.root(), world.base().display().to_string());
    let line = format!(
        "{program} --root {} build --progress=tty --build-context=base=oci-layout://{base} {}",
        root.display(),
        world.context().display()
    );
    let text = acetate_tests::tool("script", &["-qec", &line, "/dev/null"]);
    assert!(text.contains("RUN echo said by a step"), "{text}");
    assert!(text.contains('\u{1b}'), "nothing was drawn: {text}");
}
