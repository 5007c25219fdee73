use std::fmt::Write as _;

/// The instructions of one block: ten RUNs, one ENV, and nine others.
const BLOCK: usize = 20;

/// A Dockerfile of about `n_lines` lines in one single stage: half of them RUN, one in twenty ENV, so
/// that ten thousand lines end with five hundred variables that every later step has.
pub fn single_stage(n_lines: usize) -> String {
    let mut text = "FROM debian\n".to_owned();
    for idx in 0..n_lines / BLOCK {
        block(&mut text, idx).expect("writing to a string cannot fail");
    }
    text
}

fn block(text: &mut String, idx: usize) -> std::fmt::Result {
    writeln!(text, "ENV SETTING_{idx}=\"value of {idx}\"")?;
    for step in 0..10 {
        writeln!(
            text,
            "RUN install --prefix=$SETTING_{idx} package-{idx}-{step}"
        )?;
    }
    for file in 0..5 {
        writeln!(text, "COPY src/{idx}/{file}.c /src/{idx}/")?;
    }
    writeln!(text, "# what follows is metadata of block {idx}")?;
    writeln!(
        text,
        "LABEL org.example.part{idx}=\"$SETTING_{idx}\" part={idx}"
    )?;
    writeln!(text, "WORKDIR /src/{idx}\nUSER {idx}:{idx}")
}
