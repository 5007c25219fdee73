//! Reading a layer, strictly: what readers of other programs disagree on is refused, not guessed.

use super::header::{
    DEV_MAJOR, DEV_MINOR, Field, GID, Header, LINK, MODE, MTIME, NAME, PREFIX, SIZE, UID,
};
use super::pax::{self, Records};
use super::{BLOCK, padding};
use crate::entry::Xattrs;
use crate::error::BadLayer;
use crate::xattrs;
use acetate_oci::Timestamp;
use std::io::{self, Read};

/// As much as Go's reader takes for the long names and records of one entry.
const MAX_EXTENSION: u64 = 1 << 20;

/// One entry as it stands in the tar, with the extensions before it applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TarEntry {
    /// The raw name, not yet checked.
    pub(crate) name: Vec<u8>,
    pub(crate) kind: TarKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timestamp,
    /// Only those that a layer keeps.
    pub(crate) xattrs: Xattrs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TarKind {
    File { size: u64 },
    Dir,
    Symlink(Vec<u8>),
    Hardlink(Vec<u8>),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

/// Reads entry after entry; the content of a file is read through [`Read`] before the next one.
#[derive(Debug)]
pub(crate) struct TarReader<R> {
    input: R,
    /// What is left of the current content, and the padding behind it.
    left: u64,
    pad: usize,
}

/// The extensions that stand before one entry.
#[derive(Default)]
struct Extensions {
    pax: Option<Records>,
    gnu_name: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(input: R) -> Self {
        Self {
            input,
            left: 0,
            pad: 0,
        }
    }

    /// Skips what is left of the current entry and returns the next one, `None` at the end.
    ///
    /// The end is checked: nothing but zeros may follow it. The input is then read to its end.
    pub(crate) fn next(&mut self) -> Result<Option<TarEntry>, BadLayer> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else {
                if !extensions.is_empty() {
                    return Err(format("an extended header belongs to no entry"));
                }
                self.rest_is_zero()?;
                return Ok(None);
            };
            match header.kind() {
                b'x' => extensions.put_pax(&self.extension(&header)?)?,
                b'L' => put_once(
                    &mut extensions.gnu_name,
                    gnu_text(self.extension(&header)?)?,
                )?,
                b'K' => put_once(
                    &mut extensions.gnu_link,
                    gnu_text(self.extension(&header)?)?,
                )?,
                b'g' => check_global(&self.extension(&header)?)?,
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// Tells what an error of reading an entry's content says about the layer.
    pub(crate) fn error(&self, error: io::Error) -> BadLayer {
        if error.kind() == io::ErrorKind::UnexpectedEof && self.left > 0 {
            return format("it ends within an entry");
        }
        BadLayer::Unreadable(error)
    }

    pub(crate) fn into_inner(self) -> R {
        self.input
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<TarEntry, BadLayer> {
        let fields = extensions.resolve(header)?;
        let name = fields.name.clone();
        let refuse = |reason: String| entry_error(&name, reason);
        let kind = kind_of(header, &fields).map_err(&refuse)?;
        let size = if let TarKind::File { size } = kind {
            size
        } else {
            0
        };
        if size != fields.size {
            return Err(refuse("has content, but is no file".to_owned()));
        }
        self.left = size;
        self.pad = padding(size);
        Ok(TarEntry {
            name: fields.name,
            kind,
            mode: fields.mode,
            uid: fields.uid,
            gid: fields.gid,
            mtime: fields.mtime,
            xattrs: fields.xattrs,
        })
    }

    fn header(&mut self) -> Result<Option<Header>, BadLayer> {
        let mut bytes = [0; BLOCK];
        let n = read_full(&mut self.input, &mut bytes)?;
        if n == 0 {
            return Ok(None);
        }
        if n < BLOCK {
            return Err(format("it ends within a header"));
        }
        let header = Header::read(&bytes);
        if header.is_zero() {
            return Ok(None);
        }
        if !header.checksum_matches() {
            return Err(format("a header's checksum does not match"));
        }
        Ok(Some(header))
    }

    /// Reads the body of an extension header, with its padding.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, BadLayer> {
        let size = header
            .number(SIZE)
            .and_then(|size| u64::try_from(size).ok());
        let size = size
            .filter(|size| *size <= MAX_EXTENSION)
            .ok_or_else(|| format("an extended header has an impossible size"))?;
        let mut body = vec![0; usize::try_from(size).unwrap_or_default() + padding(size)];
        if read_full(&mut self.input, &mut body)? < body.len() {
            return Err(format("it ends within an extended header"));
        }
        body.truncate(usize::try_from(size).unwrap_or_default());
        Ok(body)
    }

    fn skip_content(&mut self) -> Result<(), BadLayer> {
        let rest = self.left.saturating_add(self.pad as u64);
        let skipped = io::copy(&mut (&mut self.input).take(rest), &mut io::sink());
        if skipped.map_err(BadLayer::Unreadable)? < rest {
            return Err(format("it ends within an entry"));
        }
        (self.left, self.pad) = (0, 0);
        Ok(())
    }

    fn rest_is_zero(&mut self) -> Result<(), BadLayer> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let n = read_full(&mut self.input, &mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            if buffer[..n].iter().any(|byte| *byte != 0) {
                return Err(format("something follows its end"));
            }
        }
    }
}

/// Reads the content of the current entry.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = (&mut self.input).take(self.left).read(buffer)?;
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// Everything about an entry but its kind.
struct Fields {
    name: Vec<u8>,
    link: Vec<u8>,
    size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: Timestamp,
    xattrs: Xattrs,
}

impl Extensions {
    fn is_empty(&self) -> bool {
        self.pax.is_none() && self.gnu_name.is_none() && self.gnu_link.is_none()
    }

    fn put_pax(&mut self, body: &[u8]) -> Result<(), BadLayer> {
        let records = pax::decode(body).map_err(BadLayer::Format)?;
        if records.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
            return Err(format("sparse files are not supported"));
        }
        put_once(&mut self.pax, records)
    }

    fn resolve(self, header: &Header) -> Result<Fields, BadLayer> {
        if self.pax.is_some() && (self.gnu_name.is_some() || self.gnu_link.is_some()) {
            return Err(format("an entry has both PAX and GNU extensions"));
        }
        let mut pax = self.pax.unwrap_or_default();
        let mut text = |key: &[u8], gnu: Option<Vec<u8>>, plain: Vec<u8>| {
            let value = pax.remove(key).or(gnu).unwrap_or(plain);
            if value.contains(&0) {
                return Err(entry_error(&value, "has a NUL byte in a name".to_owned()));
            }
            Ok(value)
        };
        let name = text(b"path", self.gnu_name, plain_name(header))?;
        let link = text(b"linkpath", self.gnu_link, header.text(LINK).to_vec())?;
        let refuse = |what: &str| entry_error(&name, format!("has an impossible {what}"));
        let size = number(&mut pax, b"size", header, SIZE).ok_or_else(|| refuse("size"))?;
        let id = |pax: &mut Records, key: &[u8], field| {
            number(pax, key, header, field).and_then(|id| u32::try_from(id).ok())
        };
        let uid = id(&mut pax, b"uid", UID).ok_or_else(|| refuse("owner"))?;
        let gid = id(&mut pax, b"gid", GID).ok_or_else(|| refuse("group"))?;
        let mode = header
            .number(MODE)
            .and_then(|mode| u32::try_from(mode).ok());
        let mode = mode.ok_or_else(|| refuse("mode"))? & 0o7777;
        let mtime = mtime(&mut pax, header).ok_or_else(|| refuse("time"))?;
        Ok(Fields {
            xattrs: kept_xattrs(pax),
            name,
            link,
            size,
            mode,
            uid,
            gid,
            mtime,
        })
    }
}

