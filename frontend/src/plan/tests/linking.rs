//! COPY and ADD with `--link`, `--parents` and `--exclude`.

use super::fixture::{build, graph, history, names, needs};
use expect_test::expect;

#[test]
fn s82_a_linked_copy_is_a_layer_of_its_own() {
    let text = r"
FROM debian AS base
FROM base
COPY --link a /a
COPY --link=true --from=base /b /b
COPY --link <<EOF /c
EOF
ADD --link d /d/
COPY --link=false e /e
RUN x
";
    graph(
        text,
        &expect![[r#"
        %0 = image debian linux/amd64
        %1 = files "" ["a"]
        %2 = file scratch <- %1
             copy %in0[#0] to /a owner=root
        %3 = merge <- %0 %2
        %4 = file scratch <- %0
             copy %in0[b] to /b owner=keep
        %5 = merge <- %3 %4
        %6 = file scratch <-
             mkfile EOF to /c - owner="" ""
        %7 = merge <- %5 %6
        %8 = files "" ["d"]
        %9 = file scratch <- %8
             copy %in0[#0] to /d/ owner=root unpack
        %10 = merge <- %7 %9
        %11 = files "" ["e"]
        %12 = file base %in0 <- %10 %11
             copy %in1[#0] to /e owner=root
        %13 = exec ["/bin/sh", "-c", "x"] <- %12
        linux/amd64 -> %13
    "#]],
    );
    history(
        text,
        &expect![[r#"
        %3    COPY a /a # buildkit
        %5    COPY /b /b # buildkit
        %7    COPY <<EOF /c # buildkit
        %10   ADD d /d/ # buildkit
        %12   COPY e /e # buildkit
        %13   RUN /bin/sh -c x # buildkit
    "#]],
    );
}

#[test]
fn s82_the_linked_files_do_not_depend_on_what_is_below() {
    let files = |base: &str| {
        let graph = build(&format!("FROM {base}\nCOPY --link a /a\n"))
            .lowered
            .graph;
        let merge = graph.vertex(graph.targets()[0].vertex);
        graph.key(merge.inputs[1].vertex)
    };
    assert_eq!(files("debian"), files("alpine"));
}

#[test]
fn s37_names_of_owners_are_those_of_the_stage() {
    graph(
        r"
FROM debian
COPY --link --chown=app a /
COPY --link --chown=1000:staff a /
COPY --link --chown=1000:100 a /
COPY --link --chown=app --from=debian /x /
COPY --link --chown=app <<EOF /f
EOF
",
        &expect![[r#"
            %0 = image debian linux/amd64
            %1 = files "" ["a"] -owner
            %2 = file scratch accounts %in1 <- %1 %0
                 copy %in0[#0] to / owner="app"
            %3 = merge <- %0 %2
            %4 = file scratch accounts %in1 <- %1 %3
                 copy %in0[#0] to / owner="1000:staff"
            %5 = merge <- %3 %4
            %6 = file scratch <- %1
                 copy %in0[#0] to / owner="1000:100"
            %7 = merge <- %5 %6
            %8 = file scratch accounts %in1 <- %0 %7
                 copy %in0[x] to / owner="app"
            %9 = merge <- %7 %8
            %10 = file scratch accounts %in0 <- %9
                 mkfile EOF to /f - owner="app" ""
            %11 = merge <- %9 %10
            linux/amd64 -> %11
        "#]],
    );
}

#[test]
fn on_nothing_a_linked_copy_is_a_copy() {
    graph(
        "FROM scratch\nCOPY --link --chown=app a /\nCOPY --link b /\n",
        &expect![[r#"
            %0 = files "" ["a"] -owner
            %1 = file scratch <- %0
                 copy %in0[#0] to / owner="app"
            %2 = files "" ["b"]
            %3 = file scratch <- %2
                 copy %in0[#0] to / owner=root
            %4 = merge <- %1 %3
            linux/amd64 -> %4
        "#]],
    );
}

#[test]
fn a_mode_makes_a_linked_copy_an_ordinary_one() {
    graph(
        "FROM debian\nARG NONE=\nCOPY --link --chmod=644 a /\nCOPY --link --chmod=u+x a /\nCOPY --link --chmod=$NONE a /\n",
        &expect![[r#"
            %0 = image debian linux/amd64
            %1 = files "" ["a"] -mode
            %2 = file base %in0 <- %0 %1
                 copy %in1[#0] to / owner=root mode=0644
            %3 = files "" ["a"]
            %4 = file base %in0 <- %2 %3
                 copy %in1[#0] to / owner=root mode=u+x
            %5 = file scratch <- %3
                 copy %in0[#0] to / owner=root
            %6 = merge <- %4 %5
            linux/amd64 -> %6
        "#]],
    );
}

#[test]
fn s110_linking_is_shown() {
    names(
        r#"
//- Dockerfile
FROM base
WORKDIR /w
COPY --link a /
//- image base
{"config": {"OnBuild": ["COPY --link t /"]}}
"#,
        &expect![[r#"
            1-1 [1/4] FROM docker.io/library/base:latest@D
            1-1 [internal] load build context: t
            1-1 [2/4] ONBUILD COPY --link t /
            1-1 [2/4] ONBUILD LINK COPY --link t /
            2-2 [3/4] WORKDIR /w
            3-3 [internal] load build context: a
            3-3 [4/4] COPY --link a /
            3-3 [4/4] LINK COPY --link a /
        "#]],
    );
}

#[test]
fn s47_parents_keep_the_pivot() {
    let text = r"
FROM debian AS base
FROM scratch
COPY --parents a/./b/./c /x/ /d/
COPY --parents ./a/../e/**/*.txt .
COPY --parents=true --from=base /usr/./bin/* lib /d
COPY --parents=false a/./b /
";
    graph(
        text,
        &expect![[r#"
        %0 = image debian linux/amd64
        %1 = files "" ["a/./b/c", "x"] parents
        %2 = file scratch <- %1
             copy %in0[#0 #1] to /d/ owner=root parents
        %3 = files "" ["e/**/*.txt"] parents
        %4 = file base %in0 <- %2 %3
             copy %in1[#0] to / owner=root parents
        %5 = file base %in0 <- %4 %0
             copy %in1[usr/./bin/* lib] to /d owner=keep parents
        %6 = files "" ["a/b"]
        %7 = file base %in0 <- %5 %6
             copy %in1[#0] to / owner=root
        linux/amd64 -> %7
    "#]],
    );
    needs(
        text,
        &expect![[r#"
        round 1
          image debian for linux/amd64
        round 2
          files "" ["a/./b/c", "x"] parents
          files "" ["a/b"]
          files "" ["e/**/*.txt"] parents
    "#]],
    );
}

#[test]
fn s48_excludes_belong_to_the_selection() {
    graph(
        r"
FROM debian AS base
FROM scratch
ARG EXT=o
COPY --exclude=*.$EXT --exclude=!keep.o a b /
COPY --from=base --exclude=tmp --exclude=**/x /a /
ADD --exclude=*.md --chown=1 c /
ADD --exclude=*.md https://example.com/x.git /
",
        &expect![[r#"
            %0 = image debian linux/amd64
            %1 = files "" ["a", "b"] without ["*.o", "!keep.o"]
            %2 = file scratch <- %1
                 copy %in0[#0 #1] to / owner=root
            %3 = file base %in0 <- %2 %0
                 copy %in1[a] to / owner=keep without ["tmp", "**/x"]
            %4 = files "" ["c"] -owner without ["*.md"]
            %5 = file base %in0 <- %3 %4
                 copy %in1[#0] to / owner="1" unpack
            %6 = git https://example.com/x.git
            %7 = file base %in0 <- %5 %6
                 copy %in1[.] to / owner=root without ["*.md"]
            linux/amd64 -> %7
        "#]],
    );
}

#[test]
fn s93_the_text_of_copies() {
    history(
        r"
FROM scratch AS other
FROM debian
ARG MODE=755
COPY --link --parents --chown=1:2 --exclude=x foo2 foo3 /d/
COPY --from=other --chmod=$MODE /a b /
COPY --chmod=u=rwX,go=rX a /
COPY a <<EOF <<EOF2 /d/
EOF
EOF2
ADD --link --keep-git-dir=true --checksum=abc https://example.com/x.git#v1 /src
ADD --unpack=true --chown=me https://example.com/a.tar b .
",
        &expect![[r#"
            -     ARG MODE=755
            %3    COPY --parents --chown=1:2 foo2 foo3 /d/ # buildkit
            %5    COPY --chmod=755 /a b / # buildkit
            %7    COPY --chmod=u=rwX,go=rX a / # buildkit
            %8    COPY a <<EOF <<EOF2 /d/ # buildkit
            %11   ADD https://example.com/x.git#v1 /src # buildkit
            %14   ADD --chown=me https://example.com/a.tar b . # buildkit
        "#]],
    );
}

#[test]
fn s35_modes_enter_the_step_in_one_spelling() {
    let key = |mode: &str| {
        let graph = build(&format!("FROM debian\nCOPY --chmod={mode} a /\n"))
            .lowered
            .graph;
        graph.key(graph.targets()[0].vertex)
    };
    assert_eq!(key("755"), key("0755"));
    assert_ne!(key("755"), key("4755"));
    assert_ne!(key("755"), key("u=rwx,go=rx"));
}
