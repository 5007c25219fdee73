//! What the layers of images are as they are pushed, known without their bytes where that is possible.

use super::Pushing;
use super::fault::Fault;
use super::source::LayerSource;
use crate::ImageOptions;
use crate::blobs::FetchError;
use crate::export;
use crate::images::{Assembled, FinishError, lost_or, target_of};
use crate::runner::StepRunner;
use acetate_image::{Force, Image, ImageLayer};
use acetate_oci::{Compression, Descriptor, Digest};
use acetate_registry::PushBlob;
use acetate_snapshot::Layer;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Images as they are pushed.
pub(super) struct Ready {
    pub(super) images: Vec<Image>,
    /// Their layers.
    pub(super) blobs: Vec<PushBlob>,
    /// What turns out to be wrong with them while they are sent.
    pub(super) fault: Fault,
}

/// Gives the images with layers in the form that they are pushed in.
pub(super) async fn ready(
    runner: &Arc<StepRunner>,
    assembled: &[Assembled],
    pushing: &Pushing<'_>,
) -> Result<Ready, FinishError> {
    let options = pushing.options;
    let known = known(runner, assembled, options).await;
    fetch_rest(runner, assembled, options, &known).await?;
    let images = export::images(runner, assembled, Some(options));
    let (store, wanted) = (Arc::clone(&runner.store), options.clone());
    let forms = known.clone();
    let packing = Arc::clone(pushing.packing);
    let pack = move || export::packed(&images, &store, &wanted, &forms, &*packing);
    let images = acetate_stdx::blocking(pack).await?;
    for (one, image) in assembled.iter().zip(&images) {
        // What was named without its bytes came from a cache, and is no news to one.
        if known.is_empty() {
            let own = export::own_layers(one);
            export::note_forms(runner, options.recipe, (&one.image, image), &own);
        }
    }
    let mut blobs = BTreeMap::new();
    let fault = Fault::default();
    for (one, image) in assembled.iter().zip(&images) {
        let own = one.files.snapshot.layers().iter();
        for ((layer, plain), form) in own.zip(&one.image.layers).zip(&image.layers) {
            let blob = || blob(runner, (layer, plain, form), options, &fault);
            blobs.entry(form.descriptor.digest).or_insert_with(blob);
        }
    }
    Ok(Ready {
        images,
        blobs: blobs.into_values().collect(),
        fault,
    })
}

fn blob(
    runner: &Arc<StepRunner>,
    (layer, plain, form): (&Layer, &ImageLayer, &ImageLayer),
    options: &ImageOptions,
    fault: &Fault,
) -> PushBlob {
    let digest = form.descriptor.digest;
    let is_form = digest != plain.descriptor.digest;
    PushBlob {
        descriptor: form.descriptor.clone(),
        source: Arc::new(LayerSource {
            runner: Arc::clone(runner),
            handle: tokio::runtime::Handle::current(),
            digest,
            layer: layer.clone(),
            form: is_form.then(|| (plain.clone(), options.recipe)),
            fault: fault.clone(),
        }),
        mount_from: runner.blobs.repositories(&digest),
    }
}

/// The forms of layers from caches that can be named without having them.
async fn known(
    runner: &Arc<StepRunner>,
    assembled: &[Assembled],
    options: &ImageOptions,
) -> BTreeMap<Digest, Descriptor> {
    let wanted: Vec<Digest> = absent(runner, assembled)
        .map(|(_, plain)| plain.diff_id)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    // A form that is another tar has another `diff_id`, which only making it tells.
    if wanted.is_empty()
        || !options.recipe.keeps_tar()
        || options.recipe.compression() == Compression::None
    {
        return BTreeMap::new();
    }
    let found = runner.forms.descriptors(&wanted, options.recipe).await;
    let pairs = wanted.into_iter().zip(found);
    pairs
        .filter_map(|(layer, form)| Some((layer, form?)))
        .collect()
}

/// Fetches what has to be compressed here.
async fn fetch_rest(
    runner: &Arc<StepRunner>,
    assembled: &[Assembled],
    options: &ImageOptions,
    known: &BTreeMap<Digest, Descriptor>,
) -> Result<(), FinishError> {
    let unknown =
        absent(runner, assembled).filter(|(_, plain)| !known.contains_key(&plain.diff_id));
    let unknown: Vec<(Layer, ImageLayer)> = unknown
        .map(|(layer, plain)| (layer.clone(), plain.clone()))
        .collect();
    let plain: Vec<ImageLayer> = unknown.iter().map(|(_, plain)| plain.clone()).collect();
    let recipes = [options.recipe];
    let tars = crate::shared::Tars::Unneeded;
    let formed = runner.forms.bring(&plain, &recipes, tars).await;
    let rest = unknown
        .into_iter()
        .filter(|(_, plain)| !formed.contains(&plain.diff_id))
        .map(|(layer, _)| layer);
    let mut rest: Vec<Layer> = rest.collect();
    if options.force == Force::Other {
        // All of them are compressed anew, those of bases, too.
        let all = assembled.iter().flat_map(|one| one.files.snapshot.layers());
        rest = all
            .filter(|layer| crate::blobs::is_pulled(layer))
            .cloned()
            .collect();
    }
    let fetched = runner.blobs.fetch(rest).await;
    fetched.map_err(|error| {
        let target = match &error {
            FetchError::Lost(layer) => target_of(assembled, *layer),
            _ => None,
        };
        lost_or(error, target)
    })
}

/// The layers that came from caches as plain tars and are not here.
fn absent<'a>(
    runner: &'a StepRunner,
    assembled: &'a [Assembled],
) -> impl Iterator<Item = (&'a Layer, &'a ImageLayer)> {
    let pairs = assembled.iter().flat_map(|one| {
        let layers = one.files.snapshot.layers().iter();
        layers.zip(&one.image.layers)
    });
    pairs.filter(|(layer, plain)| {
        let is_plain = plain.descriptor.digest == plain.diff_id;
        let here = || matches!(runner.store.blobs().has(&plain.diff_id), Ok(Some(_)));
        is_plain && runner.blobs.is_imported(layer) && !here()
    })
}
