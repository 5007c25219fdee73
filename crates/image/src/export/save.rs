//! Several images in one layout or archive, with their documents as they are.

use std::collections::BTreeMap;

use acetate_oci::{Index, Manifest, Reference, canonical_json};
use acetate_registry::Progress;
use acetate_store::Store;

use super::archive::{Part, entries, write_tar};
use super::docker::Loadable;
use super::oci::{layout_files, write_directory};
use super::{ExportError, OciOutput};
use crate::layout::REF_NAME;
use crate::puller::WholeImage;

/// One image that is written beside others.
#[derive(Clone, Debug)]
pub struct SavedImage {
    /// Its documents and blobs; the latter are in the store.
    pub whole: WholeImage,
    /// Its names.
    pub names: Vec<Reference>,
    /// A tag of the layout that is not a name.
    pub tag: Option<String>,
    /// The manifest that `docker load` is to find, in archives that are for it, too.
    pub loadable: Option<Manifest>,
}

/// Writes images as an OCI layout, in which docker archives have one more file; `progress` hears of
/// the blobs.
///
/// Blocks on disks; call it from a blocking thread.
///
/// # Errors
/// [`ExportError`]; nothing half-written stands under the destination's name then.
pub fn save(
    images: &[SavedImage],
    output: &OciOutput,
    store: &Store,
    progress: &dyn Progress,
) -> Result<(), ExportError> {
    let (mut blobs, mut named) = (BTreeMap::new(), Vec::new());
    for image in images {
        let SavedImage {
            whole, names, tag, ..
        } = image;
        let own = whole.blobs.values();
        blobs.extend(own.map(|blob| (blob.digest, Part::Blob(blob.clone()))));
        let documents = whole.documents.iter();
        blobs.extend(documents.map(|(entry, bytes)| (entry.digest, Part::Bytes(bytes.clone()))));
        match tag {
            None => named.extend(entries(&whole.root, names)),
            Some(tag) => {
                let mut entry = whole.root.clone();
                entry.annotations.insert(REF_NAME.to_owned(), tag.clone());
                named.push(entry);
            }
        }
    }
    match output {
        OciOutput::Directory(path) => write_directory(path, &blobs, named, (store, progress)),
        OciOutput::Archive(destination) => {
            let mut files = layout_files(blobs, &Index::oci(named));
            let loadable = images.iter().filter_map(|image| {
                let manifest = image.loadable.as_ref()?;
                Some(Loadable::new(manifest, &image.names))
            });
            let loadable: Vec<Loadable> = loadable.collect();
            if !loadable.is_empty() {
                let manifest = Part::Bytes(canonical_json(&loadable));
                files.insert("manifest.json".to_owned(), manifest);
            }
            destination.write(|out| write_tar(out, &files, store, progress))
        }
    }
}
