//! Writes kept images to archives and layouts.

use super::stored::reference;
use super::whole::Pack;
use crate::names::Named;
use crate::progress::InternalStep;
use crate::{BuildError, Destination, Engine, EventSink, ImageOptions};
use acetate_image::{OciOutput, SavedImage, WholeImage};
use acetate_oci::{Manifest, Platform};
use acetate_registry::Progress;
use std::path::PathBuf;
use std::sync::Arc;

/// What to write where.
#[derive(Debug, Clone)]
pub struct SaveRequest {
    /// The images, as users name them.
    pub images: Vec<String>,
    /// The kind of file.
    pub format: SaveFormat,
    /// How layers are compressed that are not; none leaves them as they are.
    pub options: Option<ImageOptions>,
    /// The platform for docker archives, which hold one.
    pub platform: Option<Platform>,
}

/// The kind of what is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaveFormat {
    /// A tar of an OCI layout.
    Oci(Destination),
    /// The same, with what `docker load` looks for beside it.
    Docker(Destination),
    /// An OCI layout as a directory, to which the images are added.
    Directory(PathBuf),
}

impl Engine {
    /// Writes images to one file or directory.
    ///
    /// # Errors
    /// When one of them is not here, or the file cannot be written.
    pub async fn save_images(
        &self,
        request: &SaveRequest,
        sink: &Arc<dyn EventSink>,
    ) -> Result<(), BuildError> {
        let step = self.step(sink, &format!("writing {}", request.images.join(", ")));
        let saved = self.save(request, &step).await;
        step.end(&saved);
        saved
    }

    async fn save(&self, request: &SaveRequest, step: &InternalStep) -> Result<(), BuildError> {
        let packing = step.transfer("compressing");
        let mut saved = Vec::new();
        for text in &request.images {
            let mut named = self.find_named(text)?;
            let is_docker = matches!(request.format, SaveFormat::Docker(_));
            if is_docker || request.platform.is_some() {
                narrow(&mut named, request.platform.as_ref())?;
            }
            let pack = match &request.options {
                Some(options) => Pack::Plain(options, &packing),
                None => Pack::Never,
            };
            let (whole, _) = self.whole_of(&named, pack).await?;
            saved.push(SavedImage {
                loadable: if is_docker {
                    Some(loadable(&whole)?)
                } else {
                    None
                },
                whole,
                names: vec![reference(&named)?],
                tag: None,
            });
        }
        let output = match &request.format {
            SaveFormat::Oci(dest) | SaveFormat::Docker(dest) => {
                OciOutput::Archive(crate::export::destination(dest))
            }
            SaveFormat::Directory(path) => OciOutput::Directory(path.clone()),
        };
        let progress = step.transfer("writing");
        self.write(saved, output, &progress).await
    }

    pub(super) async fn write(
        &self,
        saved: Vec<SavedImage>,
        output: OciOutput,
        progress: &Arc<dyn Progress>,
    ) -> Result<(), BuildError> {
        let (store, progress) = (Arc::clone(&self.store), Arc::clone(progress));
        let write = move || acetate_image::save(&saved, &output, &store, &*progress);
        Ok(acetate_stdx::blocking(write).await?)
    }
}

/// Leaves one platform of an image: the wanted one, or that of this machine.
pub(super) fn narrow(named: &mut Named, platform: Option<&Platform>) -> Result<(), BuildError> {
    if named.images.len() == 1 && platform.is_none() {
        // What stands beside it in an index stays behind.
        named.root = named.root.take().map(|_| named.images[0].manifest.clone());
        return Ok(());
    }
    let host = Platform::host();
    let wanted = platform.unwrap_or(&host);
    let at = named
        .images
        .iter()
        .position(|it| it.platform.satisfies(wanted));
    let Some(at) = at else {
        let has: Vec<String> = named
            .images
            .iter()
            .map(|it| it.platform.to_string())
            .collect();
        return Err(BuildError::request_with(
            format!("`{}` is not for {wanted}", named.name),
            format!(
                "name one of its platforms with --platform: {}",
                has.join(", ")
            ),
        ));
    };
    let image = named.images.swap_remove(at);
    named.root = named.root.take().map(|_| image.manifest.clone());
    named.images = vec![image];
    Ok(())
}

/// The one manifest of an image of one platform.
pub(super) fn loadable(whole: &WholeImage) -> Result<Manifest, BuildError> {
    let bytes = whole.documents.last().map_or(&[][..], |(_, bytes)| bytes);
    serde_json::from_slice(bytes).map_err(|_| {
        BuildError::request_with(
            "a docker archive holds one platform",
            "name one with --platform, or use --format=oci",
        )
    })
}
