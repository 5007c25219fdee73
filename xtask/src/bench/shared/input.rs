//! What is built: an image of 300 MiB in ten steps, and one with a single layer of 500.
//!
//! The layers come from a small context: each RUN writes a pool of files once more, with every
//! byte moved up by another number. All of it compresses equally well, and no part of a layer is
//! found again in another one, so that no tool is helped by steps that resemble each other.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::bench::random::Random;

/// The file of the image on whose last COPY nothing runs.
pub(super) const PLAIN: &str = "Dockerfile";
/// The same with a RUN on top.
pub(super) const WITH_RUN: &str = "Dockerfile.run";

/// RUNs that write the pool once more; with two COPYs they are the ten steps.
const N_RUNS: u8 = 8;
/// How many files of which size the pool holds: 33 MiB, nine times in the image.
const POOL: &[(usize, usize)] = &[(2, 8 << 20), (8, 1 << 20), (72, 128 << 10)];

/// How often the layer of 500 MiB holds the pool of [`layer`].
const N_PARTS: u8 = 10;
const PART: usize = 50 << 20;
/// A piece of the layer that changes; there are [`N_CHANGES`] of them, which makes one percent.
const CHANGE: usize = 1 << 20;
const N_CHANGES: u8 = 5;
/// The size of the layer that [`layer`] makes, without what is around its one file.
pub(super) const LAYER: u64 = N_PARTS as u64 * PART as u64 + N_CHANGES as u64 * CHANGE as u64;

/// Bytes of which a block is random; the rest is text. Gzip leaves about four fifths of a block.
const BLOCK: usize = 64 << 10;
const NOISE: usize = 46 << 10;

/// Writes the context of the image.
pub(super) fn image(context: &Path) -> Result<()> {
    let pool = context.join("pool");
    fs::create_dir_all(&pool)?;
    let mut random = Random::new(11);
    for (n, size) in POOL {
        for idx in 0..*n {
            fs::write(
                pool.join(format!("{size}-{idx}")),
                content(&mut random, *size),
            )?;
        }
    }
    late(context, "first")?;
    let plain = dockerfile();
    fs::write(
        context.join(WITH_RUN),
        format!("{plain}RUN cat /app/* > /sum\n"),
    )?;
    fs::write(context.join(PLAIN), plain)?;
    Ok(())
}

/// Changes what the last COPY takes.
pub(super) fn late(context: &Path, text: &str) -> Result<()> {
    let folder = context.join("late");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("version"), text)?;
    fs::write(folder.join("same"), content(&mut Random::new(12), BLOCK))?;
    Ok(())
}

fn dockerfile() -> String {
    let mut text = "FROM busybox\nCOPY pool/ /pool/\n".to_owned();
    for n in 1..=N_RUNS {
        let moved = moved(n);
        // Writing to a String cannot fail.
        let _: std::fmt::Result = writeln!(
            text,
            "RUN mkdir /s{n} && cd /pool && for f in *; do {moved} < $f > /s{n}/$f; done"
        );
    }
    text.push_str("COPY late/ /app/\n");
    text
}

/// The context of one layer of 500 MiB, of which [`change`] changes one percent.
pub(super) fn layer(context: &Path) -> Result<()> {
    let folder = context.join("in");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("pool"), content(&mut Random::new(13), PART))?;
    change(context, 0)?;
    let mut parts = Vec::new();
    for n in 0..N_PARTS {
        parts.push(format!("{} < /in/pool", moved(n + 1)));
        if n % 2 == 1 {
            parts.push(format!("cat /in/change{}", n / 2));
        }
    }
    let plain = format!(
        "FROM busybox\nRUN --mount=type=bind,source=in,target=/in {{ {}; }} > /large\n",
        parts.join("; ")
    );
    fs::write(
        context.join(WITH_RUN),
        format!("{plain}RUN test -s /large\n"),
    )?;
    fs::write(context.join(PLAIN), plain)?;
    Ok(())
}

/// Gives the layer its `n`th version: some other pieces, all a little longer than before, so that
/// what is behind them moves.
pub(super) fn change(context: &Path, n: usize) -> Result<()> {
    for place in 0..N_CHANGES {
        let mut random = Random::new(1000 + 10 * n as u64 + u64::from(place));
        let file = context.join(format!("in/change{place}"));
        fs::write(file, content(&mut random, CHANGE + 8 * n))?;
    }
    Ok(())
}

/// The program that moves every byte of its input up by `n`.
fn moved(n: u8) -> String {
    format!("tr '\\000-\\377' '\\{n:03o}-\\377\\000-\\{:03o}'", n - 1)
}

/// Bytes of which the larger part does not compress, and the rest well.
fn content(random: &mut Random, size: usize) -> Vec<u8> {
    const WORDS: [&str; 8] = [
        "let ", "value", " = ", "self", ".next", "();\n", "    ", "if ",
    ];
    let mut out = Vec::with_capacity(size + BLOCK);
    while out.len() < size {
        let end = out.len() + BLOCK;
        out.extend(random.bytes(NOISE));
        while out.len() < end {
            let word = usize::try_from(random.number() >> 61).unwrap_or(0);
            out.extend(WORDS[word].as_bytes());
        }
        out.truncate(end);
    }
    out.truncate(size);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("xtask-shared-{name}-{}", std::process::id()))
    }

    #[test]
    fn the_image_has_ten_steps_and_three_hundred_mebibytes() {
        let text = dockerfile();
        assert_eq!(text.lines().count(), 11);
        let pool: usize = POOL.iter().map(|(n, size)| n * size).sum();
        let all = pool * (usize::from(N_RUNS) + 1);
        assert!((290 << 20..310 << 20).contains(&all), "{all}");
    }

    #[test]
    fn another_version_has_other_changes_of_another_length() {
        let dir = scratch("change");
        fs::create_dir_all(dir.join("in")).unwrap();
        change(&dir, 0).unwrap();
        let read = || fs::read(dir.join("in/change3")).unwrap();
        let first = read();
        change(&dir, 1).unwrap();
        let second = read();
        change(&dir, 0).unwrap();
        assert_eq!(read(), first);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!((first.len(), second.len()), (CHANGE, CHANGE + 8));
        assert_ne!(first[..100], second[..100]);
    }

    #[test]
    fn every_byte_is_moved() {
        assert_eq!(moved(1), "tr '\\000-\\377' '\\001-\\377\\000-\\000'");
        assert_eq!(moved(10), "tr '\\000-\\377' '\\012-\\377\\000-\\011'");
    }
}
