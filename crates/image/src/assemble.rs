//! Puts config, history and layers together to an image.

use std::collections::BTreeMap;

use acetate_oci::{
    Compression, Descriptor, HistoryEntry, ImageConfig, Manifest, MediaType, Platform,
    canonical_json,
};

use crate::ImageError;
use crate::compress::blob_annotations;
use crate::layer::ImageLayer;

/// Whose media types a manifest uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The OCI image specification.
    Oci,
    /// Docker's schema 2, which knows no zstd.
    Docker,
}

/// How the documents of an image are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packaging {
    /// Whose media types they use.
    pub style: Style,
    /// Whether layers of a base that are not to be distributed keep a type that says so
    /// (`prefer-nondist-layers`); else they become layers like all others.
    pub keep_nondistributable: bool,
}

impl From<Style> for Packaging {
    fn from(style: Style) -> Self {
        Self {
            style,
            keep_nondistributable: false,
        }
    }
}

/// An image: an immutable value whose documents are here and whose layers are in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The configuration.
    pub config: ImageConfig,
    /// The configuration's exact bytes.
    pub config_bytes: Vec<u8>,
    /// The manifest.
    pub manifest: Manifest,
    /// The manifest's exact bytes.
    pub manifest_bytes: Vec<u8>,
    /// Points at the manifest; carries the platform.
    pub descriptor: Descriptor,
    /// The layers, bottom first, in the order of the manifest.
    pub layers: Vec<ImageLayer>,
}

/// Makes the image of a configuration: its `history` and `rootfs` are replaced by those given.
///
/// All documents are canonical JSON, so equal input gives equal digests.
///
/// # Errors
/// `Corrupt` when history and layers do not fit together, `Unsupported` when the style has no
/// media type for a layer.
pub fn assemble(
    mut config: ImageConfig,
    history: Vec<HistoryEntry>,
    layers: Vec<ImageLayer>,
    packaging: impl Into<Packaging>,
) -> Result<Image, ImageError> {
    let n_filled = history.iter().filter(|entry| !entry.empty_layer).count();
    if !history.is_empty() && n_filled != layers.len() {
        return Err(ImageError::corrupt(
            "the history of the image",
            format!(
                "it speaks of {n_filled} layers, the image has {}",
                layers.len()
            ),
        ));
    }
    config.history = history;
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let config_bytes = canonical_json(&config);
    finish(config, config_bytes, layers, packaging.into())
}

impl Image {
    /// The image of a configuration as it is, byte for byte, which names these layers.
    ///
    /// # Errors
    /// `Corrupt` when the configuration is none, or names other layers.
    pub fn of_config(
        config_bytes: Vec<u8>,
        layers: Vec<ImageLayer>,
        packaging: impl Into<Packaging>,
    ) -> Result<Self, ImageError> {
        let what = "the configuration of the image";
        let config: ImageConfig = serde_json::from_slice(&config_bytes)
            .map_err(|error| ImageError::corrupt(what, error))?;
        let named = layers.iter().map(|layer| &layer.diff_id);
        if !named.eq(config.rootfs.diff_ids.iter()) {
            return Err(ImageError::corrupt(what, "it names other layers"));
        }
        finish(config, config_bytes, layers, packaging.into())
    }

    /// The platform in the configuration.
    pub fn platform(&self) -> Platform {
        self.config.platform().normalized()
    }

    /// Points at the configuration.
    pub fn config_descriptor(&self) -> &Descriptor {
        &self.manifest.config
    }

    /// The same image with the media types of a style; its configuration keeps its bytes.
    ///
    /// # Errors
    /// `Unsupported` when the style has no media type for a layer.
    pub fn in_style(&self, style: Style) -> Result<Self, ImageError> {
        finish(
            self.config.clone(),
            self.config_bytes.clone(),
            self.layers.clone(),
            style.into(),
        )
    }

