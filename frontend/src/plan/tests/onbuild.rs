//! ONBUILD triggers of images and of stages.

use super::fixture::{Fixture, build, config, findings, graph, history, names, needs};
use expect_test::expect;

const BASE: &str = r#"
//- image base
{"config": {"OnBuild": ["ARG V=1", "ENV V=$V", "COPY --from=tool /t /t", "RUN make $V"]}}
"#;

#[test]
fn s99_triggers_of_an_image_run_first_and_once() {
    let text = format!("//- Dockerfile\nFROM base AS one\nRUN own\nFROM one\nRUN child\n{BASE}");
    needs(
        &text,
        &expect![[r#"
        round 1
          image base for linux/amd64
        round 2
          image tool for linux/amd64
    "#]],
    );
    names(
        &text,
        &expect![[r#"
        1-1 [one 1/4] FROM docker.io/library/base:latest@D
        1-1 FROM docker.io/library/tool:latest@D
        1-1 [one 2/4] ONBUILD COPY --from=tool /t /t
        1-1 [one 3/4] ONBUILD RUN make 1
        2-2 [one 4/4] RUN own
        4-4 [stage-1 1/1] RUN child
    "#]],
    );
    history(
        &text,
        &expect![[r#"
        -     ARG V=1
        -     ENV V=1
        %2    COPY /t /t # buildkit
        %3    RUN |1 V=1 /bin/sh -c make $V # buildkit
        %4    RUN |1 V=1 /bin/sh -c own # buildkit
        %5    RUN /bin/sh -c child # buildkit
    "#]],
    );
    config(
        &text,
        &expect![[r#"
        {
          "architecture": "amd64",
          "config": {
            "Env": [
              "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
              "V=1"
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
fn s99_triggers_may_refer_to_stages_of_the_child() {
    graph(
        &format!("//- Dockerfile\nFROM scratch AS tool\nCOPY mine /t\nFROM base\n{BASE}"),
        &expect![[r#"
            %0 = files "" ["mine"]
            %1 = file scratch <- %0
                 copy %in0[#0] to /t owner=root
            %2 = image base linux/amd64
            %3 = file base %in0 <- %2 %1
                 copy %in1[t] to /t owner=keep
            %4 = exec ["/bin/sh", "-c", "make $V"] <- %3
            linux/amd64 -> %4
        "#]],
    );
}

#[test]
fn s99_triggers_of_a_stage_run_in_its_children() {
    let text = r"
FROM scratch AS base
ONBUILD COPY $X /x
ONBUILD RUN trigger
COPY own /
FROM base AS child
ENV X=late
FROM child
RUN last
";
    names(
        text,
        &expect![[r#"
        4-4 [internal] load build context: own
        4-4 [base 1/1] COPY own /
        2-2 [internal] load build context: .
        2-2 [child 1/2] ONBUILD COPY $X /x
        3-3 [child 2/2] ONBUILD RUN trigger
        8-8 [stage-2 1/1] RUN last
    "#]],
    );
    let target = build(&format!("//- Dockerfile\n{text}//- args target=base\n"));
    assert_eq!(
        target.lowered.images[0].config.config.on_build,
        ["COPY $X /x", "RUN trigger"]
    );
    assert!(
        build(text).lowered.images[0]
            .config
            .config
            .on_build
            .is_empty()
    );
}

#[test]
fn s31_heredocs_survive_in_triggers() {
    graph(
        r#"
//- Dockerfile
FROM base
//- image base
{"config": {"OnBuild": ["COPY <<EOF /x\nhello $A\nEOF", "ENV A=1", "RUN <<EOF\necho\nEOF"]}}
"#,
        &expect![[r#"
            %0 = image base linux/amd64
            %1 = file base %in0 <- %0
                 mkfile EOF to /x - owner="" "hello \n"
            %2 = exec ["/bin/sh", "-c", "echo\n"] <- %1
            linux/amd64 -> %2
        "#]],
    );
    let stored = build("FROM scratch\nONBUILD COPY <<EOF /x\nhello\nEOF\n");
    assert_eq!(
        stored.lowered.images[0].config.config.on_build,
        ["COPY <<EOF /x\nhello\nEOF"]
    );
}

#[test]
fn bad_triggers_point_at_the_from_line() {
    for trigger in [
        "FROM x",
        "NOPE",
        "ONBUILD RUN x",
        "RUN --mount=type=cache,target=/ y",
        "EXPOSE x",
    ] {
        let text = format!(
            "//- Dockerfile\nFROM scratch AS a\nFROM base\n//- image base\n{{\"config\": {{\"OnBuild\": [\"{trigger}\"]}}}}\n"
        );
        let found = Fixture::new(&text).build().err().unwrap();
        let error = found.last().unwrap();
        assert!(error.is_error());
        assert_eq!(error.span().map(|span| span.start), Some(23), "{trigger}");
    }
    for trigger in ["FROM x", "EXPOSE x"] {
        let text = format!(
            "//- Dockerfile\nFROM base\n//- image base\n{{\"config\": {{\"OnBuild\": [\"{trigger}\"]}}}}\n"
        );
        match trigger {
            "FROM x" => findings(
                &text,
                &expect![[r#"
                error[invalid-trigger] line 1 `base`: ONBUILD trigger `FROM x` of the base image: FROM isn't allowed as an ONBUILD trigger
            "#]],
            ),
            _ => findings(
                &text,
                &expect![[r#"
                error[invalid-expose] line 1 `base`: invalid containerPort: x
                    hint: in the ONBUILD trigger `EXPOSE x`; write `port`, `first-last` or `port/udp`
            "#]],
            ),
        }
    }
}
