//! `SOURCE_DATE_EPOCH`.

use super::fixture::{Fixture, build, findings, history, needs, runs};
use expect_test::expect;

fn epoch(text: &str) -> Option<i64> {
    let build = build(text);
    assert_eq!(build.plan.epoch, build.lowered.epoch);
    build.lowered.epoch
}

#[test]
fn s98_the_argument_beats_the_environment_and_that_the_file() {
    let with = |global: &str, args: &str| {
        epoch(&format!(
            "//- Dockerfile\n{global}FROM scratch\n//- args {args}\n"
        ))
    };
    let global = "ARG SOURCE_DATE_EPOCH=3\n";
    assert_eq!(with("", ""), None);
    assert_eq!(with(global, ""), Some(3));
    assert_eq!(with(global, "epoch=2"), Some(2));
    assert_eq!(with(global, "epoch=2 arg:SOURCE_DATE_EPOCH=1"), Some(1));
    assert_eq!(with("", "epoch=2 arg:SOURCE_DATE_EPOCH=1"), Some(1));
    assert_eq!(with("", "epoch=0"), Some(0));
    // An empty argument resets, an empty environment says nothing.
    assert_eq!(with(global, "arg:SOURCE_DATE_EPOCH="), None);
    assert_eq!(with(global, "epoch=2 arg:SOURCE_DATE_EPOCH="), None);
    assert_eq!(with(global, "epoch="), Some(3));
    assert_eq!(with("ARG SOURCE_DATE_EPOCH\n", "epoch=2"), Some(2));
    assert_eq!(with("ARG SOURCE_DATE_EPOCH=\n", ""), None);
    assert_eq!(with("ARG N=4\nARG SOURCE_DATE_EPOCH=${N}5\n", ""), Some(45));
}

#[test]
fn s98_an_argument_of_a_stage_sets_nothing() {
    assert_eq!(epoch("FROM scratch\nARG SOURCE_DATE_EPOCH=3\n"), None);
}

