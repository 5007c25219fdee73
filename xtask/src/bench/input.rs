//! The Dockerfiles and files that are built.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

/// Three stages, twelve instructions.
pub(crate) const CACHED: &str = "\
FROM busybox AS sorted
WORKDIR /src
COPY words/ ./
RUN sort words.txt > /sorted.txt
FROM busybox AS joined
COPY text/ /text/
RUN cat /text/*.txt > /all.txt
FROM busybox
COPY --from=sorted /sorted.txt /
COPY --from=joined /all.txt /
ENV MODE=fast
CMD [\"cat\", \"/all.txt\"]
";

/// How many RUNs the overhead of one is taken from.
pub(crate) const N_RUNS: u32 = 10;
const N_SLEEPS: u32 = 8;
/// How many stages one gathering stage copies from: 1,000 stages make 34 of them.
const GATHERED: usize = 30;

/// The files of [`CACHED`].
pub(crate) fn cached(context: &Path) -> Result<()> {
    fs::create_dir_all(context.join("words"))?;
    fs::create_dir_all(context.join("text"))?;
    let mut words = String::new();
    for n in 0..500 {
        writeln!(words, "word{}", n * 7919 % 500)?;
    }
    fs::write(context.join("words/words.txt"), words)?;
    for n in 0..20 {
        fs::write(
            context.join(format!("text/{n}.txt")),
            format!("text number {n}\n"),
        )?;
    }
    fs::write(context.join("Dockerfile"), CACHED)?;
    Ok(())
}

/// A chain of RUNs that do nothing and all see the argument.
pub(crate) fn runs(context: &Path) -> Result<()> {
    let mut text = "FROM busybox\nARG BUST\n".to_owned();
    for n in 0..N_RUNS {
        writeln!(text, "RUN true {n}")?;
    }
    write(context, &text)
}

/// Stages that only wait, and one that copies from all of them.
pub(crate) fn sleeps(context: &Path) -> Result<()> {
    let mut text = String::new();
    for n in 0..N_SLEEPS {
        writeln!(
            text,
            "FROM busybox AS s{n}\nARG BUST\nRUN sleep 1 && echo $BUST > /out"
        )?;
    }
    text.push_str("FROM busybox\n");
    for n in 0..N_SLEEPS {
        writeln!(text, "COPY --from=s{n} /out /out{n}")?;
    }
    write(context, &text)
}

/// The Dockerfile of `n` stages with one COPY each, gathered in two steps.
pub(crate) fn stages(context: &Path, n: usize) -> Result<()> {
    let mut text = String::new();
    for i in 0..n {
        writeln!(text, "FROM scratch AS s{i}\nCOPY f{i} /f{i}")?;
    }
    let n_gathers = n.div_ceil(GATHERED);
    for gather in 0..n_gathers {
        writeln!(text, "FROM scratch AS g{gather}")?;
        for i in gather * GATHERED..n.min((gather + 1) * GATHERED) {
            writeln!(text, "COPY --from=s{i} /f{i} /f{i}")?;
        }
    }
    text.push_str("FROM scratch\n");
    for gather in 0..n_gathers {
        writeln!(text, "COPY --from=g{gather} / /")?;
    }
    write(context, &text)
}

/// Gives every file of [`stages`] new content.
pub(crate) fn stage_files(context: &Path, n: usize, bust: &str) -> Result<()> {
    for i in 0..n {
        fs::write(context.join(format!("f{i}")), format!("file {i}, {bust}\n"))?;
    }
    Ok(())
}

fn write(context: &Path, dockerfile: &str) -> Result<()> {
    fs::create_dir_all(context)?;
    fs::write(context.join("Dockerfile"), dockerfile)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cached_file_has_twelve_instructions_in_three_stages() {
        assert_eq!(CACHED.lines().count(), 12);
        assert_eq!(
            CACHED
                .lines()
                .filter(|line| line.starts_with("FROM"))
                .count(),
            3
        );
    }

    #[test]
    fn a_thousand_stages_are_gathered_through_thirty_four() {
        let dir = std::env::temp_dir().join(format!("xtask-stages-{}", std::process::id()));
        stages(&dir, 1000).unwrap();
        let text = fs::read_to_string(dir.join("Dockerfile")).unwrap();
        fs::remove_dir_all(dir).unwrap();
        assert_eq!(text.matches("FROM scratch AS s").count(), 1000);
        assert_eq!(text.matches("FROM scratch AS g").count(), 34);
        assert_eq!(text.matches("COPY --from=s").count(), 1000);
        assert_eq!(text.matches("COPY --from=g").count(), 34);
    }
}
