//! Step names and origins (S110).

use super::fixture::names;
use expect_test::expect;

#[test]
fn s110_steps_are_numbered_by_stage() {
    names(
        r"
FROM debian:12 AS build
ARG V=1
WORKDIR /src
COPY . .
run make V=$V \
  OTHER=$UNSET
ENV x=y
FROM scratch
COPY --from=build /src/out /
",
        &expect![[r#"
            1-1 [build 1/4] FROM docker.io/library/debian:12@D
            3-3 [build 2/4] WORKDIR /src
            4-4 [internal] load build context: .
            4-4 [build 3/4] COPY . .
            5-6 [build 4/4] RUN make V=1   OTHER=$UNSET
            9-9 [stage-1 1/1] COPY --from=build /src/out /
        "#]],
    );
}

#[test]
fn s110_one_stage_has_no_name() {
    names(
        "FROM debian\nRUN a\n",
        &expect![[r#"
        1-1 [1/2] FROM docker.io/library/debian:latest@D
        2-2 [2/2] RUN a
    "#]],
    );
    let runs = "RUN a\nUSER a\n".repeat(9);
    names(
        &format!("FROM debian\n{runs}"),
        &expect![[r#"
        1-1 [ 1/10] FROM docker.io/library/debian:latest@D
        2-2 [ 2/10] RUN a
        4-4 [ 3/10] RUN a
        6-6 [ 4/10] RUN a
        8-8 [ 5/10] RUN a
        10-10 [ 6/10] RUN a
        12-12 [ 7/10] RUN a
        14-14 [ 8/10] RUN a
        16-16 [ 9/10] RUN a
        18-18 [10/10] RUN a
    "#]],
    );
}

#[test]
fn s110_platforms_are_shown_when_there_are_several() {
    names(
        r"
//- Dockerfile
FROM --platform=linux/amd64 debian AS build
ARG TARGETARCH
RUN x
FROM alpine
COPY --from=build /x /
//- args platform=linux/amd64 platform=linux/arm/v7
",
        &expect![[r#"
            1-1 [linux/amd64 build 1/2] FROM docker.io/library/debian:latest@D
            3-3 [linux/amd64 build 2/2] RUN x
            4-4 [linux/amd64 stage-1 1/2] FROM docker.io/library/alpine:latest@D
            5-5 [linux/amd64 stage-1 2/2] COPY --from=build /x /
            3-3 [linux/amd64->arm/v7 build 2/2] RUN x
            4-4 [linux/arm/v7 stage-1 1/2] FROM docker.io/library/alpine:latest@D
            5-5 [linux/arm/v7 stage-1 2/2] COPY --from=build /x /
        "#]],
    );
}

#[test]
fn heredocs_are_summarised() {
    names(
        "FROM scratch\nRUN <<EOF\necho a\necho b\nEOF\nCOPY <<F /f\nx\nF\n",
        &expect![[r#"
        2-5 [1/2] RUN <<EOF (echo a...)
        6-8 [2/2] COPY <<F /f
    "#]],
    );
}

#[test]
fn images_copied_from_are_named_in_full() {
    names(
        "FROM scratch\nCOPY --from=busybox:1 /bin/sh /\n",
        &expect![[r#"
        2-2 FROM docker.io/library/busybox:1@D
        2-2 [1/1] COPY --from=busybox:1 /bin/sh /
    "#]],
    );
}
