//! All documents of an image of one or more platforms, and what goes beside it.

use std::collections::BTreeMap;

use acetate_oci::{Descriptor, Digest, Index, MediaType, canonical_json};

use crate::annotations::{AnnotationLevel, Annotations};
use crate::assemble::Image;
use crate::layer::ImageLayer;

/// What is written out as one image: the documents in memory, and the layers of a store.
///
/// An immutable value like the images in it: equal images, annotations and companions give equal
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Points at the manifest of the one image, or at the index over all that is here.
    pub root: Descriptor,
    /// The manifests and the index, each after what it names; the root is the last.
    pub documents: Vec<(Descriptor, Vec<u8>)>,
    /// Small blobs that the manifests name: configurations, statements.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    /// The layers by the digests of their blobs.
    pub layers: BTreeMap<Digest, ImageLayer>,
}

/// A manifest that speaks about one of the images and stands beside it in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// Its entry in the index.
    pub entry: Descriptor,
    /// Its bytes.
    pub manifest: Vec<u8>,
    /// The blobs that it names.
    pub blobs: Vec<Vec<u8>>,
}

impl Bundle {
    /// Gathers images. Two and more, or one with companions, stand in an index.
    pub fn new(images: &[Image], companions: &[Companion], annotations: &Annotations) -> Self {
        let mut documents = Vec::new();
        let (mut blobs, mut layers) = (BTreeMap::new(), BTreeMap::new());
        for image in images {
            blobs.insert(image.manifest.config.digest, image.config_bytes.clone());
            let own = image.layers.iter();
            layers.extend(own.map(|layer| (layer.descriptor.digest, layer.clone())));
            documents.push((image.descriptor.clone(), image.manifest_bytes.clone()));
        }
        for companion in companions {
            let all = companion.blobs.iter();
            blobs.extend(all.map(|bytes| (Digest::of(bytes), bytes.clone())));
            documents.push((companion.entry.clone(), companion.manifest.clone()));
        }
        let root = match documents.as_slice() {
            [(only, _)] => only.clone(),
            all => {
                let entries = all.iter().map(|(entry, _)| entry.clone()).collect();
                let (root, bytes) = index(images, entries, annotations);
                documents.push((root.clone(), bytes));
                root
            }
        };
        Self {
            root,
            documents,
            blobs,
            layers,
        }
    }
}

/// The index over some manifests, of Docker's type when all images are.
fn index(
    images: &[Image],
    entries: Vec<Descriptor>,
    annotations: &Annotations,
) -> (Descriptor, Vec<u8>) {
    let mut index = Index::oci(entries);
    index.annotations = annotations.at(AnnotationLevel::Index);
    let is_docker = |image: &Image| image.descriptor.media_type == MediaType::DOCKER_MANIFEST;
    let media_type = if images.iter().all(is_docker) {
        MediaType::DOCKER_LIST
    } else {
        MediaType::OCI_INDEX
    };
    index.media_type = Some(media_type.clone());
    let bytes = canonical_json(&index);
    let mut root = Descriptor::of(media_type, &bytes);
    root.annotations = annotations.at(AnnotationLevel::IndexDescriptor);
    (root, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::image_of;

    #[test]
    fn one_image_is_its_own_root_and_with_a_companion_an_index_is() {
        let image = image_of(Vec::new(), "linux/amd64");
        let images = std::slice::from_ref(&image);
        let none = Annotations::default();
        let alone = Bundle::new(images, &[], &none);
        assert_eq!(alone.root, image.descriptor);
        assert_eq!(alone.documents.len(), 1);
        let companion = Companion {
            entry: Descriptor::of(MediaType::OCI_MANIFEST, b"{}"),
            manifest: b"{}".to_vec(),
            blobs: vec![b"statement".to_vec()],
        };
        let both = Bundle::new(images, &[companion], &none);
        assert_eq!(both.root.media_type, MediaType::OCI_INDEX);
        assert_eq!(both.documents.last().unwrap().0, both.root);
        assert!(both.blobs.contains_key(&Digest::of(b"statement")));
    }
}
