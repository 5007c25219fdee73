//! `RUN --mount`.

use super::fixture::{Fixture, build, findings, graph, names, needs, runs};
use acetate_graph::{DefinitionKey, Op};
use expect_test::expect;

/// The key of the last step.
fn key(text: &str) -> DefinitionKey {
    let graph = build(text).lowered.graph;
    graph.key(graph.targets()[0].vertex)
}

#[test]
fn s65_targets_are_absolute() {
    runs(
        r"
FROM debian
WORKDIR /work
ARG DIR=sub
RUN --mount=type=tmpfs,target=/a/../b/ x
RUN --mount=type=tmpfs,target=$DIR x
RUN --mount=type=tmpfs,dst=../c x
RUN --mount=type=tmpfs x
RUN --mount=type=cache,destination=. x
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["DIR=sub"] in /work as ""
              mount /b = tmpfs ReadWrite
            ["/bin/sh", "-c", "x"]
              env ["DIR=sub"] in /work as ""
              mount /work/sub = tmpfs ReadWrite
            ["/bin/sh", "-c", "x"]
              env ["DIR=sub"] in /work as ""
              mount /c = tmpfs ReadWrite
            ["/bin/sh", "-c", "x"]
              env ["DIR=sub"] in /work as ""
              mount /work = tmpfs ReadWrite
            ["/bin/sh", "-c", "x"]
              env ["DIR=sub"] in /work as ""
              mount /work = cache 0755 0:0 ReadWrite
                is "/work" Shared
        "#]],
    );
}

#[test]
fn s66_memory_has_a_size() {
    runs(
        "FROM debian\nRUN --mount=type=tmpfs,target=/a,size=128m x\nRUN --mount=type=tmpfs,target=/a,ro,from=debian x\n",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              mount /a = tmpfs 134217728 ReadWrite
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              mount /a = tmpfs ReadOnly
        "#]],
    );
}

#[test]
fn the_root_is_no_target() {
    for mount in [
        "type=tmpfs",
        "type=cache,target=/",
        "type=tmpfs,target=..",
        "target=/x/..,source=a",
        "type=secret,id=x,target=/",
        "type=ssh,target=/",
    ] {
        let fixture = Fixture::new(&format!("FROM scratch\nRUN --mount={mount} y\n"));
        let found = fixture.build().err().unwrap_or_default();
        let error = found
            .last()
            .unwrap_or_else(|| panic!("{mount} is accepted"));
        assert_eq!(error.message, "invalid mount target \"/\"", "{mount}");
        assert_eq!(error.code, "invalid-mount");
        let span = error.span().unwrap();
        assert_eq!(span.start as usize, "FROM scratch\nRUN --mount=".len());
        assert_eq!(span.len(), mount.len());
    }
}

