//! The headers of a member of a tar, as far as the table tells of them.

use std::collections::BTreeMap;
use std::io;

use acetate_oci::Timestamp;
use tar::{EntryType, Header};

use crate::tarball::parse_pax_time;

/// Before the name of an extended attribute.
const XATTR: &str = "SCHILY.xattr.";

/// What a header announces.
pub(super) enum Next {
    /// The end of the tar.
    End,
    /// An extension with so many bytes.
    Extension(u64),
    /// A member.
    Member(Head),
}

/// A member of the tar.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) name: String,
    /// The word of the table.
    pub(super) kind: &'static str,
    /// Bytes that follow, for files only.
    pub(super) size: u64,
    pub(super) mtime: Timestamp,
    pub(super) link: String,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) device: (u32, u32),
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
}

impl Head {
    /// The name without what leads to the top.
    pub(super) fn clean_name(&self) -> &str {
        self.name.trim_start_matches("./").trim_start_matches('/')
    }
}

/// What stood before the header of a member and overrides it.
#[derive(Default)]
pub(super) struct Extensions {
    pax: BTreeMap<String, Vec<u8>>,
}

impl Extensions {
    /// Reads a header.
    pub(super) fn next(&self, block: &[u8]) -> io::Result<Next> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(Next::End);
        }
        let header = Header::from_byte_slice(block);
        check_sum(header)?;
        let kind = header.entry_type();
        let is_extension = kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
            || kind.is_gnu_longname()
            || kind.is_gnu_longlink();
        if is_extension {
            return Ok(Next::Extension(field(
                &header.as_old().size,
                header.entry_size(),
            )?));
        }
        Ok(Next::Member(self.head(header)?))
    }

    /// Takes an extension in.
    pub(super) fn add(&mut self, header: &[u8], body: &[u8]) -> io::Result<()> {
        let header = Header::from_byte_slice(header);
        let kind = header.entry_type();
        let size = field(&header.as_old().size, header.entry_size())?;
        let size = usize::try_from(size).map_err(io::Error::other)?;
        let body = body
            .get(..size)
            .ok_or_else(|| bad("an extension is too short"))?;
        if kind.is_pax_local_extensions() {
            self.pax.extend(records(body)?);
        } else if kind.is_gnu_longname() || kind.is_gnu_longlink() {
            let end = body.iter().position(|byte| *byte == 0);
            let key = if kind.is_gnu_longname() {
                "path"
            } else {
                "linkpath"
            };
            let text = body[..end.unwrap_or(body.len())].to_vec();
            self.pax.insert(key.to_owned(), text);
        }
        // Global records say nothing about one file; those of layers are comments.
        Ok(())
    }

    fn head(&self, header: &Header) -> io::Result<Head> {
        let is_sparse = self.pax.keys().any(|key| key.starts_with("GNU.sparse."));
        if is_sparse || header.entry_type().is_gnu_sparse() {
            return Err(unsupported(
                "it has sparse files, which estargz cannot hold",
            ));
        }
        let name = self.text("path", Some(header.path_bytes().into_owned()))?;
        let kind = kind_of(header.entry_type(), &name)?;
        let old = header.as_old();
        let mut head = Head {
            name,
            kind,
            size: 0,
            mtime: self.mtime(header)?,
            link: self.text("linkpath", header.link_name_bytes().map(Vec::from))?,
            mode: field(&old.mode, header.mode())? & 0o7777,
            uid: self.number("uid", || field(&old.uid, header.uid()))?,
            gid: self.number("gid", || field(&old.gid, header.gid()))?,
            device: (0, 0),
            xattrs: self.xattrs(),
        };
        match kind {
            // Others have no content, whatever they say.
            "reg" => head.size = self.number("size", || field(&old.size, header.entry_size()))?,
            "char" | "block" => head.device = devices(header)?,
            _ => {}
        }
        if !matches!(kind, "symlink" | "hardlink") {
            head.link.clear();
        }
        Ok(head)
    }

    fn text(&self, key: &str, plain: Option<Vec<u8>>) -> io::Result<String> {
        let bytes = self.pax.get(key).cloned().or(plain).unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| {
            unsupported("it has a name that is no UTF-8, which the table of an estargz cannot hold")
        })
    }

    fn number(&self, key: &str, plain: impl FnOnce() -> io::Result<u64>) -> io::Result<u64> {
        let Some(text) = self.pax.get(key) else {
            return plain();
        };
        let number = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok());
        number.ok_or_else(|| bad("a PAX record is no number"))
    }

    /// To the nearest second, since the table has no fractions.
    fn mtime(&self, header: &Header) -> io::Result<Timestamp> {
        let Some(text) = self.pax.get("mtime") else {
            let secs = field(&header.as_old().mtime, header.mtime())?;
            let secs = i64::try_from(secs).map_err(|_| bad("a time is too late"))?;
            return Ok(Timestamp::from_secs(secs));
        };
        let time = std::str::from_utf8(text).ok().and_then(parse_pax_time);
        let time = time.ok_or_else(|| bad("a PAX record is no time"))?;
        let up = i64::from(time.nanos >= 500_000_000);
        Ok(Timestamp::from_secs(time.secs.saturating_add(up)))
    }

    fn xattrs(&self) -> BTreeMap<String, Vec<u8>> {
        let xattrs = self.pax.iter().filter_map(|(key, value)| {
            let name = key.strip_prefix(XATTR)?;
            Some((name.to_owned(), value.clone()))
        });
        xattrs.collect()
    }
}

