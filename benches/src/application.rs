use std::fmt::Write as _;

/// The lines of one stage.
const STAGE: usize = 50;

/// A Dockerfile of about `n_lines` lines as large applications have them: stages of fifty lines that
/// copy, run and set, and a last one that gathers what the others made.
///
/// Variables begin anew in every stage, as a step's environment has all of them.
pub fn application(n_lines: usize) -> String {
    let n_stages = n_lines / STAGE;
    let mut text = "# syntax=docker/dockerfile:1\nARG VERSION=1.2.3\n".to_owned();
    for idx in 0..n_stages {
        stage(&mut text, idx).expect("writing to a string cannot fail");
    }
    text.push_str("FROM debian\n");
    // The stages are gathered a few at a time, so that the last stage does not outgrow the others.
    for idx in (0..n_stages).rev().take(8) {
        let line = writeln!(text, "COPY --from=s{idx} --chown=1:1 /out /app/{idx}/");
        line.expect("writing to a string cannot fail");
    }
    text
}

fn stage(text: &mut String, idx: usize) -> std::fmt::Result {
    let base = match idx % 8 {
        0 => "debian".to_owned(),
        _ => format!("s{}", idx - 1),
    };
    writeln!(
        text,
        "FROM {base} AS s{idx}\nARG VERSION\nWORKDIR /src/{idx}"
    )?;
    writeln!(
        text,
        "ENV NAME{idx}=\"app-${{VERSION%.*}}\" LEVEL=${{LEVEL:-1}}"
    )?;
    if idx > 0 {
        writeln!(text, "COPY --from=s{} /out/lib /lib/{idx}/", idx - 1)?;
    } else {
        writeln!(text, "LABEL first=yes")?;
    }
    for step in 0..9 {
        writeln!(
            text,
            "COPY --chown=$LEVEL:0 src/{idx}/{step}/*.c \"inc/{step}\" ./"
        )?;
        writeln!(text, "# step {step} of $NAME{idx}")?;
        writeln!(
            text,
            "RUN make -j \"$NAME{idx}\" && \\\n    make check # {step}"
        )?;
    }
    writeln!(text, "RUN <<EOF\nset -e\nmake install\nEOF")?;
    writeln!(
        text,
        "LABEL stage.{idx}=\"${{VERSION}}\" \\\n      part={idx}"
    )?;
    writeln!(
        text,
        "EXPOSE {} \nUSER $LEVEL\nCMD [\"/out/app\", \"{idx}\"]",
        1_000 + idx
    )
}
