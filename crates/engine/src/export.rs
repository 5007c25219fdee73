//! From a request's outputs to exporters.

use crate::attesting::Attestations;
use crate::daemon::{self, Connection};
use crate::exporters::{self, Beside};
use crate::images::{Assembled, FinishError};
use crate::push::{self, Pushing};
use crate::runner::StepRunner;
use crate::shared::{Tars, UsedForm};
use crate::{BuildError, BuildRequest, Dangling, ImageOptions, OutputSpec, Place};
use acetate_image::{
    AnnotationLevel, ExportReport, Image, ImageLayer, Packaging, Recipe, STARGZ_ANNOTATIONS, Style,
    assemble, compress_all,
};
use acetate_oci::{Compression, Descriptor, Digest, MediaType, Reference, Timestamp};
use acetate_registry::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The names of an output: its own, else those of `--tag`.
pub(crate) fn names(options: &ImageOptions, tags: &[String]) -> Result<Vec<Reference>, BuildError> {
    if options.names.is_empty() {
        return references(tags);
    }
    let mut found = Vec::new();
    for name in &options.names {
        // All names that the build was given, as other builders have it.
        if name == "*" {
            found.extend(references(tags)?);
            continue;
        }
        let parsed = name.parse::<Reference>();
        found.push(parsed.map_err(|error| BuildError::request(format!("name={name}: {error}")))?);
    }
    Ok(found)
}

/// All names that the image gets, here and elsewhere.
pub(crate) fn given(request: &BuildRequest) -> Result<Vec<Reference>, BuildError> {
    let mut found = kept(request)?;
    for options in request.outputs.iter().filter_map(OutputSpec::image) {
        let own = names(options, &request.tags)?;
        let new = own.into_iter().filter(|name| !found.contains(name));
        found.extend(new.collect::<Vec<_>>());
    }
    Ok(found)
}

/// Further names that hold the digest of the image.
#[derive(Debug, Default)]
pub(crate) struct DigestNames {
    /// Each name once more (`name-canonical`).
    pub(crate) canonical: Vec<Reference>,
    /// What is kept beside the names, or for want of one (`dangling-name-prefix`).
    pub(crate) dangling: Vec<Reference>,
}

/// The names with the digest that outputs ask for.
pub(crate) fn with_digest(
    request: &BuildRequest,
    digest: Digest,
) -> Result<DigestNames, BuildError> {
    let mut found = DigestNames::default();
    for output in &request.outputs {
        let OutputSpec::Image(options, place) = output else {
            continue;
        };
        let names = names(options, &request.tags)?;
        if !place.keep {
            continue;
        }
        if place.canonical {
            for name in &names {
                found.canonical.push(digested(name, digest)?);
            }
        }
        if let Some(name) = dangling(place, &names)? {
            found.dangling.push(digested(&name, digest)?);
        }
    }
    Ok(found)
}

/// What stands before the digest in the further name of an output that asks for one.
pub(crate) fn dangling(
    place: &Place,
    names: &[Reference],
) -> Result<Option<Reference>, BuildError> {
    let wanted = place.dangling.as_ref();
    let wanted = wanted.filter(|wanted| names.is_empty() || !wanted.only_nameless);
    let parse = |wanted: &Dangling| {
        let Dangling { prefix, .. } = wanted;
        let name = prefix.parse::<Reference>();
        name.map_err(|error| BuildError::request(format!("dangling-name-prefix={prefix}: {error}")))
    };
    wanted.map(parse).transpose()
}

/// The name without its tag, which moves, and with a digest, which does not.
fn digested(name: &Reference, digest: Digest) -> Result<Reference, BuildError> {
    let text = format!("{}/{}@{digest}", name.domain(), name.path());
    let parsed = text.parse::<Reference>();
    parsed.map_err(|error| BuildError::request(format!("{text}: {error}")))
}

/// Whether the image is kept here under any name.
pub(crate) fn keeps(request: &BuildRequest, kept: &[Reference]) -> bool {
    let is_dangling = |output: &OutputSpec| {
        matches!(
            output,
            OutputSpec::Image(
                _,
                Place {
                    keep: true,
                    dangling: Some(_),
                    ..
                }
            )
        )
    };
    !kept.is_empty() || request.outputs.iter().any(is_dangling)
}

/// The names under which the image is kept on this machine.
pub(crate) fn kept(request: &BuildRequest) -> Result<Vec<Reference>, BuildError> {
    let mut is_placed = false;
    let mut found = Vec::new();
    for output in &request.outputs {
        if let OutputSpec::Image(options, place) = output {
            is_placed = true;
            if place.keep {
                found.extend(names(options, &request.tags)?);
            }
        }
    }
    if !is_placed {
        return references(&request.tags);
    }
    found.sort_by_key(ToString::to_string);
    found.dedup();
    Ok(found)
}

