//! Sparse files in the forms that GNU tar writes: which parts of a file are stored.

use super::BLOCK;
use super::header::{self, Header, SPARSE, SPARSE_MORE, SPARSE_SIZE};
use super::pax::{self, Record, Records};
use std::collections::VecDeque;
use std::io::{self, Read};

/// More pieces than any real file has; each one costs memory before a byte of it is seen.
const MAX_PIECES: usize = 1 << 20;
/// The longest decimal number.
const MAX_DIGITS: usize = 20;

/// Where stored bytes belong, and how many they are.
pub(super) type Pieces = Vec<(u64, u64)>;

/// What the headers of an entry say about holes.
#[derive(Debug, Default)]
pub(super) struct SparseHeaders {
    pub(super) name: Option<Vec<u8>>,
    pub(super) form: Option<Form>,
}

/// How the map of a sparse file is given.
#[derive(Debug)]
pub(super) enum Form {
    /// In extended headers: the pieces, and the length of the whole.
    Listed(Pieces, u64),
    /// In front of the content; the length of the whole is known.
    InFront(u64),
}

/// The pieces of a file that are stored, in order, and the length of the whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Map {
    pieces: VecDeque<(u64, u64)>,
    size: u64,
    at: u64,
}

/// What comes next in a sparse file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// So many stored bytes.
    Data(u64),
    /// So many bytes that are zero and not stored.
    Hole(u64),
    End,
}

