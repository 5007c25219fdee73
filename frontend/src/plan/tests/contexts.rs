//! Named contexts.

use super::fixture::{config, findings, graph, needs};
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
fn a_stage_cannot_start_from_a_directory_yet() {
    findings(
        "//- Dockerfile\nFROM files\n//- args context:files=local\n",
        &expect![[r#"
        error[unsupported] line 1 `files`: a stage that starts from the local context `files` is not supported yet
            hint: write `FROM scratch` and `COPY --from=files . /`
    "#]],
    );
    findings(
        "//- Dockerfile\nFROM x AS y\nFROM y\n//- args context:y=local\n",
        &expect![[r#"
        error[unsupported] line 1 `x`: a stage that starts from the local context `y` is not supported yet
            hint: write `FROM scratch` and `COPY --from=y . /`
    "#]],
    );
    findings(
        "//- Dockerfile\nFROM x\n//- args context:x=image:Bad/Name\n",
        &expect![[r#"
        error[invalid-reference] line 1 `x`: invalid reference `Bad/Name`: the repository name must be lower case
    "#]],
    );
}
