//! Instructions as they were written.

use super::fixture;
use acetate_graph::Instruction;

/// Each instruction with a vertex: stage and base, text, what is filled in, and the names of ARGs.
fn written(fixture: &str) -> Vec<String> {
    let build = fixture::build(fixture);
    let vertices = build.lowered.graph.vertices();
    let instructions = vertices
        .iter()
        .filter_map(|it| it.meta.instruction.as_deref());
    instructions.map(line).collect()
}

fn line(instruction: &Instruction) -> String {
    let Instruction {
        stage,
        base,
        text,
        filled,
        args,
    } = instruction;
    let filled: Vec<String> = filled
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{stage} on {base}: {text:?} {filled:?} {args:?}")
}

#[test]
fn nothing_is_filled_in_and_what_would_be_is_told() {
    let text = "ARG R=12\nFROM debian:$R AS b\nARG V=1 W\nENV E=2\nCOPY a-$V-$E-$NONE \\\n  /x\nRUN echo $V\nWORKDIR /$V/${W:-w}\n";
    assert_eq!(
        written(text),
        [
            r#"b on debian:$R: "FROM debian:$R" ["R=12"] ["R"]"#,
            r#"b on debian:$R: "COPY a-$V-$E-$NONE /x" ["V=1", "E=2"] ["V"]"#,
            r#"b on debian:$R: "RUN echo $V" [] ["V", "W"]"#,
            r#"b on debian:$R: "WORKDIR /$V/${W:-w}" ["V=1"] ["V"]"#,
        ]
    );
}

#[test]
fn an_env_of_the_same_name_is_no_arg() {
    let text = "FROM debian\nARG A=1 B=2\nRUN one\nENV B=$A\nRUN two\nARG C=3\nRUN three\n";
    let args: Vec<String> = written(text).into_iter().skip(1).collect();
    assert_eq!(
        args,
        [
            r#"stage-0 on debian: "RUN one" [] ["A", "B"]"#,
            r#"stage-0 on debian: "RUN two" [] ["A"]"#,
            r#"stage-0 on debian: "RUN three" [] ["A", "C"]"#,
        ]
    );
}

#[test]
fn heredocs_are_part_of_the_text_and_users_of_addresses_are_not() {
    let text = "FROM debian\nARG A=1 B=2\nCOPY <<X <<'Y' /d/\n$A\nX\n$B\nY\nADD https://me:pw@x.test/f /\n";
    let lines: Vec<String> = written(text).into_iter().skip(1).collect();
    assert_eq!(
        lines,
        [
            r#"stage-0 on debian: "COPY <<X <<'Y' /d/\n$A\nX\n$B\nY" ["A=1"] ["A"]"#,
            r#"stage-0 on debian: "ADD https://xxxxx:xxxxx@x.test/f /" [] []"#,
        ]
    );
}

#[test]
fn triggers_say_so() {
    let text = "FROM debian AS a\nONBUILD RUN x\nFROM a\nrun  y  z\n";
    let lines: Vec<String> = written(text).into_iter().skip(1).collect();
    assert_eq!(
        lines,
        [
            r#"stage-1 on a: "ONBUILD RUN x" [] []"#,
            r#"stage-1 on a: "RUN  y  z" [] []"#,
        ]
    );
}
