//! Images as an output wants them.

use crate::images::Assembled;
use crate::runner::StepRunner;
use crate::shared::UsedForm;
use crate::{BuildError, ImageOptions};
use acetate_image::{
    AnnotationLevel, Image, ImageLayer, Packaging, Recipe, STARGZ_ANNOTATIONS, Style, assemble,
    compress_all,
};
use acetate_oci::{Descriptor, Digest, MediaType};
use acetate_registry::Progress;
use acetate_store::Store;
use std::collections::BTreeMap;

/// The images as an output takes them: what the descriptors of a base say of its layers beside
/// their bytes, and results do not hold, is there again.
pub(crate) fn images(
    runner: &StepRunner,
    assembled: &[Assembled],
    options: Option<&ImageOptions>,
) -> Vec<Image> {
    let told = |one: &Assembled| {
        let mut image = one.image.clone();
        let Some(Packaging {
            style,
            keep_nondistributable,
        }) = options.map(|options| options.packaging)
        else {
            return image;
        };
        for layer in &mut image.layers {
            let base = runner.blobs.base(&layer.diff_id);
            let Some(base) = base.filter(|base| base.digest == layer.descriptor.digest) else {
                continue;
            };
            if keep_nondistributable && base.media_type.is_nondistributable() {
                layer.descriptor.media_type = base.media_type;
            }
            if style == Style::Oci {
                let about = base.annotations.into_iter();
                let about = about.filter(|(key, _)| STARGZ_ANNOTATIONS.contains(&key.as_str()));
                layer.descriptor.annotations.extend(about);
            }
        }
        image
    };
    assembled.iter().map(told).collect()
}

/// The layers of an image as results have them, by their digests.
pub(crate) fn own_layers(assembled: &Assembled) -> Vec<Option<Digest>> {
    let layers = assembled.files.snapshot.layers().iter();
    layers.map(acetate_snapshot::Layer::diff_id).collect()
}

/// Notes which compressed layers an output consists of, but those that came compressed.
pub(crate) fn note_forms(
    runner: &StepRunner,
    recipe: Recipe,
    (plain, form): (&Image, &Image),
    own: &[Option<Digest>],
) {
    for ((plain, form), own) in plain.layers.iter().zip(&form.layers).zip(own) {
        let Some(own) = own.filter(|own| runner.blobs.base(own).is_none()) else {
            continue;
        };
        if recipe.keeps_tar() && form.descriptor.digest != plain.descriptor.digest {
            let used = UsedForm {
                // Images of other styles call the same blob otherwise.
                descriptor: Descriptor {
                    media_type: MediaType::oci_layer(recipe.compression()),
                    ..form.descriptor.clone()
                },
                layer: own,
            };
            runner.forms.note_used(plain.diff_id, recipe, used);
        }
    }
}

/// Layers with the compression of an output, in their order.
fn in_form(
    layers: &[ImageLayer],
    store: &Store,
    options: &ImageOptions,
    forms: &BTreeMap<Digest, Descriptor>,
    progress: &dyn Progress,
) -> Result<Vec<ImageLayer>, BuildError> {
    let known = |layer: &ImageLayer| -> Option<ImageLayer> {
        let descriptor = forms.get(&layer.diff_id)?.clone();
        let diff_id = layer.diff_id;
        Some(ImageLayer {
            descriptor,
            diff_id,
        })
    };
    let is_unknown = |layer: &&ImageLayer| !forms.contains_key(&layer.diff_id);
    let unknown: Vec<ImageLayer> = layers.iter().filter(is_unknown).cloned().collect();
    let made = compress_all(store, &unknown, options.recipe, options.force, progress)?;
    let mut made = made.into_iter();
    let all = layers
        .iter()
        .filter_map(|layer| known(layer).or_else(|| made.next()));
    Ok(all.collect())
}

/// The same images as an output wants them: with its compression, types and annotations.
///
/// `forms` are those of layers, by what they hold, that are known although they may not be here;
/// `progress` hears of what is compressed.
pub(crate) fn packed(
    images: &[Image],
    store: &Store,
    options: &ImageOptions,
    forms: &BTreeMap<Digest, Descriptor>,
    progress: &dyn Progress,
) -> Result<Vec<Image>, BuildError> {
    let one = |image: &Image| -> Result<Image, BuildError> {
        let layers = in_form(&image.layers, store, options, forms, progress)?;
        let history = image.config.history.clone();
        let image = assemble(image.config.clone(), history, layers, options.packaging)?;
        let platform = image.platform();
        let at = |level| options.annotations.of(level, &platform);
        let (manifest, descriptor) = (
            at(AnnotationLevel::Manifest),
            at(AnnotationLevel::ManifestDescriptor),
        );
        Ok(image.annotated(manifest, descriptor))
    };
    images.iter().map(one).collect()
}
