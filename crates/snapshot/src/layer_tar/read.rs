//! Reading a tar, strictly: what readers of other programs disagree on is refused, not guessed.

use super::header::{
    DEV_MAJOR, DEV_MINOR, Field, GID, Header, LINK, MODE, MTIME, NAME, PREFIX, SIZE, UID,
};
use super::pax::{self, Records};
use super::sparse::{self, Form, Map, Next, SparseHeaders};
use super::{BLOCK, padding};
use crate::entry::Xattrs;
use crate::error::BadLayer;
use crate::xattrs;
use acetate_oci::Timestamp;
use std::io::{self, Read};

/// As much as Go's reader takes for the long names and records of one entry.
const MAX_EXTENSION: u64 = 1 << 20;

/// What a tar may hold beside plain entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TarRules {
    /// A layer is made by a program, for programs, and has a digest: nothing is let pass that
    /// another program may read in another way.
    Layer,
    /// An archive comes from whatever a user has: sparse files are read, global headers that
    /// do not change what an entry is are skipped, sizes of what has no content do not count, and
    /// what follows the end is nobody's business.
    Archive,
}

/// One entry as it stands in the tar, with the extensions before it applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TarEntry {
    /// The raw name, not yet checked.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: TarKind,
    /// The permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it was changed last.
    pub mtime: Timestamp,
    /// Only those that a layer keeps.
    pub xattrs: Xattrs,
}

/// What an entry is; link targets are raw, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TarKind {
    /// A regular file.
    File {
        /// Its length, holes included.
        size: u64,
    },
    /// A directory.
    Dir,
    /// A symbolic link and where it points.
    Symlink(Vec<u8>),
    /// Another name of an earlier entry.
    Hardlink(Vec<u8>),
    /// A character device.
    CharDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// Reads entry after entry; the content of a file is read through [`Read`] before the next one.
#[derive(Debug)]
pub struct TarReader<R> {
    input: R,
    rules: TarRules,
    /// What is left of the current content as it is stored, and the padding behind it.
    left: u64,
    pad: usize,
    /// Where the holes of the current content are.
    sparse: Option<Map>,
}

/// The extensions that stand before one entry.
#[derive(Default)]
struct Extensions {
    pax: Option<Records>,
    sparse: SparseHeaders,
    gnu_name: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    /// Reads from the beginning of a tar.
    pub fn new(input: R, rules: TarRules) -> Self {
        Self {
            input,
            rules,
            left: 0,
            pad: 0,
            sparse: None,
        }
    }

