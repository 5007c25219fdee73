//! Dockerfiles that are wrong: one clear error, with its line.

use acetate_tests::World;

#[track_caller]
fn fails(dockerfile: &str, words: &[&str]) {
    World::of(dockerfile).build(&[]).fails(words);
}

#[test]
fn a_missing_dockerfile_or_context() {
    let world = World::new("");
    world.build(&[]).fails(&["Dockerfile", "context"]);
    world
        .build(&["-f", "/no/such/file"])
        .fails(&["/no/such/file"]);
    std::fs::remove_dir(world.context()).unwrap();
    world.build(&[]).fails(&["context"]);
}

#[test]
fn a_context_that_is_a_file() {
    let world = World::new("//- Dockerfile\nFROM scratch\n");
    let file = world.context().join("Dockerfile");
    world
        .acetate(&["build", file.to_str().unwrap()])
        .fails(&["Dockerfile"]);
}

#[test]
fn the_empty_ones() {
    for (text, words) in [
        ("", "the Dockerfile cannot be empty"),
        ("# only this\n", "file with no instructions"),
        ("ARG A\n", "dockerfile contains no stages to build"),
    ] {
        let world = World::new("");
        world.write("Dockerfile", text);
        let outcome = world.build(&[]);
        assert_eq!(outcome.code, 1, "{text:?}");
        assert!(
            outcome.stderr.contains(words),
            "{text:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn an_unknown_instruction_is_guessed() {
    fails(
        "FROM base\nRNU true\n",
        &[
            "unknown instruction: RNU",
            "did you mean RUN?",
            "   2 | >>> RNU true",
        ],
    );
}

#[test]
fn an_unknown_flag_is_guessed() {
    fails(
        "FROM base\nCOPY --form=x a /\n",
        &[
            "unknown flag: --form",
            "did you mean from?",
            ">>> COPY --form",
        ],
    );
}

#[test]
fn an_unknown_target_is_guessed() {
    let world = World::of("FROM base AS build\n");
    let outcome = world.build(&["--target=bulid"]);
    outcome.fails(&["target stage \"bulid\" could not be found (did you mean build?)"]);
}

#[test]
fn stages_that_are_not_there() {
    fails(
        "FROM base\nCOPY --from=5 / /\n",
        &["5", ">>> COPY --from=5"],
    );
    fails(
        "FROM base AS a\nCOPY --from=b / /\nFROM base AS b\nFROM a\n",
        &["   2 | >>> COPY --from=b", "needs to be defined before"],
    );
    fails(
        "FROM base AS a\nCOPY --from=a / /\n",
        &["circular dependency detected on stage: a"],
    );
    fails(
        "FROM base AS a\nRUN true\nCOPY --from=$X / /\n",
        &[
            "variable expansion is not supported for --from",
            ">>> COPY --from=$X",
        ],
    );
}

#[test]
fn a_base_that_is_not_there() {
    let world = World::of("FROM missing\nRUN true\n");
    let nowhere = world.dir().join("nowhere");
    let context = format!("--build-context=missing=oci-layout://{}", nowhere.display());
    world.build(&[&context]).fails(&["nowhere"]);
    // Nothing listens on this port.
    let world = World::of("FROM 127.0.0.1:1/none:1\n");
    world.build(&[]).fails(&["127.0.0.1:1"]);
}

#[test]
fn a_base_without_a_name() {
    fails(
        "FROM ${NOTHING}\n",
        &["base name (${NOTHING}) should not be blank", ">>> FROM"],
    );
    fails(
        "FROM lower/UPPER\n",
        &["lower/UPPER", ">>> FROM lower/UPPER"],
    );
    fails("FROM base AS 1x\n", &["1x", ">>> FROM base AS 1x"]);
    fails(
        "FROM base AS\n",
        &["FROM requires either one or three arguments"],
    );
}

#[test]
fn a_failing_step_says_which() {
    let world = World::of("FROM base\nRUN true\nRUN exit 7\nRUN true\n");
    let outcome = world.build(&[]).fails(&[
        "ERROR: failed to build: failed to solve: process \"/bin/sh -c exit 7\" did not complete successfully: exit code: 7\n",
        " > [3/4] RUN exit 7:\n",
        "Dockerfile:3\n",
        "   2 |     RUN true\n   3 | >>> RUN exit 7\n   4 |     RUN true\n",
    ]);
    assert_eq!(outcome.ran(), ["RUN true"]);
}

#[test]
fn a_failing_step_of_several_lines_is_marked_whole() {
    let world = World::of("FROM base\nRUN echo 1 && \\\n    echo 2 && \\\n    false\nRUN true\n");
    world.build(&[]).fails(&[
        "   2 | >>> RUN echo 1",
        "   3 | >>>     echo 2",
        "   4 | >>>     false",
        "   5 |     RUN true",
    ]);
}

#[test]
fn commands_that_are_not_there() {
    fails(
        "FROM base\nRUN invalidcmd\n",
        &["process \"/bin/sh -c invalidcmd\" did not complete successfully: exit code: 127"],
    );
    fails("FROM base\nRUN [\"/no/such\"]\n", &["/no/such"]);
    fails(
        "FROM scratch\nCOPY Dockerfile /\nRUN true\n",
        &["/bin/sh", "   3 | >>> RUN true"],
    );
}

#[test]
fn a_user_that_is_not_there() {
    fails(
        "FROM base\nUSER nobody-here\nRUN true\n",
        &["nobody-here", ">>> RUN true"],
    );
}

/// What only differs in one word from what works says what it wants.
#[test]
fn what_cannot_be_carried_out_says_what_it_wants() {
    for (line, words) in [
        ("RUN --mount=type=cache true", "target"),
        (
            "RUN --mount=type=secret,id=s,required true",
            "secret s: not found",
        ),
        ("RUN --security=insecure true", "--allow security.insecure"),
        ("RUN --network=host true", "--allow network.host"),
        ("RUN --device=v.example/c=d true", "--allow device"),
        ("COPY --link missing /", "\"/missing\": not found"),
        ("COPY --parents missing /", "\"/missing\": not found"),
        (
            "COPY --from=base --exclude=x /nope /",
            "\"/nope\": not found",
        ),
        ("COPY --link=maybe f /", "link"),
        ("ADD --checksum=sha256:1 https://localhost/f /", "checksum"),
    ] {
        fails(
            &format!("FROM base\nENV A=1\n{line}\n"),
            &[words, &format!("   3 | >>> {line}")],
        );
    }
}

#[test]
fn what_is_wrong_in_an_unreached_stage_of_good_syntax_does_not_matter() {
    let world = World::of(
        "FROM base AS x\nRUN --mount=type=cache,target=/c true\nCOPY --link a b\nFROM base\nRUN true\n",
    );
    world.build(&[]).ok();
}

#[test]
fn words_of_instructions_are_checked() {
    fails("FROM base\nENV\n", &["ENV", ">>> ENV"]);
    fails("FROM base\nENV =x\n", &[">>> ENV =x"]);
    fails("FROM base\nEXPOSE x\n", &[">>> EXPOSE x"]);
    fails("FROM base\nSTOPSIGNAL SIGNOPE\n", &["SIGNOPE"]);
    fails(
        "FROM base\nCOPY a\n",
        &["COPY requires at least two arguments"],
    );
    fails("FROM base\nSHELL sh\n", &["SHELL"]);
    fails("FROM base\nONBUILD FROM x\n", &["ONBUILD"]);
    fails(
        "FROM base\nRUN <<EOF\nnever ends\n",
        &["unterminated heredoc"],
    );
    fails("FROM base\nENV A=${A\n", &[">>> ENV A=${A"]);
    fails(
        "FROM base\nCMD [\"a\", 1]\n",
        &["arrays must be comprised of strings only"],
    );
    fails("FROM --platform=nope/nope/nope/nope base\n", &["nope"]);
}

#[test]
fn warnings_do_not_fail_and_are_shown() {
    let world = World::of("FROM base as x\nMAINTAINER me\n");
    let mut command = acetate_tests::acetate();
    command
        .arg("--root")
        .arg(world.root())
        .args(["build", "--progress=plain"]);
    command
        .arg(format!(
            "--build-context=base=oci-layout://{}",
            world.base().display()
        ))
        .arg(world.context());
    let outcome = acetate_tests::Outcome::of(command).ok();
    assert!(
        outcome.stderr.contains("MaintainerDeprecated"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("(line 2)"), "{}", outcome.stderr);
}

#[test]
fn odd_bytes_are_no_panic() {
    for bytes in [
        &b"\xff\xfe\x00"[..],
        b"FROM base\nRUN \xff\n",
        b"\xef\xbb\xbfFROM base\r\nRUN true\r\n",
        b"FROM base\nCOPY \"a /\n",
    ] {
        let world = World::new("");
        std::fs::write(world.context().join("Dockerfile"), bytes).unwrap();
        let outcome = world.build(&[]);
        assert!(
            !outcome.stderr.contains("panicked"),
            "{bytes:?}: {}",
            outcome.stderr
        );
        assert!(
            outcome.code == 0 || outcome.stderr.contains("ERROR"),
            "{bytes:?}: {}",
            outcome.stderr
        );
    }
}
