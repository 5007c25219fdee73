//! `type=docker`: an archive for `docker load`, `podman load` and `skopeo`.

use acetate_oci::{Index, Reference, canonical_json};
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
struct Loadable {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl Exporter for DockerExporter {
    fn export(&self, images: &[Image], store: &Store) -> Result<ExportReport, ExportError> {
        let image = match images {
            [] => return Err(ExportError::Empty),
            [image] => image.clone(),
            images => {
                return Err(ExportError::OnePlatform {
                    n_images: images.len(),
                });
            }
        };
        let loadable = Loadable {
            config: blob_path(&image.manifest.config.digest),
            repo_tags: self.names.iter().map(Reference::familiar).collect(),
            layers: image
                .layers
                .iter()
                .map(|layer| blob_path(&layer.descriptor.digest))
                .collect(),
        };
        let images = std::slice::from_ref(&image);
        let bundle = Bundle::new(images, &self.companions, &Annotations::default());
        let root = bundle.root.clone();
        let index = Index::oci(entries(&root, &self.names));
        let mut files = layout_files(blobs(&bundle), &index);
        let manifest = Part::Bytes(canonical_json(&[loadable]));
        files.insert("manifest.json".to_owned(), manifest);
        self.destination
            .write(|out| write_tar(out, &files, store))?;
        Ok(ExportReport {
            descriptor: Some(root),
            config_digest: Some(image.manifest.config.digest),
            names: self.names.clone(),
            warnings: Vec::new(),
        })
    }
}
