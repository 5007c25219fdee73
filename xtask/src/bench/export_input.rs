//! A tree of one gibibyte: programs and documents of this machine, text and noise made here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::random::Random;

const MIB: u64 = 1 << 20;
/// Where files are taken from, and how many bytes of each at most.
const SOURCES: [(&str, u64); 3] = [
    ("/usr/bin", 200 * MIB),
    ("/usr/lib", 380 * MIB),
    ("/usr/share", 250 * MIB),
];
/// Larger files would be most of a source by themselves.
const LARGEST: u64 = 60 * MIB;
const N_NOISE: u64 = 20;
const NOISE: u64 = 7 * MIB;
const WHOLE: u64 = 1024 * MIB;
const WORDS: [&str; 16] = [
    "layer", "digest", "store", "cache", "image", "step", "stage", "value", "error", "parse",
    "content", "write", "read", "thread", "of", "the",
];

/// Makes the context of a build that copies the tree.
pub(super) fn make(context: &Path) -> Result<()> {
    let tree = context.join("tree");
    let mut total = N_NOISE * NOISE;
    for (source, limit) in SOURCES {
        let mut files = Vec::new();
        list(Path::new(source), &mut files)?;
        total += copy(&files, limit, &tree)?;
    }
    let mut random = Random::new(5);
    for n in 0..N_NOISE {
        let bytes = random.bytes(usize::try_from(NOISE)?);
        put(&tree.join(format!("noise/{n}")), &bytes)?;
    }
    let mut n = 0;
    while total < WHOLE {
        let size = (WHOLE - total).min(MIB);
        let text = text(&mut random, usize::try_from(size)?);
        put(&tree.join(format!("text/{n}")), text.as_bytes())?;
        (total, n) = (total + size, n + 1);
    }
    fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY tree /tree\n",
    )?;
    Ok(())
}

/// All files below a folder, in the order of their names; links are left out.
fn list(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push((entry.path(), entry.metadata()?.len()));
        }
    }
    Ok(())
}

/// Copies as many files as fit, and tells their bytes.
fn copy(files: &[(PathBuf, u64)], limit: u64, tree: &Path) -> Result<u64> {
    let mut total = 0;
    for (file, size) in files {
        if *size <= LARGEST && total + size <= limit {
            let bytes = fs::read(file)?;
            put(&tree.join(file.strip_prefix("/")?), &bytes)?;
            total += size;
        }
    }
    Ok(total)
}

fn put(file: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(file, bytes)?)
}

fn text(random: &mut Random, size: usize) -> String {
    let mut text = String::with_capacity(size + 32);
    while text.len() < size {
        let number = random.number();
        text.push_str(WORDS[usize::try_from(number % 16).unwrap_or_default()]);
        match number >> 60 {
            0..=2 => text.push_str(&format!(" {:x}\n", number >> 40 & 0xf_ffff)),
            _ => text.push(' '),
        }
    }
    text.truncate(size);
    text
}
