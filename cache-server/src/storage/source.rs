use acetate_oci::{Digest, DigestHasher};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::io;
use std::time::Duration;
use tokio_util::bytes::Bytes;

/// Content that arrives from elsewhere.
pub(crate) struct Fetched {
    /// How many bytes will come.
    pub(crate) size: u64,
    /// The bytes; what they are is not known before the last one.
    pub(crate) pieces: BoxStream<'static, io::Result<Bytes>>,
}

impl std::fmt::Debug for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetched")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A source that is silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);

impl Fetched {
    /// The next bytes; none at the end, which must not come early.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match tokio::time::timeout(SILENCE, self.pieces.next()).await {
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
            Ok(None) => Ok(None),
            Ok(Some(piece)) => piece.map(Some),
        }
    }

    /// At least so many bytes, unless the end comes before; none when there are no more.
    pub(super) async fn part(&mut self, least: usize) -> io::Result<Option<Vec<Bytes>>> {
        let (mut part, mut len) = (Vec::new(), 0);
        while len < least {
            let Some(bytes) = self.next().await? else {
                break;
            };
            len += bytes.len();
            part.push(bytes);
        }
        Ok((!part.is_empty()).then_some(part))
    }
}

/// Passes content on as it comes, without keeping it: the last bytes that are asked for are held
/// back until it is known that all were right, so that nobody takes wrong bytes for a whole object.
pub(super) struct Passing {
    fetched: Fetched,
    digest: Digest,
    hasher: DigestHasher,
    /// How many bytes have come.
    at: u64,
    wanted: (u64, u64),
    held: Bytes,
}

impl Passing {
    /// The bytes from one place to another.
    pub(super) fn new(fetched: Fetched, digest: Digest, wanted: (u64, u64)) -> Self {
        Self {
            fetched,
            digest,
            hasher: DigestHasher::new(),
            at: 0,
            wanted,
            held: Bytes::new(),
        }
    }

    /// The next bytes that may be seen.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(bytes) = self.fetched.next().await? else {
                return self.end();
            };
            self.hasher.update(&bytes);
            let next = cut(&bytes, self.at, self.wanted);
            self.at += bytes.len() as u64;
            if next.is_empty() {
                continue;
            }
            let before = std::mem::replace(&mut self.held, next);
            if !before.is_empty() {
                return Ok(Some(before));
            }
        }
    }

    fn end(&mut self) -> io::Result<Option<Bytes>> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(None);
        }
        let found = std::mem::take(&mut self.hasher).finish();
        if self.at != self.fetched.size || found != self.digest {
            let text = format!("content of `{}` has the digest `{found}`", self.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Some(held))
    }
}

/// The part of bytes that begin at a place which is within the wanted ones.
fn cut(bytes: &Bytes, at: u64, (start, end): (u64, u64)) -> Bytes {
    let len = bytes.len() as u64;
    let within = |place: u64| usize::try_from(place.clamp(at, at + len) - at).unwrap_or(0);
    bytes.slice(within(start)..within(end).max(within(start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(pieces: &[&'static [u8]], digest: Digest, wanted: (u64, u64)) -> Passing {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| Ok(Bytes::from_static(piece)))
            .collect();
        let size = 6;
        let pieces = futures_util::stream::iter(pieces).boxed();
        Passing::new(Fetched { size, pieces }, digest, wanted)
    }

    async fn all(mut passing: Passing) -> (Vec<u8>, bool) {
        let mut all = Vec::new();
        loop {
            match passing.next().await {
                Ok(Some(bytes)) => all.extend_from_slice(&bytes),
                Ok(None) => return (all, true),
                Err(_) => return (all, false),
            }
        }
    }

    #[tokio::test]
    async fn the_last_bytes_wait_for_the_digest() {
        let digest = Digest::of(b"abcdef");
        let pieces: &[&[u8]] = &[b"ab", b"cd", b"ef"];
        for (wanted, expected) in [
            ((0, 6), &b"abcdef"[..]),
            ((1, 3), b"bc"),
            ((4, 6), b"ef"),
            ((0, 1), b"a"),
        ] {
            let found = all(passing(pieces, digest, wanted)).await;
            assert_eq!(found, (expected.to_vec(), true));
        }
        for wrong in [&[&b"ab"[..], b"cd", b"eX"][..], &[b"ab", b"cd"]] {
            let (found, is_whole) = all(passing(wrong, digest, (0, 6))).await;
            assert!(!is_whole && found.len() < 6, "{found:?}");
            let (found, is_whole) = all(passing(wrong, digest, (0, 1))).await;
            assert!(!is_whole && found.is_empty());
        }
    }
}
