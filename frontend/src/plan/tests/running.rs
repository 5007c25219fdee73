//! RUN.

use super::fixture::{build, graph, history, runs};
use acetate_graph::{ExecOp, Op};
use expect_test::expect;

fn last_exec(text: &str) -> ExecOp {
    let graph = build(text).lowered.graph;
    match &graph.vertex(graph.targets()[0].vertex).op {
        Op::Exec(exec) => exec.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn s1_s2_forms_of_run() {
    runs(
        r#"
FROM scratch
RUN echo hello \
# c
world
RUN ["exec", "$form"]
RUN ["echo", "hello"]this is invalid
SHELL ["/bin/bash", "-eo", "pipefail", "-c"]
RUN a | b
"#,
        &expect![[r#"
            ["/bin/sh", "-c", "echo hello world"]
              env [] in / as ""
            ["exec", "$form"]
              env [] in / as ""
            ["/bin/sh", "-c", "[\"echo\", \"hello\"]this is invalid"]
              env [] in / as ""
            ["/bin/bash", "-eo", "pipefail", "-c", "a | b"]
              env [] in / as ""
        "#]],
    );
}

#[test]
fn what_a_run_sees() {
    runs(
        r"
FROM debian
ENV A=1
USER app:staff
WORKDIR /w
ARG B=2
RUN x $A
USER 0
WORKDIR sub
ENV A=3
RUN y
",
        &expect![[r#"
            ["/bin/sh", "-c", "x $A"]
              env ["A=1", "B=2"] in /w as "app:staff"
            ["/bin/sh", "-c", "y"]
              env ["A=3", "B=2"] in /w/sub as "0"
        "#]],
    );
}

#[test]
fn s62_entrypoint_and_command_of_the_base_do_not_matter() {
    let text = "//- Dockerfile\nFROM base\nRUN x\n//- image base\n{\"config\": {\"Entrypoint\": [\"e\"], \"Cmd\": [\"c\"]}}\n";
    assert_eq!(last_exec(text).argv, ["/bin/sh", "-c", "x"]);
}

#[test]
fn s28_s29_a_heredoc_is_the_argument_of_the_shell() {
    runs(
        r#"
FROM scratch
ARG name=world
RUN <<EOF
name="new world"; echo ${name}
EOF
SHELL ["/bin/awk"]
RUN <<-EOF
	BEGIN {}
	EOF
"#,
        &expect![[r#"
            ["/bin/sh", "-c", "name=\"new world\"; echo ${name}\n"]
              env ["name=world"] in / as ""
            ["/bin/awk", "BEGIN {}\n"]
              env ["name=world"] in / as ""
        "#]],
    );
}

#[test]
fn s30_heredocs_with_descriptors_are_left_to_the_shell() {
    runs(
        r"
FROM scratch
RUN <<EOF 3<<IN1 awk -f -
body
EOF
in1
IN1
RUN cat <<EOF > /x
hi
EOF
",
        &expect![[r#"
            ["/bin/sh", "-c", "<<EOF 3<<IN1 awk -f -\nbody\nEOF\nin1\nIN1"]
              env [] in / as ""
            ["/bin/sh", "-c", "cat <<EOF > /x\nhi\nEOF"]
              env [] in / as ""
        "#]],
    );
}

#[test]
fn a_heredoc_with_an_interpreter_is_a_program() {
    let text = "FROM debian\nRUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF\n";
    runs(
        text,
        &expect![[r#"
            ["/bin/sh", "-c", "/dev/pipes/EOF"]
              env [] in / as ""
              mount /dev/pipes = %in1 ReadOnly
        "#]],
    );
    graph(
        text,
        &expect![[r##"
            %0 = image debian linux/amd64
            %1 = file scratch <-
                 mkfile EOF to /EOF 0755 owner="" at 0 "#!/usr/bin/env python3\nprint(1)\n"
            %2 = exec ["/bin/sh", "-c", "/dev/pipes/EOF"] <- %0 %1
            linux/amd64 -> %2
        "##]],
    );
    history(
        text,
        &expect![[r#"
            %2    RUN /bin/sh -c /dev/pipes/EOF # buildkit
        "#]],
    );
}

#[test]
fn networks() {
    let text = "FROM scratch\nRUN a\nRUN --network=none b\nRUN --network=host c\nRUN --network=default d\n";
    runs(
        &format!("//- Dockerfile\n{text}//- args allow=network.host\n"),
        &expect![[r#"
        ["/bin/sh", "-c", "a"]
          env [] in / as ""
        ["/bin/sh", "-c", "b"]
          env [] in / as ""
          network None
        ["/bin/sh", "-c", "c"]
          env [] in / as ""
          network Host
        ["/bin/sh", "-c", "d"]
          env [] in / as ""
    "#]],
    );
    runs(
        &format!("//- Dockerfile\n{text}//- args network=host allow=network.host\n"),
        &expect![[r#"
        ["/bin/sh", "-c", "a"]
          env [] in / as ""
          network Host
        ["/bin/sh", "-c", "b"]
          env [] in / as ""
          network None
        ["/bin/sh", "-c", "c"]
          env [] in / as ""
          network Host
        ["/bin/sh", "-c", "d"]
          env [] in / as ""
          network Host
    "#]],
    );
}

#[test]
fn s73_host_names_are_in_the_key_and_addresses_beside_it() {
    let text = "//- Dockerfile\nFROM scratch\nRUN x\n//- args host:b=10.0.0.1 host:a=::1 host:b=10.0.0.2 hostname=me\n";
    runs(
        text,
        &expect![[r#"
        ["/bin/sh", "-c", "x"]
          env [] in / as ""
          host Some("me") knows ["a", "b"], beside the key [("b", 10.0.0.1), ("a", ::1), ("b", 10.0.0.2)]
    "#]],
    );
    assert_eq!(
        last_exec(text),
        last_exec(&text.replace("10.0.0.1", "10.9.9.9"))
    );
}

#[test]
fn s60_the_host_name_may_come_from_an_argument() {
    let with = |arg: &str| {
        last_exec(&format!(
            "//- Dockerfile\nFROM scratch\nRUN x\n//- args {arg}\n"
        ))
        .hostname
    };
    assert_eq!(
        with("arg:BUILDKIT_SANDBOX_HOSTNAME=h").as_deref(),
        Some("h")
    );
    assert_eq!(
        with("arg:BUILDKIT_SANDBOX_HOSTNAME=h hostname=x").as_deref(),
        Some("x")
    );
    assert_eq!(with("hostname=buildkitsandbox"), None);
}

#[test]
fn s78_metadata_does_not_move_later_copies() {
    let key = |text: &str| {
        let graph = build(text).lowered.graph;
        graph.key(graph.targets()[0].vertex)
    };
    assert_eq!(
        key("FROM debian\nENV A=1\nLABEL x=y\nCMD a\nARG B=1\nCOPY x /\n"),
        key("FROM debian\nENV A=2\nCOPY x /\nEXPOSE 80\n")
    );
    assert_ne!(
        key("FROM debian\nENV A=1\nRUN x\n"),
        key("FROM debian\nENV A=2\nRUN x\n")
    );
    assert_eq!(
        key("FROM debian\nENV A=1\nRUN x\n"),
        key("FROM debian\nENV A=1\nRUN x\nARG B=3\n")
    );
}

#[test]
fn no_cache_marks_the_steps_and_never_the_sources() {
    let text = "FROM debian AS one\nCOPY x /\nRUN a\nFROM one\nWORKDIR /w\nRUN b\n";
    graph(
        &format!("//- Dockerfile\n{text}//- args no-cache\n"),
        &expect![[r#"
        %0 = image debian linux/amd64
        %1 = files "" ["x"]
        %2 = file forced base %in0 <- %0 %1
             copy %in1[#0] to / owner=root
        %3 = exec forced ["/bin/sh", "-c", "a"] <- %2
        %4 = file forced base %in0 <- %3
             mkdir /w 0755 owner=""
        %5 = exec forced ["/bin/sh", "-c", "b"] <- %4
        linux/amd64 -> %5
    "#]],
    );
    graph(
        &format!("//- Dockerfile\n{text}//- args filter=ONE\n"),
        &expect![[r#"
        %0 = image debian linux/amd64
        %1 = files "" ["x"]
        %2 = file forced base %in0 <- %0 %1
             copy %in1[#0] to / owner=root
        %3 = exec forced ["/bin/sh", "-c", "a"] <- %2
        %4 = file base %in0 <- %3
             mkdir /w 0755 owner=""
        %5 = exec ["/bin/sh", "-c", "b"] <- %4
        linux/amd64 -> %5
    "#]],
    );
    graph(
        &format!("//- Dockerfile\n{text}//- args filter=stage-1\n"),
        &expect![[r#"
        %0 = image debian linux/amd64
        %1 = files "" ["x"]
        %2 = file base %in0 <- %0 %1
             copy %in1[#0] to / owner=root
        %3 = exec ["/bin/sh", "-c", "a"] <- %2
        %4 = file forced base %in0 <- %3
             mkdir /w 0755 owner=""
        %5 = exec forced ["/bin/sh", "-c", "b"] <- %4
        linux/amd64 -> %5
    "#]],
    );
}
