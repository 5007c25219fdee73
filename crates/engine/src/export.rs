//! From a request's outputs to exporters.

use crate::images::{Assembled, FinishError};
use crate::runner::StepRunner;
use crate::shared::{Tars, UsedForm};
use crate::{BuildError, BuildRequest, Destination, LayoutForm, OutputKind, OutputSpec};
use acetate_image::{
    Destination as ImageDestination, DockerExporter, ExportReport, Exporter, Force, Image,
    LocalExporter, OciExporter, OciOutput, PlatformDirs, Recipe, Style, TarExporter, assemble,
    compress,
};
use acetate_oci::{Compression, Descriptor, Digest, Reference, Timestamp};
use std::path::PathBuf;
use std::sync::Arc;

/// Refuses what cannot come to a good end before anything is built.
pub(crate) fn check(request: &BuildRequest) -> Result<(), BuildError> {
    references(&request.tags)?;
    let to_stdout = request
        .outputs
        .iter()
        .filter(|output| output.dest == Some(Destination::Stdout))
        .count();
    if to_stdout > 1 {
        return Err(BuildError::request_with(
            "two outputs go to standard output",
            "give all but one a dest=FILE",
        ));
    }
    let docker = request
        .outputs
        .iter()
        .any(|o| matches!(o.kind, OutputKind::Docker { .. }));
    if docker && request.platforms.len() > 1 {
        return Err(BuildError::request_with(
            "type=docker holds one platform",
            "use type=oci, or one --platform",
        ));
    }
    Ok(())
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
        .any(|output| output.kind != OutputKind::CacheOnly);
    written || (request.outputs.is_empty() && !request.tags.is_empty())
}

/// True when the blobs of all layers are needed, those of the base too.
pub(crate) fn wants_blobs(request: &BuildRequest) -> bool {
    request
        .outputs
        .iter()
        .any(|output| output.kind != OutputKind::CacheOnly)
}

/// How the outputs want layers to be compressed, and whether anything wants them uncompressed.
pub(crate) fn recipes(request: &BuildRequest) -> (Vec<Recipe>, Tars) {
    let mut recipes: Vec<Recipe> = Vec::new();
    // What has a name can be built upon.
    let mut tars = if request.tags.is_empty() {
        Tars::Unneeded
    } else {
        Tars::Needed
    };
    for output in &request.outputs {
        match output.kind {
            OutputKind::Oci { compression, .. } | OutputKind::Docker { compression }
                if compression != Compression::None =>
            {
                recipes.push(Recipe::new(compression));
            }
            OutputKind::CacheOnly => {}
            _ => tars = Tars::Needed,
        }
    }
    recipes.sort_unstable();
    recipes.dedup();
    (recipes, tars)
}

/// Writes every output; returns what the names lead to in the first that has names.
pub(crate) async fn export(
    runner: &Arc<StepRunner>,
    assembled: &[Assembled],
    request: &BuildRequest,
    epoch: Option<i64>,
    tags: &[Reference],
) -> Result<Option<Descriptor>, FinishError> {
    let mut root = None;
    let times = epoch.map(Timestamp::from_secs);
    for output in &request.outputs {
        let images: Vec<Image> = assembled.iter().map(|one| one.image.clone()).collect();
        let (output, tags, store) = (output.clone(), tags.to_vec(), Arc::clone(&runner.store));
        let own_layers: Vec<Vec<Option<Digest>>> = assembled.iter().map(own_layers).collect();
        let runner = Arc::clone(runner);
        let work = move || -> Result<Option<ExportReport>, BuildError> {
            let Some((exporter, recipe)) = exporter(&output, tags, times) else {
                return Ok(None);
            };
            let images = match recipe {
                Some((compression, style)) => {
                    let forms = compressed(&images, &store, compression, style)?;
                    let recipe = Recipe::new(compression);
                    for ((plain, form), own) in images.iter().zip(&forms).zip(&own_layers) {
                        note_forms(&runner, recipe, (plain, form), own);
                    }
                    forms
                }
                None => images,
            };
            Ok(Some(exporter.export(&images, &store)?))
        };
        let report = acetate_stdx::blocking(work).await?;
        for warning in report.iter().flat_map(|report| &report.warnings) {
            tracing::warn!("{warning}");
        }
        root = root.or(report.and_then(|report| report.descriptor));
    }
    Ok(root)
}

/// The layers of an image as results have them, by their digests.
fn own_layers(assembled: &Assembled) -> Vec<Option<Digest>> {
    let layers = assembled.files.snapshot.layers().iter();
    layers.map(acetate_snapshot::Layer::diff_id).collect()
}