    /// Skips what is left of the current entry and returns the next one, `None` at the end.
    ///
    /// The end of a layer is checked: nothing but zeros may follow it. The input is then read to
    /// its end.
    pub fn next_entry(&mut self) -> Result<Option<TarEntry>, BadLayer> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.header()? else {
                if !extensions.is_empty() {
                    return Err(format("an extended header belongs to no entry"));
                }
                if self.rules == TarRules::Layer {
                    self.rest_is_zero()?;
                }
                return Ok(None);
            };
            match header.kind() {
                b'x' => extensions.put_pax(&self.extension(&header)?, self.rules)?,
                b'L' => put_once(
                    &mut extensions.gnu_name,
                    gnu_text(self.extension(&header)?)?,
                )?,
                b'K' => put_once(
                    &mut extensions.gnu_link,
                    gnu_text(self.extension(&header)?)?,
                )?,
                b'g' => check_global(&self.extension(&header)?, self.rules)?,
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// Skips the hole that comes next in a sparse file and returns its length; zero where bytes
    /// are stored. Who does not ask reads zeros.
    pub fn skip_hole(&mut self) -> u64 {
        let Some(map) = &mut self.sparse else {
            return 0;
        };
        match map.next() {
            Next::Hole(n) => {
                map.advance(n);
                n
            }
            _ => 0,
        }
    }

    /// Tells what an error of reading an entry's content says about the tar.
    pub fn error(&self, error: io::Error) -> BadLayer {
        if error.kind() == io::ErrorKind::UnexpectedEof && self.left > 0 {
            return format("it ends within an entry");
        }
        BadLayer::Unreadable(error)
    }

    /// Returns the input, where reading stopped.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn entry(&mut self, header: &Header, mut extensions: Extensions) -> Result<TarEntry, BadLayer> {
        let sparse = std::mem::take(&mut extensions.sparse);
        let mut fields = extensions.resolve(header, self.rules)?;
        fields.name = sparse.name.unwrap_or(fields.name);
        let name = fields.name.clone();
        let refuse = |reason: &str| entry_error(&name, reason);
        let mut kind = kind_of(header, &fields, self.rules).map_err(|reason| refuse(&reason))?;
        let form = match header.kind() {
            b'S' => sparse::old(header, &mut self.input).map_err(ended)?,
            _ => sparse.form,
        };
        self.left = 0;
        match (&mut kind, form) {
            (TarKind::File { size }, None) if header.kind() != b'S' => self.left = *size,
            (TarKind::File { size }, Some(form)) => {
                self.left = fields.size;
                let map = self.map(form)?;
                let map = map.ok_or_else(|| refuse("has an impossible map of holes"))?;
                *size = map.size();
                self.sparse = Some(map);
            }
            (_, None) if header.kind() != b'S' => {}
            _ => return Err(refuse("has an impossible map of holes")),
        }
        if fields.size != 0
            && self.rules == TarRules::Layer
            && !matches!(kind, TarKind::File { .. })
        {
            return Err(refuse("has content, but is no file"));
        }
        if matches!(kind, TarKind::File { .. }) {
            self.pad = padding(fields.size);
        }
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

    /// Finds the holes of the current entry, whose content has not been touched.
    fn map(&mut self, form: Form) -> Result<Option<Map>, BadLayer> {
        Ok(match form {
            Form::Listed(pieces, size) => Map::new(pieces, size, self.left),
            Form::InFront(size) => {
                let found = sparse::in_front(&mut self.input, self.left);
                let Some((pieces, taken)) = found.map_err(ended)? else {
                    return Ok(None);
                };
                self.left -= taken;
                Map::new(pieces, size, self.left)
            }
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
        (self.left, self.pad, self.sparse) = (0, 0, None);
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
        let next = self.sparse.as_ref().map(Map::next);
        let limit = match next {
            None => self.left,
            Some(Next::Data(n)) => n,
            Some(Next::End) => 0,
            Some(Next::Hole(n)) => {
                let n = usize::try_from(n).unwrap_or(usize::MAX).min(buffer.len());
                buffer[..n].fill(0);
                if let Some(map) = &mut self.sparse {
                    map.advance(n as u64);
                }
                return Ok(n);
            }
        };
        let n = (&mut self.input).take(limit).read(buffer)?;
        if n == 0 && limit > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        if let Some(map) = &mut self.sparse {
            map.advance(n as u64);
        }
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

    fn put_pax(&mut self, body: &[u8], rules: TarRules) -> Result<(), BadLayer> {
        let mut all = pax::decode_all(body).map_err(BadLayer::Format)?;
        if rules == TarRules::Archive {
            // An empty value takes a record back.
            all.retain(|(key, value)| !value.is_empty() || key.starts_with(pax::XATTR));
            self.sparse =
                sparse::take(&mut all).ok_or_else(|| format("an impossible map of holes"))?;
        }
        let records = pax::unique(all).map_err(BadLayer::Format)?;
        if records.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
            return Err(format("sparse files are not supported"));
        }
        put_once(&mut self.pax, records)
    }

    fn resolve(self, header: &Header, rules: TarRules) -> Result<Fields, BadLayer> {
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
            let id = number(pax, key, header, field).and_then(|id| u32::try_from(id).ok());
            // To the kernel the largest number means that nobody is meant.
            id.filter(|id| rules == TarRules::Layer || *id != u32::MAX)
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

fn kind_of(header: &Header, fields: &Fields, rules: TarRules) -> Result<TarKind, String> {
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
        b'S' if rules == TarRules::Archive => TarKind::File { size: fields.size },
        b'S' => return Err("is a sparse file, which is not supported".to_owned()),
        other => return Err(format!("has the unknown type `{}`", other.escape_ascii())),
    })
}

/// Archives of git begin with a global comment; anything else there would have to be applied to
/// every entry, which programs do differently. In an archive it only must not say what entries
/// are, since the most used reader skips it.
fn check_global(body: &[u8], rules: TarRules) -> Result<(), BadLayer> {
    let records = pax::decode(body).map_err(BadLayer::Format)?;
    let is_harmless = |key: &Vec<u8>| match rules {
        TarRules::Layer => key == b"comment",
        TarRules::Archive => {
            !matches!(key.as_slice(), b"path" | b"linkpath" | b"size")
                && !key.starts_with(b"GNU.sparse.")
        }
    };
    if records.keys().all(is_harmless) {
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

/// Tells what an error within an entry says about the tar.
fn ended(error: io::Error) -> BadLayer {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return format("it ends within an entry");
    }
    BadLayer::Unreadable(error)
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
