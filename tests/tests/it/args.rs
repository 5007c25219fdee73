//! ARG and ENV: who sees which value.

use acetate_tests::{Outcome, World};

/// Builds a Dockerfile whose last step writes `/out`.
#[track_caller]
fn out(dockerfile: &str, args: &[&str]) -> String {
    World::of(dockerfile).image(args).file("out")
}

#[test]
fn global_arguments_are_seen_where_they_are_declared_again() {
    let text = r#"
        ARG a1="foo bar" a2=box V=1
        FROM base
        ARG a3=${a2:-unset}-x a4="123 456" a1
        RUN echo "$a1/$a2/$a3/$a4/$V" > /out
    "#;
    assert_eq!(out(text, &[]), "foo bar//unset-x/123 456/\n");
}

#[test]
fn the_command_line_beats_the_stage_which_beats_the_global_scope() {
    let text = "
        ARG V=global
        FROM base
        ARG V=stage
        RUN echo $V > /out
    ";
    assert_eq!(out(text, &[]), "stage\n");
    assert_eq!(out(text, &["--build-arg", "V=flag"]), "flag\n");
    assert_eq!(out(text, &["--build-arg=V="]), "\n");
}

#[test]
fn an_argument_without_a_value_is_absent() {
    let text = "
        FROM base
        ARG FOO
        ARG BAR=
        RUN echo ${FOO-x}/${BAR-x} > /out; env | grep -E '^(FOO|BAR)' >> /out
    ";
    assert_eq!(out(text, &[]), "x/\nBAR=\n");
}

#[test]
fn an_argument_takes_its_value_from_the_environment() {
    let world = World::of("FROM base\nARG FROM_ENV=default\nRUN echo $FROM_ENV > /out\n");
    let dest = world.fresh("out");
    let output = format!("-o{}", dest.display());
    let mut command = world.command(&["--build-arg=FROM_ENV", &output]);
    command.env("FROM_ENV", "outside");
    Outcome::of(command).ok();
    assert_eq!(
        std::fs::read_to_string(dest.join("out")).unwrap(),
        "outside\n"
    );
    assert_eq!(
        world.image(&["--build-arg=FROM_ENV"]).file("out"),
        "default\n"
    );
}

#[test]
fn an_argument_that_must_be_given_says_so() {
    let world = World::of("ARG FOO=${FOO:?\"custom error\"}\nFROM base\n");
    world
        .build(&[])
        .fails(&["FOO: custom error", ">>> ARG FOO"]);
    world.build(&["--build-arg=FOO=1"]).ok();
}

#[test]
fn children_of_a_stage_see_its_arguments_and_others_do_not() {
    let text = "
        FROM base AS parent
        ARG A=1
        FROM parent AS child
        RUN echo child=$A > /child
        FROM base
        COPY --from=child /child /out
        RUN echo other=$A >> /out
    ";
    assert_eq!(out(text, &[]), "child=1\nother=\n");
}

#[test]
fn an_argument_in_front_of_from_names_the_base() {
    let text = "
        ARG BASE=nowhere.invalid/x
        FROM ${BASE}
        RUN echo ok > /out
    ";
    assert_eq!(out(text, &["--build-arg=BASE=base"]), "ok\n");
}

#[test]
fn the_platform_is_there_for_who_asks() {
    let text = "
        FROM base
        ARG TARGETPLATFORM TARGETOS TARGETSTAGE BUILDPLATFORM
        RUN echo $TARGETOS $TARGETSTAGE $([ $TARGETPLATFORM = $BUILDPLATFORM ] && echo same) [$TARGETARCH] > /out
    ";
    assert_eq!(out(text, &[]), "linux default same []\n");
}

#[test]
fn one_instruction_sees_the_variables_from_before_it() {
    let world = World::of(
        "
        FROM base
        ENV abc=hello
        ENV abc=bye def=$abc
        ENV ghi=$abc
        ENV ONE TWO= THREE=world
        ENV percent foo%sbar
        ENV quoted='$abc' escaped=\\${abc} set=${abc:+yes} unset=${nope:-no}
    ",
    );
    let env = world.image(&[]).env();
    for (name, value) in [
        ("abc", "bye"),
        ("def", "hello"),
        ("ghi", "bye"),
        ("ONE", "TWO= THREE=world"),
        ("percent", "foo%sbar"),
        ("quoted", "$abc"),
        ("escaped", "${abc}"),
        ("set", "yes"),
        ("unset", "no"),
        ("FROM_BASE", "1"),
        ("PATH", "/bin"),
    ] {
        assert_eq!(env[name], value, "{name}");
    }
}

#[test]
fn an_env_keeps_its_place_when_it_is_set_again() {
    let world = World::of("FROM base\nENV A=1 B=2\nENV A=3\n");
    let env = world.image(&[]).config.config.env;
    assert_eq!(env, ["PATH=/bin", "FROM_BASE=1", "A=3", "B=2"]);
}

#[test]
fn an_env_behind_an_argument_wins_and_one_before_it_loses_in_run_only() {
    let text = "
        FROM base
        ARG A=arg
        ENV A=env
        ENV B=env
        ARG B=arg
        RUN echo $A $B > /out
    ";
    let image = World::of(text).image(&[]);
    assert_eq!(image.file("out"), "env arg\n");
    assert_eq!((&*image.env()["A"], &*image.env()["B"]), ("env", "env"));
}

#[test]
fn proxies_reach_run_but_neither_history_nor_config() {
    let text = "
        FROM base
        RUN echo $HTTP_PROXY $http_proxy > /out
    ";
    let image = World::of(text).image(&["--build-arg=HTTP_PROXY=http://p:1"]);
    assert_eq!(image.file("out"), "http://p:1 http://p:1\n");
    assert!(!image.history().contains("p:1"));
    assert!(!image.env().contains_key("HTTP_PROXY"));
}

#[test]
fn continued_lines_keep_their_blanks_and_lose_their_comments() {
    let text = "FROM base\nRUN echo hello \\\n# a comment\n  world > /out && \\\n\n  echo \"a\\\n   b\" >> /out\n";
    assert_eq!(out(text, &[]), "hello world\na   b\n");
}
