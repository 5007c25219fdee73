//! Stages: names, indices, reachability, order, platforms.

use super::fixture::{findings, graph, names, needs};
use expect_test::expect;

#[test]
fn s24_unreached_stages_are_never_looked_at() {
    needs(
        r"
FROM used AS base
FROM unused AS other
RUN --mount=type=cache,target=/x broken
COPY --from=missing /a /b
FROM base
COPY --from=tool /bin/tool /bin/
",
        &expect![[r#"
            round 1
              image tool for linux/amd64
              image used for linux/amd64
        "#]],
    );
}

#[test]
fn s19_s20_names_ignore_case_and_the_last_definition_wins() {
    let text = r"
FROM scratch AS STAge0
COPY first /
FROM scratch AS stage0
COPY second /
FROM scratch
COPY --from=staGE0 / /
";
    graph(
        text,
        &expect![[r#"
        %0 = files "" ["second"]
        %1 = file scratch <- %0
             copy %in0[#0] to / owner=root
        %2 = file scratch <- %1
             copy %in0[.] to / owner=keep
        linux/amd64 -> %2
    "#]],
    );
    findings(
        text,
        &expect![[r#"
        warning[DuplicateStageName] line 3 `stage0`: Duplicate stage name "stage0", stage names should be unique
    "#]],
    );
}

#[test]
fn s20_a_copy_sees_the_definition_in_front_of_it() {
    graph(
        r"
FROM scratch AS a
COPY first /
FROM scratch AS b
COPY --from=a / /
FROM scratch AS a
COPY second /
FROM a
COPY --from=b / /
",
        &expect![[r#"
            %0 = files "" ["second"]
            %1 = file scratch <- %0
                 copy %in0[#0] to / owner=root
            %2 = files "" ["first"]
            %3 = file scratch <- %2
                 copy %in0[#0] to / owner=root
            %4 = file scratch <- %3
                 copy %in0[.] to / owner=keep
            %5 = file base %in0 <- %1 %4
                 copy %in1[.] to / owner=keep
            linux/amd64 -> %5
        "#]],
    );
}

#[test]
fn s21_a_stage_shadows_an_image() {
    needs(
        "FROM scratch AS golang\nCOPY x /\nFROM scratch\nCOPY --from=golang / /\n",
        &expect![[r#"
        round 1
          files "" ["x"]
    "#]],
    );
}

#[test]
fn s22_stages_by_index() {
    graph(
        "FROM scratch\nCOPY x /\nFROM scratch AS named\nCOPY --from=0 / /\n",
        &expect![[r#"
            %0 = files "" ["x"]
            %1 = file scratch <- %0
                 copy %in0[#0] to / owner=root
            %2 = file scratch <- %1
                 copy %in0[.] to / owner=keep
            linux/amd64 -> %2
        "#]],
    );
    findings(
        "FROM scratch\nCOPY --from=7 / /\n",
        &expect![[r#"
        error[stage-index] line 2 `7`: invalid stage index 7
            hint: stages are counted from 0, the last one is 0
    "#]],
    );
}

#[test]
fn s22_a_later_stage_cannot_be_copied_from() {
    findings(
        "FROM scratch AS one\nCOPY --from=two / /\nFROM scratch AS two\nCOPY x /\nFROM one\n",
        &expect![[r#"
            error[stage-order] line 2 `two`: cannot copy from stage "two", it needs to be defined before current stage "one"
        "#]],
    );
    findings(
        "FROM scratch\nCOPY --from=1 / /\nFROM scratch\nCOPY --from=0 / /\n",
        &expect![[r#"
        error[stage-cycle] line 2 `1`: circular dependency detected on stage: stage-0
    "#]],
    );
}

#[test]
fn s22_a_later_stage_cannot_be_copied_from_by_index_either() {
    findings(
        "FROM scratch AS one\nCOPY --from=1 / /\nFROM scratch\nCOPY x /\nFROM one\n",
        &expect![[r#"
            error[stage-order] line 2 `1`: cannot copy from stage "1", it needs to be defined before current stage "one"
        "#]],
    );
}

#[test]
fn s21_a_stage_may_have_the_name_of_its_image() {
    needs(
        "FROM debian AS debian\nFROM Debian\nCOPY x /\n",
        &expect![[r#"
        round 1
          image debian for linux/amd64
        round 2
          files "" ["x"]
    "#]],
    );
}

#[test]
fn s22_cycles_are_named() {
    findings(
        r"
FROM scratch AS a
COPY --from=b / /
FROM scratch AS b
COPY --from=a / /
FROM a
",
        &expect![[r#"
            error[stage-cycle] line 4 `a`: circular dependency detected on stage: a
        "#]],
    );
    findings(
        "FROM scratch AS me\nCOPY --from=me / /\n",
        &expect![[r#"
        error[stage-cycle] line 2 `me`: circular dependency detected on stage: me
    "#]],
    );
    findings(
        "FROM scratch AS me\nCOPY --from=me / /\nFROM scratch\nCOPY x /\n",
        &expect![],
    );
}

#[test]
fn s23_unknown_targets_get_a_suggestion() {
    let text = "FROM scratch AS build\nFROM scratch AS final\n";
    findings(
        &format!("//- Dockerfile\n{text}//- args target=bulid\n"),
        &expect![[r#"
        error[unknown-target] line -: target stage "bulid" could not be found (did you mean build?)
    "#]],
    );
    findings(
        &format!("//- Dockerfile\n{text}//- args target=0\n"),
        &expect![[r#"
        error[unknown-target] line -: target stage "0" could not be found
    "#]],
    );
    graph(
        &format!("//- Dockerfile\n{text}COPY x /\n//- args target=FINAL\n"),
        &expect![[r#"
        %0 = files "" ["x"]
        %1 = file scratch <- %0
             copy %in0[#0] to / owner=root
        linux/amd64 -> %1
    "#]],
    );
}

#[test]
fn s84_equal_stages_are_one() {
    graph(
        r"
FROM debian AS a
RUN make
FROM debian AS b
RUN make
FROM scratch
COPY --from=a /x /a
COPY --from=b /x /b
",
        &expect![[r#"
            %0 = image debian linux/amd64
            %1 = exec ["/bin/sh", "-c", "make"] <- %0
            %2 = file scratch <- %1
                 copy %in0[x] to /a owner=keep
            %3 = file base %in0 <- %2 %1
                 copy %in1[x] to /b owner=keep
            linux/amd64 -> %3
        "#]],
    );
}

#[test]
fn s87_a_stage_on_the_build_platform_is_shared_by_all_targets() {
    let text = r"
//- Dockerfile
FROM --platform=$BUILDPLATFORM golang AS build
RUN generate
FROM --platform=$BUILDPLATFORM build AS cross
ARG TARGETARCH
RUN compile
FROM alpine
COPY --from=cross /out /out
//- args platform=linux/amd64 platform=linux/arm64
";
    graph(
        text,
        &expect![[r#"
        %0 = image golang linux/amd64
        %1 = exec ["/bin/sh", "-c", "generate"] <- %0
        %2 = exec ["/bin/sh", "-c", "compile"] <- %1
        %3 = image alpine linux/amd64
        %4 = file base %in0 <- %3 %2
             copy %in1[out] to /out owner=keep
        %5 = exec ["/bin/sh", "-c", "compile"] <- %1
        %6 = image alpine linux/arm64
        %7 = file base %in0 <- %6 %5
             copy %in1[out] to /out owner=keep
        linux/amd64 -> %4
        linux/arm64 -> %7
    "#]],
    );
    names(
        text,
        &expect![[r#"
        1-1 [linux/amd64 build 1/2] FROM docker.io/library/golang:latest@D
        2-2 [linux/amd64 build 2/2] RUN generate
        5-5 [linux/amd64 cross 1/1] RUN compile
        6-6 [linux/amd64 stage-2 1/2] FROM docker.io/library/alpine:latest@D
        7-7 [linux/amd64 stage-2 2/2] COPY --from=cross /out /out
        5-5 [linux/amd64->arm64 cross 1/1] RUN compile
        6-6 [linux/arm64 stage-2 1/2] FROM docker.io/library/alpine:latest@D
        7-7 [linux/arm64 stage-2 2/2] COPY --from=cross /out /out
    "#]],
    );
}

#[test]
fn s114_an_image_copied_from_has_the_platform_of_the_stage() {
    needs(
        r"
//- Dockerfile
FROM --platform=linux/s390x debian AS base
FROM base
COPY --from=busybox /bin/x /
//- args platform=linux/arm64
",
        &expect![[r#"
            round 1
              image busybox for linux/s390x
              image debian for linux/s390x
        "#]],
    );
}

#[test]
fn s104_an_empty_image_has_no_steps() {
    graph(
        "FROM scratch\nLABEL a=b\n",
        &expect![[r#"
        linux/amd64 -> scratch
    "#]],
    );
    graph(
        "FROM scratch AS empty\nLABEL a=b\nFROM empty\nCOPY x /\n",
        &expect![[r#"
        %0 = files "" ["x"]
        %1 = file scratch <- %0
             copy %in0[#0] to / owner=root
        linux/amd64 -> %1
    "#]],
    );
}

#[test]
fn an_empty_stage_can_be_copied_from() {
    graph(
        "FROM scratch AS empty\nFROM scratch\nCOPY --from=empty * /\n",
        &expect![[r#"
            %0 = file scratch <-
            %1 = file scratch <- %0
                 copy %in0[*] to / owner=keep
            linux/amd64 -> %1
        "#]],
    );
}

#[test]
fn s109_a_base_for_another_platform_is_a_warning() {
    findings(
        r#"
//- Dockerfile
FROM debian
//- args platform=linux/arm64
//- image debian
{"architecture": "amd64", "os": "linux"}
"#,
        &expect![[r#"
            warning[InvalidBaseImagePlatform] line 1 `debian`: Base image debian was pulled with platform "linux/amd64", expected "linux/arm64" for current build
        "#]],
    );
}

#[test]
fn images_are_asked_for_all_at_once_and_files_at_the_end() {
    needs(
        r"
FROM one AS a
COPY x /
FROM two:2 AS b
COPY --from=three /y /
FROM b
COPY --from=a / /
ADD --chown=1 z w /
",
        &expect![[r#"
            round 1
              image one for linux/amd64
              image three for linux/amd64
              image two:2 for linux/amd64
            round 2
              files "" ["x"]
              files "" ["z", "w"] -owner
        "#]],
    );
}
