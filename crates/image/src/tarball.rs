//! Writes tars: ustar headers, PAX records for what does not fit, nothing that depends on time.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use acetate_oci::Timestamp;
use tar::{EntryType, Header};

use crate::pipe::pipe;

/// The largest number in eight and in twelve octal digits of a header.
const MAX_ID: u64 = 0o7_777_777;
const MAX_SIZE: u64 = 0o77_777_777_777;
const BLOCK: usize = 512;

/// One member of a tar.
#[derive(Clone, Debug)]
pub(crate) struct Member<'a> {
    /// The name; directories get their slash by themselves.
    pub(crate) path: &'a [u8],
    pub(crate) kind: MemberKind<'a>,
    /// Permission bits with set-id and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: Timestamp,
    pub(crate) xattrs: &'a BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What a member is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MemberKind<'a> {
    /// Followed by so many bytes.
    File(u64),
    Directory,
    Symlink(&'a [u8]),
    /// Another name of the member with this name.
    Hardlink(&'a [u8]),
    CharDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}

/// No extended attributes.
pub(crate) static NO_XATTRS: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();

/// A tar that is being written.
#[derive(Debug)]
pub(crate) struct TarWriter<W> {
    inner: W,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes a member without content.
    pub(crate) fn entry(&mut self, member: &Member<'_>) -> io::Result<()> {
        self.header(member)
    }

    /// Writes a file whose content must have exactly the size that its kind says.
    pub(crate) fn file(&mut self, member: &Member<'_>, content: impl Read) -> io::Result<()> {
        let MemberKind::File(size) = member.kind else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.header(member)?;
        let n = io::copy(&mut content.take(size), &mut self.inner)?;
        if n != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pad(size)
    }

    /// Writes a file as [`Self::file`] does, reading ahead on another thread.
    pub(crate) fn large(
        &mut self,
        member: &Member<'_>,
        content: &mut (dyn Read + Send),
    ) -> io::Result<()> {
        let MemberKind::File(size) = member.kind else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.header(member)?;
        if pipe(&mut content.take(size), &mut self.inner)? != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.pad(size)
    }

    /// Gives what was written, without the end of the archive.
    pub(crate) fn into_inner(self) -> W {
        self.inner
    }

    /// Writes the end of the archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.inner.write_all(&[0; 2 * BLOCK])?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK as u64).map_err(io::Error::other)?;
        if over == 0 {
            return Ok(());
        }
        self.inner.write_all(&[0; BLOCK][over..])
    }

    fn header(&mut self, member: &Member<'_>) -> io::Result<()> {
        let mut path = member.path.to_vec();
        if matches!(member.kind, MemberKind::Directory) {
            path.push(b'/');
        }
        let records = records(member, &path);
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            let name = path.rsplit(|b| *b == b'/').find(|part| !part.is_empty());
            copy(
                &mut header.as_old_mut().name,
                &[b"PaxHeaders/", name.unwrap_or(b"x")].concat(),
            );
            header.set_mode(0o644);
            header.set_size(records.len() as u64);
            header.set_cksum();
            self.inner.write_all(header.as_bytes())?;
            self.inner.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.inner.write_all(ustar(member, &path)?.as_bytes())
    }
}

fn ustar(member: &Member<'_>, path: &[u8]) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    copy(&mut header.as_old_mut().name, path);
    header.set_mode(member.mode & 0o7777);
    header.set_uid(if member.uid > MAX_ID { 0 } else { member.uid });
    header.set_gid(if member.gid > MAX_ID { 0 } else { member.gid });
    header.set_mtime(u64::try_from(member.mtime.secs).unwrap_or(0).min(MAX_SIZE));
    header.set_size(0);
    let mut device = |kind, major, minor| {
        header.set_entry_type(kind);
        header.set_device_major(major)?;
        header.set_device_minor(minor)
    };
    match member.kind {
        MemberKind::CharDevice(major, minor) => device(EntryType::Char, major, minor)?,
        MemberKind::BlockDevice(major, minor) => device(EntryType::Block, major, minor)?,
        MemberKind::File(size) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(if size > MAX_SIZE { 0 } else { size });
        }
        MemberKind::Directory => header.set_entry_type(EntryType::Directory),
        MemberKind::Fifo => header.set_entry_type(EntryType::Fifo),
        MemberKind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            copy(&mut header.as_old_mut().linkname, target);
        }
        MemberKind::Hardlink(target) => {
            header.set_entry_type(EntryType::Link);
            copy(&mut header.as_old_mut().linkname, target);
        }
    }
    header.set_cksum();
    Ok(header)
}

/// Copies what fits; longer texts also stand in a PAX record.
fn copy(field: &mut [u8], text: &[u8]) {
    let n = text.len().min(field.len());
    field[..n].copy_from_slice(&text[..n]);
}

