//! Unpacks archives that ADD finds by their content: tar, plain or in gzip, bzip2, xz or zstd.

use crate::selection::Item;
use crate::staging::{Attrs, Implied, Staging};
use crate::{Content, FilesError, NodeKind, Owner, Tree, resolve};
use acetate_oci::{Digest, HashingReader, Timestamp};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tar::EntryType;

/// An archive whose first bytes said what it is.
pub(crate) struct Archive {
    /// The tar, decompressed while it is read.
    tar: Box<dyn Read>,
    /// All that is read of the file itself, hashed.
    raw: Raw,
}

type Raw = Rc<RefCell<HashingReader<Content>>>;

/// How many bytes are looked at: a tar header and a little of any compression's frame.
const PEEK: usize = 512;

/// Tells by content whether a file is an archive; names do not matter (S55).
pub(crate) fn detect(path: &Path, content: Content) -> Result<Option<Archive>, FilesError> {
    let raw: Raw = Rc::new(RefCell::new(HashingReader::new(content)));
    let mut shared = Shared(Rc::clone(&raw));
    let head = peek(&mut shared).map_err(FilesError::io("read", path))?;
    let stream = Cursor::new(head.clone()).chain(shared);
    let Some(mut tar) = decompressor(&head, stream) else {
        return Ok(None);
    };
    // What cannot be decompressed or holds no tar is a file like any other.
    let Ok(first) = peek(&mut tar) else {
        return Ok(None);
    };
    if !is_tar(&first) {
        return Ok(None);
    }
    Ok(Some(Archive {
        tar: Box::new(Cursor::new(first).chain(tar)),
        raw,
    }))
}

/// Unpacks into the directory `place`; with `owner` every entry belongs to it (S57).
pub(crate) fn unpack(
    staging: &mut Staging<'_>,
    archive: Archive,
    place: &Path,
    owner: Option<&Owner>,
    item: &Item,
) -> Result<(), FilesError> {
    let path = &item.node.path;
    let broken = |error: io::Error| FilesError::Archive {
        path: path.clone(),
        reason: error.to_string(),
    };
    let mut tar = tar::Archive::new(archive.tar);
    let mut unpacker = Unpacker {
        staging,
        place,
        owner,
    };
    for entry in tar.entries().map_err(broken)? {
        let entry = entry.map_err(broken)?;
        unpacker.entry(entry, path)?;
    }
    verify(archive.raw, item, tar.into_inner())
}

/// The archive's own bytes must be those that the key was made from.
fn verify(raw: Raw, item: &Item, mut rest: Box<dyn Read>) -> Result<(), FilesError> {
    let path = &item.node.path;
    io::copy(&mut rest, &mut io::sink()).map_err(FilesError::io("read", path))?;
    io::copy(&mut Shared(Rc::clone(&raw)), &mut io::sink())
        .map_err(FilesError::io("read", path))?;
    drop(rest);
    let digest: Option<Digest> = Rc::try_unwrap(raw)
        .ok()
        .map(|reader| reader.into_inner().finish().1);
    match (digest, item.digest) {
        (Some(read), Some(pinned)) if read != pinned => {
            Err(FilesError::Changed { path: path.clone() })
        }
        _ => Ok(()),
    }
}

struct Shared(Raw);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

