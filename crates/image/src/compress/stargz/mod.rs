//! Estargz: a gzip in which every file begins with a member of its own, and a table at the end that
//! says where (docs/estargz.md of stargz-snapshotter).
//!
//! Headers pass through byte for byte. In front stands the landmark that says that nothing is to be
//! fetched in advance; the table is the last file of the tar, and behind it stands a footer that
//! leads to it. Both files belong to the tar, so the layer gets another `diff_id`.

mod head;
mod toc;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use acetate_oci::{Descriptor, DigestHasher, Timestamp};

use self::head::{Extensions, Head, Next};
use self::toc::{Entry, Toc};
use super::blocks::BlockWriter;
use super::gzip;
use crate::tarball::{Member, MemberKind, NO_XATTRS, TarWriter};

pub(super) use self::toc::Traits;

/// Bytes of a file that are fetched and checked together, as other tools have it.
const CHUNK: usize = 4 << 20;
const BLOCK: usize = 512;
/// The most that the extensions of one member may have.
const EXTENSION_LIMIT: u64 = 4 << 20;
/// The name of the table.
const TOC_NAME: &str = "stargz.index.json";
/// Says that no file is to be fetched in advance.
const LANDMARK: &str = ".no.prefetch.landmark";
const LANDMARK_CONTENT: &[u8] = &[0xf];

/// The annotations of an estargz layer's descriptor, by which its table is found.
pub const ANNOTATIONS: [&str; 2] = [toc::TOC_DIGEST, toc::PLAIN_SIZE];

/// True when a descriptor says that its layer has a table.
pub(super) fn is_annotated(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key(toc::TOC_DIGEST)
}

/// Takes a tar; [`Self::finish`] must be called for a whole layer.
pub(super) struct StargzWriter<W> {
    blocks: BlockWriter<W>,
    level: i32,
    /// Hashes the tar that is written.
    hasher: DigestHasher,
    /// The headers of the member that is coming, its extensions included.
    head: Vec<u8>,
    extensions: Extensions,
    state: State,
    entries: Vec<Entry>,
}

enum State {
    /// A header is read, from this place in the head.
    Header(usize),
    /// The body of an extension is read, with this header, up to this place in the head.
    Extension(usize, usize),
    /// The content of a file is read.
    Content(Box<Content>),
    /// So many bytes follow that are passed on or dropped.
    Rest(u64, Fate),
    /// The end of the tar was seen.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Dropped,
}

struct Content {
    left: u64,
    padding: u64,
    /// The first entry of the file.
    file: usize,
    chunk_left: usize,
    chunk: DigestHasher,
    /// None for a file of one chunk, which has the digest of that.
    whole: Option<DigestHasher>,
}

impl<W: Write> StargzWriter<W> {
    pub(super) fn new(inner: W, level: i32, n_threads: usize) -> Self {
        Self {
            blocks: gzip::members(inner, level, n_threads, CHUNK),
            level,
            hasher: DigestHasher::new(),
            head: Vec::new(),
            extensions: Extensions::default(),
            state: State::Header(0),
            entries: Vec::new(),
        }
    }

    /// Writes the table; gives the writer below and what is to be known of the layer.
    pub(super) fn finish(mut self) -> io::Result<(W, Traits)> {
        self.begin()?;
        let is_whole = match self.state {
            State::Header(at) => at == 0 && self.head.is_empty(),
            State::End => true,
            _ => false,
        };
        if !is_whole {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (inner, starts) = self.blocks.finish()?;
        let at = starts.last().copied().unwrap_or_default();
        let table = Toc::new(self.entries, &starts)?.encode()?;
        let tail = tar_of(TOC_NAME, &table)?.finish()?;
        self.hasher.update(&tail);
        // Readers take one member only.
        let mut member = gzip::members(inner, self.level, 0, tail.len());
        member.write_all(&tail)?;
        let (mut inner, _) = member.finish()?;
        inner.write_all(&toc::footer(at))?;
        Ok((inner, Traits::new(&table, self.hasher)))
    }

    /// Puts the landmark in front of everything.
    fn begin(&mut self) -> io::Result<()> {
        if self.entries.is_empty() {
            let landmark = tar_of(LANDMARK, LANDMARK_CONTENT)?.into_inner();
            // It makes the first entry, so this comes here once.
            self.take_all(&landmark)?;
        }
        Ok(())
    }

    fn take_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n = self.take(bytes)?;
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Takes some of the bytes, at least one.
    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.state {
            State::Header(at) => self.take_head(bytes, at + BLOCK, at),
            State::Extension(at, end) => self.take_head(bytes, end, at),
            State::Content(_) => self.take_content(bytes),
            State::Rest(left, fate) => {
                let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                if fate == Fate::Kept {
                    self.put(&bytes[..n])?;
                }
                let left = left - n as u64;
                self.state = match left {
                    0 => State::Header(0),
                    left => State::Rest(left, fate),
                };
                Ok(n)
            }
            State::End => Ok(bytes.len()),
        }
    }

