//! The files of an OCI layout, as blobs and as members of a deterministic tar.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use acetate_oci::{Descriptor, Digest, Reference, Timestamp};
use acetate_registry::Progress;
use acetate_store::Store;

use super::ExportError;
use crate::ImageError;
use crate::bundle::Bundle;
use crate::layout::{IMAGE_NAME, REF_NAME};
use crate::pipe::pipe;
use crate::puller::Told;
use crate::tarball::{Member, MemberKind, NO_XATTRS, TarWriter};

/// The file that marks a layout.
pub(super) const LAYOUT_FILE: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A file of a layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A blob of the store.
    Blob(Descriptor),
}

/// The blobs of a bundle by digest: documents from memory, layers from the store.
pub(super) fn blobs(bundle: &Bundle) -> BTreeMap<Digest, Part> {
    let small = bundle.blobs.iter();
    let documents = bundle.documents.iter();
    let layers = bundle.layers.values().map(|layer| {
        let blob = &layer.descriptor;
        (blob.digest, Part::Blob(blob.clone()))
    });
    layers
        .chain(small.map(|(digest, bytes)| (*digest, Part::Bytes(bytes.clone()))))
        .chain(documents.map(|(entry, bytes)| (entry.digest, Part::Bytes(bytes.clone()))))
        .collect()
}

/// The entries of `index.json`: one per name, or one without.
pub(super) fn entries(root: &Descriptor, names: &[Reference]) -> Vec<Descriptor> {
    if names.is_empty() {
        return vec![root.clone()];
    }
    let named = |name: &Reference| {
        let mut entry = root.clone();
        entry
            .annotations
            .insert(IMAGE_NAME.to_owned(), name.to_string());
        let tag = name.tag().unwrap_or("latest");
        entry
            .annotations
            .insert(REF_NAME.to_owned(), tag.to_owned());
        entry
    };
    names.iter().map(named).collect()
}

/// Opens a part for reading, with its size; blobs fail at their end when damaged.
pub(super) fn open<'a>(
    part: &'a Part,
    store: &Store,
    progress: &'a dyn Progress,
) -> Result<(Box<dyn Read + Send + 'a>, u64), ExportError> {
    match part {
        Part::Bytes(bytes) => Ok((Box::new(bytes.as_slice()), bytes.len() as u64)),
        Part::Blob(blob @ Descriptor { digest, size, .. }) => {
            let what = || format!("layer `{digest}` in the store");
            let Some(reader) = store.blobs().open_known(digest)? else {
                return Err(ImageError::NotFound { what: what() }.into());
            };
            if reader.size() != *size {
                let reason = format!("it has {} bytes instead of {size}", reader.size());
                return Err(ImageError::corrupt(what(), reason).into());
            }
            Ok((Box::new(Told::new(reader, blob, progress)), *size))
        }
    }
}

/// Writes a tar of these files in the order of their names, directories included.
///
/// Owner, mode and time are fixed, so equal files make equal archives.
pub(super) fn write_tar(
    out: &mut dyn Write,
    files: &BTreeMap<String, Part>,
    store: &Store,
    progress: &dyn Progress,
) -> Result<(), ExportError> {
    let failed = || ExportError::io("write", super::ARCHIVE);
    let mut tar = TarWriter::new(out);
    let mut made = Vec::new();
    for (name, part) in files {
        for dir in parents(name) {
            if !made.contains(&dir) {
                tar.entry(&member(dir, MemberKind::Directory, 0o755))
                    .map_err(failed())?;
                made.push(dir);
            }
        }
        let (mut content, size) = open(part, store, progress)?;
        let member = member(name, MemberKind::File(size), 0o644);
        tar.large(&member, content.as_mut()).map_err(failed())?;
    }
    tar.finish().map_err(failed())?;
    Ok(())
}

/// The directories above a name, outermost first.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(at, _)| &name[..at])
}

fn member<'a>(name: &'a str, kind: MemberKind<'a>, mode: u32) -> Member<'a> {
    Member {
        path: name.as_bytes(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: Timestamp::from_secs(0),
        xattrs: &NO_XATTRS,
    }
}

/// The path of a blob within a layout.
pub(super) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Copies a part to a file.
pub(super) fn copy(
    part: &Part,
    (store, progress): (&Store, &dyn Progress),
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let (mut content, _) = open(part, store, progress)?;
    pipe(content.as_mut(), out).map_err(ExportError::io("write", super::ARCHIVE))?;
    Ok(())
}