fn peek(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(PEEK);
    reader.by_ref().take(PEEK as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn decompressor(head: &[u8], stream: impl Read + 'static) -> Option<Box<dyn Read>> {
    Some(match head {
        [0x1f, 0x8b, 0x08, ..] => Box::new(flate2::read::MultiGzDecoder::new(stream)),
        [b'B', b'Z', b'h', ..] => Box::new(bzip2::read::MultiBzDecoder::new(stream)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(lzma_rust2::XzReader::new(stream, true)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::stream::read::Decoder::new(stream).ok()?),
        _ => Box::new(stream),
    })
}

/// A first header whose checksum is right.
fn is_tar(head: &[u8]) -> bool {
    let Ok(block) = <&[u8; 512]>::try_from(head) else {
        return false;
    };
    let header = tar::Header::from_byte_slice(block);
    let sum = block.iter().enumerate().map(|(n, byte)| {
        // The checksum counts itself as blanks.
        u32::from(if (148..156).contains(&n) { b' ' } else { *byte })
    });
    header
        .cksum()
        .is_ok_and(|written| written == sum.sum::<u32>())
        && block[0] != 0
}

struct Unpacker<'u, 's, 'b> {
    staging: &'s mut Staging<'b>,
    place: &'u Path,
    owner: Option<&'u Owner>,
}

impl Unpacker<'_, '_, '_> {
    fn entry<R: Read>(
        &mut self,
        mut entry: tar::Entry<'_, R>,
        archive: &Path,
    ) -> Result<(), FilesError> {
        let broken = |reason: String| FilesError::Archive {
            path: archive.to_owned(),
            reason,
        };
        let bad = |error: io::Error| broken(error.to_string());
        let name = entry.path().map_err(bad)?.into_owned();
        if name
            .components()
            .any(|c| c == std::path::Component::ParentDir)
        {
            return Err(broken(format!(
                "`{}` leads out of the archive",
                name.display()
            )));
        }
        let place = self.target(&name)?;
        let xattrs = xattrs(&mut entry).map_err(bad)?;
        let header = entry.header();
        let attrs = Attrs {
            mode: header.mode().map_err(bad)? & 0o7777,
            owner: self.owner_of(header).map_err(bad)?,
            mtime: time(&mut entry).map_err(bad)?,
            xattrs: &xattrs,
        };
        let header = entry.header().clone();
        match header.entry_type() {
            EntryType::Directory => self.directory(&place, &attrs),
            EntryType::Symlink => {
                let target = entry.link_name().map_err(bad)?;
                let target = target.ok_or_else(|| broken("a link without a target".to_owned()))?;
                self.staging.put_symlink(&place, &target, &attrs)
            }
            EntryType::Link => {
                let target = entry.link_name().map_err(bad)?;
                let target = target.ok_or_else(|| broken("a link without a target".to_owned()))?;
                let first = self.target(&resolve::clean(&target))?;
                self.staging.put_link(&place, &first)
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let device = |n: io::Result<Option<u32>>| n.map(Option::unwrap_or_default);
                let major = device(header.device_major()).map_err(bad)?;
                let minor = device(header.device_minor()).map_err(bad)?;
                let kind = match header.entry_type() {
                    EntryType::Char => NodeKind::CharDevice(major, minor),
                    EntryType::Block => NodeKind::BlockDevice(major, minor),
                    _ => NodeKind::Fifo,
                };
                self.staging.put_node(&place, &kind, &attrs)
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&mut entry, &place, &attrs, archive)
            }
            // Global headers carry comments of the archiver, such as a commit id.
            EntryType::XGlobalHeader => Ok(()),
            other => Err(broken(format!("an entry of unknown type {other:?}"))),
        }
    }

    /// Where an entry goes: links in its parents are followed inside the root, and missing parents
    /// are made.
    fn target(&mut self, name: &Path) -> Result<PathBuf, FilesError> {
        let clean = resolve::clean(name);
        let Some(file_name) = clean.file_name() else {
            return Ok(self.place.to_owned());
        };
        let parent = self.place.join(clean.parent().unwrap_or(Path::new("")));
        let parent = resolve::place(self.staging, &parent)?;
        let implied = Implied {
            mode: 0o755,
            owner: self.owner.cloned().unwrap_or_default(),
            mtime: self.staging.now(),
        };
        self.staging.make_dirs(&parent, &implied)?;
        Ok(parent.join(file_name))
    }

    fn directory(&mut self, place: &Path, attrs: &Attrs<'_>) -> Result<(), FilesError> {
        match self.staging.lookup(place)? {
            // A link to a directory stays, as with any untar that follows links in parents.
            Some(node) if matches!(node.kind, NodeKind::Symlink(_)) => {
                let behind = resolve::place(self.staging, place)?;
                self.staging.put_dir(&behind, attrs)
            }
            _ => self.staging.put_dir(place, attrs),
        }
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        place: &Path,
        attrs: &Attrs<'_>,
        archive: &Path,
    ) -> Result<(), FilesError> {
        self.staging
            .put_stream(place, entry, attrs)
            .map_err(|error| match error {
                FilesError::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => {
                    FilesError::Archive {
                        path: archive.to_owned(),
                        reason: source.to_string(),
                    }
                }
                error => error,
            })
    }

    fn owner_of(&self, header: &tar::Header) -> io::Result<Owner> {
        if let Some(owner) = self.owner {
            return Ok(owner.clone());
        }
        let id = |id: u64| {
            u32::try_from(id).map_err(|_| io::Error::other(format!("owner {id} is out of range")))
        };
        Ok(Owner {
            uid: id(header.uid()?)?,
            gid: id(header.gid()?)?,
        })
    }
}

/// The time of an entry, with the fraction that a PAX header adds.
fn time<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<Timestamp> {
    let secs = entry.header().mtime()?;
    let mut time = Timestamp::from_secs(i64::try_from(secs).map_err(io::Error::other)?);
    if let Some(text) = pax(entry, "mtime")?
        && let Ok(text) = String::from_utf8(text)
        && let Some(exact) = parse_pax_time(&text)
    {
        time = exact;
    }
    Ok(time)
}

fn parse_pax_time(text: &str) -> Option<Timestamp> {
    let (secs, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = secs.parse().ok()?;
    let digits = format!("{fraction:0<9}");
    let nanos: u32 = digits.get(..9)?.parse().ok()?;
    // A negative time with a fraction lies that fraction before the whole second.
    if secs.starts_with('-') && nanos > 0 {
        return Some(Timestamp::new(whole - 1, 1_000_000_000 - nanos));
    }
    Some(Timestamp::new(whole, nanos))
}

fn pax<R: Read>(entry: &mut tar::Entry<'_, R>, key: &str) -> io::Result<Option<Vec<u8>>> {
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(None);
    };
    for extension in extensions {
        let extension = extension?;
        if extension.key_bytes() == key.as_bytes() {
            return Ok(Some(extension.value_bytes().to_vec()));
        }
    }
    Ok(None)
}

fn xattrs<R: Read>(entry: &mut tar::Entry<'_, R>) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut out = BTreeMap::new();
    let Some(extensions) = entry.pax_extensions()? else {
        return Ok(out);
    };
    for extension in extensions {
        let extension = extension?;
        if let Some(name) = extension.key_bytes().strip_prefix(b"SCHILY.xattr.")
            && crate::xattrs::is_kept(name)
        {
            out.insert(name.to_vec(), extension.value_bytes().to_vec());
        }
    }
    Ok(out)
}