    /// The same image with these annotations on its manifest and on what points at it.
    #[must_use]
    pub fn annotated(
        mut self,
        manifest: BTreeMap<String, String>,
        descriptor: BTreeMap<String, String>,
    ) -> Self {
        if !manifest.is_empty() {
            self.manifest.annotations.extend(manifest);
            self.manifest_bytes = canonical_json(&self.manifest);
            let media_type = self.descriptor.media_type.clone();
            let platform = self.descriptor.platform.take();
            self.descriptor = Descriptor::of(media_type, &self.manifest_bytes);
            self.descriptor.platform = platform;
        }
        self.descriptor.annotations.extend(descriptor);
        self
    }
}

fn finish(
    config: ImageConfig,
    config_bytes: Vec<u8>,
    mut layers: Vec<ImageLayer>,
    packaging: Packaging,
) -> Result<Image, ImageError> {
    for layer in &mut layers {
        let Descriptor { digest, size, .. } = layer.descriptor;
        let mut descriptor = Descriptor::new(layer_type(layer, packaging)?, digest, size);
        if packaging.style == Style::Oci {
            descriptor.annotations = blob_annotations(&layer.descriptor);
        }
        layer.descriptor = descriptor;
    }
    let (config_type, manifest_type) = match packaging.style {
        Style::Oci => (MediaType::OCI_CONFIG, MediaType::OCI_MANIFEST),
        Style::Docker => (MediaType::DOCKER_CONFIG, MediaType::DOCKER_MANIFEST),
    };
    let config_descriptor = Descriptor::of(config_type, &config_bytes);
    let descriptors = layers
        .iter()
        .map(|layer| layer.descriptor.clone())
        .collect();
    let mut manifest = Manifest::oci(config_descriptor, descriptors);
    manifest.media_type = Some(manifest_type.clone());
    let manifest_bytes = canonical_json(&manifest);
    let mut descriptor = Descriptor::of(manifest_type, &manifest_bytes);
    descriptor.platform = Some(config.platform().normalized());
    Ok(Image {
        config,
        config_bytes,
        manifest,
        manifest_bytes,
        descriptor,
        layers,
    })
}

