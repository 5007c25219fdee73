//! Contexts that are fetched, and the empty one.

use super::fixture::{Fixture, graph, names, needs, runs};
use expect_test::expect;

#[test]
fn what_is_fetched_may_replace_an_image() {
    let text = r"
//- Dockerfile
FROM src AS base
RUN x
FROM scratch
COPY --from=src --chown=1 dir/*.c /
COPY --from=base /y /
RUN --mount=from=src,source=sub,target=/src y
//- args context:src=remote
";
    graph(
        text,
        &expect![[r#"
        %0 = fetched context "src"
        %1 = exec ["/bin/sh", "-c", "x"] <- %0
        %2 = file scratch <- %0
             copy %in0[dir/*.c] to / owner="1"
        %3 = file base %in0 <- %2 %1
             copy %in1[y] to / owner=keep
        %4 = exec ["/bin/sh", "-c", "y"] <- %3 %0
        linux/amd64 -> %4
    "#]],
    );
    names(
        text,
        &expect![[r#"
        1-1 [internal] load src
        2-2 [base 1/1] RUN x
        4-4 [stage-1 1/3] COPY --from=src --chown=1 dir/*.c /
        5-5 [stage-1 2/3] COPY --from=base /y /
        6-6 [stage-1 3/3] RUN --mount=from=src,source=sub,target=/src y
    "#]],
    );
    needs(
        text,
        &expect![[r#"
        round 1
          fetched context "src"
    "#]],
    );
}

#[test]
fn an_archive_that_is_a_context_is_unpacked() {
    let text = r"
//- Dockerfile
FROM src
COPY --from=src a /
COPY b /
//- args context:src=remote main=remote archive
";
    graph(
        text,
        &expect![[r#"
        %0 = fetched context "src"
        %1 = file scratch <- %0
             copy %in0[*] to / owner=keep unpack
        %2 = file base %in0 <- %1 %1
             copy %in1[a] to / owner=keep
        %3 = fetched context ""
        %4 = file scratch <- %3
             copy %in0[*] to / owner=keep unpack
        %5 = file base %in0 <- %2 %4
             copy %in1[b] to / owner=keep
        linux/amd64 -> %5
    "#]],
    );
    names(
        text,
        &expect![[r#"
        1-1 [internal] load src
        1-1 [internal] unpack src
        2-2 [1/2] COPY --from=src a /
        3-3 [internal] load build context
        3-3 [internal] unpack build context
        3-3 [2/2] COPY b /
    "#]],
    );
}

#[test]
fn the_main_context_may_be_fetched() {
    let text = r"
//- Dockerfile
FROM debian
COPY a ../b* /
COPY --chown=app --parents d/./e /
ADD x.tar https://example.com/y /
RUN --mount=target=/src --mount=source=f,target=/f,rw make
//- args main=remote
";
    graph(
        text,
        &expect![[r#"
        %0 = image debian linux/amd64
        %1 = fetched context ""
        %2 = file base %in0 <- %0 %1
             copy %in1[a b*] to / owner=keep
        %3 = file base %in0 <- %2 %1
             copy %in1[d/./e] to / owner="app" parents
        %4 = http https://example.com/y
        %5 = file base %in0 <- %3 %1 %4
             copy %in1[x.tar] to / owner=keep unpack
             copy %in2[y] to / owner=root
        %6 = exec ["/bin/sh", "-c", "make"] <- %5 %1
        linux/amd64 -> %6
    "#]],
    );
    needs(
        text,
        &expect![[r#"
        round 1
          image debian for linux/amd64
        round 2
          fetched context ""
          http https://example.com/y
    "#]],
    );
}

#[test]
fn a_fetched_context_that_nothing_uses_is_not_fetched() {
    needs(
        "//- Dockerfile\nFROM debian\nRUN x\nADD https://example.com/y /\n//- args main=remote context:unused=remote\n",
        &expect![[r#"
            round 1
              image debian for linux/amd64
            round 2
              http https://example.com/y
        "#]],
    );
}

#[test]
fn s44_an_empty_context_has_no_files() {
    for line in [
        "COPY a/b /",
        "ADD --link x/../a/b /",
        "RUN --mount=source=a/b,target=/x y",
    ] {
        let text = format!("//- Dockerfile\nFROM scratch\n\n{line}\n//- args main=empty\n");
        let found = Fixture::new(&text).build().err().unwrap_or_default();
        let error = found.last().unwrap_or_else(|| panic!("{line} is accepted"));
        assert_eq!(error.message, "\"/a/b\": not found", "{line}");
        assert_eq!(error.code, "empty-context");
        assert!(error.span().is_some_and(|span| span.start >= 14), "{line}");
    }
    let text = r"
//- Dockerfile
FROM debian
COPY *.c /
COPY . /d/
RUN --mount=target=/src x
COPY <<EOF /f
EOF
ADD https://example.com/y /
//- args main=empty
";
    graph(
        text,
        &expect![[r#"
        %0 = image debian linux/amd64
        %1 = file scratch <-
        %2 = file base %in0 <- %0 %1
             copy %in1[*.c] to / owner=keep
        %3 = file base %in0 <- %2 %1
             copy %in1[.] to /d/ owner=keep
        %4 = exec ["/bin/sh", "-c", "x"] <- %3
        %5 = file base %in0 <- %4
             mkfile EOF to /f - owner="" ""
        %6 = http https://example.com/y
        %7 = file base %in0 <- %5 %6
             copy %in1[y] to / owner=root
        linux/amd64 -> %7
    "#]],
    );
}

#[test]
fn s71_a_cache_may_begin_with_a_directory_of_the_host() {
    let text = "//- Dockerfile\nFROM debian\nRUN --mount=type=cache,from=seed,source=sub,target=/c x\nRUN --mount=type=cache,from=src,target=/c x\n//- args context:seed=local context:src=remote\n";
    graph(
        text,
        &expect![[r#"
        %0 = image debian linux/amd64
        %1 = files "seed" ["."]
        %2 = file scratch <- %1
             copy %in0[#0] to / owner=root
        %3 = exec ["/bin/sh", "-c", "x"] <- %0 %2
        %4 = fetched context "src"
        %5 = exec ["/bin/sh", "-c", "x"] <- %3 %4
        linux/amd64 -> %5
    "#]],
    );
    runs(
        text,
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
          mount /c = cache 0755 0:0 from %in1/sub ReadWrite
            is "/c" Shared
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
          mount /c = cache 0755 0:0 from %in1 ReadWrite
            is "/c" Shared
    "#]],
    );
}

#[test]
fn s87_a_context_is_brought_in_once_for_all_platforms() {
    graph(
        r"
//- Dockerfile
FROM src AS a
RUN x
FROM scratch
COPY --from=a /x /
COPY --from=src y /
//- args platform=linux/amd64 platform=linux/arm64 context:src=remote
",
        &expect![[r#"
            %0 = fetched context "src"
            %1 = exec ["/bin/sh", "-c", "x"] <- %0
            %2 = file scratch <- %1
                 copy %in0[x] to / owner=keep
            %3 = file base %in0 <- %2 %0
                 copy %in1[y] to / owner=keep
            %4 = exec ["/bin/sh", "-c", "x"] <- %0
            %5 = file scratch <- %4
                 copy %in0[x] to / owner=keep
            %6 = file base %in0 <- %5 %0
                 copy %in1[y] to / owner=keep
            linux/amd64 -> %3
            linux/arm64 -> %6
        "#]],
    );
}
