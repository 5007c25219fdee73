//! Checks and the other questions: `--check`, `--call`, and warnings of ordinary builds.

use acetate_tests::{Outcome, World, acetate};
use serde_json::{Value, json};

/// Runs a build with plain progress, so that warnings are shown as to people.
fn build(world: &World, args: &[&str]) -> Outcome {
    let mut command = acetate();
    command.arg("--root").arg(world.root()).arg("build");
    command.arg("--progress=plain").arg(format!(
        "--build-context=base=oci-layout://{}",
        world.base().display()
    ));
    command.args(args).arg(world.context());
    Outcome::of(command)
}

fn answer(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).expect("one object of JSON")
}

/// The names of the warnings' rules and their first lines.
fn rules(outcome: &Outcome) -> Vec<(String, u64)> {
    let answer = answer(outcome);
    let warnings = answer["warnings"].as_array().expect("a list").clone();
    let first = |warning: &Value| {
        let line = &warning["location"]["ranges"][0]["start"]["line"];
        (
            warning["ruleName"].as_str().expect("a name").to_owned(),
            line.as_u64().unwrap_or(0),
        )
    };
    warnings.iter().map(first).collect()
}

#[test]
fn a_check_runs_nothing_and_fails_for_warnings() {
    let world = World::of("FROM base as Build\nRUN exit 7\nCMD x\n");
    let outcome = build(&world, &["--check"]);
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert_eq!(
        outcome.stdout,
        "Check complete, 3 warnings have been found!\n\
         \nWARNING: FromAsCasing - docs/checks/from-as-casing.md\n\
         'as' and 'FROM' keywords' casing do not match\n\
         Dockerfile:1\n--------------------\n   1 | >>> FROM base as Build\n   2 |     RUN exit 7\n   3 |     CMD x\n--------------------\n\
         \nWARNING: StageNameCasing - docs/checks/stage-name-casing.md\n\
         Stage name 'Build' should be lowercase\n\
         Dockerfile:1\n--------------------\n   1 | >>> FROM base as Build\n   2 |     RUN exit 7\n   3 |     CMD x\n--------------------\n\
         \nWARNING: JSONArgsRecommended - docs/checks/json-args-recommended.md\n\
         JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n\
         Dockerfile:3\n--------------------\n   1 |     FROM base as Build\n   2 |     RUN exit 7\n   3 | >>> CMD x\n   4 |     \n--------------------\n"
    );
    assert!(!outcome.stderr.contains("exit 7"), "{}", outcome.stderr);
}

#[test]
fn a_check_without_warnings_ends_well() {
    let world = World::of("FROM base AS build\nRUN exit 7\nCOPY missing /\n");
    for args in [
        &["--check"][..],
        &["--check=true"],
        &["--call=check"],
        &["--call", "lint"],
        &["--print=check"],
    ] {
        let outcome = build(&world, args).ok();
        assert_eq!(
            outcome.stdout, "Check complete, no warnings found.\n",
            "{args:?}"
        );
    }
    build(&world, &["--check=false"]).fails(&["\"/missing\": not found"]);
}

#[test]
fn a_check_looks_at_all_stages_or_at_the_target() {
    let world = World::of("FROM base AS one\nCOPY $a /\nFROM base AS two\nCOPY $b /\n");
    let json = "--call=check,format=json";
    let of = |name: &str, line| vec![(name.to_owned(), line)];
    assert_eq!(rules(&build(&world, &[json])).len(), 2);
    assert_eq!(
        rules(&build(&world, &[json, "--target=one"])),
        of("UndefinedVar", 2)
    );
    assert_eq!(
        rules(&build(&world, &[json, "--target=two"])),
        of("UndefinedVar", 4)
    );
}

#[test]
fn a_check_answers_in_json() {
    let world = World::of("FROM base\nMAINTAINER me\n");
    let outcome = build(&world, &["--call=check,format=json"]);
    assert_eq!(outcome.code, 1);
    assert_eq!(
        answer(&outcome),
        json!({
            "warnings": [{
                "ruleName": "MaintainerDeprecated",
                "description": "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
                "url": "docs/checks/maintainer-deprecated.md",
                "detail": "Maintainer instruction is deprecated in favor of using label",
                "location": { "ranges": [{ "start": { "line": 2 }, "end": { "line": 2 } }] },
            }],
            "sources": [{
                "filename": "Dockerfile",
                "language": "Dockerfile",
                "data": "RlJPTSBiYXNlCk1BSU5UQUlORVIgbWUK",
            }],
        })
    );
    let ignored = build(&world, &["--call=check,format=json,ignorestatus=true"]).ok();
    assert_eq!(rules(&ignored).len(), 1);
}

