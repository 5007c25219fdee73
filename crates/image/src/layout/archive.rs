//! Finds the files of an uncompressed tar without unpacking it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::LayoutBlob;
use crate::ImageError;

/// The most files that an archive of a layout may hold.
const FILE_LIMIT: usize = 100_000;

/// A tar file and where its members are.
#[derive(Debug)]
pub(crate) struct Archive {
    file: Arc<File>,
    /// Offset and size of each regular file, in bytes.
    members: BTreeMap<String, (u64, u64)>,
}

impl Archive {
    /// Reads the headers of all members.
    pub(crate) fn open(path: &Path) -> Result<Self, ImageError> {
        let file = File::open(path).map_err(ImageError::io(path))?;
        let members = scan(&file).map_err(|error| {
            ImageError::corrupt(format!("`{}` as a tar archive", path.display()), error)
        })?;
        Ok(Self {
            file: Arc::new(file),
            members,
        })
    }

    /// A member by its name without a leading `./`.
    pub(crate) fn file(&self, name: &str) -> Option<LayoutBlob> {
        let (offset, size) = *self.members.get(name)?;
        Some(LayoutBlob {
            reader: Box::new(Slice::new(Arc::clone(&self.file), offset, size)),
            size,
        })
    }
}

fn scan(file: &File) -> io::Result<BTreeMap<String, (u64, u64)>> {
    let mut members = BTreeMap::new();
    for entry in tar::Archive::new(file).entries_with_seek()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        // As when unpacking, the last member of a name is the one that counts.
        members.insert(name, (entry.raw_file_position(), entry.size()));
        if members.len() > FILE_LIMIT {
            return Err(io::Error::other(format!("more than {FILE_LIMIT} files")));
        }
    }
    Ok(members)
}

/// Reads a part of a file by position, so that many may read at once.
#[derive(Debug)]
pub(crate) struct Slice {
    file: Arc<File>,
    offset: u64,
    end: u64,
}

impl Slice {
    /// The `size` bytes from `offset` on.
    pub(crate) fn new(file: Arc<File>, offset: u64, size: u64) -> Self {
        Self {
            file,
            offset,
            end: offset.saturating_add(size),
        }
    }
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        if room == 0 {
            return Ok(0);
        }
        match self.file.read_at(&mut buffer[..room], self.offset)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.offset += n as u64;
                Ok(n)
            }
        }
    }
}
