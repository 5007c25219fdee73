//! What a build writes, as its caller asks for it.

use acetate_image::{Annotations, Force, Packaging, PlatformDirs, Recipe, Stale, Style};
use acetate_oci::Compression;
use std::path::PathBuf;

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutputSpec {
    /// `type=image` and `type=registry`: an image under its names.
    Image(ImageOptions, Place),
    /// `type=oci`: an OCI layout.
    Oci(ImageOptions, LayoutPlace),
    /// `type=docker,dest=...`: an archive for `docker load`.
    DockerArchive(ImageOptions, Destination),
    /// `type=docker` without dest, and `--load`: an image in the engine of docker or podman; in that
    /// of a context of docker where one is named.
    Load(ImageOptions, Option<String>),
    /// `type=tar`: the files of the image in one tar.
    Tar(Destination, TreeOptions),
    /// `type=local`: the files of the image in a directory.
    Local(PathBuf, TreeOptions, Stale),
    /// `type=cacheonly`: nothing, the build only fills the cache.
    CacheOnly,
}

impl OutputSpec {
    /// How the image is put together, for outputs that have one.
    pub fn image(&self) -> Option<&ImageOptions> {
        match self {
            Self::Image(options, _)
            | Self::Oci(options, _)
            | Self::DockerArchive(options, _)
            | Self::Load(options, _) => Some(options),
            Self::Tar(..) | Self::Local(..) | Self::CacheOnly => None,
        }
    }

    /// The same, to be changed.
    pub fn image_mut(&mut self) -> Option<&mut ImageOptions> {
        match self {
            Self::Image(options, _)
            | Self::Oci(options, _)
            | Self::DockerArchive(options, _)
            | Self::Load(options, _) => Some(options),
            Self::Tar(..) | Self::Local(..) | Self::CacheOnly => None,
        }
    }

    /// True when it is written to standard output.
    pub fn is_stdout(&self) -> bool {
        let (Self::Oci(_, LayoutPlace::Archive(dest))
        | Self::DockerArchive(_, dest)
        | Self::Tar(dest, _)) = self
        else {
            return false;
        };
        *dest == Destination::Stdout
    }
}

/// How files of images are laid out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeOptions {
    /// Whether they lie in directories of their platforms.
    pub platform_dirs: PlatformDirs,
    /// What the names of attestations begin with (`attestation-prefix`).
    pub attestation_prefix: String,
}

impl From<PlatformDirs> for TreeOptions {
    fn from(platform_dirs: PlatformDirs) -> Self {
        Self {
            platform_dirs,
            attestation_prefix: String::new(),
        }
    }
}

/// How an image carries attestations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CarryOptions {
    /// Whether it carries those, too, that are for images only (`attestation-inline`).
    pub inline: bool,
    /// Whether they are artifacts that name their subject (`oci-artifact`).
    pub artifact: bool,
}

/// How an image is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOptions {
    /// Its names, as the user wrote them; those of `--tag` where there are none.
    pub names: Vec<String>,
    /// How layers are compressed.
    pub recipe: Recipe,
    /// Which layers are.
    pub force: Force,
    /// Whose media types the documents have.
    pub packaging: Packaging,
    /// What is said of it.
    pub annotations: Annotations,
    /// How attestations go with it.
    pub attestations: CarryOptions,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            recipe: Recipe::new(Compression::Gzip),
            force: Force::Plain,
            packaging: Style::Oci.into(),
            annotations: Annotations::default(),
            attestations: CarryOptions {
                inline: true,
                artifact: true,
            },
        }
    }
}

/// Where an image goes that has names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whether it is kept under its names on this machine.
    pub keep: bool,
    /// How it is given to registries; none leaves it here.
    pub push: Option<Push>,
    /// A further name that the image is kept under with its digest (`dangling-name-prefix`).
    pub dangling: Option<Dangling>,
    /// Whether it is also kept under each name with its digest (`name-canonical`).
    pub canonical: bool,
}

/// A name that holds the digest of an image, and is given once the digest is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dangling {
    /// What stands before the digest.
    pub prefix: String,
    /// Whether only an image without other names gets it (`danging-name-empty-only`).
    pub only_nameless: bool,
}

/// How an image is given to registries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Push {
    /// Whether the registry gets no tag, only the digest.
    pub by_digest: bool,
    /// Whether the registry may be one without TLS, or with a certificate that proves nothing.
    pub insecure: bool,
}

/// Where a layout goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayoutPlace {
    /// One tar.
    Archive(Destination),
    /// A directory (`tar=false`).
    Directory(PathBuf),
}

/// Where a stream goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A path.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}
