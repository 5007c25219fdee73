//! COPY, ADD and WORKDIR.

use super::fixture::{build, findings, graph, needs};
use expect_test::expect;

#[test]
fn copies_from_the_context_hold_slots() {
    graph(
        r"
FROM debian
WORKDIR /src
COPY a/b.txt ../c /d/ .
COPY x y
ADD *.tar /dest
",
        &expect![[r#"
            %0 = image debian linux/amd64
            %1 = file base %in0 <- %0
                 mkdir /src 0755 owner=""
            %2 = files "" ["a/b.txt", "c", "d"]
            %3 = file base %in0 <- %1 %2
                 copy %in1[#0 #1 #2] to /src/ owner=root
            %4 = files "" ["x"]
            %5 = file base %in0 <- %3 %4
                 copy %in1[#0] to /src/y owner=root
            %6 = files "" ["*.tar"]
            %7 = file base %in0 <- %5 %6
                 copy %in1[#0] to /dest owner=root unpack
            linux/amd64 -> %7
        "#]],
    );
}

#[test]
fn s75_the_op_does_not_know_the_path_of_a_file() {
    let one = build("FROM scratch\nCOPY one/f /x\n").lowered;
    let two = build("FROM scratch\nCOPY two/f /x\n").lowered;
    assert_eq!(one.graph.vertices()[1].op, two.graph.vertices()[1].op);
    assert_ne!(one.selections, two.selections);
}

#[test]
fn what_is_overwritten_leaves_the_flavour() {
    needs(
        r"
FROM scratch
COPY a /
COPY --chown=1 b /
COPY --chmod=644 c /
COPY --chmod=u=rw d /
ADD --chown=1 --chmod=0600 e /
ARG NONE=
COPY --chown=$NONE --chmod=$NONE f /
",
        &expect![[r#"
            round 1
              files "" ["a"]
              files "" ["b"] -owner
              files "" ["c"] -mode
              files "" ["d"]
              files "" ["e"] -owner -mode
              files "" ["f"]
        "#]],
    );
}

#[test]
fn s36_s37_owners_and_modes() {
    graph(
        r"
FROM debian AS base
ARG WHO=daemon
COPY a /
COPY --chown=$WHO:1 --chmod=4755 a /
COPY --chmod=u=rwX,go=rX a /
FROM scratch
COPY --from=base /a /
COPY --from=base --chown=1000 /a /b
COPY --from=busybox bin/* ./c
",
        &expect![[r#"
            %0 = image debian linux/amd64
            %1 = files "" ["a"]
            %2 = file base %in0 <- %0 %1
                 copy %in1[#0] to / owner=root
            %3 = files "" ["a"] -owner -mode
            %4 = file base %in0 <- %2 %3
                 copy %in1[#0] to / owner="daemon:1" mode=4755
            %5 = file base %in0 <- %4 %1
                 copy %in1[#0] to / owner=root mode=u=rwX,go=rX
            %6 = file scratch <- %5
                 copy %in0[a] to / owner=keep
            %7 = file base %in0 <- %6 %5
                 copy %in1[a] to /b owner="1000"
            %8 = image busybox linux/amd64
            %9 = file base %in0 <- %7 %8
                 copy %in1[bin/*] to /c owner=keep
            linux/amd64 -> %9
        "#]],
    );
}

#[test]
fn s26_heredocs_become_files() {
    graph(
        r#"
FROM scratch
ARG v=value
COPY <<EOF <<EOF2 double/
a $v \$v
EOF
b
EOF2
COPY --chown=1:2 --chmod=0755 <<"RAW" file /bin/raw
$v
RAW
"#,
        &expect![[r#"
            %0 = file scratch <-
                 mkfile EOF to /double/ - owner="" "a value $v\n"
                 mkfile EOF2 to /double/ - owner="" "b\n"
            %1 = files "" ["file"] -owner -mode
            %2 = file base %in0 <- %0 %1
                 copy %in1[#0] to /bin/raw owner="1:2" mode=0755
                 mkfile RAW to /bin/raw 0755 owner="1:2" "$v\n"
            linux/amd64 -> %2
        "#]],
    );
}

#[test]
fn s27_bodies_lose_escapes_unless_quoted() {
    graph(
        "FROM scratch\nCOPY <<A <<'B' /\n\\$x \\\\ \"q\"\nA\n\\$x \\\\\nB\n",
        &expect![[r#"
            %0 = file scratch <-
                 mkfile A to / - owner="" "$x \\ \"q\"\n"
                 mkfile B to / - owner="" "\\$x \\\\\n"
            linux/amd64 -> %0
        "#]],
    );
}

#[test]
fn s53_the_epoch_is_in_no_step() {
    graph(
        r"
//- Dockerfile
FROM scratch
USER app
WORKDIR /a/b
COPY <<EOF /f
EOF
//- args epoch=1700000000
",
        &expect![[r#"
            %0 = file scratch <-
                 mkdir /a/b 0755 owner="app"
            %1 = file base %in0 <- %0
                 mkfile EOF to /f - owner="" ""
            linux/amd64 -> %1
        "#]],
    );
}

#[test]
fn s64_workdir_is_a_step_unless_it_is_the_root() {
    graph(
        r"
FROM scratch
WORKDIR /
WORKDIR a
USER app
WORKDIR b/../c
WORKDIR /d
",
        &expect![[r#"
            %0 = file scratch <-
                 mkdir /a 0755 owner=""
            %1 = file base %in0 <- %0
                 mkdir /a/c 0755 owner="app"
            %2 = file base %in0 <- %1
                 mkdir /d 0755 owner="app"
            linux/amd64 -> %2
        "#]],
    );
}

#[test]
fn s55_archives_are_unpacked_by_add_only() {
    graph(
        "FROM scratch\nADD a /\nCOPY a /\nADD --unpack=false a /\n",
        &expect![[r#"
        %0 = files "" ["a"]
        %1 = file scratch <- %0
             copy %in0[#0] to / owner=root unpack
        %2 = file base %in0 <- %1 %0
             copy %in1[#0] to / owner=root
        %3 = file base %in0 <- %2 %0
             copy %in1[#0] to / owner=root
        linux/amd64 -> %3
    "#]],
    );
}

#[test]
fn s59_percent_signs_are_literal() {
    needs(
        "FROM scratch\nCOPY [\"test-%C3%A4.txt\", \"with space\", \"'q$x'\", \"/\"]\n",
        &expect![[r#"
            round 1
              files "" ["test-%C3%A4.txt", "with space", "q$x"]
        "#]],
    );
}

#[test]
fn arguments_are_checked() {
    findings(
        "FROM scratch\nARG M=64a\nCOPY --chmod=$M a /\n",
        &expect![[r#"
        error[invalid-chmod] line 3 `$M`: invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777
    "#]],
    );
    findings(
        "FROM scratch\nCOPY --from=scratch a /\n",
        &expect![[r#"
        error[copy-from-scratch] line 2 `scratch`: `scratch` has no files to copy
    "#]],
    );
    findings(
        "FROM scratch\nCOPY http://example.com/x /\n",
        &expect![[r#"
        error[copy-url] line 2 `http://example.com/x`: source can't be a URL for COPY
            hint: use ADD
    "#]],
    );
    findings(
        "FROM scratch\nADD --checksum=sha256:00 a /\n",
        &expect![[r#"
        error[invalid-checksum] line 2 `sha256:00`: checksum requires HTTP(S) or Git sources
    "#]],
    );
    findings(
        "FROM scratch\nADD --checksum=sha256:00 a b /\n",
        &expect![[r#"
        error[invalid-checksum] line 2 `sha256:00`: checksum can't be specified for multiple sources
    "#]],
    );
}
