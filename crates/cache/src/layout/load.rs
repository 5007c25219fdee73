//! Finding the records of a tag, or of a manifest, in a layout.

use std::io;

use acetate_oci::{Descriptor, Digest, Index};

use super::catalog::Catalog;
use super::dir::LayoutDir;
use super::document::MAX_DOCUMENT;
use super::parcel::{self, parse};

/// Annotation of an index entry: its tag.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// An index or a manifest of more bytes is refused, as registries do.
pub(crate) const MAX_MANIFEST: u64 = 4 << 20;

/// Why there are no records to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Absent {
    /// There is no directory.
    #[error("there is no such directory")]
    Directory,
    /// The directory has another purpose.
    #[error("it is no OCI layout")]
    Other,
    /// The layout has no such tag or manifest.
    #[error("there is no {0} in it")]
    Entry(String),
    /// What is there belongs to another program.
    #[error("{0} holds no records of acetate")]
    Foreign(String),
    /// The records are those of a newer version.
    #[error("its records have the form `{0}`, which a newer acetate wrote")]
    Newer(String),
    /// Something is not what it should be.
    #[error("{0}")]
    Damaged(String),
    /// The operating system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Reads the records of a manifest when a digest is given, else those of a tag.
pub(super) fn load(dir: &LayoutDir, tag: &str, digest: Option<&Digest>) -> Result<Catalog, Absent> {
    let manifest = match digest {
        Some(digest) => *digest,
        None => tagged(&index(dir)?, tag)?.digest,
    };
    let name = format!("the manifest `{manifest}`");
    let bytes = document(dir, &manifest, MAX_MANIFEST, &name)?;
    let found = parcel::find(&bytes, &name)?;
    let name = "the config that holds the records";
    let config = document(dir, &found.config.digest, MAX_DOCUMENT, name)?;
    let part = |part: &Descriptor| document(dir, &part.digest, MAX_DOCUMENT, name);
    let parts = found.parts.iter().map(part).collect::<Result<_, _>>()?;
    found.open(config, parts)
}

fn index(dir: &LayoutDir) -> Result<Index, Absent> {
    if !dir.exists() {
        return Err(Absent::Directory);
    }
    let bytes = dir.index(MAX_MANIFEST).map_err(invalid)?;
    let Some(bytes) = bytes else {
        if dir.is_begun()? {
            // Another build makes it just now, or was killed while it did.
            return match dir.index(MAX_MANIFEST).map_err(invalid)? {
                Some(bytes) => parse(&bytes, "its `index.json`"),
                None => Err(Absent::Directory),
            };
        }
        return Err(if dir.is_layout()? {
            Absent::Damaged("it has no `index.json`".to_owned())
        } else {
            Absent::Other
        });
    };
    if !dir.is_layout()? {
        return Err(Absent::Other);
    }
    parse(&bytes, "its `index.json`")
}

/// The entry of a tag; the last one, should there be several.
fn tagged<'i>(index: &'i Index, tag: &str) -> Result<&'i Descriptor, Absent> {
    let has_tag = |entry: &&Descriptor| entry.annotations.get(REF_NAME).is_some_and(|t| t == tag);
    let entry = index.manifests.iter().rev().find(has_tag);
    entry.ok_or_else(|| Absent::Entry(format!("tag `{tag}`")))
}

/// The bytes of a small blob, checked.
fn document(dir: &LayoutDir, digest: &Digest, limit: u64, name: &str) -> Result<Vec<u8>, Absent> {
    let bytes = dir.small_blob(digest, limit).map_err(invalid)?;
    let bytes = bytes.ok_or_else(|| Absent::Entry(name.to_owned()))?;
    if Digest::of(&bytes) != *digest {
        return Err(Absent::Damaged(format!("{name} is damaged")));
    }
    Ok(bytes)
}

fn invalid(error: io::Error) -> Absent {
    match error.kind() {
        io::ErrorKind::InvalidData => Absent::Damaged(error.to_string()),
        _ => Absent::Io(error),
    }
}
