//! Reading and writing at the same time.

use std::io::{self, Read, Write};
use std::sync::mpsc;
use std::thread;

/// Bytes that are read at a time.
const PIECE: usize = 512 << 10;
/// Pieces that are read ahead, which bounds memory.
const N_AHEAD: usize = 4;

/// Copies everything and gives the number of bytes; a thread reads ahead while this one writes.
///
/// What fits into one piece is copied without a thread. The reader's error comes after all bytes
/// that it gave before have been written.
pub(crate) fn pipe(reader: &mut (dyn Read + Send), writer: &mut dyn Write) -> io::Result<u64> {
    let mut first = vec![0; PIECE];
    let n = fill(reader, &mut first)?;
    writer.write_all(&first[..n])?;
    if n < PIECE {
        return Ok(n as u64);
    }
    thread::scope(|scope| {
        let (full, filled) = mpsc::sync_channel(N_AHEAD);
        let (empty, emptied) = mpsc::channel();
        thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn_scoped(scope, move || read_ahead(reader, &full, &emptied))?;
        let mut total = n as u64;
        for piece in filled {
            let piece: Vec<u8> = piece?;
            writer.write_all(&piece)?;
            total += piece.len() as u64;
            // The reader may have come to its end and need no more.
            drop(empty.send(piece));
        }
        Ok(total)
    })
}

/// Reads to the end, or until nobody wants more.
fn read_ahead(
    reader: &mut (dyn Read + Send),
    full: &mpsc::SyncSender<io::Result<Vec<u8>>>,
    emptied: &mpsc::Receiver<Vec<u8>>,
) {
    loop {
        let mut piece = emptied.try_recv().unwrap_or_default();
        piece.resize(PIECE, 0);
        let read = fill(reader, &mut piece);
        let goes_on = matches!(read, Ok(PIECE));
        let read = read.map(|n| {
            piece.truncate(n);
            piece
        });
        if full.send(read).is_err() || !goes_on {
            return;
        }
    }
}

/// Reads until the buffer is full or the input ends.
fn fill(reader: &mut (dyn Read + Send), buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match reader.read(&mut buffer[n..]) {
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
    use crate::testing::sample;

    #[test]
    fn all_sizes_arrive() {
        let bytes = sample(PIECE * (N_AHEAD + 3) + 1);
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, PIECE * 2, bytes.len()] {
            let mut out = Vec::new();
            let n = pipe(&mut &bytes[..size], &mut out).unwrap();
            assert_eq!(n, size as u64);
            assert!(out == bytes[..size], "{size} bytes");
        }
    }

    #[test]
    fn errors_of_both_sides_arrive() {
        struct Broken(usize);
        impl Read for Broken {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = buffer.len().min(self.0);
                self.0 -= n;
                if n == 0 {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Ok(n)
            }
        }
        for size in [0, PIECE, PIECE * 9] {
            let error = pipe(&mut Broken(size), &mut io::sink()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{size}");
        }
        // An endless reader ends with its writer.
        let mut small = vec![0; PIECE * 2];
        let error = pipe(&mut io::repeat(1), &mut small.as_mut_slice()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