#[test]
fn s98_junk_is_refused() {
    findings(
        "//- Dockerfile\nFROM scratch\n//- args arg:SOURCE_DATE_EPOCH=yesterday\n",
        &expect![[r#"
            error[invalid-epoch] line -: invalid SOURCE_DATE_EPOCH: yesterday
                hint: give seconds since 1970, `context`, a named context, or a stage that only adds a remote file
        "#]],
    );
    findings(
        "ARG SOURCE_DATE_EPOCH=12x\nFROM scratch\n",
        &expect![[r#"
            error[invalid-epoch] line 1 `SOURCE_DATE_EPOCH=12x`: invalid SOURCE_DATE_EPOCH: 12x
                hint: give seconds since 1970, `context`, a named context, or a stage that only adds a remote file
        "#]],
    );
    findings(
        "//- Dockerfile\nFROM scratch AS named\n//- args epoch=-1\n",
        &expect![[r#"
            error[invalid-epoch] line -: invalid SOURCE_DATE_EPOCH: -1
                hint: give seconds since 1970, `context`, a named context, or a stage that only adds a remote file
        "#]],
    );
}

#[test]
fn s98_the_last_year_that_images_can_state_is_9999() {
    let at = |secs: i64| format!("//- Dockerfile\nFROM scratch\n//- args epoch={secs}\n");
    assert_eq!(epoch(&at(253_402_300_799)), Some(253_402_300_799));
    findings(
        &at(253_402_300_800),
        &expect![[r#"
            error[invalid-epoch] line -: invalid SOURCE_DATE_EPOCH: 253402300800
                hint: give seconds since 1970, `context`, a named context, or a stage that only adds a remote file
        "#]],
    );
}

#[test]
fn s98_the_time_of_the_main_context() {
    let text = "//- Dockerfile\nFROM scratch\nCOPY a /\n//- args arg:SOURCE_DATE_EPOCH=context main=remote time=1700000000\n";
    assert_eq!(epoch(text), Some(1_700_000_000));
    needs(
        text,
        &expect![[r#"
        round 1
          fetched context ""
    "#]],
    );
    assert_eq!(epoch(&text.replace("main=remote ", "")), None);
    assert_eq!(epoch(&text.replace("time=1700000000", "")), None);
    assert_eq!(
        epoch("//- Dockerfile\nFROM scratch\n//- args epoch=context main=empty\n"),
        None
    );
}

#[test]
fn s98_the_time_of_a_named_context() {
    let with = |kind: &str| {
        format!(
            "//- Dockerfile\nARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nRUN x\n//- args context:src={kind} time=5\n"
        )
    };
    assert_eq!(epoch(&with("remote")), Some(5));
    assert_eq!(epoch(&with("local")), None);
    assert_eq!(epoch(&with("layout")), None);
}

#[test]
fn s98_the_time_of_a_stage_that_only_adds() {
    let text = r"
//- Dockerfile
ARG SOURCE_DATE_EPOCH=Src
ARG VERSION=1
FROM scratch AS src
ARG NAME=tool
ADD https://example.com/$NAME-$VERSION.tar /
FROM debian
RUN x
//- args time=9 arg:NAME=other
";
    assert_eq!(epoch(text), Some(9));
    needs(
        text,
        &expect![[r#"
        round 1
          http https://example.com/other-1.tar
        round 2
          image debian for linux/amd64
    "#]],
    );
    let git = "//- Dockerfile\nARG SOURCE_DATE_EPOCH=src\nFROM scratch AS src\nADD --keep-git-dir=true --checksum=abc https://example.com/x.git#v1 /\n//- args time=8\n";
    assert_eq!(epoch(git), Some(8));
    // What is fetched for its time is fetched once.
    needs(
        git,
        &expect![[r#"
        round 1
          git https://example.com/x.git @v1 =abc keep
    "#]],
    );
}

#[test]
fn s98_stages_that_have_no_time() {
    for (stage, message) in [
        (
            "FROM debian AS src\nADD https://example.com/x /\n",
            "must use FROM scratch",
        ),
        (
            "FROM scratch AS src\n",
            "must contain exactly one remote ADD",
        ),
        (
            "FROM scratch AS src\nADD https://example.com/x /\nADD https://example.com/y /\n",
            "must contain exactly one remote ADD",
        ),
        (
            "FROM scratch AS src\nADD https://example.com/x https://example.com/y /\n",
            "must contain exactly one remote ADD source",
        ),
        (
            "FROM scratch AS src\nADD x /\n",
            "source must be a single HTTP(S) or Git ADD",
        ),
        (
            "FROM scratch AS src\nRUN x\n",
            "does not meet source-only requirements: unsupported RUN instruction",
        ),
    ] {
        let text = format!("ARG SOURCE_DATE_EPOCH=src\n{stage}FROM scratch\n");
        let found = Fixture::new(&text).build().err().unwrap_or_default();
        let error = found
            .last()
            .unwrap_or_else(|| panic!("{stage} is accepted"));
        assert_eq!(error.message, format!("SOURCE_DATE_EPOCH stage {message}"));
        assert_eq!(error.code, "invalid-epoch");
        assert!(error.span().is_some_and(|span| span.start > 25), "{stage}");
    }
}

#[test]
fn s98_no_step_differs_by_the_epoch() {
    let vertices = |args: &str| {
        let text = format!(
            "//- Dockerfile\nFROM debian\nWORKDIR /w\nCOPY a <<EOF /x/\nEOF\nRUN x\n//- args {args}\n"
        );
        build(&text).lowered.graph.vertices().to_vec()
    };
    assert_eq!(vertices("epoch=1"), vertices(""));
    assert_eq!(vertices("epoch=1"), vertices("arg:SOURCE_DATE_EPOCH=2"));
}

#[test]
fn s98_a_stage_that_declares_the_argument_sees_the_seconds() {
    let text = "//- Dockerfile\nFROM debian\nARG SOURCE_DATE_EPOCH\nRUN x\nFROM debian\nRUN y\nCOPY --from=0 /x /\n//- args epoch=context main=remote time=7\n";
    runs(
        text,
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env ["SOURCE_DATE_EPOCH=7"] in / as ""
        ["/bin/sh", "-c", "y"]
          env [] in / as ""
    "#]],
    );
    runs(
        &text.replace("time=7", ""),
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
        ["/bin/sh", "-c", "y"]
          env [] in / as ""
    "#]],
    );
    history(
        "//- Dockerfile\nARG SOURCE_DATE_EPOCH=6\nFROM debian\nARG SOURCE_DATE_EPOCH\nRUN x\n",
        &expect![[r#"
            -     ARG SOURCE_DATE_EPOCH=6
            %1    RUN |1 SOURCE_DATE_EPOCH=6 /bin/sh -c x # buildkit
        "#]],
    );
}
