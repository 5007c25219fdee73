//! Files that lie beside those of an image.

use acetate_oci::Timestamp;
use acetate_store::Store;

use super::ExportError;
use crate::assemble::Image;
use crate::flatten::{Flat, flatten};

/// A file that lies in the root of an exported tree and is none of the image: an attestation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraFile {
    /// Its name, without slashes.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its time, where the exporter gives no other to all files.
    pub mtime: Timestamp,
}

/// The trees of images, each with its extra files; `extra` goes by the order of the images.
pub(super) fn trees(
    images: &[Image],
    extra: &[Vec<ExtraFile>],
    store: &Store,
) -> Result<Vec<Flat>, ExportError> {
    let mut trees = Vec::with_capacity(images.len());
    for (n, image) in images.iter().enumerate() {
        let mut flat = flatten(store, &image.layers)?;
        for file in extra.get(n).into_iter().flatten() {
            if !flat.add(store, file)? {
                return Err(ExportError::NameTaken {
                    name: file.name.clone(),
                    platform: image.platform().to_string(),
                });
            }
        }
        trees.push(flat);
    }
    Ok(trees)
}