fn layer_type(layer: &ImageLayer, packaging: Packaging) -> Result<MediaType, ImageError> {
    let compression = layer.compression()?;
    let kept = packaging.keep_nondistributable && layer.descriptor.media_type.is_nondistributable();
    Ok(match (packaging.style, compression) {
        (Style::Oci, compression) if kept => MediaType::oci_nondistributable(compression),
        (Style::Oci, compression) => MediaType::oci_layer(compression),
        (Style::Docker, Compression::Gzip) if kept => MediaType::DOCKER_FOREIGN_LAYER_GZIP,
        (Style::Docker, Compression::None) => MediaType::DOCKER_LAYER,
        (Style::Docker, Compression::Gzip) => MediaType::DOCKER_LAYER_GZIP,
        (Style::Docker, Compression::Zstd) => {
            return Err(ImageError::unsupported(
                format!("layer `{}` in a docker image", layer.descriptor.digest),
                "`compression=zstd` needs OCI media types; use `type=oci` or `compression=gzip`",
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use acetate_oci::{Digest, Timestamp};
    use expect_test::expect;

    use super::*;

    fn layer(text: &str, kind: MediaType) -> ImageLayer {
        ImageLayer {
            descriptor: Descriptor::of(kind, text.as_bytes()),
            diff_id: Digest::of(text.as_bytes()),
        }
    }

    fn entry(text: &str, empty_layer: bool) -> HistoryEntry {
        HistoryEntry {
            created: Some(Timestamp::from_secs(0)),
            created_by: text.to_owned(),
            empty_layer,
            ..HistoryEntry::default()
        }
    }

    fn config() -> ImageConfig {
        ImageConfig::scratch(&"linux/arm/v7".parse().unwrap())
    }

    #[test]
    fn documents_are_canonical() {
        let layers = vec![layer("x", MediaType::DOCKER_LAYER_GZIP)];
        let history = vec![entry("COPY x", false), entry("CMD y", true)];
        let image = assemble(config(), history, layers, Style::Oci).unwrap();
        expect![[r#"{"architecture":"arm","config":{},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"COPY x"},{"created":"1970-01-01T00:00:00Z","created_by":"CMD y","empty_layer":true}],"os":"linux","rootfs":{"diff_ids":["sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"],"type":"layers"},"variant":"v7"}"#]]
        .assert_eq(std::str::from_utf8(&image.config_bytes).unwrap());
        expect![[r#"{"config":{"digest":"sha256:2890f60c9a5e8e43df0d917ca5ef49742767cafd4e4ba307a4d037a92a9095b0","mediaType":"application/vnd.oci.image.config.v1+json","size":320},"layers":[{"digest":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":1}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}"#]]
        .assert_eq(std::str::from_utf8(&image.manifest_bytes).unwrap());
        assert_eq!(image.descriptor.digest, Digest::of(&image.manifest_bytes));
        assert_eq!(
            image.descriptor.platform,
            Some("linux/arm/v7".parse().unwrap())
        );
    }

    #[test]
    fn an_image_without_layers_is_an_image() {
        let history = vec![entry("LABEL a=b", true)];
        let image = assemble(config(), history, Vec::new(), Style::Oci).unwrap();
        assert!(image.layers.is_empty() && image.config.rootfs.diff_ids.is_empty());
    }

    #[test]
    fn history_must_fit() {
        let error = assemble(
            config(),
            vec![entry("x", true)],
            vec![layer("x", MediaType::OCI_LAYER)],
            Style::Oci,
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("speaks of 0 layers, the image has 1")
        );
        assert!(assemble(config(), vec![entry("x", false)], Vec::new(), Style::Oci).is_err());
    }

    #[test]
    fn what_annotations_say_of_the_blob_stays() {
        let mut annotated = layer("x", MediaType::OCI_LAYER_GZIP);
        for key in [
            "containerd.io/snapshot/stargz/toc.digest",
            "io.containers.estargz.uncompressed-size",
            "org.example.other",
        ] {
            let annotations = &mut annotated.descriptor.annotations;
            annotations.insert(key.to_owned(), "1".to_owned());
        }
        let oci = assemble(config(), Vec::new(), vec![annotated], Style::Oci).unwrap();
        let kept: Vec<&String> = oci.manifest.layers[0].annotations.keys().collect();
        assert_eq!(
            kept,
            [
                "containerd.io/snapshot/stargz/toc.digest",
                "io.containers.estargz.uncompressed-size"
            ]
        );
        let docker = oci.in_style(Style::Docker).unwrap();
        assert!(docker.manifest.layers[0].annotations.is_empty());
    }

    #[test]
    fn docker_style_changes_types_only() {
        let layers = vec![
            layer("x", MediaType::OCI_LAYER_GZIP),
            layer("y", MediaType::OCI_LAYER),
        ];
        let oci = assemble(config(), Vec::new(), layers, Style::Oci).unwrap();
        let docker = oci.in_style(Style::Docker).unwrap();
        assert_eq!(docker.config_bytes, oci.config_bytes);
        assert_eq!(docker.manifest.media_type, Some(MediaType::DOCKER_MANIFEST));
        assert_eq!(
            docker.layers[0].descriptor.media_type,
            MediaType::DOCKER_LAYER_GZIP
        );
        assert_eq!(
            docker.layers[1].descriptor.media_type,
            MediaType::DOCKER_LAYER
        );
        assert_eq!(docker.in_style(Style::Oci).unwrap(), oci);
        let zstd = vec![layer("x", MediaType::OCI_LAYER_ZSTD)];
        let error = assemble(config(), Vec::new(), zstd, Style::Docker).unwrap_err();
        assert!(error.to_string().contains("`compression=zstd`"), "{error}");
    }
}