/// The PAX records of a member, sorted by key.
fn records(member: &Member<'_>, path: &[u8]) -> Vec<u8> {
    let mut records: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut put = |key: &str, value: Vec<u8>| records.insert(key.into(), value);
    if path.len() > 100 {
        put("path", path.to_vec());
    }
    if let MemberKind::Symlink(target) | MemberKind::Hardlink(target) = member.kind
        && target.len() > 100
    {
        put("linkpath", target.to_vec());
    }
    for (key, id) in [("uid", member.uid), ("gid", member.gid)] {
        if id > MAX_ID {
            put(key, id.to_string().into());
        }
    }
    if let MemberKind::File(size) = member.kind
        && size > MAX_SIZE
    {
        put("size", size.to_string().into());
    }
    let in_range = u64::try_from(member.mtime.secs).is_ok_and(|secs| secs <= MAX_SIZE);
    if member.mtime.nanos != 0 || !in_range {
        put("mtime", pax_time(member.mtime).into());
    }
    for (name, value) in member.xattrs {
        records.insert([b"SCHILY.xattr.", name.as_slice()].concat(), value.clone());
    }
    records
        .iter()
        .flat_map(|(key, value)| record(key, value))
        .collect()
}

/// `length key=value\n`, where the length counts its own digits.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// Decimal seconds; times before 1970 count down from the second above.
fn pax_time(time: Timestamp) -> String {
    let (sign, secs, nanos) = match (time.secs, time.nanos) {
        (secs @ 0.., nanos) => ("", secs.unsigned_abs(), nanos),
        (secs, 0) => ("-", secs.unsigned_abs(), 0),
        (secs, nanos) => ("-", secs.unsigned_abs() - 1, 1_000_000_000 - nanos),
    };
    if nanos == 0 {
        return format!("{sign}{secs}");
    }
    format!(
        "{sign}{secs}.{}",
        format!("{nanos:09}").trim_end_matches('0')
    )
}

/// The inverse of [`pax_time`]; digits beyond nanoseconds are dropped.
pub(crate) fn parse_pax_time(text: &str) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !secs
        .bytes()
        .chain(fraction.bytes())
        .all(|b| b.is_ascii_digit())
    {
        return None;
    }
    let secs: i64 = secs.parse().ok()?;
    let nanos: u32 = format!("{:0<9}", fraction.get(..9).unwrap_or(fraction))
        .parse()
        .ok()?;
    Some(match (negative, nanos) {
        (false, nanos) => Timestamp::new(secs, nanos),
        (true, 0) => Timestamp::new(-secs, 0),
        (true, nanos) => Timestamp::new(-secs - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flatten::TarReader;

    #[test]
    fn times_round_trip() {
        for (secs, nanos, text) in [
            (0, 0, "0"),
            (5, 500_000_000, "5.5"),
            (-1, 0, "-1"),
            (-1, 750_000_000, "-0.25"),
            (-2, 1, "-1.999999999"),
            (1_700_000_000, 1, "1700000000.000000001"),
        ] {
            let time = Timestamp::new(secs, nanos);
            assert_eq!(pax_time(time), text);
            assert_eq!(parse_pax_time(text), Some(time), "{text}");
        }
        assert_eq!(
            parse_pax_time("1.1234567899"),
            Some(Timestamp::new(1, 123_456_789))
        );
        for bad in ["", "x", "1.x", "--1", "+1", "1e3"] {
            assert_eq!(parse_pax_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn record_lengths_count_themselves() {
        for n in [1, 80, 88, 89, 90, 91, 92, 980, 990, 995, 996] {
            let record = record(b"k", &vec![b'v'; n]);
            let text = String::from_utf8(record).unwrap();
            let (length, _) = text.split_once(' ').unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), text.len(), "{n}");
        }
    }

    #[test]
    fn what_does_not_fit_survives() {
        let long = vec![b'p'; 300];
        let xattrs = BTreeMap::from([(b"user.x".to_vec(), vec![0, 1, b'\n', 255])]);
        let member = Member {
            path: &long,
            kind: MemberKind::File(3),
            mode: 0o4755,
            uid: 3_000_000,
            gid: 5,
            mtime: Timestamp::new(7, 9),
            xattrs: &xattrs,
        };
        let mut writer = TarWriter::new(Vec::new());
        writer.file(&member, &b"abc"[..]).unwrap();
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len() % BLOCK, 0);
        let mut reader = TarReader::new(bytes.as_slice());
        let entry = reader.next_entry().unwrap().unwrap();
        assert_eq!(
            (entry.path, entry.mode, entry.size),
            (long.clone(), 0o4755, 3)
        );
        assert_eq!(
            (entry.uid, entry.gid, entry.mtime),
            (3_000_000, 5, Timestamp::new(7, 9))
        );
        assert_eq!(entry.xattrs, xattrs);
        let offset = usize::try_from(entry.offset).unwrap();
        assert_eq!(&bytes[offset..offset + 3], b"abc");
        assert!(reader.next_entry().unwrap().is_none());
    }

    #[test]
    fn sizes_must_be_true() {
        let member = Member {
            path: b"f",
            kind: MemberKind::File(4),
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: Timestamp::from_secs(0),
            xattrs: &NO_XATTRS,
        };
        assert!(
            TarWriter::new(Vec::new())
                .file(&member, &b"abc"[..])
                .is_err()
        );
    }
}