fn plain_name(header: &Header) -> Vec<u8> {
    let name = header.text(NAME);
    let prefix = header.text(PREFIX);
    if !header.has_prefix() || prefix.is_empty() {
        return name.to_vec();
    }
    [prefix, b"/", name].concat()
}

fn number(pax: &mut Records, key: &[u8], header: &Header, field: Field) -> Option<u64> {
    match pax.remove(key) {
        Some(digits) => pax::number(&digits),
        None => header.number(field)?.try_into().ok(),
    }
}

fn mtime(pax: &mut Records, header: &Header) -> Option<Timestamp> {
    match pax.remove(b"mtime".as_slice()) {
        Some(text) => pax::parse_time(&text),
        None => header.number(MTIME).map(Timestamp::from_secs),
    }
}

/// Marks of overlayfs and of security modules in a tar are dropped, never applied.
fn kept_xattrs(pax: Records) -> Xattrs {
    let named = pax
        .into_iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(pax::XATTR)?.to_vec(), value)));
    let kept = named.filter(|(name, _)| xattrs::is_kept(name) && !name.contains(&0));
    kept.map(|(name, value)| {
        let value = xattrs::stored_value(&name, value);
        (name, value)
    })
    .collect()
}

fn kind_of(header: &Header, fields: &Fields) -> Result<TarKind, String> {
    let device = || {
        let part = |field| header.number(field).and_then(|n| u32::try_from(n).ok());
        let numbers = part(DEV_MAJOR).zip(part(DEV_MINOR));
        numbers.ok_or_else(|| "has an impossible device number".to_owned())
    };
    let link = || {
        if fields.link.is_empty() {
            return Err("is a link to nothing".to_owned());
        }
        Ok(fields.link.clone())
    };
    Ok(match header.kind() {
        // Before POSIX, a slash at the end told directories.
        b'\0' if fields.name.ends_with(b"/") => TarKind::Dir,
        b'0' | b'\0' | b'7' => TarKind::File { size: fields.size },
        b'1' => TarKind::Hardlink(link()?),
        b'2' => TarKind::Symlink(link()?),
        b'3' => match device()? {
            (0, 0) => return Err("is a whiteout of overlayfs, which no layer may hold".to_owned()),
            (major, minor) => TarKind::CharDevice { major, minor },
        },
        b'4' => device().map(|(major, minor)| TarKind::BlockDevice { major, minor })?,
        b'5' => TarKind::Dir,
        b'6' => TarKind::Fifo,
        b'S' => return Err("is a sparse file, which is not supported".to_owned()),
        other => return Err(format!("has the unknown type `{}`", other.escape_ascii())),
    })
}