#[test]
fn s80_binds_of_the_context_select_what_they_show() {
    let text = r"
FROM debian
RUN --mount=target=/src,source=a/../b --mount=type=bind,target=/all x
RUN --mount=target=/src,source=b,rw x
RUN --mount=target=/src,source=./weird[1]* x
";
    graph(
        text,
        &expect![[r#"
        %0 = image debian linux/amd64
        %1 = files "" ["b"]
        %2 = file scratch <- %1
             copy %in0[#0] to /m owner=root
        %3 = files "" ["."]
        %4 = file scratch <- %3
             copy %in0[#0] to / owner=root
        %5 = exec ["/bin/sh", "-c", "x"] <- %0 %2 %4
        %6 = exec ["/bin/sh", "-c", "x"] <- %5 %2
        %7 = files "" ["weird\\[1]\\*"]
        %8 = file scratch <- %7
             copy %in0[#0] to /m owner=root
        %9 = exec ["/bin/sh", "-c", "x"] <- %6 %8
        linux/amd64 -> %9
    "#]],
    );
    runs(
        text,
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
          mount /src = %in1/m ReadOnly
          mount /all = %in2 ReadOnly
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
          mount /src = %in1/m Discard
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
          mount /src = %in1/m ReadOnly
    "#]],
    );
    needs(
        text,
        &expect![[r#"
        round 1
          image debian for linux/amd64
        round 2
          files "" ["."]
          files "" ["b"]
          files "" ["weird\\[1]\\*"]
    "#]],
    );
}

#[test]
fn binds_of_stages_and_images_are_inputs() {
    let text = r"
FROM golang AS build
RUN make
FROM scratch AS empty
FROM debian
RUN --mount=from=build,source=/out/app,target=/app --mount=from=BUILD,target=/b,readwrite x
RUN --mount=from=busybox,source=bin,target=/bb --mount=from=empty,target=/e --mount=from=scratch,target=/s,rw x
RUN --mount=from=build,target=/b --mount=type=cache,from=build,source=out,target=/c x
";
    graph(
        text,
        &expect![[r#"
        %0 = image golang linux/amd64
        %1 = exec ["/bin/sh", "-c", "make"] <- %0
        %2 = image debian linux/amd64
        %3 = exec ["/bin/sh", "-c", "x"] <- %2 %1
        %4 = image busybox linux/amd64
        %5 = exec ["/bin/sh", "-c", "x"] <- %3 %4
        %6 = exec ["/bin/sh", "-c", "x"] <- %5 %1
        linux/amd64 -> %6
    "#]],
    );
    runs(
        text,
        &expect![[r#"
        ["/bin/sh", "-c", "make"]
          env [] in / as ""
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
          mount /app = %in1/out/app ReadOnly
          mount /b = %in1 Discard
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
          mount /bb = %in1/bin ReadOnly
          mount /e = scratch ReadOnly
          mount /s = scratch Discard
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
          mount /b = %in1 ReadOnly
          mount /c = cache 0755 0:0 from %in1/out ReadWrite
            is "/c" Shared
    "#]],
    );
}

#[test]
fn s80_one_input_may_be_mounted_twice() {
    runs(
        "FROM debian AS base\nFROM base\nRUN --mount=from=base,target=/a --mount=from=base,source=x,target=/b y\n",
        &expect![[r#"
            ["/bin/sh", "-c", "y"]
              env [] in / as ""
              mount /a = %in0 ReadOnly
              mount /b = %in0/x ReadOnly
        "#]],
    );
}

#[test]
fn s114_an_image_of_a_mount_has_the_platform_of_the_stage() {
    needs(
        r"
//- Dockerfile
FROM --platform=$BUILDPLATFORM golang AS build
RUN --mount=from=tools,target=/t x
FROM debian
RUN --mount=from=tools,target=/t --mount=from=build,target=/b x
//- args platform=linux/arm64
",
        &expect![[r#"
            round 1
              image debian for linux/arm64
              image golang for linux/amd64
              image tools for linux/amd64
              image tools for linux/arm64
        "#]],
    );
}

#[test]
fn s24_stages_that_mounts_need_are_reached_and_no_others() {
    needs(
        r"
FROM one AS a
FROM two AS b
FROM three AS c
RUN --mount=from=b,target=/x y
FROM four
RUN --mount=type=cache,from=a,target=/x --mount=type=tmpfs,from=five,target=/t y
",
        &expect![[r#"
            round 1
              image four for linux/amd64
              image one for linux/amd64
        "#]],
    );
}

#[test]
fn s22_mounts_of_later_stages_and_of_oneself() {
    findings(
        "FROM scratch AS one\nRUN --mount=from=two,target=/t x\nFROM scratch AS two\nCOPY x /\nFROM one\n",
        &expect![[r#"
            error[stage-order] line 2 `two`: cannot mount from stage "two" to "/t", stage needs to be defined before current command
        "#]],
    );
    findings(
        "FROM scratch AS one\nRUN --mount=from=two,target=/t x\nFROM one AS two\n",
        &expect![[r#"
            error[stage-cycle] line 2 `two`: circular dependency detected on stage: one
        "#]],
    );
    findings(
        "FROM scratch AS me\nRUN --mount=type=cache,from=me,target=/t x\n",
        &expect![[r#"
            error[stage-cycle] line 2 `me`: circular dependency detected on stage: me
        "#]],
    );
}

#[test]
fn s22_a_number_in_a_mount_is_an_image() {
    needs(
        "FROM scratch\nFROM scratch\nRUN --mount=from=0,target=/x y\n",
        &expect![[r#"
            round 1
              image 0 for linux/amd64
        "#]],
    );
}

#[test]
fn s99_triggers_may_mount() {
    let text = r#"
//- Dockerfile
FROM golang AS tools
FROM base
//- image base
{"config": {"OnBuild": ["RUN --mount=from=tools,target=/t --mount=from=other,target=/o x"]}}
"#;
    needs(
        text,
        &expect![[r#"
        round 1
          image base for linux/amd64
        round 2
          image golang for linux/amd64
          image other for linux/amd64
    "#]],
    );
    names(
        text,
        &expect![[r#"
        1-1 [tools 1/1] FROM docker.io/library/golang:latest@D
        2-2 [stage-1 1/2] FROM docker.io/library/base:latest@D
        2-2 FROM docker.io/library/other:latest@D
        2-2 [stage-1 2/2] ONBUILD RUN --mount=from=tools,target=/t --mount=from=other,target=/o x
    "#]],
    );
}

#[test]
fn s67_cache_mounts_are_named_by_their_target() {
    runs(
        r"
FROM debian
WORKDIR /w
RUN --mount=type=cache,target=/root/.cache/ x
RUN --mount=type=cache,target=rel x
RUN --mount=type=cache,id=shared,target=/a x
RUN --mount=type=cache,id=shared,target=/b,sharing=locked x
RUN --mount=type=cache,target=/foo/bar --mount=type=cache,target=/foo/bar/baz,sharing=private x
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              mount /root/.cache = cache 0755 0:0 ReadWrite
                is "/root/.cache" Shared
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              mount /w/rel = cache 0755 0:0 ReadWrite
                is "/w/rel" Shared
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              mount /a = cache 0755 0:0 ReadWrite
                is "shared" Shared
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              mount /b = cache 0755 0:0 ReadWrite
                is "shared" Locked
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              mount /foo/bar = cache 0755 0:0 ReadWrite
                is "/foo/bar" Shared
              mount /foo/bar/baz = cache 0755 0:0 ReadWrite
                is "/foo/bar/baz" Private
        "#]],
    );
}

#[test]
fn s71_a_cache_may_show_a_part_and_begin_with_files() {
    runs(
        r"
FROM debian AS seed
FROM debian
RUN --mount=type=cache,target=/c,source=/sub/../part,uid=1000,gid=100,mode=0700,ro x
RUN --mount=type=cache,target=/c,from=seed,source=usr x
RUN --mount=type=cache,target=/c,from=scratch x
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              mount /c = cache 0700 1000:100/part ReadOnly
                is "/c" Shared
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              mount /c = cache 0755 0:0 from %in1/usr ReadWrite
                is "/c" Shared
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              mount /c = cache 0755 0:0 ReadWrite
                is "/c" Shared
        "#]],
    );
}

#[test]
fn cache_mounts_have_a_namespace() {
    runs(
        "//- Dockerfile\nFROM debian\nRUN --mount=type=cache,target=/c x\nRUN --mount=type=cache,target=/c,id=i x\n//- args arg:BUILDKIT_CACHE_MOUNT_NS=ns\n",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              mount /c = cache 0755 0:0 ReadWrite
                is "ns//c" Shared
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              mount /c = cache 0755 0:0 ReadWrite
                is "ns/i" Shared
        "#]],
    );
}

#[test]
fn s81_only_the_target_of_a_cache_mount_is_in_the_key() {
    let with = |mount: &str| key(&format!("FROM debian\nRUN --mount=type=cache,{mount} x\n"));
    let plain = with("target=/c");
    assert_eq!(plain, with("target=/c,id=other"));
    assert_eq!(plain, with("target=/c,sharing=locked"));
    assert_ne!(plain, with("target=/d"));
    assert_ne!(plain, with("target=/c,uid=1"));
    assert_ne!(plain, with("target=/c,mode=0700"));
    assert_ne!(plain, with("target=/c,ro"));
}

#[test]
fn mounts_stand_in_the_order_written() {
    runs(
        r"
FROM debian
RUN --mount=type=tmpfs,target=/c --mount=type=secret,id=s --mount=type=cache,target=/a <<EOF
#!/bin/sh
EOF
",
        &expect![[r#"
            ["/bin/sh", "-c", "/dev/pipes/EOF"]
              env [] in / as ""
              mount /dev/pipes = %in1 ReadOnly
              mount /c = tmpfs ReadWrite
              mount /run/secrets/s = secret s 0400 0:0 ReadOnly
              mount /a = cache 0755 0:0 ReadWrite
                is "/a" Shared
        "#]],
    );
}

#[test]
fn values_of_mounts_are_expanded() {
    runs(
        r"
FROM debian
ARG ID=me
ENV KIND=cache
RUN --mount=type=$KIND,id=$ID,target=/$ID/x,uid=${UID:-7} x
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["ID=me", "KIND=cache"] in / as ""
              mount /me/x = cache 0755 7:0 ReadWrite
                is "me" Shared
        "#]],
    );
    findings(
        "FROM debian\nRUN --mount=type=cache,target=/$NONE/x y\n",
        &expect![[r#"
            warning[UndefinedVar] line 2 `type=cache,target=/$NONE/x`: Usage of undefined variable '$NONE'
        "#]],
    );
}

#[test]
fn s18_names_of_mounts_are_not_expanded() {
    findings(
        "FROM debian\nRUN --mount=from=$X,target=/x y\n",
        &expect![[r#"
            error[invalid-mount] line 2 `from=$X,target=/x`: 'from' doesn't support variable expansion, define alias stage instead
        "#]],
    );
}

#[test]
fn bare_words_need_no_value() {
    let text = "FROM scratch\nRUN --mount=target=/a,source=x,ro --mount=target=/b,source=x,rw --mount=type=secret,id=s,required y\n";
    let graph = build(text).lowered.graph;
    let Op::Exec(exec) = &graph.vertex(graph.targets()[0].vertex).op else {
        panic!("no exec");
    };
    assert_eq!(exec.mounts.len(), 4);
}
