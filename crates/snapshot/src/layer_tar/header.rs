//! One 512-byte header: the fields both directions need.

use super::BLOCK;

/// What a numeric field holds at most in octal: seven digits for ids, eleven for sizes and times.
pub(crate) const MAX_ID: u64 = 0o7_777_777;
pub(crate) const MAX_SIZE: u64 = 0o77_777_777_777;

#[derive(Clone, Copy)]
pub(crate) struct Field {
    at: usize,
    len: usize,
}

const fn field(at: usize, len: usize) -> Field {
    Field { at, len }
}

pub(crate) const NAME: Field = field(0, 100);
pub(crate) const MODE: Field = field(100, 8);
pub(crate) const UID: Field = field(108, 8);
pub(crate) const GID: Field = field(116, 8);
pub(crate) const SIZE: Field = field(124, 12);
pub(crate) const MTIME: Field = field(136, 12);
const CHECKSUM: Field = field(148, 8);
const TYPE: usize = 156;
pub(crate) const LINK: Field = field(157, 100);
pub(crate) const MAGIC: Field = field(257, 8);
pub(crate) const DEV_MAJOR: Field = field(329, 8);
pub(crate) const DEV_MINOR: Field = field(337, 8);
pub(crate) const PREFIX: Field = field(345, 155);

/// GNU's sparse files: up to four pairs of numbers, whether more blocks of them follow, and the
/// length of the whole.
pub(crate) const SPARSE: Field = field(386, 96);
pub(crate) const SPARSE_MORE: Field = field(482, 1);
pub(crate) const SPARSE_SIZE: Field = field(483, 12);

const USTAR: &[u8] = b"ustar\x0000";

#[derive(Clone)]
pub(crate) struct Header([u8; BLOCK]);

impl Header {
    /// Makes a header of the POSIX format with all numbers zero.
    pub(crate) fn new(kind: u8) -> Self {
        let mut header = Self([0; BLOCK]);
        header.0[TYPE] = kind;
        header.set_bytes(MAGIC, USTAR);
        for field in [MODE, UID, GID, SIZE, MTIME, DEV_MAJOR, DEV_MINOR] {
            header.set_number(field, 0);
        }
        header
    }

    pub(crate) fn read(bytes: &[u8; BLOCK]) -> Self {
        Self(*bytes)
    }

    /// Fills in the checksum and returns the bytes.
    pub(crate) fn finish(&mut self) -> &[u8; BLOCK] {
        let sum = format!("{:06o}\0 ", self.sum());
        self.set_bytes(CHECKSUM, sum.as_bytes());
        &self.0
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    pub(crate) fn kind(&self) -> u8 {
        self.0[TYPE]
    }

    pub(crate) fn has_prefix(&self) -> bool {
        // GNU tar keeps other things in the place of the prefix, and has another magic.
        self.bytes(MAGIC) == USTAR
    }

    pub(crate) fn checksum_matches(&self) -> bool {
        self.number(CHECKSUM) == Some(i64::from(self.sum()))
    }

    pub(crate) fn bytes(&self, field: Field) -> &[u8] {
        &self.0[field.at..field.at + field.len]
    }

    /// Returns a text field up to its first NUL byte.
    pub(crate) fn text(&self, field: Field) -> &[u8] {
        let bytes = self.bytes(field);
        let end = bytes.iter().position(|byte| *byte == 0);
        &bytes[..end.unwrap_or(bytes.len())]
    }

    /// Returns a number in octal, or in GNU's binary form.
    pub(crate) fn number(&self, field: Field) -> Option<i64> {
        number(self.bytes(field))
    }

    /// Stores as much of `bytes` as fits.
    pub(crate) fn set_bytes(&mut self, field: Field, bytes: &[u8]) {
        let len = bytes.len().min(field.len);
        self.0[field.at..field.at + len].copy_from_slice(&bytes[..len]);
    }

    /// Stores a number that the caller knows to fit.
    pub(crate) fn set_number(&mut self, field: Field, value: u64) {
        let text = format!("{value:0width$o}", width = field.len - 1);
        self.set_bytes(field, text.as_bytes());
    }

    /// Sums all bytes, with blanks in the place of the checksum.
    fn sum(&self) -> u32 {
        let blanks = CHECKSUM.at..CHECKSUM.at + CHECKSUM.len;
        let bytes = self.0.iter().enumerate();
        bytes
            .map(|(at, byte)| u32::from(if blanks.contains(&at) { b' ' } else { *byte }))
            .sum()
    }
}

/// Reads a number in octal, or in GNU's binary form.
pub(crate) fn number(bytes: &[u8]) -> Option<i64> {
    if bytes.first()? & 0x80 != 0 {
        return binary(bytes);
    }
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let digits = text.trim_ascii();
    if !digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
        return None;
    }
    let fold = |sum: i64, digit: &u8| sum * 8 + i64::from(digit - b'0');
    Some(digits.iter().fold(0, fold))
}

/// GNU's base-256 numbers: the top bit marks them, the next one is the sign.
fn binary(bytes: &[u8]) -> Option<i64> {
    let negative = bytes[0] & 0x40 != 0;
    let first = if negative { bytes[0] } else { bytes[0] & 0x7f };
    let mut value: i128 = if negative { -1 } else { 0 };
    for byte in std::iter::once(&first).chain(&bytes[1..]) {
        value = value << 8 | i128::from(*byte);
    }
    value.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_foreign_forms_are_read() {
        let mut header = Header::new(b'0');
        header.set_number(SIZE, MAX_SIZE);
        header.set_number(UID, MAX_ID);
        assert_eq!(header.number(SIZE), i64::try_from(MAX_SIZE).ok());
        assert_eq!(header.number(UID), i64::try_from(MAX_ID).ok());
        header.set_bytes(MODE, b"   644 \0");
        assert_eq!(header.number(MODE), Some(0o644));
        header.set_bytes(MODE, b"64x\0\0\0\0\0");
        assert_eq!(header.number(MODE), None);
        header.set_bytes(SIZE, &[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1]);
        assert_eq!(header.number(SIZE), Some((2 << 32) + 1));
        header.set_bytes(MTIME, &[0xff; 12]);
        assert_eq!(header.number(MTIME), Some(-1));
        header.set_bytes(SIZE, &[0xbf; 12]);
        assert_eq!(header.number(SIZE), None);
    }

    #[test]
    fn the_checksum_covers_every_byte() {
        let bytes = *Header::new(b'5').finish();
        assert!(Header::read(&bytes).checksum_matches());
        for at in [0, 100, 156, 300, 511] {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert!(!Header::read(&changed).checksum_matches(), "byte {at}");
        }
    }
}