/// Refuses what is no header at all.
fn check_sum(header: &Header) -> io::Result<()> {
    let bytes = header.as_bytes();
    let place = 148..156;
    let counted = |(at, byte): (usize, &u8)| {
        // The sum itself counts as blanks.
        u32::from(if place.contains(&at) { b' ' } else { *byte })
    };
    let sum: u32 = bytes.iter().enumerate().map(counted).sum();
    if header.cksum().is_ok_and(|told| told == sum) {
        return Ok(());
    }
    Err(bad("the checksum of a header is wrong"))
}

/// A number of a header, where nothing means zero.
fn field<T: Default>(raw: &[u8], read: io::Result<T>) -> io::Result<T> {
    if raw.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(T::default());
    }
    read.map_err(|_| bad("a number of a header is none"))
}

/// The numbers of a device.
fn devices(header: &Header) -> io::Result<(u32, u32)> {
    // Both formats have them in the same place.
    let raw = header.as_bytes();
    let major = header.device_major().map(Option::unwrap_or_default);
    let minor = header.device_minor().map(Option::unwrap_or_default);
    Ok((field(&raw[329..337], major)?, field(&raw[337..345], minor)?))
}

fn kind_of(kind: EntryType, name: &str) -> io::Result<&'static str> {
    Ok(match kind {
        // Of the time before there was a type for directories.
        EntryType::Regular if name.ends_with('/') => "dir",
        EntryType::Regular | EntryType::Continuous => "reg",
        EntryType::Directory => "dir",
        EntryType::Symlink => "symlink",
        EntryType::Link => "hardlink",
        EntryType::Char => "char",
        EntryType::Block => "block",
        EntryType::Fifo => "fifo",
        _ => {
            return Err(unsupported(
                "it has a member of a kind that estargz does not know",
            ));
        }
    })
}

/// The records of a PAX header: `length key=value\n`, where values may hold anything.
fn records(mut body: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let (key, value, rest) = record(body).ok_or_else(|| bad("a PAX record is malformed"))?;
        records.push((key, value));
        body = rest;
    }
    Ok(records)
}

fn record(body: &[u8]) -> Option<(String, Vec<u8>, &[u8])> {
    let blank = body.iter().take(20).position(|byte| *byte == b' ')?;
    let len: usize = std::str::from_utf8(&body[..blank]).ok()?.parse().ok()?;
    let (record, rest) = body.split_at_checked(len)?;
    let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let key = String::from_utf8(record[..equals].to_vec()).ok()?;
    Some((key, record[equals + 1..].to_vec(), rest))
}

pub(super) fn bad(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn unsupported(reason: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!("{reason}; use `compression=gzip`"),
    )
}
