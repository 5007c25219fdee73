//! Writes images out of the store.

mod apart;
mod archive;
mod destination;
mod docker;
mod extra;
mod local;
mod oci;
mod rootfs_tar;
mod save;

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use acetate_oci::{Descriptor, Digest, Platform, Reference};
use acetate_registry::{NoProgress, Progress};
use acetate_store::{Store, StoreError};

pub use self::destination::Destination;
pub use self::docker::{DockerExporter, export_partial};
pub use self::extra::ExtraFile;
pub use self::local::{LocalExporter, Stale};
pub use self::oci::{OciExporter, OciOutput};
pub use self::rootfs_tar::TarExporter;
pub use self::save::{SavedImage, save};
use crate::ImageError;
use crate::assemble::Image;

/// A sink for images: it reads them and the blobs of the store, and changes neither.
pub trait Exporter: Send + Sync {
    /// Writes the images of one build, one per platform; `progress` hears of the blobs that are
    /// written as they are.
    ///
    /// Blocks on disks; call it from a blocking thread.
    ///
    /// # Errors
    /// [`ExportError`]; nothing half-written stands under the destination's name then.
    fn export_telling(
        &self,
        images: &[Image],
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<ExportReport, ExportError>;

    /// The same, and nobody hears of it.
    ///
    /// # Errors
    /// As [`Self::export_telling`].
    fn export(&self, images: &[Image], store: &Store) -> Result<ExportReport, ExportError> {
        self.export_telling(images, store, &NoProgress)
    }
}

/// What an exporter did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// The index or manifest that the names lead to; none for file trees.
    pub descriptor: Option<Descriptor>,
    /// The digest of the configuration, when there was one image.
    pub config_digest: Option<Digest>,
    /// The names given to the image.
    pub names: Vec<Reference>,
    /// What could not be written as it is, in words.
    pub warnings: Vec<String>,
}

/// An export that failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// An image or layer is not fit for this exporter, or its blobs are missing or damaged.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The exporter holds one platform and got several.
    #[error(
        "export {n_images} platforms as `type=docker`: it holds one; \
         use `type=oci` or a single `--platform`"
    )]
    OnePlatform {
        /// How many there were.
        n_images: usize,
    },
    /// There is nothing to export.
    #[error("export an image: there is none")]
    Empty,
    /// Two images would be written to one place.
    #[error("export `{platform}` twice to one directory")]
    SamePlatform {
        /// The platform.
        platform: String,
    },
    /// Images that are to be laid into one tree have a name in common that is no directory.
    #[error(
        "export `{path}` of `{first}` and of `{second}` to one place; leave `platform-split=false` away"
    )]
    Overlap {
        /// The name.
        path: String,
        /// The platform that has it.
        first: String,
        /// The other one.
        second: String,
    },
    /// A file that is to lie beside the files of an image has the name of one of them.
    #[error(
        "export `{name}` beside the files of {platform}: the image has a file of this name; \
         use `attestation-prefix=PREFIX`"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The platform of the image.
        platform: String,
    },
    /// The destination is in use, or is something else than expected.
    #[error("write to `{}`: {reason}", path.display())]
    Destination {
        /// The destination.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The operating system refused.
    #[error("{action} `{}`: {source}", path.display())]
    Io {
        /// The verb.
        action: &'static str,
        /// Its object.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        Self::Image(error.into())
    }
}

impl ExportError {
    /// Adds verb and object; errors of ours that travelled through `io` come out again.
    fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            if source
                .get_ref()
                .is_some_and(<dyn Error + Send + Sync>::is::<StoreError>)
            {
                return StoreError::io(action, &path, source).into();
            }
            Self::Io {
                action,
                path,
                source,
            }
        }
    }

    /// Names the file that is written, which whoever fills it does not know.
    fn at(self, file: &Path) -> Self {
        match self {
            Self::Io {
                action,
                path,
                source,
            } if path.as_os_str() == ARCHIVE => Self::Io {
                action,
                path: file.to_owned(),
                source,
            },
            error => error,
        }
    }
}

/// Stands for the path of the output while its content is made.
const ARCHIVE: &str = "the archive";

/// Whether file trees of images lie in directories named after their platforms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlatformDirs {
    /// When there are several images.
    #[default]
    IfMany,
    /// Always (`platform-split=true`).
    Always,
    /// Never (`platform-split=false`): the trees are laid into one, and may share directories only.
    Never,
}

/// The directory of each image: `linux_amd64`, or empty where there is only one tree.
fn directories(images: &[Image], when: PlatformDirs) -> Result<Vec<String>, ExportError> {
    if images.is_empty() {
        return Err(ExportError::Empty);
    }
    match when {
        PlatformDirs::IfMany if images.len() == 1 => return Ok(vec![String::new()]),
        PlatformDirs::Never => return Ok(vec![String::new(); images.len()]),
        PlatformDirs::IfMany | PlatformDirs::Always => {}
    }
    let mut names: Vec<String> = Vec::new();
    for image in images {
        let name = directory(&image.platform());
        if names.contains(&name) {
            return Err(ExportError::SamePlatform {
                platform: image.platform().to_string(),
            });
        }
        names.push(name);
    }
    Ok(names)
}

/// A platform as one path component; what a config says must not lead anywhere else.
fn directory(platform: &Platform) -> String {
    platform.to_string().replace('/', "_").replace("..", "_")
}

#[cfg(test)]
pub(crate) mod tests;
