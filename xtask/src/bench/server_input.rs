//! What the cache server is asked for: records of four KiB, blobs of eight MiB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::random::Random;
use crate::process;

const BLOB: usize = 8 << 20;
const RECORD: usize = 4 << 10;
/// What one record names.
const NAMED: usize = 4;

/// One file and the path that it is uploaded to.
#[derive(Debug)]
pub(crate) struct Object {
    file: PathBuf,
    pub(crate) path: String,
}

impl Object {
    pub(crate) fn body(&self) -> Result<Vec<u8>> {
        fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))
    }
}

#[derive(Debug)]
pub(crate) struct Inputs {
    /// What records name; uploaded before them.
    pub(crate) contents: Vec<Object>,
    /// Few records, asked for again and again.
    pub(crate) often: Vec<Object>,
    /// More records than a server keeps in memory.
    pub(crate) seldom: Vec<Object>,
    pub(crate) blobs: Vec<Object>,
    /// Blobs that no server has yet.
    pub(crate) uploads: Vec<Object>,
}

/// Writes all of it below `folder`.
pub(crate) fn make(folder: &Path) -> Result<Inputs> {
    let contents = content(&folder.join("contents"), 64, 100, 1)?;
    let records = |name: &str, n: usize| records(&folder.join(name), n, &contents);
    Ok(Inputs {
        often: records("often", 256)?,
        seldom: records("seldom", 5120)?,
        blobs: content(&folder.join("blobs"), 16, BLOB, 2)?,
        uploads: content(&folder.join("uploads"), 32, BLOB, 3)?,
        contents,
    })
}

fn content(folder: &Path, n: usize, size: usize, seed: u64) -> Result<Vec<Object>> {
    let mut random = Random::new(seed);
    let files = write_all(folder, n, |_| random.bytes(size))?;
    let digests = digests(&files)?;
    let objects = files.into_iter().zip(digests).map(|(file, digest)| Object {
        file,
        path: format!("/cas/{digest}"),
    });
    Ok(objects.collect())
}

fn records(folder: &Path, n: usize, contents: &[Object]) -> Result<Vec<Object>> {
    let files = write_all(folder, n, |n| {
        let named = (0..NAMED).map(|k| &contents[(n * 7 + k) % contents.len()]);
        record(named.map(|object| object.path.rsplit('/').next().unwrap_or("")))
    })?;
    // Any digest may be a key: that of the body is as good as another one.
    let digests = digests(&files)?;
    let objects = files.into_iter().zip(digests).enumerate();
    let objects = objects.map(|(n, (file, digest))| {
        let path = format!("/org/repo/ac/{}{n:08x}", &digest[8..]);
        Object { file, path }
    });
    Ok(objects.collect())
}

fn write_all(
    folder: &Path,
    n: usize,
    mut bytes: impl FnMut(usize) -> Vec<u8>,
) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let file = |n| {
        let path = folder.join(format!("{n:06}"));
        fs::write(&path, bytes(n))?;
        Ok(path)
    };
    (0..n).map(file).collect()
}

/// The digests of files, by another program: none of the product's code is used here.
fn digests(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for some in files.chunks(1000) {
        let said = process::stdout(Command::new("sha256sum").args(some))?;
        all.extend(
            said.lines()
                .map(|line| line.chars().take(64).collect::<String>()),
        );
    }
    ensure!(all.len() == files.len(), "`sha256sum` left some files out");
    Ok(all)
}

/// An `ActionResult` of [`RECORD`] bytes: `output_files` with digests, and padding in the metadata.
fn record<'a>(digests: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    for hex in digests {
        let mut digest = field(1, hex.as_bytes());
        digest.extend([0x10, 100]);
        let mut file = field(1, b"file");
        file.extend(field(2, &digest));
        out.extend(field(2, &file));
    }
    let around = field(9, &field(1, &vec![0; RECORD])).len() - RECORD;
    let padding = vec![b'w'; RECORD - out.len() - around];
    out.extend(field(9, &field(1, &padding)));
    out
}

/// A field with a length, as protobuf writes it.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    let mut len = bytes.len();
    while len > 127 {
        out.push(u8::try_from(len & 127).unwrap_or(0) | 128);
        len >>= 7;
    }
    out.push(u8::try_from(len).unwrap_or(0));
    out.extend(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_their_size() {
        let hex = "a".repeat(64);
        let record = record([hex.as_str(); NAMED].into_iter());
        assert_eq!(record.len(), RECORD);
        // A file of 6 and 2 + 68 bytes, whose digest has 66 and 2.
        assert_eq!(&record[..4], &[0x12, 76, 0x0a, 4]);
    }
}
