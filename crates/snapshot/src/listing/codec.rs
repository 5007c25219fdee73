//! The canonical binary form of a [`Listing`], so that it can be stored beside its layer.
//!
//! `ACLS`, version, length of the body, digest of the body, body. Numbers are little-endian and of
//! fixed width, strings carry their length, and equal listings have equal bytes. Anything
//! unexpected is an error, and then the listing is made anew from its layer.

use super::{InvalidListing, Listing};
use crate::entry::{Entry, EntryKind, Xattrs, bytes_path, path_bytes};
use acetate_oci::{Digest, Timestamp};
use std::path::PathBuf;

const MAGIC: [u8; 4] = *b"ACLS";
const VERSION: u32 = 1;
const HEADER: usize = 4 + 4 + 8 + 32;

/// Bytes that are no listing of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another format or version.
    #[error("not a listing of version {VERSION}")]
    Version,
    /// Cut short, changed, or with something after the end.
    #[error("the stored listing is damaged")]
    Damaged,
    /// Well-formed, but the entries contradict each other.
    #[error("the stored listing is invalid: {0}")]
    Invalid(#[from] InvalidListing),
}

impl Listing {
    /// Returns the canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.entries.len() * 96);
        put_len(&mut body, self.entries.len());
        for entry in &self.entries {
            put_entry(&mut body, entry);
        }
        put_len(&mut body, self.inline.len());
        for (path, bytes) in &self.inline {
            put_bytes(&mut body, path_bytes(path));
            put_bytes(&mut body, bytes);
        }
        let mut out = Vec::with_capacity(HEADER + body.len());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(body.len() as u64).to_le_bytes());
        out.extend_from_slice(Digest::of(&body).as_bytes());
        out.extend_from_slice(&body);
        out
    }

    /// Reads what [`Listing::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or(DecodeError::Version)?;
        if header[..4] != MAGIC || header[4..8] != VERSION.to_le_bytes() {
            return Err(DecodeError::Version);
        }
        let whole = header[8..16] == (body.len() as u64).to_le_bytes();
        if !whole || header[16..] != *Digest::of(body).as_bytes() {
            return Err(DecodeError::Damaged);
        }
        let mut input = Input(body);
        let mut listing = read_body(&mut input).ok_or(DecodeError::Damaged)?;
        let inline = std::mem::take(&mut listing.inline);
        let mut listing = Self::new(listing.entries)?;
        listing.inline = inline;
        Ok(listing)
    }
}

fn read_body(input: &mut Input<'_>) -> Option<Listing> {
    let mut listing = Listing::default();
    let n_entries = input.len()?;
    listing.entries.reserve(n_entries.min(input.0.len() / 32));
    for _ in 0..n_entries {
        listing.entries.push(input.entry()?);
    }
    for _ in 0..input.len()? {
        let path = input.path()?;
        let bytes = input.bytes()?.to_vec();
        listing.inline.insert(path, bytes);
    }
    input.0.is_empty().then_some(listing)
}

fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&(len as u64).to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_bytes(out, entry.bytes());
    put_kind(out, &entry.kind);
    put_u32(out, entry.mode);
    put_u32(out, entry.uid);
    put_u32(out, entry.gid);
    out.extend_from_slice(&entry.mtime.secs.to_le_bytes());
    put_u32(out, entry.mtime.nanos);
    put_len(out, entry.xattrs.len());
    for (name, value) in &entry.xattrs {
        put_bytes(out, name);
        put_bytes(out, value);
    }
}

