//! ARG and ENV: scopes, order, defaults.

use super::fixture::{config, findings, graph, runs};
use expect_test::expect;

#[test]
fn s3_an_instruction_sees_the_variables_in_front_of_it() {
    runs(
        r"
FROM scratch
ENV abc=hello
ENV abc=bye def=$abc
ENV ghi=$abc
RUN x
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["abc=bye", "def=hello", "ghi=bye"] in / as ""
        "#]],
    );
}

#[test]
fn s4_s5_the_legacy_form_is_one_variable() {
    runs(
        "FROM scratch\nENV ONE TWO= THREE=world\nENV myenv foo%sbar\nRUN x\n",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["ONE=TWO= THREE=world", "myenv=foo%sbar"] in / as ""
        "#]],
    );
}

#[test]
fn s7_escapes_and_single_quotes_are_literal() {
    config(
        r#"
FROM scratch
ENV foo=1
ENV a=\${foo} b='$foo' c="$foo"
LABEL "my key"='$foo' other="two words $foo"
"#,
        &expect![[r#"
            {
              "architecture": "amd64",
              "config": {
                "Env": [
                  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                  "foo=1",
                  "a=${foo}",
                  "b=$foo",
                  "c=1"
                ],
                "Labels": {
                  "my key": "$foo",
                  "other": "two words 1"
                },
                "WorkingDir": "/"
              },
              "os": "linux",
              "rootfs": {
                "diff_ids": [],
                "type": "layers"
              }
            }
        "#]],
    );
}

#[test]
fn s8_global_and_stage_arguments() {
    runs(
        r#"
ARG a1="foo bar" a2=box
ARG a3="$a2-foo"
FROM scratch
ARG a3 a4="123 456" a1
RUN x
"#,
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["a3=box-foo", "a4=123 456", "a1=foo bar"] in / as ""
        "#]],
    );
}

#[test]
fn s9_a_global_argument_is_not_visible_until_declared() {
    runs(
        r"
ARG V=1
FROM scratch
RUN one
ARG V
RUN two
ARG V=2
RUN three
",
        &expect![[r#"
            ["/bin/sh", "-c", "one"]
              env [] in / as ""
            ["/bin/sh", "-c", "two"]
              env ["V=1"] in / as ""
            ["/bin/sh", "-c", "three"]
              env ["V=2"] in / as ""
        "#]],
    );
    runs(
        r"
//- Dockerfile
ARG V=1
FROM scratch
ARG V=2
RUN x
//- args arg:V=
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["V="] in / as ""
        "#]],
    );
}

#[test]
fn s10_absent_differs_from_empty() {
    runs(
        r"
FROM scratch
ARG FOO
ARG BAR=
ENV a=${FOO-x} b=${BAR-x} c=${BAR:-x}
RUN x
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["BAR=", "a=x", "b=", "c=x"] in / as ""
        "#]],
    );
}

#[test]
fn s11_a_default_that_fails_is_evaluated_only_when_it_is_used() {
    let text = "ARG FOO=${FOO:?\"custom error\"}\nFROM scratch\nARG BAR=${NO:?m}\nRUN x\n";
    findings(
        &format!("//- Dockerfile\n{text}"),
        &expect![[r#"
        error[expansion] line 1 `${FOO:?"custom error"}`: FOO: custom error
    "#]],
    );
    findings(
        &format!("//- Dockerfile\n{text}//- args arg:FOO=1\n"),
        &expect![[r#"
        error[expansion] line 3 `${NO:?m}`: NO: m
    "#]],
    );
    runs(
        &format!("//- Dockerfile\n{text}//- args arg:FOO=1 arg:BAR=2\n"),
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env ["BAR=2"] in / as ""
    "#]],
    );
}

#[test]
fn s12_arguments_reach_stages_that_start_from_theirs() {
    runs(
        r"
FROM scratch AS base
ARG A=1
ENV E=2
FROM base AS child
RUN child
FROM scratch
RUN unrelated
COPY --from=child / /
",
        &expect![[r#"
            ["/bin/sh", "-c", "child"]
              env ["A=1", "E=2"] in / as ""
            ["/bin/sh", "-c", "unrelated"]
              env [] in / as ""
        "#]],
    );
}

#[test]
fn s13_env_before_an_argument_stays_in_the_config_and_the_argument_reaches_run() {
    let text = r"
FROM scratch AS base
ENV V=env
ARG V=arg
RUN x
FROM base
RUN child
ARG W=arg
ENV W=env
RUN after
";
    runs(
        text,
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env ["V=arg"] in / as ""
        ["/bin/sh", "-c", "child"]
          env ["V=env"] in / as ""
        ["/bin/sh", "-c", "after"]
          env ["V=env", "W=env"] in / as ""
    "#]],
    );
    config(
        text,
        &expect![[r#"
        {
          "architecture": "amd64",
          "config": {
            "Env": [
              "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
              "V=env",
              "W=env"
            ],
            "WorkingDir": "/"
          },
          "os": "linux",
          "rootfs": {
            "diff_ids": [],
            "type": "layers"
          }
        }
    "#]],
    );
}

#[test]
fn s15_targetstage_is_the_wanted_or_the_last_stage() {
    let text = "FROM scratch AS one\nARG TARGETSTAGE\nRUN x\nFROM one AS two\nRUN y\n";
    runs(
        &format!("//- Dockerfile\n{text}"),
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env ["TARGETSTAGE=two"] in / as ""
        ["/bin/sh", "-c", "y"]
          env ["TARGETSTAGE=two"] in / as ""
    "#]],
    );
    runs(
        &format!("//- Dockerfile\n{text}//- args target=one\n"),
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env ["TARGETSTAGE=one"] in / as ""
    "#]],
    );
    runs(
        "FROM scratch\nARG TARGETSTAGE\nRUN x\n",
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env ["TARGETSTAGE=default"] in / as ""
    "#]],
    );
}

#[test]
fn s16_automatic_arguments_can_be_overridden_one_by_one() {
    runs(
        r"
//- Dockerfile
FROM scratch
ARG TARGETOS TARGETARCH TARGETVARIANT TARGETPLATFORM BUILDPLATFORM
RUN x
//- args platform=darwin/ppc64le arg:TARGETOS=freebsd
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["TARGETOS=freebsd", "TARGETARCH=ppc64le", "TARGETVARIANT=", "TARGETPLATFORM=darwin/ppc64le", "BUILDPLATFORM=linux/amd64"] in / as ""
        "#]],
    );
}

#[test]
fn s25_the_platform_chooses_a_stage() {
    graph(
        r"
//- Dockerfile
FROM scratch AS stage-linux
COPY l /
FROM scratch AS stage-darwin
COPY d /
FROM stage-$TARGETOS
//- args platform=linux/amd64 platform=darwin/arm64
",
        &expect![[r#"
            %0 = files "" ["l"]
            %1 = file scratch <- %0
                 copy %in0[#0] to / owner=root
            %2 = files "" ["d"]
            %3 = file scratch <- %2
                 copy %in0[#0] to / owner=root
            linux/amd64 -> %1
            darwin/arm64 -> %3
        "#]],
    );
}

#[test]
fn s60_path_has_a_default_and_is_kept_when_set() {
    config(
        "FROM scratch\n",
        &expect![[r#"
        {
          "architecture": "amd64",
          "config": {
            "Env": [
              "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
            ],
            "WorkingDir": "/"
          },
          "os": "linux",
          "rootfs": {
            "diff_ids": [],
            "type": "layers"
          }
        }
    "#]],
    );
    config(
        r#"
//- Dockerfile
FROM debian
ENV A=1
//- image debian
{"config": {"Env": ["A=0", "PATH=/bin"]}}
"#,
        &expect![[r#"
            {
              "architecture": "amd64",
              "config": {
                "Env": [
                  "A=1",
                  "PATH=/bin"
                ]
              },
              "os": "linux",
              "rootfs": {
                "diff_ids": [],
                "type": "layers"
              }
            }
        "#]],
    );
}

#[test]
fn s73_proxies_reach_run_beside_the_key() {
    runs(
        r"
//- Dockerfile
FROM scratch
RUN one
ARG https_proxy
RUN two
//- args arg:HTTP_PROXY=http://p arg:https_proxy=http://q arg:OTHER=x
",
        &expect![[r#"
            ["/bin/sh", "-c", "one"]
              env [] in / as ""
              beside the key ["HTTP_PROXY=http://p", "http_proxy=http://p", "HTTPS_PROXY=http://q", "https_proxy=http://q"]
            ["/bin/sh", "-c", "two"]
              env ["https_proxy=http://q"] in / as ""
              beside the key ["HTTP_PROXY=http://p", "http_proxy=http://p", "HTTPS_PROXY=http://q"]
        "#]],
    );
}

#[test]
fn s6_an_unset_variable_is_empty_and_warned_of() {
    let text = "FROM scratch\nENV A=/path FOOBAR=1\nWORKDIR $A/$B\nENV c=$FOOBA\nARG D\nENV e=$D\n";
    findings(
        text,
        &expect![[r#"
            warning[UndefinedVar] line 3 `$A/$B`: Usage of undefined variable '$B'
            warning[UndefinedVar] line 4 `$FOOBA`: Usage of undefined variable '$FOOBA' (did you mean $FOOBAR?)
        "#]],
    );
    graph(
        text,
        &expect![[r#"
            %0 = file scratch <-
                 mkdir /path 0755 owner=""
            linux/amd64 -> %0
        "#]],
    );
}

#[test]
fn a_check_that_is_skipped_does_not_warn() {
    let skipped = "# check=skip=UndefinedVar\nFROM scratch\nENV a=$B\n";
    findings(skipped, &expect![[""]]);
    let here = "FROM scratch\n# check=skip=UndefinedVar // on purpose\nENV a=$B\nENV c=$D\n";
    findings(
        here,
        &expect![[r#"
            warning[UndefinedVar] line 4 `$D`: Usage of undefined variable '$D'
        "#]],
    );
}