/// The names given, in full.
pub(crate) fn references(tags: &[String]) -> Result<Vec<Reference>, BuildError> {
    let parse = |tag: &String| {
        tag.parse::<Reference>()
            .map_err(|error| BuildError::request(format!("--tag: {error}")))
    };
    tags.iter().map(parse).collect()
}

/// True when an image has to be put together at all.
pub(crate) fn wants_image(request: &BuildRequest) -> bool {
    let written = request
        .outputs
        .iter()
        .any(|output| *output != OutputSpec::CacheOnly);
    written || (request.outputs.is_empty() && !request.tags.is_empty())
}

/// True when the blobs of all layers are needed, those of the base too.
pub(crate) fn wants_blobs(request: &BuildRequest) -> bool {
    let wants =
        |output: &OutputSpec| !matches!(output, OutputSpec::CacheOnly | OutputSpec::Image(..));
    request.outputs.iter().any(wants)
}

/// How the outputs want layers to be compressed, and whether anything wants them uncompressed.
pub(crate) fn recipes(request: &BuildRequest) -> (Vec<Recipe>, Tars) {
    let mut recipes: Vec<Recipe> = Vec::new();
    // What has a name can be built upon.
    let mut tars = match kept(request) {
        Ok(names) if names.is_empty() => Tars::Unneeded,
        _ => Tars::Needed,
    };
    for output in &request.outputs {
        match output {
            // What goes to registries is looked for when it is pushed.
            OutputSpec::CacheOnly | OutputSpec::Image(..) => {}
            output => match output.image().map(|options| options.recipe) {
                Some(recipe) if recipe.keeps_tar() && recipe.compression() != Compression::None => {
                    recipes.push(recipe);
                }
                _ => tars = Tars::Needed,
            },
        }
    }
    recipes.sort_unstable();
    recipes.dedup();
    (recipes, tars)
}

/// How layers that are made here are sure to be compressed, if anything wants that: by the first
/// output that does.
pub(crate) fn packing(request: &BuildRequest) -> Option<Recipe> {
    let wanted = request.outputs.iter().filter_map(|output| match output {
        OutputSpec::CacheOnly | OutputSpec::Image(_, Place { push: None, .. }) => None,
        output => output.image().map(|options| options.recipe),
    });
    let mut packed = wanted.filter(|recipe| recipe.compression() != Compression::None);
    packed.next()
}

/// What is written, and how.
pub(crate) struct Exporting<'a> {
    pub(crate) request: &'a BuildRequest,
    /// The time of everything that is younger.
    pub(crate) times: Option<Timestamp>,
    /// What is said about the images.
    pub(crate) attestations: &'a Arc<Attestations>,
    /// Hears of the layers that are compressed.
    pub(crate) packing: &'a Arc<dyn Progress>,
    /// Hears of the blobs that are written to files.
    pub(crate) writing: &'a Arc<dyn Progress>,
}

/// Writes every output; returns what the names lead to in the first that has names.
pub(crate) async fn export(
    runner: &Arc<StepRunner>,
    assembled: &[Assembled],
    exporting: &Exporting<'_>,
) -> Result<Option<Descriptor>, FinishError> {
    let &Exporting {
        request,
        times,
        attestations,
        packing,
        writing,
    } = exporting;
    let mut root = None;
    for output in &request.outputs {
        if let OutputSpec::Image(
            options,
            Place {
                push: Some(how), ..
            },
        ) = output
        {
            let pushing = Pushing {
                request,
                options,
                how: *how,
                attestations,
                packing,
            };
            let pushed = push::push(runner, assembled, &pushing).await?;
            root = root.or(Some(pushed));
            continue;
        }
        if let OutputSpec::Load(options, context) = output {
            let loaded = load(runner, assembled, exporting, (options, context.as_deref())).await?;
            root = root.or(Some(loaded));
            continue;
        }
        if let OutputSpec::Image(..) | OutputSpec::CacheOnly = output {
            continue;
        }
        let images = images(runner, assembled, output.image());
        let names = output.image().map(|options| names(options, &request.tags));
        let names = names.transpose()?.unwrap_or_default();
        let (output, store) = (output.clone(), Arc::clone(&runner.store));
        let own_layers: Vec<Vec<Option<Digest>>> = assembled.iter().map(own_layers).collect();
        let (runner, attestations) = (Arc::clone(runner), Arc::clone(attestations));
        let (packing, writing) = (Arc::clone(packing), Arc::clone(writing));
        let work = move || -> Result<Option<ExportReport>, BuildError> {
            let images = match output.image() {
                Some(options) => {
                    let forms = packed(&images, &store, options, &BTreeMap::new(), &*packing)?;
                    for ((plain, form), own) in images.iter().zip(&forms).zip(&own_layers) {
                        note_forms(&runner, options.recipe, (plain, form), own);
                    }
                    forms
                }
                None => images,
            };
            let beside = Beside::of(&output, &attestations, &images, &names);
            let Some(exporter) = exporters::exporter(&output, names, times, beside) else {
                return Ok(None);
            };
            let report = exporter.export_telling(&images, &store, &*writing)?;
            Ok(Some(report))
        };
        let report = acetate_stdx::blocking(work).await?;
        for warning in report.iter().flat_map(|report| &report.warnings) {
            tracing::warn!("{warning}");
        }
        root = root.or(report.and_then(|report| report.descriptor));
    }
    Ok(root)
}

