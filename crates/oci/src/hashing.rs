use crate::Digest;
use sha2::Digest as _;
use std::fmt;
use std::io::{self, Read, Write};

/// Hashes a stream of bytes into a [`Digest`] and counts them.
#[derive(Clone)]
#[expect(clippy::disallowed_types, reason = "this is the one place that hashes")]
pub struct DigestHasher {
    inner: sha2::Sha256,
    bytes: u64,
}

impl DigestHasher {
    /// Starts with no bytes.
    #[expect(clippy::disallowed_types, reason = "this is the one place that hashes")]
    pub fn new() -> Self {
        Self {
            inner: sha2::Sha256::new(),
            bytes: 0,
        }
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.inner.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// How many bytes were added so far.
    pub fn bytes_hashed(&self) -> u64 {
        self.bytes
    }

    /// The digest of all bytes added.
    pub fn finish(self) -> Digest {
        Digest::from_bytes(self.inner.finalize().into())
    }
}

impl Default for DigestHasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DigestHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestHasher")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Write for DigestHasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes what is read through it.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hasher: DigestHasher,
}

impl<R: Read> HashingReader<R> {
    /// Wraps `inner`.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: DigestHasher::new(),
        }
    }

    /// Gives back the reader, the digest of what was read and its length in bytes.
    pub fn finish(self) -> (R, Digest, u64) {
        let bytes = self.hasher.bytes_hashed();
        (self.inner, self.hasher.finish(), bytes)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

/// Hashes what is written through it.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hasher: DigestHasher,
}

impl<W: Write> HashingWriter<W> {
    /// Wraps `inner`.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hasher: DigestHasher::new(),
        }
    }

    /// Gives back the writer, the digest of what was written and its length in bytes.
    pub fn finish(self) -> (W, Digest, u64) {
        let bytes = self.hasher.bytes_hashed();
        (self.inner, self.hasher.finish(), bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_and_writer_see_what_passes() {
        let mut reader = HashingReader::new(&b"hello"[..]);
        let mut writer = HashingWriter::new(Vec::new());
        io::copy(&mut reader, &mut writer).unwrap();
        let (rest, read, n_read) = reader.finish();
        let (out, written, n_written) = writer.finish();
        assert_eq!((rest.len(), out.as_slice()), (0, &b"hello"[..]));
        assert_eq!((read, n_read), (Digest::of(b"hello"), 5));
        assert_eq!((written, n_written), (read, n_read));
    }
}
