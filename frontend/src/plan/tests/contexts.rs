//! Named contexts.

use super::fixture::{config, findings, graph, names, needs};
use expect_test::expect;

#[test]
fn a_context_replaces_a_stage_and_its_ancestry() {
    let text = r#"
//- Dockerfile
FROM golang AS tools
RUN slow
FROM tools AS build
RUN --mount=type=cache,target=/x never lowered
FROM build
RUN last
//- args context:build=image:prebuilt:7
//- image prebuilt:7
{"config": {"Env": ["FROM=prebuilt"], "Cmd": ["x"], "OnBuild": ["RUN trigger"]}, "created": "2020-01-01T00:00:00Z"}
"#;
    needs(
        text,
        &expect![[r#"
        round 1
          image prebuilt:7 for linux/amd64
    "#]],
    );
    graph(
        text,
        &expect![[r#"
        %0 = image prebuilt:7 linux/amd64
        %1 = exec ["/bin/sh", "-c", "trigger"] <- %0
        %2 = exec ["/bin/sh", "-c", "last"] <- %1
        linux/amd64 -> %2
    "#]],
    );
    config(
        text,
        &expect![[r#"
        {
          "architecture": "amd64",
          "config": {
            "Cmd": [
              "x"
            ],
            "Env": [
              "FROM=prebuilt",
              "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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
fn a_context_replaces_an_image() {
    needs(
        r"
//- Dockerfile
FROM docker.io/library/debian:latest
COPY --from=alpine:3 /x /
COPY --from=files sub /
COPY --from=other /x /
//- args context:debian=layout context:alpine:3=image:mirror.example/alpine:3 context:files=local context:unused=layout
",
        &expect![[r#"
            round 1
              image other for linux/amd64
              image mirror.example/alpine:3 for linux/amd64
              image context debian for linux/amd64
            round 2
              files "files" ["sub"]
        "#]],
    );
}

#[test]
fn a_context_may_be_for_one_platform() {
    needs(
        r"
//- Dockerfile
FROM base
COPY x /
//- args platform=linux/amd64 platform=linux/arm64 context:base::linux/arm64=layout
",
        &expect![[r#"
            round 1
              image base for linux/amd64
              image context base::linux/arm64 for linux/arm64
            round 2
              files "" ["x"]
        "#]],
    );
}

#[test]
fn a_local_context_replaces_a_stage_that_is_copied_from() {
    graph(
        r"
//- Dockerfile
FROM golang AS build
RUN slow
FROM scratch
COPY --from=build /out/app /app
//- args context:build=local
",
        &expect![[r#"
            %0 = files "build" ["out/app"]
            %1 = file scratch <- %0
                 copy %in0[#0] to /app owner=root
            linux/amd64 -> %1
        "#]],
    );
}

#[test]
fn an_empty_image_may_stand_in() {
    graph(
        "//- Dockerfile\nFROM debian\nCOPY x /\n//- args context:debian=image:scratch\n",
        &expect![[r#"
            %0 = files "" ["x"]
            %1 = file scratch <- %0
                 copy %in0[#0] to / owner=root
            linux/amd64 -> %1
        "#]],
    );
}

#[test]
fn the_target_itself_may_be_replaced() {
    let text = r#"
//- Dockerfile
FROM golang AS app
RUN slow
//- args context:app=layout target=app
//- image context app
{"config": {"Cmd": ["a"], "OnBuild": ["RUN x"]}, "history": [{"created_by": "old"}]}
"#;
    graph(
        text,
        &expect![[r#"
        %0 = image context app linux/amd64
        linux/amd64 -> %0
    "#]],
    );
    config(
        text,
        &expect![[r#"
        {
          "architecture": "amd64",
          "config": {
            "Cmd": [
              "a"
            ],
            "OnBuild": [
              "RUN x"
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
fn references_of_contexts_are_checked() {
    findings(
        "//- Dockerfile\nFROM x\n//- args context:x=image:Bad/Name\n",
        &expect![[r#"
        error[invalid-reference] line 1 `x`: invalid reference `Bad/Name`: the repository name must be lower case
    "#]],
    );
}

#[test]
fn a_stage_may_start_from_a_directory() {
    let text = r"
//- Dockerfile
FROM files AS base
ENV A=1
RUN x
FROM base
COPY --from=files sub /
//- args context:files=local
";
    graph(
        text,
        &expect![[r#"
        %0 = files "files" ["."]
        %1 = file scratch <- %0
             copy %in0[#0] to / owner=root
        %2 = exec ["/bin/sh", "-c", "x"] <- %1
        %3 = files "files" ["sub"]
        %4 = file base %in0 <- %2 %3
             copy %in1[#0] to / owner=root
        linux/amd64 -> %4
    "#]],
    );
    names(
        text,
        &expect![[r#"
        1-1 [internal] load files: .
        1-1 [context files] load from client
        3-3 [base 1/1] RUN x
        5-5 [internal] load files: sub
        5-5 [stage-1 1/1] COPY --from=files sub /
    "#]],
    );
    needs(
        text,
        &expect![[r#"
        round 1
          files "files" ["."]
          files "files" ["sub"]
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
              "A=1"
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
fn a_directory_may_replace_a_stage_and_be_a_base() {
    graph(
        r"
//- Dockerfile
FROM golang AS tools
RUN slow
FROM tools AS build
RUN slower
FROM build
RUN last
COPY --from=build /a /
RUN --mount=from=build,source=b,target=/b x
//- args context:build=local
",
        &expect![[r#"
            %0 = files "build" ["."]
            %1 = file scratch <- %0
                 copy %in0[#0] to / owner=root
            %2 = exec ["/bin/sh", "-c", "last"] <- %1
            %3 = files "build" ["a"]
            %4 = file base %in0 <- %2 %3
                 copy %in1[#0] to / owner=root
            %5 = files "build" ["b"]
            %6 = file scratch <- %5
                 copy %in0[#0] to /m owner=root
            %7 = exec ["/bin/sh", "-c", "x"] <- %4 %6
            linux/amd64 -> %7
        "#]],
    );
}

#[test]
fn contexts_are_found_by_familiar_names() {
    needs(
        r"
//- Dockerfile
FROM docker.io/library/debian
RUN --mount=from=index.docker.io/library/alpine:latest,target=/a x
COPY --from=r.example/x:1 /x /
COPY --from=r.example/x /x /
//- args context:debian:latest=layout context:alpine=image:scratch context:r.example/x:1=remote
",
        &expect![[r#"
            round 1
              image r.example/x for linux/amd64
              image context debian:latest for linux/amd64
            round 2
              fetched context "r.example/x:1"
        "#]],
    );
}

#[test]
fn contexts_for_one_platform_go_first() {
    needs(
        r"
//- Dockerfile
FROM base
COPY --from=base x /
//- args platform=linux/arm64/v8 platform=linux/amd64 context:base=local context:base::linux/arm64=remote
",
        &expect![[r#"
            round 1
              files "base" ["."]
              files "base" ["x"]
              fetched context "base::linux/arm64"
        "#]],
    );
}

#[test]
fn a_stage_is_replaced_by_the_context_for_its_own_platform() {
    needs(
        r"
//- Dockerfile
FROM --platform=linux/amd64 golang AS build
RUN x
FROM scratch
COPY --from=build /x /
//- args platform=linux/arm64 context:build::linux/amd64=remote
",
        &expect![[r#"
            round 1
              fetched context "build::linux/amd64"
        "#]],
    );
}

#[test]
fn scratch_and_context_are_never_replaced() {
    needs(
        r"
//- Dockerfile
FROM debian AS context
RUN x
FROM scratch
COPY --from=context /x /
//- args context:scratch=layout context:context=layout
",
        &expect![[r#"
            round 1
              image debian for linux/amd64
        "#]],
    );
}

#[test]
fn s99_a_context_that_stands_for_an_image_has_triggers() {
    let text = r#"
//- Dockerfile
FROM base AS a
FROM stage
//- args context:base=layout context:stage=layout
//- image context base
{"config": {"OnBuild": ["RUN --mount=from=src,target=/s x"]}}
//- image context stage
{"config": {"OnBuild": ["COPY --from=a /y /"]}}
"#;
    needs(
        text,
        &expect![[r#"
        round 1
          image context stage for linux/amd64
        round 2
          image context base for linux/amd64
        round 3
          image src for linux/amd64
    "#]],
    );
    graph(
        text,
        &expect![[r#"
        %0 = image context base linux/amd64
        %1 = image src linux/amd64
        %2 = exec ["/bin/sh", "-c", "x"] <- %0 %1
        %3 = image context stage linux/amd64
        %4 = file base %in0 <- %3 %2
             copy %in1[y] to / owner=keep
        linux/amd64 -> %4
    "#]],
    );
}

#[test]
fn the_target_itself_may_be_a_directory() {
    let text =
        "//- Dockerfile\nFROM golang AS app\nRUN slow\n//- args context:app=local target=app\n";
    graph(
        text,
        &expect![[r#"
        %0 = files "app" ["."]
        %1 = file scratch <- %0
             copy %in0[#0] to / owner=root
        linux/amd64 -> %1
    "#]],
    );
    config(
        text,
        &expect![[r#"
        {
          "architecture": "amd64",
          "config": {
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