#[test]
fn a_check_of_what_cannot_be_built_says_why() {
    let world = World::of("FROM base AS Build\nRNU x\n");
    let outcome = build(&world, &["--check"]).fails(&[
        "ERROR: unknown instruction: RNU (did you mean RUN?)\nDockerfile:2\n",
        "   2 | >>> RNU x\n",
    ]);
    assert!(
        outcome.stdout.contains("WARNING: StageNameCasing"),
        "{}",
        outcome.stdout
    );
    let outcome = build(&world, &["--call=check,format=json"]).fails(&["unknown instruction"]);
    assert_eq!(
        answer(&outcome)["buildError"],
        json!({
            "message": "unknown instruction: RNU (did you mean RUN?)",
            "location": { "ranges": [{ "start": { "line": 2 }, "end": { "line": 2 } }] },
        })
    );
    // Nothing listens on this port.
    world.dockerfile("FROM scratch as a\nFROM 127.0.0.1:1/none:1\nRUN true\n");
    let outcome = build(&world, &["--check"]).fails(&["127.0.0.1:1", "   2 | >>> FROM 127"]);
    assert!(
        outcome.stdout.contains("WARNING: FromAsCasing"),
        "{}",
        outcome.stdout
    );
    world.dockerfile("FROM base\n");
    build(&world, &["--check", "--target=none"])
        .fails(&["target stage \"none\" could not be found"]);
}

#[test]
fn checks_against_the_ignore_file() {
    let world = World::new(
        "//- Dockerfile\nFROM base\nCOPY dist f /\n//- .dockerignore\ndist\n//- dist\nx\n//- f\nx\n",
    );
    let json = "--call=check,format=json";
    assert_eq!(
        rules(&build(&world, &[json])),
        [("CopyIgnoredFile".to_owned(), 2)]
    );
    world.write(".dockerignore", "dist\n!g\n");
    assert_eq!(rules(&build(&world, &[json])), []);
}

#[test]
fn s113_violations_fail_after_all_warnings() {
    let world = World::of("# check=error=true\nFROM base as x\nMAINTAINER me\nRUN echo never\n");
    let outcome = build(&world, &[]).fails(&[
        "2 warnings found (use --debug to expand):\n - FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)\n - MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 3)\n",
        "ERROR: failed to build: failed to solve: lint violation found for rules: FromAsCasing, MaintainerDeprecated\n",
    ]);
    assert!(!outcome.stderr.contains("never\n#"), "{}", outcome.stderr);
    build(&world, &["--check"])
        .fails(&["ERROR: lint violation found for rules: FromAsCasing, MaintainerDeprecated\n"]);
    let skipped = "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all";
    let outcome = build(&world, &[skipped]).ok();
    assert!(!outcome.stderr.contains("warning"), "{}", outcome.stderr);
}

#[test]
fn s113_the_build_argument_can_make_a_build_fail() {
    let world = World::of("# check=skip=all\nFROM base as x\n");
    build(&world, &[]).ok();
    build(
        &world,
        &["--build-arg=BUILDKIT_DOCKERFILE_CHECK=error=true"],
    )
    .fails(&["lint violation found for rules: FromAsCasing"]);
    build(&world, &["--build-arg=BUILDKIT_DOCKERFILE_CHECK=skpi=all"]).fails(&[
        "failed to parse check options: invalid check option \"skpi\" (did you mean skip?)",
    ]);
}

#[test]
fn s113_parse_errors_come_behind_earlier_warnings() {
    let world = World::of("FROM base as x\nBADCMD\n");
    let outcome = build(&world, &[]).fails(&["FromAsCasing", "unknown instruction: BADCMD"]);
    let at = |words: &str| outcome.stderr.find(words).expect("it is told");
    assert!(at("FromAsCasing") < at("unknown instruction"));
}

#[test]
fn builds_show_warnings_of_what_they_reach() {
    let world = World::of(
        "FROM base AS Unreached\nENV a b\nFROM base\n# check=skip=UndefinedVar // set elsewhere\nLABEL a=$x\nLABEL b=$y\n",
    );
    let outcome = build(&world, &[]).ok();
    assert!(
        outcome.stderr.contains(
            "\n 2 warnings found (use --debug to expand):\n - StageNameCasing: Stage name 'Unreached' should be lowercase (line 1)\n - UndefinedVar: Usage of undefined variable '$y' (line 6)\n"
        ),
        "{}",
        outcome.stderr
    );
    for flag in ["-D", "--debug"] {
        let outcome = build(&world, &[flag]).ok();
        for words in [
            "\n 2 warnings found:\n",
            "More info: docs/checks/undefined-var.md\nDockerfile:6\n",
            "   6 | >>> LABEL b=$y\n",
        ] {
            assert!(outcome.stderr.contains(words), "{flag}: {}", outcome.stderr);
        }
    }
}

