//! Copies bytes into a new file, and leaves holes where there is nothing.

use crate::Content;
use acetate_oci::{Digest, DigestHasher};
use acetate_snapshot::TarReader;
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;

/// Whether bytes are hashed while they are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    Hash,
    Trust,
}

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// What file systems give out at least.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Copies bytes; the kernel does it where nobody has to see them.
pub(crate) fn fill(file: &mut File, content: Content, check: Check) -> io::Result<Option<Digest>> {
    match (content, check) {
        (Content::File(source), Check::Trust) => {
            if rustix::fs::ioctl_ficlone(file.as_fd(), source.as_fd()).is_err() {
                copy_data(file, &source)?;
            }
            Ok(None)
        }
        (mut content, _) => {
            let mut hasher = DigestHasher::new();
            let see = |bytes: &[u8]| hasher.update(bytes);
            copy_seen(file, &mut content, see)?;
            Ok(Some(hasher.finish()))
        }
    }
}

/// Which side of a copy failed.
#[derive(Debug)]
pub(crate) enum Failed {
    Read(io::Error),
    Write(io::Error),
}

/// Copies a file out of an archive, without its holes.
pub(crate) fn sparse<R: Read>(file: &mut File, content: &mut TarReader<R>) -> Result<(), Failed> {
    let mut buffer = vec![0; CHUNK];
    let mut len = 0_u64;
    loop {
        // A hole of any length costs nothing to skip.
        len = len.saturating_add(content.skip_hole());
        file.seek(io::SeekFrom::Start(len)).map_err(Failed::Write)?;
        let n = match content.read(&mut buffer) {
            Ok(0) => return file.set_len(len).map_err(Failed::Write),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failed::Read(error)),
        };
        write_blocks(file, &buffer[..n]).map_err(Failed::Write)?;
        len += n as u64;
    }
}

/// Copies what a file holds beside its holes.
fn copy_data(file: &mut File, source: &File) -> io::Result<()> {
    let len = source.metadata()?.len();
    let mut at = 0;
    while at < len {
        let data = match rustix::fs::seek(source, SeekFrom::Data(at)) {
            Ok(data) => data,
            // Nothing but a hole is left.
            Err(Errno::NXIO) => break,
            // The file system cannot tell; all is data.
            Err(_) => at,
        };
        let end = rustix::fs::seek(source, SeekFrom::Hole(data)).unwrap_or(len);
        let mut from = source;
        from.seek(io::SeekFrom::Start(data))?;
        file.seek(io::SeekFrom::Start(data))?;
        let copied = io::copy(&mut from.take(end.saturating_sub(data)), file)?;
        // A file that shrinks meanwhile ends the copy, and one that does not move cannot hang it.
        if copied == 0 {
            break;
        }
        at = data + copied;
    }
    file.set_len(len)
}

/// Copies bytes that pass through us; blocks of zeros become holes.
fn copy_seen(
    file: &mut File,
    content: &mut dyn Read,
    mut see: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut len = 0_u64;
    let mut ends_in_hole = false;
    loop {
        let n = read_full(content, &mut buffer)?;
        see(&buffer[..n]);
        write_blocks(file, &buffer[..n])?;
        len += n as u64;
        ends_in_hole = buffer[..n].last().map_or(ends_in_hole, |byte| *byte == 0);
        if n == buffer.len() {
            continue;
        }
        if ends_in_hole {
            file.set_len(len)?;
        }
        return Ok(());
    }
}

/// Writes the blocks of a chunk that are not zero, and goes on behind the others.
fn write_blocks(file: &mut File, chunk: &[u8]) -> io::Result<()> {
    let is_hole = |block: &[u8]| block == &ZEROS[..block.len()];
    let mut rest = chunk;
    while !rest.is_empty() {
        let blocks = |wanted: bool| {
            let blocks = rest.chunks(BLOCK);
            let run = blocks.take_while(|block| is_hole(block) == wanted);
            run.map(<[u8]>::len).sum::<usize>()
        };
        let (n_data, n_zeros) = (blocks(false), blocks(true));
        if n_data > 0 {
            file.write_all(&rest[..n_data])?;
        } else {
            file.seek(io::SeekFrom::Current(i64::try_from(n_zeros).unwrap_or(0)))?;
        }
        rest = &rest[n_data + n_zeros..];
    }
    Ok(())
}

fn read_full(content: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match content.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn copied(source: &[u8], content: fn(File) -> Content, check: Check) -> (Vec<u8>, u64) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("from"), source).unwrap();
        let from = File::open(dir.path().join("from")).unwrap();
        let mut to = File::create(dir.path().join("to")).unwrap();
        let digest = fill(&mut to, content(from), check).unwrap();
        assert_eq!(digest, (check == Check::Hash).then(|| Digest::of(source)));
        let bytes = std::fs::read(dir.path().join("to")).unwrap();
        (bytes, to.metadata().unwrap().blocks() * 512)
    }

    #[test]
    fn every_shape_of_data_and_zeros_arrives() {
        let shapes: [&[usize]; 8] = [
            &[],
            &[1],
            &[0, 5],
            &[0, BLOCK],
            &[0, 3 * CHUNK],
            &[CHUNK, CHUNK + 1, 7],
            &[BLOCK, BLOCK, BLOCK, 1],
            &[0, BLOCK - 1, 2, CHUNK],
        ];
        let stream = |file| Content::Stream(Box::new(file));
        for shape in shapes {
            let mut bytes = Vec::new();
            for (n, len) in shape.iter().enumerate() {
                bytes.extend(std::iter::repeat_n(u8::from(n % 2 == 0), *len));
            }
            for (content, check) in [
                (Content::File as fn(File) -> Content, Check::Trust),
                (Content::File, Check::Hash),
                (stream, Check::Hash),
            ] {
                assert!(copied(&bytes, content, check).0 == bytes, "{shape:?}");
            }
        }
    }

    #[test]
    fn zeros_take_no_space() {
        let mut bytes = vec![0; 64 * CHUNK];
        bytes[5 * CHUNK] = 1;
        let (_, size) = copied(&bytes, Content::File, Check::Hash);
        assert!(size < 4 * CHUNK as u64, "{size}");
    }
}
