//! Into the engine of docker or podman.

use super::{Exporting, images, names, packed};
use crate::daemon::{self, Connection};
use crate::images::{Assembled, FinishError};
use crate::runner::StepRunner;
use crate::{BuildError, ImageOptions};
use acetate_oci::Descriptor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Loads the one image into the engine of docker or podman.
pub(super) async fn load(
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
