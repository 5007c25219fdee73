//! Writes outputs that consist of files.

use super::{Exporting, images, names, note_forms, own_layers, packed};
use crate::attesting::Attestations;
use crate::images::{Assembled, FinishError};
use crate::runner::StepRunner;
use crate::{BuildError, Destination, LayoutPlace, OutputSpec};
use acetate_image::{
    Companion, Destination as ImageDestination, DockerExporter, ExportReport, Exporter, ExtraFile,
    Image, LocalExporter, OciExporter, OciOutput, TarExporter,
};
use acetate_oci::{Descriptor, Digest, Reference, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Writes one output; returns what its names lead to, where it has names.
pub(super) async fn write(
    runner: &Arc<StepRunner>,
    assembled: &[Assembled],
    exporting: &Exporting<'_>,
    output: &OutputSpec,
) -> Result<Option<Descriptor>, FinishError> {
    let images = images(runner, assembled, output.image());
    let names = output
        .image()
        .map(|options| names(options, &exporting.request.tags));
    let names = names.transpose()?.unwrap_or_default();
    let own_layers: Vec<Vec<Option<Digest>>> = assembled.iter().map(own_layers).collect();
    let (output, times) = (output.clone(), exporting.times);
    let (runner, attestations) = (Arc::clone(runner), Arc::clone(exporting.attestations));
    let (packing, writing) = (Arc::clone(exporting.packing), Arc::clone(exporting.writing));
    let work = move || -> Result<Option<ExportReport>, BuildError> {
        let store = &runner.store;
        let images = match output.image() {
            Some(options) => {
                let forms = packed(&images, store, options, &BTreeMap::new(), &*packing)?;
                for ((plain, form), own) in images.iter().zip(&forms).zip(&own_layers) {
                    note_forms(&runner, options.recipe, (plain, form), own);
                }
                forms
            }
            None => images,
        };
        let beside = Beside::of(&output, &attestations, &images, &names);
        let Some(exporter) = exporter(&output, names, times, beside) else {
            return Ok(None);
        };
        let report = exporter.export_telling(&images, store, &*writing)?;
        Ok(Some(report))
    };
    let report = acetate_stdx::blocking(work).await?;
    for warning in report.iter().flat_map(|report| &report.warnings) {
        tracing::warn!("{warning}");
    }
    Ok(report.and_then(|report| report.descriptor))
}

/// What goes with the images into one output.
#[derive(Default)]
pub(crate) struct Beside {
    companions: Vec<Companion>,
    files: Vec<Vec<ExtraFile>>,
}

impl Beside {
    pub(crate) fn of(
        output: &OutputSpec,
        attestations: &Attestations,
        images: &[Image],
        names: &[Reference],
    ) -> Self {
        match output {
            OutputSpec::Oci(options, _) => Self {
                companions: attestations.companions(images, names, options),
                files: Vec::new(),
            },
            OutputSpec::Tar(_, options) | OutputSpec::Local(_, options, _) => Self {
                companions: Vec::new(),
                files: attestations.files(options),
            },
            OutputSpec::DockerArchive(..)
            | OutputSpec::Load(..)
            | OutputSpec::Image(..)
            | OutputSpec::CacheOnly => Self::default(),
        }
    }
}

/// What writes an output; none for those that are no files.
pub(crate) fn exporter(
    output: &OutputSpec,
    names: Vec<Reference>,
    times: Option<Timestamp>,
    beside: Beside,
) -> Option<Box<dyn Exporter>> {
    Some(match output {
        OutputSpec::Oci(options, place) => {
            let output = match place {
                LayoutPlace::Archive(dest) => OciOutput::Archive(destination(dest)),
                LayoutPlace::Directory(path) => OciOutput::Directory(path.clone()),
            };
            Box::new(OciExporter {
                output,
                names,
                annotations: options.annotations.clone(),
                companions: beside.companions,
            })
        }
        OutputSpec::DockerArchive(_, dest) => Box::new(DockerExporter {
            destination: destination(dest),
            names,
            companions: beside.companions,
        }),
        OutputSpec::Tar(dest, options) => Box::new(TarExporter {
            destination: destination(dest),
            platform_dirs: options.platform_dirs,
            times,
            extra: beside.files,
        }),
        OutputSpec::Local(directory, options, stale) => Box::new(LocalExporter {
            directory: directory.clone(),
            platform_dirs: options.platform_dirs,
            stale: *stale,
            times,
            extra: beside.files,
        }),
        OutputSpec::Image(..) | OutputSpec::Load(..) | OutputSpec::CacheOnly => return None,
    })
}

pub(crate) fn destination(dest: &Destination) -> ImageDestination {
    match dest {
        Destination::Path(path) => ImageDestination::File(path.clone()),
        Destination::Stdout => ImageDestination::stream(std::io::stdout()),
    }
}
