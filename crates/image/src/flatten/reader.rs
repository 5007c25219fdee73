//! Reads the headers of a tar, strictly: what readers disagree on is refused, not guessed.
//!
//! The tar crate's entries are not used, since it splits PAX records at line feeds, which values
//! such as file capabilities may hold.

use std::collections::BTreeMap;
use std::io::{self, Read};

use acetate_oci::Timestamp;
use tar::{EntryType, Header};

use crate::tarball::parse_pax_time;

const BLOCK: u64 = 512;
/// The largest extension of one entry, in bytes.
const EXTENSION_LIMIT: u64 = 1 << 20;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// One entry with its extensions applied.
#[derive(Debug)]
pub(crate) struct RawEntry {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: EntryType,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: Timestamp,
    /// All extended attributes of the entry.
    pub(crate) xattrs: Records,
    /// Major and minor number, 0 where there are none.
    pub(crate) device: (u32, u32),
    /// Where the content starts in the tar.
    pub(crate) offset: u64,
    /// How long it is; 0 for everything but files.
    pub(crate) size: u64,
}

/// Reads entry after entry, skipping contents.
pub(crate) struct TarReader<R> {
    input: R,
    offset: u64,
    /// Where the next header starts.
    next: u64,
}

#[derive(Default)]
struct Extensions {
    pax: Option<Records>,
    gnu_path: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            offset: 0,
            next: 0,
        }
    }

    /// The next entry; `None` at the end, behind which only zeros may stand.
    pub(crate) fn next_entry(&mut self) -> io::Result<Option<RawEntry>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_to_next()?;
            let Some(header) = self.header()? else {
                if extensions.is_empty() {
                    return self.check_end().map(|()| None);
                }
                return Err(bad("an extension belongs to no entry"));
            };
            match header.entry_type() {
                EntryType::XHeader => {
                    let records = records(&self.extension(&header)?)?;
                    put_once(&mut extensions.pax, records)?;
                }
                EntryType::XGlobalHeader => {
                    let records = records(&self.extension(&header)?)?;
                    // A comment says nothing; anything else would change every entry.
                    if records.keys().any(|key| key != b"comment") {
                        return Err(bad("a global extension is not supported"));
                    }
                }
                EntryType::GNULongName => {
                    put_once(&mut extensions.gnu_path, text(self.extension(&header)?))?;
                }
                EntryType::GNULongLink => {
                    put_once(&mut extensions.gnu_link, text(self.extension(&header)?))?;
                }
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> io::Result<RawEntry> {
        let has_gnu = extensions.gnu_path.is_some() || extensions.gnu_link.is_some();
        if extensions.pax.is_some() && has_gnu {
            return Err(bad("an entry has PAX and GNU extensions"));
        }
        let mut pax = extensions.pax.unwrap_or_default();
        let plain_link = || header.link_name_bytes().unwrap_or_default().into_owned();
        let path = pax.remove(b"path".as_slice()).or(extensions.gnu_path);
        let link = pax.remove(b"linkpath".as_slice()).or(extensions.gnu_link);
        let mtime = match pax.remove(b"mtime".as_slice()) {
            Some(text) => std::str::from_utf8(&text).ok().and_then(parse_pax_time),
            None => i64::try_from(header.mtime()?)
                .ok()
                .map(Timestamp::from_secs),
        };
        let mut kind = header.entry_type();
        let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
        // Before POSIX, a slash at the end told directories.
        if kind == EntryType::Regular && path.ends_with(b"/") && header.as_ustar().is_none() {
            kind = EntryType::Directory;
        }
        let size = number(&mut pax, b"size", || header.entry_size())?;
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
        if !is_file && size != 0 {
            return Err(bad("an entry has content, but is no file"));
        }
        if pax.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
            return Err(bad("sparse files are not supported"));
        }
        let entry = RawEntry {
            path,
            link: link.unwrap_or_else(plain_link),
            kind,
            mode: header.mode()? & 0o7777,
            uid: number(&mut pax, b"uid", || header.uid())?,
            gid: number(&mut pax, b"gid", || header.gid())?,
            mtime: mtime.ok_or_else(|| bad("an entry has an impossible time"))?,
            device: devices(header, kind)?,
            offset: self.offset,
            size,
            xattrs: xattrs(pax),
        };
        self.next = size
            .checked_next_multiple_of(BLOCK)
            .and_then(|length| self.offset.checked_add(length))
            .ok_or_else(|| bad("an entry has an impossible size"))?;
        Ok(entry)
    }

    /// Reads a header; `None` where the end is marked.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let first = self.input.read(&mut header.as_mut_bytes()[..])?;
        if first == 0 {
            return Ok(None);
        }
        self.input.read_exact(&mut header.as_mut_bytes()[first..])?;
        self.offset += BLOCK;
        self.next = self.offset;
        let bytes = header.as_bytes();
        if bytes.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let sum: u32 = bytes[..148]
            .iter()
            .chain(&bytes[156..])
            .map(|b| u32::from(*b))
            .sum();
        if header.cksum()? != sum + 8 * 32 {
            return Err(bad("a header's checksum does not match"));
        }
        Ok(Some(header))
    }

    fn extension(&mut self, header: &Header) -> io::Result<Vec<u8>> {
        let size = header.entry_size()?;
        if size > EXTENSION_LIMIT {
            return Err(bad("an extension is too large"));
        }
        let mut body = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        self.input.read_exact(&mut body)?;
        self.offset += size;
        self.next = self.offset.next_multiple_of(BLOCK);
        Ok(body)
    }

    fn skip_to_next(&mut self) -> io::Result<()> {
        let length = self.next - self.offset;
        let skipped = io::copy(&mut (&mut self.input).take(length), &mut io::sink())?;
        self.offset += skipped;
        if skipped < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn check_end(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            match self.input.read(&mut buffer)? {
                0 => return Ok(()),
                n if buffer[..n].iter().any(|b| *b != 0) => {
                    return Err(bad("something follows the end of the archive"));
                }
                _ => {}
            }
        }
    }
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.gnu_path.is_none() && self.gnu_link.is_none()
    }
}

