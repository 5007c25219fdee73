//! What a step says while it runs, for those who wait for its record.
//!
//! `POST /x/v1/{namespace}/logs/{key}?lease=LEASE&stream=1|2` appends the bytes of the body, which
//! only the holder of the lease may do. `GET .../logs/{key}?from=OFFSET` answers with frames until
//! the lease ends:
//!
//! ```text
//! 1 0 6\nhello\n     six bytes of standard output, the first one at offset 0
//! 2 6 4\noops        four bytes of standard error
//! 0 10 512\n         512 bytes from offset 10 on are not kept any more; none follow
//! 0 522 0\n          nothing new; a sign of life
//! . 522 0\n          the end: the lease is gone
//! ```
//!
//! A head is a line of three words: the stream, the offset of the first byte in the whole log, and how
//! many bytes there are. Offsets count the bytes of both streams together, in the order in which they
//! came.

use std::fmt;

/// The most bytes that one frame carries.
pub const MAX_FRAME: usize = 64 << 10;
/// The most bytes that are appended at a time.
pub const MAX_APPEND: usize = 256 << 10;
/// The longest head with its line feed: a letter, two numbers of 64 bits.
const MAX_HEAD: usize = 48;

/// Which of the two outputs of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// The digit that stands for it.
    pub fn digit(self) -> u8 {
        match self {
            Self::Out => 1,
            Self::Err => 2,
        }
    }

    /// The stream that a text stands for.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "1" => Some(Self::Out),
            "2" => Some(Self::Err),
            _ => None,
        }
    }
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of one stream.
    Bytes {
        /// Which one.
        stream: Stream,
        /// Where they are in the whole log.
        at: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Bytes that are not kept any more.
    Dropped {
        /// Where they were.
        at: u64,
        /// How many.
        n: u64,
    },
    /// Nothing happened.
    Alive {
        /// Where the next byte will be.
        at: u64,
    },
    /// There will be no more.
    End {
        /// How long the log became.
        at: u64,
    },
}

impl Frame {
    /// The offset behind it.
    pub fn next(&self) -> u64 {
        match self {
            Self::Bytes { at, bytes, .. } => at.saturating_add(bytes.len() as u64),
            Self::Dropped { at, n } => at.saturating_add(*n),
            Self::Alive { at } | Self::End { at } => *at,
        }
    }

    /// Appends the frame as it is sent.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (word, at, n, bytes) = match self {
            Self::Bytes { stream, at, bytes } => (
                char::from(b'0' + stream.digit()),
                at,
                bytes.len() as u64,
                &bytes[..],
            ),
            Self::Dropped { at, n } => ('0', at, *n, &[][..]),
            Self::Alive { at } => ('0', at, 0, &[][..]),
            Self::End { at } => ('.', at, 0, &[][..]),
        };
        out.extend_from_slice(format!("{word} {at} {n}\n").as_bytes());
        out.extend_from_slice(bytes);
    }
}

/// What comes is no log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is no log of a step")]
pub struct FrameError;

/// Takes frames out of bytes that come in pieces of any size.
#[derive(Default)]
pub struct FrameReader {
    left: Vec<u8>,
}

impl FrameReader {
    /// Takes the next bytes and gives the frames that are complete.
    ///
    /// # Errors
    /// When it is no log, or a frame is larger than any may be; what is kept is bounded by that.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        self.left.extend_from_slice(bytes);
        let (mut frames, mut used) = (Vec::new(), 0);
        while let Some((frame, len)) = parse(&self.left[used..])? {
            frames.push(frame);
            used += len;
        }
        self.left.drain(..used);
        Ok(frames)
    }
}

impl fmt::Debug for FrameReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_left = self.left.len();
        f.debug_struct("FrameReader")
            .field("n_left", &n_left)
            .finish()
    }
}

/// The first frame and how many bytes it takes; none when it is not complete.
fn parse(bytes: &[u8]) -> Result<Option<(Frame, usize)>, FrameError> {
    let head = &bytes[..bytes.len().min(MAX_HEAD)];
    let Some(end) = head.iter().position(|byte| *byte == b'\n') else {
        let is_too_long = bytes.len() >= MAX_HEAD;
        return if is_too_long {
            Err(FrameError)
        } else {
            Ok(None)
        };
    };
    let head = std::str::from_utf8(&head[..end]).map_err(|_| FrameError)?;
    let mut words = head.split(' ');
    let (Some(word), Some(at), Some(n), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(FrameError);
    };
    let at: u64 = at.parse().map_err(|_| FrameError)?;
    let n: u64 = n.parse().map_err(|_| FrameError)?;
    let frame = match (word, n) {
        (".", 0) => Frame::End { at },
        ("0", 0) => Frame::Alive { at },
        ("0", n) => Frame::Dropped { at, n },
        (stream, n) => {
            let stream = Stream::parse(stream).ok_or(FrameError)?;
            let n = usize::try_from(n).map_err(|_| FrameError)?;
            if n > MAX_FRAME {
                return Err(FrameError);
            }
            let Some(body) = bytes[end + 1..].get(..n) else {
                return Ok(None);
            };
            let bytes = body.to_vec();
            let len = end + 1 + n;
            return Ok(Some((Frame::Bytes { stream, at, bytes }, len)));
        }
    };
    Ok(Some((frame, end + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<Frame> {
        let bytes = |stream, at, bytes: &[u8]| Frame::Bytes {
            stream,
            at,
            bytes: bytes.to_vec(),
        };
        vec![
            bytes(Stream::Out, 0, b"hello\n"),
            bytes(Stream::Err, 6, b"\x00\xff1 2 3\n"),
            Frame::Dropped { at: 13, n: 512 },
            Frame::Alive { at: 525 },
            bytes(Stream::Out, 525, b""),
            Frame::End { at: u64::MAX },
        ]
    }

    #[test]
    fn frames_come_in_pieces_of_any_size() {
        let mut sent = Vec::new();
        for frame in frames() {
            frame.write(&mut sent);
        }
        assert!(sent.starts_with(b"1 0 6\nhello\n2 6 8\n"));
        for size in 1..sent.len() {
            let mut reader = FrameReader::default();
            let pieces = sent.chunks(size);
            let read: Vec<Frame> = pieces.flat_map(|p| reader.feed(p).unwrap()).collect();
            assert_eq!(read, frames(), "{size}");
            assert!(reader.left.is_empty());
        }
        let next: Vec<u64> = frames().iter().map(Frame::next).collect();
        assert_eq!(next, [6, 14, 525, 525, 525, u64::MAX]);
    }

    #[test]
    fn what_is_no_log_is_refused_before_it_fills_memory() {
        for text in [
            "<html>\n",
            "3 0 1\nx",
            "1 0\n",
            "1 0 0 0\n",
            "1 -1 1\n",
            "1 0 65537\n",
            ". 0 1\n",
            "1 0 99999999999999999999\n",
            "\n",
            "1  0 1\n",
        ] {
            let mut reader = FrameReader::default();
            assert_eq!(reader.feed(text.as_bytes()), Err(FrameError), "{text:?}");
        }
        let mut reader = FrameReader::default();
        assert_eq!(reader.feed(&[b'1'; MAX_HEAD - 1]), Ok(vec![]));
        assert_eq!(reader.feed(b"1"), Err(FrameError));
    }
}
