//! Reads OCI layouts: directories, and tar archives of them.

mod archive;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use acetate_oci::{Descriptor, Digest, Index};

pub(crate) use self::archive::{Archive, Slice};
use crate::ImageError;
use crate::document::{self, Document, MANIFEST_LIMIT};
use crate::source::LayoutSource;

/// Annotation of an index entry: its tag.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation of an index entry: its whole reference, as containerd and Docker write it.
pub(crate) const IMAGE_NAME: &str = "io.containerd.image.name";

/// An OCI layout that is open for reading.
#[derive(Debug)]
pub(crate) struct Layout {
    path: PathBuf,
    files: Files,
}

#[derive(Debug)]
enum Files {
    Directory,
    Archive(Archive),
}

/// A blob of a layout, not verified yet.
pub(crate) struct LayoutBlob {
    /// Its bytes.
    pub(crate) reader: Box<dyn Read + Send>,
    /// How many there are.
    pub(crate) size: u64,
}

impl Layout {
    /// Opens a directory or an archive; an archive is scanned once.
    pub(crate) fn open(path: &Path) -> Result<Self, ImageError> {
        let data = std::fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ImageError::NotFound {
                what: format!("the layout `{}`", path.display()),
            },
            _ => ImageError::io(path)(error),
        })?;
        let files = if data.is_dir() {
            Files::Directory
        } else {
            Files::Archive(Archive::open(path)?)
        };
        Ok(Self {
            path: path.to_owned(),
            files,
        })
    }

    /// The entry point, `index.json`.
    pub(crate) fn index(&self) -> Result<Index, ImageError> {
        let name = format!("`{}`", self.path.join("index.json").display());
        let Some(blob) = self.file("index.json")? else {
            return Err(ImageError::corrupt(
                format!("`{}` as an OCI layout", self.path.display()),
                "it has no `index.json`",
            ));
        };
        let bytes = self.read_small(blob, "index.json")?;
        match document::parse(&bytes, &name)? {
            Document::Index(index) => Ok(index),
            Document::Manifest(_) => Err(ImageError::corrupt(name, "it is no index")),
        }
    }

    /// A blob by digest; `None` when the layout does not have it.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Option<LayoutBlob>, ImageError> {
        self.file(&format!("blobs/sha256/{}", digest.hex()))
    }

    fn file(&self, name: &str) -> Result<Option<LayoutBlob>, ImageError> {
        match &self.files {
            Files::Archive(archive) => Ok(archive.file(name)),
            Files::Directory => {
                let path = self.path.join(name);
                let file = match File::open(&path) {
                    Ok(file) => file,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(ImageError::io(path)(error)),
                };
                let data = file.metadata().map_err(ImageError::io(&path))?;
                if !data.is_file() {
                    return Err(ImageError::corrupt(
                        format!("`{}`", path.display()),
                        "it is no regular file",
                    ));
                }
                Ok(Some(LayoutBlob {
                    reader: Box::new(file),
                    size: data.len(),
                }))
            }
        }
    }

    fn read_small(&self, blob: LayoutBlob, name: &str) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let mut reader = blob.reader.take(MANIFEST_LIMIT + 1);
        reader
            .read_to_end(&mut bytes)
            .map_err(ImageError::io(self.path.join(name)))?;
        if bytes.len() as u64 > MANIFEST_LIMIT {
            return Err(ImageError::corrupt(
                format!("`{}`", self.path.join(name).display()),
                format!("it is larger than {MANIFEST_LIMIT} bytes"),
            ));
        }
        Ok(bytes)
    }
}

/// What a layout source leads to.
#[derive(Debug)]
pub(crate) enum Entry {
    /// The manifest or index with this digest.
    Digest(Digest),
    /// One manifest or index.
    One(Box<Descriptor>),
    /// Images of several platforms, none of them named.
    Platforms,
}

/// Finds the entry that a source names.
///
/// A digest goes before a tag; a tag is a whole reference or a short tag. Without either, a layout
/// with one image, one named `latest`, or images for different platforms has a clear meaning.
pub(crate) fn entry(index: &Index, source: &LayoutSource) -> Result<Entry, ImageError> {
    let entries = &index.manifests;
    if let Some(digest) = source.digest {
        // It may also be that of a manifest deeper down, or of one that lost its name.
        return Ok(Entry::Digest(digest));
    }
    let Some(tag) = &source.tag else {
        return unnamed(entries, source);
    };
    for key in [IMAGE_NAME, REF_NAME] {
        let named: Vec<_> = entries
            .iter()
            .filter(|entry| entry.annotations.get(key) == Some(tag))
            .collect();
        match same_digest(&named) {
            Some(entry) => return Ok(Entry::One(Box::new(entry.clone()))),
            None if named.is_empty() => {}
            None => return Err(ambiguous(&named, source)),
        }
    }
    Err(ImageError::NotFound {
        what: format!("the image `{source}`"),
    })
}

fn unnamed(entries: &[Descriptor], source: &LayoutSource) -> Result<Entry, ImageError> {
    let all: Vec<_> = entries.iter().collect();
    if all.is_empty() {
        return Err(ImageError::NotFound {
            what: format!("an image in `{source}`: the layout is empty"),
        });
    }
    if let Some(entry) = same_digest(&all) {
        return Ok(Entry::One(Box::new(entry.clone())));
    }
    let latest: Vec<_> = entries
        .iter()
        .filter(|entry| {
            entry
                .annotations
                .get(REF_NAME)
                .is_some_and(|name| name == "latest")
        })
        .collect();
    if let Some(entry) = same_digest(&latest) {
        return Ok(Entry::One(Box::new(entry.clone())));
    }
    let mut platforms: Vec<_> = entries
        .iter()
        .map(|entry| entry.platform.as_ref())
        .collect();
    platforms.sort_unstable();
    let distinct = platforms.windows(2).all(|pair| pair[0] != pair[1]);
    if distinct && platforms.iter().all(Option::is_some) {
        return Ok(Entry::Platforms);
    }
    Err(ambiguous(&all, source))
}

/// The first of some entries when all have one digest.
fn same_digest<'a>(entries: &[&'a Descriptor]) -> Option<&'a Descriptor> {
    let first = entries.first()?;
    entries
        .iter()
        .all(|entry| entry.digest == first.digest)
        .then_some(*first)
}

fn ambiguous(entries: &[&Descriptor], source: &LayoutSource) -> ImageError {
    let name = |entry: &&Descriptor| {
        let notes = &entry.annotations;
        let named = notes.get(IMAGE_NAME).or_else(|| notes.get(REF_NAME));
        named
            .cloned()
            .unwrap_or_else(|| format!("@{}", entry.digest))
    };
    ImageError::Ambiguous {
        image: source.to_string(),
        names: entries.iter().map(name).collect(),
    }
}

#[cfg(test)]
mod tests;
