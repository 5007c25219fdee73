use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The media type of a blob, as in the OCI image specification, media-types.md.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaType(Cow<'static, str>);

/// How the bytes of a layer blob are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// A plain tar.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// How bytes that begin so are compressed; what is not known counts as plain.
    pub fn of_bytes(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

macro_rules! media_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl MediaType {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*
        }
    };
}

media_types! {
    /// OCI image manifest.
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    /// OCI image configuration.
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, plain tar.
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    OCI_LAYER_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker image manifest, version 2 schema 2.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image configuration.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, plain tar.
    DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker layer, gzip.
    DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer that is not to be pushed elsewhere, gzip.
    DOCKER_FOREIGN_LAYER_GZIP = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
}

impl MediaType {
    /// Takes any media type.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Cow::Owned(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for an OCI index and a Docker manifest list.
    pub fn is_index(&self) -> bool {
        *self == Self::OCI_INDEX || *self == Self::DOCKER_LIST
    }

    /// True for an OCI or Docker image manifest.
    pub fn is_manifest(&self) -> bool {
        *self == Self::OCI_MANIFEST || *self == Self::DOCKER_MANIFEST
    }

    /// True for a file system layer that we can read.
    pub fn is_layer(&self) -> bool {
        self.compression().is_some()
    }

    /// How a layer of this type is compressed; `None` when this is no layer that we can read.
    pub fn compression(&self) -> Option<Compression> {
        let text = self.as_str();
        let suffix = text
            .strip_prefix("application/vnd.oci.image.layer.v1.tar")
            .or_else(|| {
                text.strip_prefix("application/vnd.oci.image.layer.nondistributable.v1.tar")
            })
            .or_else(|| text.strip_prefix("application/vnd.docker.image.rootfs.diff.tar"))
            .or_else(|| {
                text.strip_prefix("application/vnd.docker.image.rootfs.foreign.diff.tar")
            })?;
        match suffix {
            "" => Some(Compression::None),
            "+gzip" | ".gzip" => Some(Compression::Gzip),
            "+zstd" | ".zstd" => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// True for a layer that is not to be given to others, as of some proprietary bases.
    pub fn is_nondistributable(&self) -> bool {
        let text = self.as_str();
        self.is_layer() && (text.contains(".nondistributable.") || text.contains(".foreign."))
    }

    /// The OCI type of a layer that is not to be given to others, for a compression.
    pub fn oci_nondistributable(compression: Compression) -> Self {
        Self(Cow::Borrowed(match compression {
            Compression::None => "application/vnd.oci.image.layer.nondistributable.v1.tar",
            Compression::Gzip => "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            Compression::Zstd => "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        }))
    }

    /// The OCI layer type for a compression.
    pub fn oci_layer(compression: Compression) -> Self {
        match compression {
            Compression::None => Self::OCI_LAYER,
            Compression::Gzip => Self::OCI_LAYER_GZIP,
            Compression::Zstd => Self::OCI_LAYER_ZSTD,
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_bytes_begin_in_their_own_way() {
        for (head, expected) in [
            (&[0x1f, 0x8b, 8, 0][..], Compression::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            (b"dir/", Compression::None),
            (b"", Compression::None),
        ] {
            assert_eq!(Compression::of_bytes(head), expected);
        }
    }

    #[test]
    fn tells_layers_and_their_compression() {
        assert_eq!(MediaType::OCI_LAYER.compression(), Some(Compression::None));
        assert_eq!(
            MediaType::OCI_LAYER_ZSTD.compression(),
            Some(Compression::Zstd)
        );
        assert_eq!(
            MediaType::DOCKER_LAYER_GZIP.compression(),
            Some(Compression::Gzip)
        );
        assert_eq!(
            MediaType::DOCKER_FOREIGN_LAYER_GZIP.compression(),
            Some(Compression::Gzip)
        );
        assert_eq!(MediaType::OCI_CONFIG.compression(), None);
        let encrypted = MediaType::new("application/vnd.oci.image.layer.v1.tar+gzip+encrypted");
        assert!(!encrypted.is_layer());
    }
}
