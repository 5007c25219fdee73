//! What an image is made of, for people.

use acetate_oci::{Descriptor, Digest, ImageConfig, Platform};

use crate::assemble::Image;
use crate::resolved::ResolvedImage;

/// The layers of an image beside the instructions that made them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The platform.
    pub platform: Platform,
    /// The layers, bottom first.
    pub layers: Vec<LayerSummary>,
    /// The bytes of all layer blobs.
    pub total_size: u64,
    /// How many entries of the history made no layer.
    pub n_empty: usize,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSummary {
    /// The digest of the blob.
    pub digest: Digest,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The size of the blob in bytes.
    pub size: u64,
    /// The instruction, where the history tells it.
    pub created_by: Option<String>,
}

impl ImageSummary {
    /// Describes an image that was built.
    pub fn of_image(image: &Image) -> Self {
        summarize(
            image.descriptor.digest,
            &image.config,
            &image.manifest.layers,
        )
    }

    /// Describes an image that was found.
    pub fn of_resolved(image: &ResolvedImage) -> Self {
        summarize(image.manifest_digest, &image.config, image.layers())
    }
}

/// Aligns from the top: what a base without history lacks is at the bottom.
fn summarize(digest: Digest, config: &ImageConfig, layers: &[Descriptor]) -> ImageSummary {
    let filled = config.history.iter().filter(|entry| !entry.empty_layer);
    let mut makers = filled.map(|entry| entry.created_by.clone()).rev();
    let mut summaries: Vec<_> = layers
        .iter()
        .zip(&config.rootfs.diff_ids)
        .rev()
        .map(|(layer, diff_id)| LayerSummary {
            digest: layer.digest,
            diff_id: *diff_id,
            size: layer.size,
            created_by: makers.next().filter(|text| !text.is_empty()),
        })
        .collect();
    summaries.reverse();
    ImageSummary {
        digest,
        platform: config.platform().normalized(),
        total_size: layers.iter().map(|layer| layer.size).sum(),
        layers: summaries,
        n_empty: config
            .history
            .iter()
            .filter(|entry| entry.empty_layer)
            .count(),
    }
}

#[cfg(test)]
mod tests {
    use acetate_oci::{HistoryEntry, MediaType};

    use super::*;

    #[test]
    fn instructions_stand_beside_their_layers() {
        let layers: Vec<_> = ["a", "bb", "ccc"]
            .map(|x| Descriptor::of(MediaType::OCI_LAYER, x.as_bytes()))
            .into();
        let mut config = ImageConfig::scratch(&Platform::new("linux", "amd64"));
        config.rootfs.diff_ids = layers.iter().map(|layer| layer.digest).collect();
        let entry = |text: &str, empty_layer| HistoryEntry {
            created_by: text.to_owned(),
            empty_layer,
            ..HistoryEntry::default()
        };
        config.history = vec![
            entry("RUN x", false),
            entry("ENV", true),
            entry("COPY y", false),
        ];
        let summary = summarize(Digest::of(b""), &config, &layers);
        let makers: Vec<_> = summary
            .layers
            .iter()
            .map(|l| l.created_by.as_deref())
            .collect();
        assert_eq!(makers, [None, Some("RUN x"), Some("COPY y")]);
        assert_eq!((summary.total_size, summary.n_empty), (6, 1));
        assert_eq!(summary.layers[2].size, 3);
    }
}