/// Loads the one image into the engine of docker or podman.
async fn load(
    runner: &Arc<StepRunner>,
    assembled: &[Assembled],
    exporting: &Exporting<'_>,
    (options, context): (&ImageOptions, Option<&str>),
) -> Result<Descriptor, FinishError> {
    let connection = Connection::open(&runner.daemons, context, &runner.store)?;
    let names = names(options, &exporting.request.tags)?;
    let images = images(runner, assembled, Some(options));
    let (store, wanted) = (Arc::clone(&runner.store), options.clone());
    let packing = Arc::clone(exporting.packing);
    let pack = move || packed(&images, &store, &wanted, &BTreeMap::new(), &*packing);
    let images = acetate_stdx::blocking(pack).await?;
    let [image] = images.as_slice() else {
        let words = "one platform is loaded at a time; name one with --platform";
        return Err(BuildError::request(words).into());
    };
    let step = runner.progress.internal("loading into the engine");
    let progress = step.transfer("loading");
    let loaded = daemon::load(&connection, &runner.store, image, (&names, &progress)).await;
    if let Ok(loaded) = &loaded {
        let n_sent = loaded.n_layers - loaded.n_omitted;
        step.note(&format!("{n_sent} of {} layers sent", loaded.n_layers));
    }
    step.end(&loaded);
    loaded?;
    Ok(image.descriptor.clone())
}

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
    store: &acetate_store::Store,
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
    store: &acetate_store::Store,
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

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_image::{PlatformDirs, Stale};

    fn request(outputs: Vec<OutputSpec>) -> BuildRequest {
        BuildRequest {
            outputs,
            ..BuildRequest::new(crate::ContextInput::Directory(".".into()))
        }
    }

    fn kept_here(names: &[&str], keep: bool) -> OutputSpec {
        let options = ImageOptions {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..ImageOptions::default()
        };
        let place = Place {
            keep,
            push: None,
            dangling: None,
            canonical: false,
        };
        OutputSpec::Image(options, place)
    }

    #[test]
    fn an_image_is_kept_under_the_names_of_the_outputs_that_keep_it() {
        let kept_of = |outputs| {
            let mut request = request(outputs);
            request.tags = vec!["tag".to_owned()];
            let names = kept(&request).unwrap();
            names.iter().map(Reference::familiar).collect::<Vec<_>>()
        };
        let tag = ["tag:latest"];
        assert_eq!(kept_of(Vec::new()), tag);
        assert_eq!(kept_of(vec![OutputSpec::CacheOnly]), tag);
        assert_eq!(kept_of(vec![kept_here(&[], true)]), tag);
        assert_eq!(kept_of(vec![kept_here(&[], false)]), [""; 0]);
        let both = vec![kept_here(&["b", "a:1"], true), kept_here(&["*"], true)];
        assert_eq!(kept_of(both), ["a:1", "b:latest", "tag:latest"]);
    }

    #[test]
    fn layers_are_sealed_and_fetched_only_for_whom_they_are_for() {
        let nothing = request(Vec::new());
        assert!(!wants_image(&nothing) && !wants_blobs(&nothing));
        let mut tagged = request(Vec::new());
        tagged.tags = vec!["x".to_owned()];
        assert!(wants_image(&tagged) && !wants_blobs(&tagged));
        let cache = request(vec![OutputSpec::CacheOnly]);
        assert!(!wants_image(&cache) && !wants_blobs(&cache));
        let local = OutputSpec::Local("d".into(), PlatformDirs::IfMany.into(), Stale::Keep);
        let local = request(vec![local]);
        assert!(wants_image(&local) && wants_blobs(&local));
    }
}