#[test]
fn experimental_checks_are_asked_for() {
    let world = World::of("FROM base\nCOPY .env /\nRUN exit 7\n");
    let json = "--call=check,format=json";
    let found = [("SecretCopied".to_owned(), 2)];
    assert_eq!(rules(&build(&world, &[json])), []);
    assert_eq!(rules(&build(&world, &[json, "--checks=all"])), found);
    assert_eq!(
        rules(&build(&world, &[json, "--checks=SecretCopied"])),
        found
    );
    assert_eq!(
        rules(&build(&world, &[json, "--checks=PackageListsLeft"])),
        []
    );
    build(&world, &["--check", "--checks=SecretCopy"])
        .fails(&["--checks SecretCopy: no check has this name (did you mean SecretCopied?)"]);
    world.dockerfile("# check=experimental=all\nFROM base\nCOPY .env /\n");
    assert_eq!(
        rules(&build(&world, &[json])),
        [("SecretCopied".to_owned(), 3)]
    );
}

#[test]
fn unknown_checks_are_guessed() {
    let world = World::of("# check=skip=UndefinedVars\nFROM base\n");
    let outcome = build(&world, &[]).ok();
    let words = "unknown-check: no check is called \"UndefinedVars\" (did you mean UndefinedVar?)";
    assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
}

const OUTLINE: &str = "ARG GO=1\n# app is what is shipped\nFROM base AS app\n# VERSION is shown by --version\nARG VERSION=dev-$GO\nARG GO\nRUN --mount=type=secret,id=token,required --mount=type=ssh --mount=type=cache,target=/c exit 7\n";

#[test]
fn outlines_tell_what_a_target_takes() {
    let world = World::of(OUTLINE);
    let outcome = build(&world, &["--call=outline", "--build-arg=GO=2"]).ok();
    assert_eq!(
        outcome.stdout,
        "TARGET:      app\nDESCRIPTION: is what is shipped\n\n\
         BUILD ARG   VALUE   DESCRIPTION\nVERSION     dev-    is shown by --version\nGO          2       \n\n\
         SECRET   REQUIRED\ntoken    true\n\n\
         SSH       REQUIRED\ndefault   \n\n\
         CACHE MOUNT\n/c\n\n"
    );
    let outcome = build(&world, &["--print=outline,format=json"]).ok();
    let found = answer(&outcome);
    assert_eq!(found["name"], "app");
    assert_eq!(found["args"][0]["name"], "GO");
    assert_eq!(found["secrets"][0]["required"], true);
    assert_eq!(found["cache"][0]["ID"], "/c");
    build(&world, &["--call=outline", "--target=ap"])
        .fails(&["target stage \"ap\" could not be found (did you mean app?)"]);
}

#[test]
fn targets_are_listed_without_any_image() {
    let world = World::of(
        "# build makes it\nFROM --platform=$BUILDPLATFORM 127.0.0.1:1/none AS build\nFROM scratch\n",
    );
    let outcome = build(&world, &["--call=targets"]).ok();
    assert_eq!(
        outcome.stdout,
        "TARGET    DESCRIPTION\nbuild     makes it\n(default) \n"
    );
    let outcome = build(&world, &["--call=targets,format=json"]).ok();
    let found = answer(&outcome);
    assert_eq!(found["targets"][0]["base"], "127.0.0.1:1/none");
    assert_eq!(found["targets"][0]["platform"], "$BUILDPLATFORM");
    assert_eq!(found["targets"][1]["default"], true);
    world.dockerfile("FORM x\n");
    build(&world, &["--call=targets"]).fails(&["unknown instruction: FORM"]);
}

#[test]
fn questions_are_described_and_guessed() {
    let world = World::of("FROM base\n");
    let outcome = build(&world, &["--call=subrequests.describe"]).ok();
    assert_eq!(outcome.stdout.lines().count(), 5, "{}", outcome.stdout);
    let outcome = build(&world, &["--call=subrequests.describe,format=json"]).ok();
    assert_eq!(answer(&outcome)[1]["Name"], "frontend.outline");
    build(&world, &["--call=outlines"])
        .fails(&["--call outlines: expected", "did you mean outline?"]);
    build(&world, &["--call=check,format=yaml"]).fails(&["--call format=yaml"]);
    build(&world, &["--call=build"]).ok();
}
