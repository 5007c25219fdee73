//! `type=docker`: an archive for `docker load`, `podman load` and `skopeo`.

use std::collections::{BTreeMap, BTreeSet};

use acetate_oci::{Digest, Index, Manifest, Reference, canonical_json};
use acetate_registry::Progress;
use acetate_store::Store;
use serde::Serialize;

use super::archive::{Part, blob_path, blobs, entries, write_tar};
use super::oci::layout_files;
use super::{Destination, ExportError, ExportReport, Exporter};
use crate::annotations::Annotations;
use crate::assemble::Image;
use crate::bundle::{Bundle, Companion};

/// Writes docker archives: an OCI layout with a `manifest.json` beside it, one image each.
#[derive(Debug)]
pub struct DockerExporter {
    /// Where to.
    pub destination: Destination,
    /// The names under which the image is loaded.
    pub names: Vec<Reference>,
    /// What speaks about the image and stands beside it.
    pub companions: Vec<Companion>,
}

/// An element of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Loadable {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl Loadable {
    /// The image of a manifest under some names.
    pub(super) fn new(manifest: &Manifest, names: &[Reference]) -> Self {
        let layers = manifest.layers.iter();
        Self {
            config: blob_path(&manifest.config.digest),
            repo_tags: names.iter().map(Reference::familiar).collect(),
            layers: layers.map(|layer| blob_path(&layer.digest)).collect(),
        }
    }
}

impl Exporter for DockerExporter {
    fn export_telling(
        &self,
        images: &[Image],
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<ExportReport, ExportError> {
        let image = match images {
            [] => return Err(ExportError::Empty),
            [image] => image.clone(),
            images => {
                return Err(ExportError::OnePlatform {
                    n_images: images.len(),
                });
            }
        };
        let loadable = Loadable::new(&image.manifest, &self.names);
        let images = std::slice::from_ref(&image);
        let bundle = Bundle::new(images, &self.companions, &Annotations::default());
        let root = bundle.root.clone();
        let index = Index::oci(entries(&root, &self.names));
        let mut files = layout_files(blobs(&bundle), &index);
        let manifest = Part::Bytes(canonical_json(&[loadable]));
        files.insert("manifest.json".to_owned(), manifest);
        self.destination
            .write(|out| write_tar(out, &files, store, progress))?;
        Ok(ExportReport {
            descriptor: Some(root),
            config_digest: Some(image.manifest.config.digest),
            names: self.names.clone(),
            warnings: Vec::new(),
        })
    }
}

/// Writes a docker archive without the layers in `omitted`, named by their `diff_id`s, which whoever
/// loads it has already.
///
/// # Errors
/// [`ExportError`]; nothing half-written stands under the destination's name then.
pub fn export_partial(
    image: &Image,
    names: &[Reference],
    omitted: &BTreeSet<Digest>,
    destination: &Destination,
    (store, progress): (&Store, &dyn Progress),
) -> Result<(), ExportError> {
    let mut files = BTreeMap::new();
    for layer in &image.layers {
        if !omitted.contains(&layer.diff_id) {
            let blob = &layer.descriptor;
            files.insert(blob_path(&blob.digest), Part::Blob(blob.clone()));
        }
    }
    let config = Part::Bytes(image.config_bytes.clone());
    files.insert(blob_path(&image.manifest.config.digest), config);
    let manifest = canonical_json(&[Loadable::new(&image.manifest, names)]);
    files.insert("manifest.json".to_owned(), Part::Bytes(manifest));
    destination.write(|out| write_tar(out, &files, store, progress))
}
