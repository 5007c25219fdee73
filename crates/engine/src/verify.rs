//! Builds an image twice and says what differs.

use crate::engine::Engine;
use crate::{
    BuildError, BuildReport, BuildRequest, ContextInput, EventSink, ImageOptions, LayoutPlace,
    OutputSpec, build,
};
use acetate_attest::Requested;
use acetate_image::{Comparison, Recipe, compare_layouts};
use acetate_oci::Compression;
use acetate_scheduler::CancellationToken;
use std::path::Path;
use std::sync::Arc;

/// What came of building twice.
#[derive(Debug, Clone)]
pub struct VerifyReport {
    /// One comparison a platform, sorted by platform.
    pub comparisons: Vec<Comparison>,
    /// How many steps were carried out the second time.
    pub n_run: usize,
    /// Whether the build was given a time (`SOURCE_DATE_EPOCH`), without which times differ.
    pub has_epoch: bool,
}

impl VerifyReport {
    /// True when both builds gave the same image.
    pub fn is_reproducible(&self) -> bool {
        self.comparisons.iter().all(Comparison::is_equal)
    }
}

/// Builds with the cache and then without, and compares what came of it, path by path.
///
/// What is compared are layers as plain tars: how they are compressed does not matter.
pub(crate) async fn verify(
    engine: &Engine,
    request: BuildRequest,
    sink: Arc<dyn EventSink>,
    cancel: CancellationToken,
) -> Result<VerifyReport, BuildError> {
    if request.context == ContextInput::Stdin {
        return Err(BuildError::request_with(
            "a context on standard input can be read once only",
            "unpack it into a directory and name that",
        ));
    }
    let has_epoch = request.epoch.is_some() || request.build_args.contains_key("SOURCE_DATE_EPOCH");
    let scratch = engine.store.scratch()?;
    let places = ["first", "second"].map(|name| scratch.path().join(name));
    let first = quiet(&request, &places[0]);
    Box::pin(build::build(
        engine,
        first,
        Arc::clone(&sink),
        cancel.clone(),
    ))
    .await?;
    let mut second = quiet(&request, &places[1]);
    second.no_cache = true;
    second.cache_from.clear();
    let second = Box::pin(build::build(engine, second, sink, cancel));
    let BuildReport { n_run, .. } = second.await?;
    let compare = move || compare_layouts(&places[0], &places[1]);
    let comparisons = acetate_stdx::blocking(compare).await?;
    Ok(VerifyReport {
        comparisons,
        n_run,
        has_epoch,
    })
}

/// The same request, of which nothing is seen but a layout.
fn quiet(request: &BuildRequest, place: &Path) -> BuildRequest {
    let options = ImageOptions {
        recipe: Recipe::new(Compression::None),
        ..ImageOptions::default()
    };
    BuildRequest {
        outputs: vec![OutputSpec::Oci(
            options,
            LayoutPlace::Directory(place.to_owned()),
        )],
        tags: Vec::new(),
        cache_to: Vec::new(),
        // They tell of a run, and two runs differ.
        attest: Requested::default(),
        metadata_provenance: None,
        ..request.clone()
    }
}