fn devices(header: &Header, kind: EntryType) -> io::Result<(u32, u32)> {
    if !matches!(kind, EntryType::Char | EntryType::Block) {
        return Ok((0, 0));
    }
    let missing = || bad("a device has no numbers");
    let major = header.device_major()?.ok_or_else(missing)?;
    Ok((major, header.device_minor()?.ok_or_else(missing)?))
}

fn number(
    pax: &mut Records,
    key: &[u8],
    plain: impl FnOnce() -> io::Result<u64>,
) -> io::Result<u64> {
    let Some(digits) = pax.remove(key) else {
        return plain();
    };
    let parsed = std::str::from_utf8(&digits)
        .ok()
        .filter(|text| !text.starts_with('+'));
    parsed
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| bad("a number is malformed"))
}

/// Those that a layer may hold: overlayfs' own are never content.
fn xattrs(pax: Records) -> Records {
    let named = pax
        .into_iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(b"SCHILY.xattr.")?.to_vec(), value)));
    let foreign = |name: &[u8]| name.starts_with(b"trusted.") || name.starts_with(b"user.overlay.");
    named.filter(|(name, _)| !foreign(name)).collect()
}

/// Splits `length key=value\n` by length; one key may come once.
fn records(mut body: &[u8]) -> io::Result<Records> {
    let mut found = Records::new();
    while !body.is_empty() {
        let (record, rest) = split_record(body).ok_or_else(|| bad("a PAX record is malformed"))?;
        let equals = record.iter().position(|b| *b == b'=');
        let equals = equals.ok_or_else(|| bad("a PAX record has no value"))?;
        let (key, value) = (record[..equals].to_vec(), record[equals + 1..].to_vec());
        if found.insert(key, value).is_some() {
            return Err(bad("a PAX record is repeated"));
        }
        body = rest;
    }
    Ok(found)
}

fn split_record(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = body.iter().take(20).position(|b| *b == b' ')?;
    let digits = std::str::from_utf8(&body[..blank]).ok()?;
    let length: usize = digits.parse().ok()?;
    let (record, rest) = body.split_at_checked(length)?;
    Some((record.get(blank + 1..)?.strip_suffix(b"\n")?, rest))
}

fn text(mut body: Vec<u8>) -> Vec<u8> {
    if body.last() == Some(&0) {
        body.pop();
    }
    body
}

fn put_once<T>(slot: &mut Option<T>, value: T) -> io::Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad("an entry has one extension twice")),
    }
}

fn bad(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