    /// Collects the head up to `end`; `at` is where its last header begins.
    fn take_head(&mut self, bytes: &[u8], end: usize, at: usize) -> io::Result<usize> {
        let n = bytes.len().min(end - self.head.len());
        self.head.extend_from_slice(&bytes[..n]);
        if self.head.len() < end {
            return Ok(n);
        }
        if let State::Extension(..) = self.state {
            let (header, body) = self.head[at..].split_at(BLOCK);
            self.extensions.add(header, body)?;
            self.state = State::Header(end);
            return Ok(n);
        }
        match self.extensions.next(&self.head[at..])? {
            Next::End => {
                self.head.clear();
                self.state = State::End;
            }
            Next::Extension(size) => {
                if size + at as u64 > EXTENSION_LIMIT {
                    return Err(head::bad("a member has too many extensions"));
                }
                let padded = usize::try_from(padded(size)).map_err(io::Error::other)?;
                self.state = match padded {
                    0 => State::Header(end),
                    padded => State::Extension(at, end + padded),
                };
            }
            Next::Member(head) => self.member(head)?,
        }
        Ok(n)
    }

    /// Passes the head of a member on, unless its file is one of ours.
    fn member(&mut self, head: Head) -> io::Result<()> {
        let raw = std::mem::take(&mut self.head);
        self.extensions = Extensions::default();
        let is_ours = match head.clean_name() {
            TOC_NAME => true,
            LANDMARK => !self.entries.is_empty(),
            _ => false,
        };
        if is_ours {
            self.state = rest(padded(head.size), Fate::Dropped);
            return Ok(());
        }
        self.put(&raw)?;
        let file = self.entries.len();
        let size = head.size;
        self.entries.push(Entry::of(head));
        if size == 0 {
            self.state = State::Header(0);
            return Ok(());
        }
        self.state = State::Content(Box::new(Content {
            left: size,
            padding: padded(size) - size,
            file,
            chunk_left: 0,
            chunk: DigestHasher::new(),
            whole: (size > CHUNK as u64).then(DigestHasher::new),
        }));
        Ok(())
    }

    fn take_content(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let State::Content(content) = &mut self.state else {
            return Ok(0);
        };
        if content.chunk_left == 0 {
            self.blocks.cut()?;
            content.begin_chunk(&mut self.entries, self.blocks.n_blocks());
        }
        let n = bytes.len().min(content.chunk_left);
        let bytes = &bytes[..n];
        content.take(bytes, &mut self.entries);
        let (left, padding) = (content.left, content.padding);
        self.put(bytes)?;
        if left == 0 {
            self.state = rest(padding, Fate::Kept);
        }
        Ok(n)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.blocks.write_all(bytes)
    }
}

impl Content {
    fn begin_chunk(&mut self, entries: &mut Vec<Entry>, block: usize) {
        let size = self
            .left
            .min(CHUNK as u64)
            .try_into()
            .expect("a chunk is small");
        self.chunk_left = size;
        let is_last = self.left == size as u64;
        let first = &entries[self.file];
        let offset = first.size - self.left;
        if offset > 0 {
            entries.push(first.chunk(offset));
        }
        let entry = entries.last_mut().expect("the file itself is there");
        entry.block = Some(block);
        entry.chunk_size = if is_last { 0 } else { size as u64 };
    }

    /// Hashes bytes of the chunk and notes the digests when chunk and file end.
    fn take(&mut self, bytes: &[u8], entries: &mut [Entry]) {
        self.chunk.update(bytes);
        if let Some(whole) = &mut self.whole {
            whole.update(bytes);
        }
        self.left -= bytes.len() as u64;
        self.chunk_left -= bytes.len();
        if self.chunk_left > 0 {
            return;
        }
        let chunk = std::mem::take(&mut self.chunk).finish();
        if let Some(entry) = entries.last_mut() {
            entry.chunk_digest = Some(chunk);
        }
        if self.left == 0 {
            let whole = self.whole.take().map_or(chunk, DigestHasher::finish);
            entries[self.file].digest = Some(whole);
        }
    }
}

impl<W: Write> Write for StargzWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begin()?;
        self.take_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What comes after a file, if anything.
fn rest(size: u64, fate: Fate) -> State {
    match size {
        0 => State::Header(0),
        size => State::Rest(size, fate),
    }
}

fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64)
}

/// A tar with one small file, without its end.
fn tar_of(name: &str, content: &[u8]) -> io::Result<TarWriter<Vec<u8>>> {
    let mut tar = TarWriter::new(Vec::new());
    let member = Member {
        path: name.as_bytes(),
        kind: MemberKind::File(content.len() as u64),
        mode: 0o444,
        uid: 0,
        gid: 0,
        mtime: Timestamp::from_secs(0),
        xattrs: &NO_XATTRS,
    };
    tar.file(&member, content)?;
    Ok(tar)
}
