//! `type=oci`: an OCI layout, as a tar archive or as a directory.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use acetate_oci::{Descriptor, Digest, Index, Reference, canonical_json};
use acetate_registry::Progress;
use acetate_stdx::lock::{FileLock, Sharing, Target};
use acetate_store::Store;

use super::archive::{LAYOUT_FILE, Part, blob_path, blobs, copy, entries, write_tar};
use super::destination::Partial;
use super::{Destination, ExportError, ExportReport, Exporter};
use crate::annotations::Annotations;
use crate::assemble::Image;
use crate::bundle::{Bundle, Companion};
use crate::document::{self, Document, MANIFEST_LIMIT};
use crate::layout::{IMAGE_NAME, REF_NAME};

/// The tag of what has no name.
const DEFAULT_TAG: &str = "latest";

/// How long another writer of the same layout is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// Where the layout is written.
#[derive(Debug)]
pub enum OciOutput {
    /// A tar archive.
    Archive(Destination),
    /// A directory, made when missing; what it holds already stays (`tar=false`).
    Directory(PathBuf),
}

/// Writes OCI layouts.
#[derive(Debug)]
pub struct OciExporter {
    /// Where to.
    pub output: OciOutput,
    /// The names that lead to the image.
    pub names: Vec<Reference>,
    /// What is said of the index of several images; that of each image is on it already.
    pub annotations: Annotations,
    /// What speaks about the images and stands beside them.
    pub companions: Vec<Companion>,
}

impl Exporter for OciExporter {
    fn export_telling(
        &self,
        images: &[Image],
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<ExportReport, ExportError> {
        if images.is_empty() {
            return Err(ExportError::Empty);
        }
        let bundle = Bundle::new(images, &self.companions, &self.annotations);
        let (root, blobs) = (bundle.root.clone(), blobs(&bundle));
        let entries = entries(&root, &self.names);
        match &self.output {
            OciOutput::Archive(destination) => {
                let files = layout_files(blobs, &Index::oci(entries));
                destination.write(|out| write_tar(out, &files, store, progress))?;
            }
            OciOutput::Directory(path) => {
                write_directory(path, &blobs, entries, (store, progress))?;
            }
        }
        Ok(ExportReport {
            descriptor: Some(root),
            config_digest: match images {
                [image] => Some(image.manifest.config.digest),
                _ => None,
            },
            names: self.names.clone(),
            warnings: Vec::new(),
        })
    }
}

/// All files of a layout by path.
pub(super) fn layout_files(blobs: BTreeMap<Digest, Part>, index: &Index) -> BTreeMap<String, Part> {
    let mut files: BTreeMap<String, Part> = blobs
        .into_iter()
        .map(|(digest, part)| (blob_path(&digest), part))
        .collect();
    files.insert("index.json".to_owned(), Part::Bytes(canonical_json(index)));
    files.insert("oci-layout".to_owned(), Part::Bytes(LAYOUT_FILE.to_vec()));
    files
}

/// Adds blobs first and names last, so that a reader never finds a name without its blobs.
pub(super) fn write_directory(
    path: &Path,
    blobs: &BTreeMap<Digest, Part>,
    entries: Vec<Descriptor>,
    (store, progress): (&Store, &dyn Progress),
) -> Result<(), ExportError> {
    let shelf = path.join("blobs/sha256");
    std::fs::create_dir_all(&shelf).map_err(ExportError::io("make the directory", &shelf))?;
    let lock = FileLock::acquire_within(path, Target::Existing, Sharing::Exclusive, PATIENCE);
    let Some(_lock) = lock.map_err(ExportError::io("lock", path))? else {
        return Err(ExportError::Destination {
            path: path.to_owned(),
            reason: "another process is writing to it".to_owned(),
        });
    };
    for (digest, part) in blobs {
        let target = path.join(blob_path(digest));
        if !is_whole(&target, *digest)? {
            publish(&target, part, (store, progress))?;
        }
    }
    publish(
        &path.join("oci-layout"),
        &Part::Bytes(LAYOUT_FILE.to_vec()),
        (store, progress),
    )?;
    let file = path.join("index.json");
    let index = merge(read_index(&file)?, entries);
    publish(
        &file,
        &Part::Bytes(canonical_json(&index)),
        (store, progress),
    )
}

fn publish(target: &Path, part: &Part, store: (&Store, &dyn Progress)) -> Result<(), ExportError> {
    let mut partial = Partial::create(target)?;
    copy(part, store, &mut partial.file).map_err(|error| error.at(target))?;
    partial.publish(target)
}

/// Whether a blob of the directory has its bytes already; others may have written it.
fn is_whole(path: &Path, digest: Digest) -> Result<bool, ExportError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(ExportError::io("open", path)(error)),
    };
    let mut reader = acetate_oci::HashingReader::new(file);
    io::copy(&mut reader, &mut io::sink()).map_err(ExportError::io("read", path))?;
    Ok(reader.finish().1 == digest)
}