/// Archives of git begin with a global comment; anything else there would have to be applied to
/// every entry, which programs do differently.
fn check_global(body: &[u8]) -> Result<(), BadLayer> {
    let records = pax::decode(body).map_err(BadLayer::Format)?;
    if records.keys().all(|key| key == b"comment") {
        return Ok(());
    }
    Err(format("it has a global PAX header"))
}

fn gnu_text(mut body: Vec<u8>) -> Result<Vec<u8>, BadLayer> {
    if body.last() == Some(&0) {
        body.pop();
    }
    if body.is_empty() {
        return Err(format("a long name is empty"));
    }
    Ok(body)
}

fn put_once<T>(slot: &mut Option<T>, value: T) -> Result<(), BadLayer> {
    if slot.replace(value).is_some() {
        return Err(format("an entry has the same extension twice"));
    }
    Ok(())
}

fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> Result<usize, BadLayer> {
    let mut n = 0;
    while n < buffer.len() {
        match input.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(BadLayer::Unreadable(error)),
        }
    }
    Ok(n)
}

fn format(text: &str) -> BadLayer {
    BadLayer::Format(text.to_owned())
}

/// Names an entry in an error, printable whatever its bytes are.
pub(crate) fn entry_error(name: &[u8], reason: impl Into<String>) -> BadLayer {
    BadLayer::Entry {
        path: String::from_utf8_lossy(name).escape_debug().to_string(),
        reason: reason.into(),
    }
}
