//! Writing a layer: one entry always gives the same bytes.

use super::header::{
    DEV_MAJOR, DEV_MINOR, GID, Header, LINK, MAX_ID, MAX_SIZE, MODE, MTIME, NAME, SIZE, UID,
};
use super::pax::{self, Records};
use super::{BLOCK, WHITEOUT_PREFIX, padding};
use crate::entry::{Entry, EntryKind, path_bytes};
use crate::paths;
use acetate_oci::{Digest, HashingReader, Timestamp};
use std::io::{self, Read, Write};

/// What happens to the times of a layer's entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClampTimes {
    /// They stay.
    #[default]
    Keep,
    /// Those after this one become this one, as `rewrite-timestamp` does it.
    To(Timestamp),
}

impl ClampTimes {
    fn apply(self, time: Timestamp) -> Timestamp {
        match self {
            Self::Keep => time,
            Self::To(limit) => time.min(limit),
        }
    }
}

/// Writes entries in the order given: POSIX headers, with PAX records for what does not fit them.
///
/// Owner and group names are left empty, so the bytes do not depend on the machine.
#[derive(Debug)]
pub(crate) struct TarWriter<W> {
    out: W,
    clamp: ClampTimes,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W, clamp: ClampTimes) -> Self {
        Self { out, clamp }
    }

    /// Appends something without content: anything but a regular file.
    pub(crate) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.headers(entry)
    }

    /// Appends a regular file and returns the digest of its content.
    ///
    /// Fails when `content` has not exactly the size of the entry: the file changed meanwhile.
    pub(crate) fn append_file(&mut self, entry: &Entry, content: impl Read) -> io::Result<Digest> {
        let size = size_of(entry);
        self.headers(entry)?;
        // One byte more is asked for, so that a file that grew is noticed.
        let mut content = HashingReader::new(content.take(size + 1));
        let mut buffer = vec![0; 128 * 1024];
        let mut written = 0;
        loop {
            let n = content.read(&mut buffer)?;
            written += n as u64;
            if written > size || (n == 0 && written < size) {
                return Err(io::Error::other("the file changed while it was read"));
            }
            if n == 0 {
                break;
            }
            self.out.write_all(&buffer[..n])?;
        }
        self.out.write_all(&[0; BLOCK][..padding(size)])?;
        Ok(content.finish().1)
    }

    /// Writes the two empty blocks at the end and returns the output.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok(self.out)
    }

    fn headers(&mut self, entry: &Entry) -> io::Result<()> {
        let mut records = Records::new();
        let mut header = Header::new(type_flag(&entry.kind));
        text(&mut header, &mut records, (NAME, b"path"), &tar_name(entry));
        match &entry.kind {
            EntryKind::Symlink(target) | EntryKind::Hardlink(target) => {
                text(
                    &mut header,
                    &mut records,
                    (LINK, b"linkpath"),
                    path_bytes(target),
                );
            }
            EntryKind::CharDevice { major, minor } | EntryKind::BlockDevice { major, minor } => {
                header.set_number(DEV_MAJOR, (*major).into());
                header.set_number(DEV_MINOR, (*minor).into());
            }
            _ => {}
        }
        header.set_number(MODE, entry.mode.into());
        number(
            &mut header,
            &mut records,
            (UID, b"uid", MAX_ID),
            entry.uid.into(),
        );
        number(
            &mut header,
            &mut records,
            (GID, b"gid", MAX_ID),
            entry.gid.into(),
        );
        number(
            &mut header,
            &mut records,
            (SIZE, b"size", MAX_SIZE),
            size_of(entry),
        );
        time(&mut header, &mut records, self.clamp.apply(entry.mtime));
        // A hard link's attributes are those of its file.
        if !matches!(entry.kind, EntryKind::Hardlink(_)) {
            for (name, value) in &entry.xattrs {
                records.insert([pax::XATTR, name].concat(), value.clone());
            }
        }
        if !records.is_empty() {
            self.extension(entry, &records)?;
        }
        self.out.write_all(header.finish())
    }

    fn extension(&mut self, entry: &Entry, records: &Records) -> io::Result<()> {
        let body = pax::encode(records);
        let mut header = Header::new(b'x');
        let name = paths::join(b"PaxHeaders.0", paths::file_name(entry.bytes()));
        header.set_bytes(NAME, &name);
        header.set_number(MODE, 0o644);
        header.set_number(SIZE, body.len() as u64);
        self.out.write_all(header.finish())?;
        self.out.write_all(&body)?;
        self.out
            .write_all(&[0; BLOCK][..padding(body.len() as u64)])
    }
}

fn type_flag(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File { .. } | EntryKind::Whiteout => b'0',
        EntryKind::Hardlink(_) => b'1',
        EntryKind::Symlink(_) => b'2',
        EntryKind::CharDevice { .. } => b'3',
        EntryKind::BlockDevice { .. } => b'4',
        EntryKind::Dir { .. } => b'5',
        EntryKind::Fifo => b'6',
    }
}

fn tar_name(entry: &Entry) -> Vec<u8> {
    let path = entry.bytes();
    match entry.kind {
        EntryKind::Dir { .. } if path.is_empty() => b"./".to_vec(),
        EntryKind::Dir { .. } => [path, b"/"].concat(),
        EntryKind::Whiteout => {
            let name = [WHITEOUT_PREFIX, paths::file_name(path)].concat();
            paths::join(paths::parent(path).unwrap_or_default(), &name)
        }
        _ => path.to_vec(),
    }
}

fn size_of(entry: &Entry) -> u64 {
    match entry.kind {
        EntryKind::File { size, .. } => size,
        _ => 0,
    }
}

fn text(
    header: &mut Header,
    records: &mut Records,
    (field, key): (super::header::Field, &[u8]),
    value: &[u8],
) {
    if value.len() > header.bytes(field).len() {
        records.insert(key.to_vec(), value.to_vec());
    }
    header.set_bytes(field, value);
}

fn number(
    header: &mut Header,
    records: &mut Records,
    (field, key, max): (super::header::Field, &[u8], u64),
    value: u64,
) {
    if value > max {
        records.insert(key.to_vec(), value.to_string().into_bytes());
        return;
    }
    header.set_number(field, value);
}

fn time(header: &mut Header, records: &mut Records, time: Timestamp) {
    let whole = u64::try_from(time.secs)
        .ok()
        .filter(|secs| *secs <= MAX_SIZE);
    if whole.is_none() || time.nanos != 0 {
        records.insert(b"mtime".to_vec(), pax::print_time(time).into_bytes());
    }
    header.set_number(MTIME, whole.unwrap_or_default());
}