fn read_index(path: &Path) -> Result<Index, ExportError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Index::oci(Vec::new())),
        Err(error) => return Err(ExportError::io("open", path)(error)),
    };
    let mut bytes = Vec::new();
    let read = file.take(MANIFEST_LIMIT).read_to_end(&mut bytes);
    read.map_err(ExportError::io("read", path))?;
    match document::parse(&bytes, &format!("`{}`", path.display()))? {
        Document::Index(index) => Ok(index),
        Document::Manifest(_) => Err(ExportError::Destination {
            path: path.to_owned(),
            reason: "it is no index, so the directory is no OCI layout".to_owned(),
        }),
    }
}

/// New entries replace those of their name; one without a name replaces those without.
fn merge(mut index: Index, entries: Vec<Descriptor>) -> Index {
    let entries = tagged(entries, &index);
    let replaced = |old: &Descriptor| entries.iter().any(|new| same_name(old, new));
    index.manifests.retain(|old| !replaced(old));
    index.manifests.extend(entries);
    index
}

/// An entry without a name gets the tag that readers of a directory look for when they are told
/// none, as buildx does for `oci-layout://DIR`; but not where it is that of an image with a name.
fn tagged(mut entries: Vec<Descriptor>, index: &Index) -> Vec<Descriptor> {
    let is_named = |old: &Descriptor| old.annotations.contains_key(IMAGE_NAME);
    let mut named = index.manifests.iter().filter(|old| is_named(old));
    if named.any(|old| tag(old) == Some(DEFAULT_TAG)) {
        return entries;
    }
    for entry in &mut entries {
        let tag = entry.annotations.entry(REF_NAME.to_owned());
        tag.or_insert_with(|| DEFAULT_TAG.to_owned());
    }
    entries
}

fn tag(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(String::as_str)
}

/// Whether two entries have one name. The short tag decides only where a whole name is missing.
fn same_name(a: &Descriptor, b: &Descriptor) -> bool {
    let whole = |entry: &Descriptor| entry.annotations.get(IMAGE_NAME).cloned();
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => tag(a).unwrap_or(DEFAULT_TAG) == tag(b).unwrap_or(DEFAULT_TAG),
        _ => tag(a) == tag(b),
    }
}

#[cfg(test)]
mod tests {
    use acetate_oci::MediaType;

    use super::*;

    #[test]
    fn names_replace_themselves_only() {
        let make = |content: &str, names: &[&str]| {
            let names: Vec<Reference> = names.iter().map(|name| name.parse().unwrap()).collect();
            entries(
                &Descriptor::of(MediaType::OCI_MANIFEST, content.as_bytes()),
                &names,
            )
        };
        let mut index = merge(Index::oci(Vec::new()), make("1", &["a:1", "b:1"]));
        assert_eq!(index.manifests.len(), 2);
        index = merge(index, make("2", &["a:1"]));
        let digests: Vec<_> = index.manifests.iter().map(|entry| entry.digest).collect();
        assert_eq!(digests, [Digest::of(b"1"), Digest::of(b"2")]);
        index = merge(index, make("3", &[]));
        index = merge(index, make("4", &[]));
        let digests: Vec<_> = index.manifests.iter().map(|entry| entry.digest).collect();
        assert_eq!(
            digests,
            [Digest::of(b"1"), Digest::of(b"2"), Digest::of(b"4")]
        );
        let tags: Vec<_> = index.manifests.iter().map(tag).collect();
        assert_eq!(tags, [Some("1"), Some("1"), Some("latest")]);
        // What has a name keeps its tag.
        let named = merge(Index::oci(Vec::new()), make("6", &["c"]));
        let both = merge(named, make("7", &[]));
        let tags: Vec<_> = both.manifests.iter().map(tag).collect();
        assert_eq!(tags, [Some("latest"), None]);
        // A tag that another tool wrote without the whole name.
        let mut foreign = make("5", &[]);
        foreign[0]
            .annotations
            .insert(REF_NAME.to_owned(), "1".to_owned());
        index = merge(index, foreign);
        assert_eq!(index.manifests.len(), 2);
    }
}
