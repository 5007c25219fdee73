use acetate_cache_api::log::{Frame, MAX_FRAME, Stream};
use std::collections::VecDeque;
use std::time::Instant;

/// What a piece costs besides its bytes.
pub(super) const PIECE: usize = 64;
/// Pieces of one stream that follow each other are put together up to this size.
const JOINED: usize = 16 << 10;

/// The newest bytes of a log.
#[derive(Debug, Default)]
pub(super) struct Text {
    pieces: VecDeque<Piece>,
    /// Where the bytes that are kept begin, and where the next byte will be.
    start: u64,
    pub(super) end: u64,
    pub(super) cost: usize,
    pub(super) ended: Option<Instant>,
}

#[derive(Debug)]
struct Piece {
    stream: Stream,
    bytes: Vec<u8>,
}

impl Text {
    /// Appends.
    pub(super) fn push(&mut self, stream: Stream, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        self.cost += bytes.len();
        let last = self.pieces.back_mut();
        let joined =
            last.filter(|last| last.stream == stream && last.bytes.len() + bytes.len() <= JOINED);
        if let Some(last) = joined {
            last.bytes.extend_from_slice(bytes);
        } else {
            self.cost += PIECE;
            let bytes = bytes.to_vec();
            self.pieces.push_back(Piece { stream, bytes });
        }
    }

    /// Forgets the oldest pieces until the others cost no more than this.
    pub(super) fn shrink(&mut self, most: usize) {
        while self.cost > most {
            let Some(piece) = self.pieces.pop_front() else {
                return;
            };
            self.cost -= piece.bytes.len() + PIECE;
            self.start += piece.bytes.len() as u64;
        }
    }

    /// Frames from an offset on, at most about one frame's worth of bytes.
    pub(super) fn frames(&self, at: u64) -> Vec<Frame> {
        let mut frames = Vec::new();
        if at < self.start {
            let n = self.start - at;
            frames.push(Frame::Dropped { at, n });
        }
        let (mut at, mut begin) = (at.max(self.start), self.start);
        let mut room = MAX_FRAME;
        for piece in &self.pieces {
            let end = begin + piece.bytes.len() as u64;
            let skipped = usize::try_from(at.saturating_sub(begin)).unwrap_or(usize::MAX);
            if let Some(rest) = piece.bytes.get(skipped..).filter(|rest| !rest.is_empty()) {
                let bytes = rest[..rest.len().min(room)].to_vec();
                room -= bytes.len();
                let stream = piece.stream;
                let next = at + bytes.len() as u64;
                frames.push(Frame::Bytes { stream, at, bytes });
                at = next;
            }
            if room == 0 {
                break;
            }
            begin = end;
        }
        frames
    }
}
