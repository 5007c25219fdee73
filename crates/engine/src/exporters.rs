//! What writes each output that consists of files.

use crate::attesting::Attestations;
use crate::{Destination, LayoutPlace, OutputSpec};
use acetate_image::{
    Companion, Destination as ImageDestination, DockerExporter, Exporter, ExtraFile, Image,
    LocalExporter, OciExporter, OciOutput, TarExporter,
};
use acetate_oci::{Reference, Timestamp};

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
