//! Images of this machine that builds begin with.

use crate::names::{self, Named, NamedImage};
use crate::{BuildError, Engine};
use acetate_image::{ImageSource, ResolvedImage};
use acetate_oci::{Platform, Reference};

impl Engine {
    /// The image of a name, when it is kept here for the platform and for `all` others that are
    /// built; what is damaged counts as absent.
    ///
    /// As with docker, what is here goes before what the registry has, and a name that was only ever
    /// given by `-t` is a base, too. A digest is no name: the store has what it leads to, or not.
    ///
    /// # Errors
    /// Those of the disk.
    pub(crate) async fn kept_base(
        &self,
        name: &Reference,
        platform: &Platform,
        all: &[Platform],
    ) -> Result<Option<ResolvedImage>, BuildError> {
        if name.digest().is_some() {
            return Ok(None);
        }
        let Some(named) = names::find(&self.store, name)? else {
            return Ok(None);
        };
        let image = chosen(&named, platform);
        let has_all = all.iter().all(|other| chosen(&named, other).is_some());
        let Some(image) = image.filter(|_| has_all) else {
            return Ok(None);
        };
        // Few names are kept here, and everything above would have its size.
        match Box::pin(self.resolve_kept(name, &named, image)).await {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                tracing::warn!(%name, %error, "the image of this machine is damaged");
                Ok(None)
            }
        }
    }

    async fn resolve_kept(
        &self,
        name: &Reference,
        named: &Named,
        image: &NamedImage,
    ) -> Result<ResolvedImage, BuildError> {
        let objects = names::objects_of(&self.store, named)?;
        self.store.live().pin(&objects)?;
        let source = ImageSource::Registry(name.clone());
        let whole = self.image_of(named, image).await?;
        let manifest = if whole.descriptor.digest == image.manifest.digest {
            image.manifest.clone()
        } else {
            // Layers are kept in another form than the manifest has.
            self.store.blobs().put(&whole.manifest_bytes)?;
            whole.descriptor
        };
        Ok(self
            .puller
            .resolve_stored(&source, named.digest, &manifest)
            .await?)
    }
}

/// The image for a platform, else one that runs on it.
fn chosen<'a>(named: &'a Named, wanted: &Platform) -> Option<&'a NamedImage> {
    let wanted = wanted.clone().normalized();
    let exact = |image: &&NamedImage| image.platform.clone().normalized() == wanted;
    let images = named.images.iter();
    images.clone().find(exact).or_else(|| {
        images
            .clone()
            .find(|image| image.platform.satisfies(&wanted))
    })
}