impl Map {
    /// Checks the pieces: in order, apart, inside the file, and together what is stored.
    pub(super) fn new(pieces: Pieces, size: u64, stored: u64) -> Option<Self> {
        let mut end = 0_u64;
        let mut sum = 0_u64;
        for (offset, len) in &pieces {
            if *offset < end {
                return None;
            }
            end = offset.checked_add(*len)?;
            sum = sum.checked_add(*len)?;
        }
        let pieces = pieces.into_iter().filter(|(_, len)| *len > 0).collect();
        (end <= size && sum == stored).then_some(Self {
            pieces,
            size,
            at: 0,
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn next(&self) -> Next {
        match self.pieces.front() {
            Some((offset, _)) if *offset > self.at => Next::Hole(offset - self.at),
            Some((offset, len)) => Next::Data(offset + len - self.at),
            None if self.at < self.size => Next::Hole(self.size - self.at),
            None => Next::End,
        }
    }

    /// Goes on by so many bytes, which are not more than come next.
    pub(super) fn advance(&mut self, n: u64) {
        self.at += n;
        if let Some((offset, len)) = self.pieces.front()
            && self.at >= offset + len
        {
            self.pieces.pop_front();
        }
    }
}

/// Reads what a header of GNU's own format says, and the blocks of numbers that follow it.
pub(super) fn old(header: &Header, input: &mut impl Read) -> io::Result<Option<Form>> {
    let mut pieces = Vec::new();
    let mut is_whole = pairs(header.bytes(SPARSE), &mut pieces).is_some();
    let mut more = header.bytes(SPARSE_MORE) != [0];
    while more && is_whole && pieces.len() <= MAX_PIECES {
        let mut block = [0; BLOCK];
        input.read_exact(&mut block)?;
        is_whole = pairs(&block[..21 * 24], &mut pieces).is_some();
        more = block[21 * 24] != 0;
    }
    let size = header.number(SPARSE_SIZE).and_then(|n| n.try_into().ok());
    let is_whole = is_whole && pieces.len() <= MAX_PIECES;
    Ok(size
        .filter(|_| is_whole)
        .map(|size| Form::Listed(pieces, size)))
}

/// Reads pairs of numbers up to the first empty one.
fn pairs(bytes: &[u8], pieces: &mut Pieces) -> Option<()> {
    for pair in bytes.chunks_exact(24) {
        if pair[0] == 0 {
            break;
        }
        let number = |bytes| header::number(bytes).and_then(|n| u64::try_from(n).ok());
        pieces.push((number(&pair[..12])?, number(&pair[12..])?));
    }
    Some(())
}

/// Takes the records of the three PAX forms out of a list; none when they make no sense.
pub(super) fn take(all: &mut Vec<Record>) -> Option<SparseHeaders> {
    let mut records = Records::new();
    let mut pieces = Vec::new();
    let mut offset = None;
    for (key, value) in all.extract_if(.., |(key, _)| key.starts_with(b"GNU.sparse.")) {
        match &key[b"GNU.sparse.".len()..] {
            b"offset" => offset = Some(pax::number(&value)?),
            b"numbytes" => pieces.push((offset.take()?, pax::number(&value)?)),
            _ if records.contains_key(&key) => return None,
            _ => drop(records.insert(key, value)),
        }
    }
    if records.is_empty() && pieces.is_empty() && offset.is_none() {
        return Some(SparseHeaders::default());
    }
    let text = |key: &str| records.get(format!("GNU.sparse.{key}").as_bytes());
    let size = text("realsize")
        .or(text("size"))
        .map(|size| pax::number(size));
    let form = match (text("major").map(Vec::as_slice), text("map")) {
        (Some(b"1"), None) if text("minor").is_some_and(|minor| minor == b"0") => {
            Form::InFront(size??)
        }
        (None | Some(b"0"), Some(map)) if pieces.is_empty() => Form::Listed(listed(map)?, size??),
        (None | Some(b"0"), None) => Form::Listed(pieces, size??),
        _ => return None,
    };
    Some(SparseHeaders {
        name: text("name").cloned(),
        form: Some(form),
    })
}

/// Reads `offset,length,offset,length`; a file of nothing but a hole has none.
fn listed(map: &[u8]) -> Option<Pieces> {
    if map.is_empty() {
        return Some(Vec::new());
    }
    let numbers: Option<Vec<u64>> = map.split(|b| *b == b',').map(pax::number).collect();
    let numbers = numbers?;
    let pairs = numbers.chunks_exact(2);
    let is_even = pairs.remainder().is_empty();
    is_even.then(|| pairs.map(|pair| (pair[0], pair[1])).collect())
}

/// Reads the map in front of the content: how many pieces, and their numbers, one a line, in whole
/// blocks. Returns the pieces and how many bytes they took, none when they make no sense.
pub(super) fn in_front(input: &mut impl Read, stored: u64) -> io::Result<Option<(Pieces, u64)>> {
    let mut lines = Lines {
        input,
        block: Vec::new(),
        n_read: 0,
        limit: stored,
    };
    let Some(n_pieces) = lines.number()? else {
        return Ok(None);
    };
    if n_pieces > MAX_PIECES as u64 {
        return Ok(None);
    }
    let mut pieces = Vec::new();
    for _ in 0..n_pieces {
        let (Some(offset), Some(len)) = (lines.number()?, lines.number()?) else {
            return Ok(None);
        };
        pieces.push((offset, len));
    }
    Ok(Some((pieces, lines.n_read)))
}

/// Reads numbers out of blocks.
struct Lines<'i, R> {
    input: &'i mut R,
    /// What is left of the block, last byte first.
    block: Vec<u8>,
    n_read: u64,
    limit: u64,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> io::Result<Option<u64>> {
        let mut digits = Vec::new();
        while digits.len() <= MAX_DIGITS {
            match self.byte()? {
                Some(b'\n') => return Ok(pax::number(&digits)),
                Some(digit) => digits.push(digit),
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        if self.block.is_empty() {
            self.n_read += BLOCK as u64;
            if self.n_read > self.limit {
                return Ok(None);
            }
            self.block.resize(BLOCK, 0);
            self.input.read_exact(&mut self.block)?;
            self.block.reverse();
        }
        Ok(self.block.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::Next::{Data, End, Hole};
    use super::*;

    #[test]
    fn maps_are_checked() {
        for (pieces, size, stored, ok) in [
            (vec![], 0, 0, true),
            (vec![], 10, 0, true),
            (vec![(0, 5), (5, 5)], 10, 10, true),
            (vec![(0, 5), (4, 5)], 10, 10, false),
            (vec![(5, 1), (0, 1)], 10, 2, false),
            (vec![(0, 11)], 10, 11, false),
            (vec![(0, 5)], 10, 4, false),
            (vec![(u64::MAX, 1)], u64::MAX, 1, false),
            (vec![(10, 0)], 10, 0, true),
        ] {
            let shown = format!("{pieces:?} {size} {stored}");
            assert_eq!(Map::new(pieces, size, stored).is_some(), ok, "{shown}");
        }
    }

    #[test]
    fn a_map_is_walked_piece_by_piece() {
        let mut map = Map::new(vec![(2, 3), (5, 1), (8, 1)], 12, 5).unwrap();
        let mut seen = Vec::new();
        loop {
            let next = map.next();
            seen.push(next);
            match next {
                Data(n) | Hole(n) => map.advance(n),
                End => break,
            }
        }
        let expected = [Hole(2), Data(3), Data(1), Hole(2), Data(1), Hole(3), End];
        assert_eq!(seen, expected);
    }

    #[test]
    fn records_that_make_no_sense_are_none() {
        let all = |records: &[(&str, &str)]| {
            let mut list: Vec<_> = records
                .iter()
                .map(|(key, value)| {
                    let key = format!("GNU.sparse.{key}").into_bytes();
                    (key, value.as_bytes().to_vec())
                })
                .collect();
            take(&mut list).map(|found| found.form.is_some())
        };
        assert_eq!(all(&[]), Some(false));
        assert_eq!(all(&[("size", "9"), ("map", "0,1,5,1")]), Some(true));
        assert_eq!(
            all(&[("size", "9"), ("offset", "0"), ("numbytes", "1")]),
            Some(true)
        );
        assert_eq!(
            all(&[("major", "1"), ("minor", "0"), ("realsize", "9")]),
            Some(true)
        );
        for broken in [
            &[("map", "0,1")][..],
            &[("size", "9"), ("map", "0,1,5")],
            &[("size", "9"), ("numbytes", "1")],
            &[("size", "9"), ("size", "8")],
            &[("major", "1"), ("minor", "1"), ("realsize", "9")],
            &[("major", "2"), ("minor", "0"), ("realsize", "9")],
            &[("size", "9"), ("map", "0,x")],
        ] {
            assert_eq!(all(broken), None, "{broken:?}");
        }
    }
}