fn put_kind(out: &mut Vec<u8>, kind: &EntryKind) {
    match kind {
        EntryKind::File { size, digest } => {
            out.push(u8::from(digest.is_some()));
            out.extend_from_slice(&size.to_le_bytes());
            if let Some(digest) = digest {
                out.extend_from_slice(digest.as_bytes());
            }
        }
        EntryKind::Dir { opaque } => out.push(if *opaque { 3 } else { 2 }),
        EntryKind::Symlink(target) => {
            out.push(4);
            put_bytes(out, path_bytes(target));
        }
        EntryKind::Hardlink(target) => {
            out.push(5);
            put_bytes(out, path_bytes(target));
        }
        EntryKind::CharDevice { major, minor } => {
            out.push(6);
            put_u32(out, *major);
            put_u32(out, *minor);
        }
        EntryKind::BlockDevice { major, minor } => {
            out.push(7);
            put_u32(out, *major);
            put_u32(out, *minor);
        }
        EntryKind::Fifo => out.push(8),
        EntryKind::Whiteout => out.push(9),
    }
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn len(&mut self) -> Option<usize> {
        usize::try_from(u64::from_le_bytes(self.array()?)).ok()
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.len()?;
        self.take(len)
    }

    fn path(&mut self) -> Option<PathBuf> {
        self.bytes().map(|bytes| bytes_path(bytes).to_owned())
    }

    fn entry(&mut self) -> Option<Entry> {
        let path = self.path()?;
        let kind = self.kind()?;
        let (mode, uid, gid) = (self.u32()?, self.u32()?, self.u32()?);
        let secs = i64::from_le_bytes(self.array()?);
        let mtime = Timestamp::new(secs, self.u32()?);
        let mut xattrs = Xattrs::new();
        for _ in 0..self.len()? {
            let name = self.bytes()?.to_vec();
            xattrs.insert(name, self.bytes()?.to_vec());
        }
        Some(Entry {
            path,
            kind,
            mode,
            uid,
            gid,
            mtime,
            xattrs,
        })
    }

    fn kind(&mut self) -> Option<EntryKind> {
        let [tag] = self.array()?;
        Some(match tag {
            0 | 1 => EntryKind::File {
                size: u64::from_le_bytes(self.array()?),
                digest: match tag {
                    0 => None,
                    _ => Some(Digest::from_bytes(self.array()?)),
                },
            },
            2 | 3 => EntryKind::Dir { opaque: tag == 3 },
            4 => EntryKind::Symlink(self.path()?),
            5 => EntryKind::Hardlink(self.path()?),
            6 => EntryKind::CharDevice {
                major: self.u32()?,
                minor: self.u32()?,
            },
            7 => EntryKind::BlockDevice {
                major: self.u32()?,
                minor: self.u32()?,
            },
            8 => EntryKind::Fifo,
            9 => EntryKind::Whiteout,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_kind() -> Listing {
        let mut file = Entry::new(
            "a",
            EntryKind::File {
                size: 5,
                digest: Some(Digest::of(b"hello")),
            },
            0o4755,
        );
        file.xattrs
            .insert(b"user.x".to_vec(), b"\0\x01 value".to_vec());
        file.mtime = Timestamp::new(-5, 7);
        let kinds = [
            EntryKind::File {
                size: u64::MAX,
                digest: None,
            },
            EntryKind::Dir { opaque: true },
            EntryKind::Dir { opaque: false },
            EntryKind::Symlink("/x/../y".into()),
            EntryKind::Hardlink("a".into()),
            EntryKind::CharDevice { major: 1, minor: 3 },
            EntryKind::BlockDevice { major: 8, minor: 1 },
            EntryKind::Fifo,
            EntryKind::Whiteout,
        ];
        let mut entries = vec![file];
        for (at, kind) in kinds.into_iter().enumerate() {
            entries.push(Entry::new(format!("k{at}"), kind, 0o600));
        }
        let mut listing = Listing::new(entries).unwrap();
        listing.set_inline("etc/passwd".into(), b"root:x:0:0".to_vec());
        listing
    }

    #[test]
    fn round_trips_every_kind() {
        let listing = every_kind();
        assert_eq!(Listing::decode(&listing.encode()), Ok(listing));
        let empty = Listing::default();
        assert_eq!(Listing::decode(&empty.encode()), Ok(empty));
    }

    #[test]
    fn notices_every_changed_or_missing_byte() {
        let bytes = every_kind().encode();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            assert!(Listing::decode(&changed).is_err(), "byte {at}");
            assert!(Listing::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(Listing::decode(&longer), Err(DecodeError::Damaged));
    }
}
