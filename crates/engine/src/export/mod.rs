//! From a request's outputs to what they leave behind.

pub(crate) mod check;
mod files;
mod form;
mod load;
mod names;
pub(crate) mod spec;
#[cfg(test)]
mod testing;
mod wants;

pub(crate) use self::files::destination;
pub(crate) use self::form::{images, note_forms, own_layers, packed};
pub(crate) use self::names::{given, keeps, kept, names, with_digest};
pub(crate) use self::wants::{packing, recipes, wants_blobs, wants_image};

use self::load::load;
use crate::attesting::Attestations;
use crate::images::{Assembled, FinishError};
use crate::push::{self, Pushing};
use crate::runner::StepRunner;
use crate::{BuildRequest, OutputSpec, Place};
use acetate_oci::{Descriptor, Timestamp};
use acetate_registry::Progress;
use std::sync::Arc;

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
        attestations,
        packing,
        ..
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
        let written = files::write(runner, assembled, exporting, output).await?;
        root = root.or(written);
    }
    Ok(root)
}