/// Notes which compressed layers an output consists of, but those that came compressed.
fn note_forms(
    runner: &StepRunner,
    recipe: Recipe,
    (plain, form): (&Image, &Image),
    own: &[Option<Digest>],
) {
    for ((plain, form), own) in plain.layers.iter().zip(&form.layers).zip(own) {
        let Some(own) = own.filter(|own| runner.blobs.base(own).is_none()) else {
            continue;
        };
        if form.descriptor.digest != plain.descriptor.digest {
            let used = UsedForm {
                descriptor: form.descriptor.clone(),
                layer: own,
            };
            runner.forms.note_used(plain.diff_id, recipe, used);
        }
    }
}

type Chosen = (Box<dyn Exporter>, Option<(Compression, Style)>);

fn exporter(
    output: &OutputSpec,
    names: Vec<Reference>,
    times: Option<Timestamp>,
) -> Option<Chosen> {
    let dest = output.dest.as_ref();
    Some(match output.kind {
        OutputKind::Oci { form, compression } => {
            let output = match form {
                LayoutForm::Archive => OciOutput::Archive(destination(dest)),
                LayoutForm::Directory => OciOutput::Directory(directory(dest)),
            };
            (
                Box::new(OciExporter { output, names }),
                Some((compression, Style::Oci)),
            )
        }
        OutputKind::Docker { compression } => {
            let destination = destination(dest);
            (
                Box::new(DockerExporter { destination, names }),
                Some((compression, Style::Docker)),
            )
        }
        OutputKind::Tar => {
            let (destination, platform_dirs) = (destination(dest), PlatformDirs::IfMany);
            (
                Box::new(TarExporter {
                    destination,
                    platform_dirs,
                    times,
                }),
                None,
            )
        }
        OutputKind::Local => {
            let (directory, platform_dirs) = (directory(dest), PlatformDirs::IfMany);
            (
                Box::new(LocalExporter {
                    directory,
                    platform_dirs,
                    times,
                }),
                None,
            )
        }
        OutputKind::CacheOnly => return None,
    })
}

fn destination(dest: Option<&Destination>) -> ImageDestination {
    match dest {
        Some(Destination::Path(path)) => ImageDestination::File(path.clone()),
        Some(Destination::Stdout) | None => ImageDestination::stream(std::io::stdout()),
    }
}

fn directory(dest: Option<&Destination>) -> PathBuf {
    match dest {
        Some(Destination::Path(path)) => path.clone(),
        Some(Destination::Stdout) | None => PathBuf::from("."),
    }
}

/// The same images with their plain layers compressed; layers that came compressed stay.
fn compressed(
    images: &[Image],
    store: &acetate_store::Store,
    compression: Compression,
    style: Style,
) -> Result<Vec<Image>, BuildError> {
    let recipe = Recipe::new(compression);
    let one = |image: &Image| -> Result<Image, BuildError> {
        let layers = image.layers.iter();
        let layers = layers.map(|layer| compress(store, layer, recipe, Force::Plain));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        Ok(assemble(
            image.config.clone(),
            image.config.history.clone(),
            layers,
            style,
        )?)
    };
    images.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kinds: &[(OutputKind, Option<Destination>)]) -> BuildRequest {
        let outputs = kinds
            .iter()
            .cloned()
            .map(|(kind, dest)| OutputSpec { kind, dest });
        BuildRequest {
            outputs: outputs.collect(),
            ..BuildRequest::new(crate::ContextInput::Directory(".".into()))
        }
    }

    #[test]
    fn what_cannot_end_well_is_refused_before_anything_is_built() {
        let stdout = (OutputKind::Tar, Some(Destination::Stdout));
        let two = request(&[stdout.clone(), stdout.clone()]);
        assert!(check(&two).unwrap_err().to_string().contains("two outputs"));
        assert!(check(&request(&[stdout])).is_ok());
        let docker = OutputKind::Docker {
            compression: Compression::Gzip,
        };
        let mut docker = request(&[(docker, None)]);
        assert!(check(&docker).is_ok());
        docker.platforms = ["linux/amd64", "linux/arm64"]
            .map(|p| p.parse().unwrap())
            .to_vec();
        assert!(
            check(&docker)
                .unwrap_err()
                .to_string()
                .contains("one platform")
        );
        let mut tagged = request(&[]);
        tagged.tags = vec!["UPPER CASE".to_owned()];
        assert!(
            check(&tagged)
                .unwrap_err()
                .to_string()
                .starts_with("--tag: ")
        );
    }

    #[test]
    fn layers_are_sealed_and_fetched_only_for_whom_they_are_for() {
        let nothing = request(&[]);
        assert!(!wants_image(&nothing) && !wants_blobs(&nothing));
        let mut tagged = request(&[]);
        tagged.tags = vec!["x".to_owned()];
        assert!(wants_image(&tagged) && !wants_blobs(&tagged));
        let cache = request(&[(OutputKind::CacheOnly, None)]);
        assert!(!wants_image(&cache) && !wants_blobs(&cache));
        let local = request(&[(OutputKind::Local, Some(Destination::Path("d".into())))]);
        assert!(wants_image(&local) && wants_blobs(&local));
    }
}
