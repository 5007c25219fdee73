//! Decompression of whatever a user packed: any number of frames in a row, and garbage behind them.

use std::io::{self, BufRead, Read};

/// The bytes of compressed frames. What follows the last one is left alone, as the tools do.
pub(crate) struct Frames<B: BufRead>(Frame<B>);

enum Frame<B: BufRead> {
    Gzip(Box<flate2::bufread::GzDecoder<B>>),
    Bzip2(Box<bzip2::bufread::BzDecoder<B>>),
    Zstd(Box<zstd::Decoder<'static, B>>),
    /// This one knows by itself where its frames end.
    Xz(Box<lzma_rust2::XzReader<B>>),
    Plain(B),
    End,
}

/// As much as the largest preset needs, many times over.
const MAX_XZ_KIB: u32 = 1 << 20;

impl<B: BufRead> Frames<B> {
    /// Tells by the first bytes how they are compressed, if at all.
    pub(crate) fn new(mut input: B) -> io::Result<Self> {
        let head = input.fill_buf()?;
        if head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
            let reader = lzma_rust2::XzReader::new_mem_limit(input, true, MAX_XZ_KIB);
            return Ok(Self(Frame::Xz(Box::new(reader))));
        }
        Ok(Self(match Self::frame(input)? {
            Ok(frame) => frame,
            Err(input) => Frame::Plain(input),
        }))
    }

    /// Begins the frame that comes next, or gives the input back.
    fn frame(mut input: B) -> io::Result<Result<Frame<B>, B>> {
        let head = input.fill_buf()?;
        Ok(Ok(match head {
            [0x1f, 0x8b, 0x08, ..] => Frame::Gzip(Box::new(flate2::bufread::GzDecoder::new(input))),
            [b'B', b'Z', b'h', ..] => Frame::Bzip2(Box::new(bzip2::bufread::BzDecoder::new(input))),
            // The second is a frame to be skipped, of which there are sixteen kinds.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                let decoder = zstd::Decoder::with_buffer(input)?.single_frame();
                Frame::Zstd(Box::new(decoder))
            }
            _ => return Ok(Err(input)),
        }))
    }

    fn read_frame(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Frame::Gzip(decoder) => decoder.read(buffer),
            Frame::Bzip2(decoder) => decoder.read(buffer),
            Frame::Zstd(decoder) => decoder.read(buffer),
            Frame::Xz(decoder) => decoder.read(buffer),
            Frame::Plain(input) => input.read(buffer),
            Frame::End => Ok(0),
        }
    }
}

impl<B: BufRead> Read for Frames<B> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.read_frame(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            let input = match std::mem::replace(&mut self.0, Frame::End) {
                Frame::Gzip(decoder) => decoder.into_inner(),
                Frame::Bzip2(decoder) => decoder.into_inner(),
                Frame::Zstd(decoder) => decoder.finish(),
                Frame::Xz(_) | Frame::Plain(_) | Frame::End => return Ok(0),
            };
            match Self::frame(input)? {
                Ok(frame) => self.0 = frame,
                Err(_) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn bzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Frames::new(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn s55_frames_in_a_row_are_one_stream_and_garbage_behind_them_is_none() {
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let skip = b"\x52\x2a\x4d\x18\x03\x00\x00\x00abc".to_vec();
        for (frames, expected) in [
            (vec![gzip(b"one"), gzip(b""), gzip(b"two")], "onetwo"),
            (vec![bzip(b"one"), bzip(b"two")], "onetwo"),
            (vec![zstd(b"one"), skip.clone(), zstd(b"two")], "onetwo"),
            (vec![skip, zstd(b"two")], "two"),
            (vec![gzip(b"one"), b"garbage".to_vec()], "one"),
            (vec![gzip(b"one"), vec![0; 1000]], "one"),
            (vec![bzip(b"one"), vec![0; 1000]], "one"),
            (vec![zstd(b"one"), b"garbage".to_vec()], "one"),
            (vec![b"plain".to_vec()], "plain"),
            (vec![], ""),
        ] {
            let bytes = frames.concat();
            assert_eq!(read(&bytes).unwrap(), expected.as_bytes(), "{frames:?}");
        }
    }

    #[test]
    fn every_truncation_and_every_changed_checksum_is_an_error() {
        let zstd = zstd::encode_all(&b"one and one is two"[..], 1).unwrap();
        for frame in [gzip(b"one and one is two"), bzip(b"one and one"), zstd] {
            for end in 6..frame.len() {
                assert!(read(&frame[..end]).is_err(), "{end} of {frame:?}");
            }
        }
        let mut broken = gzip(b"one");
        let at = broken.len() - 8;
        broken[at] ^= 1;
        assert!(read(&broken).is_err());
    }
}
