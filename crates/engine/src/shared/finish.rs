//! The end of a build, as far as caches are concerned.

use super::{Made, Reach, forms_out, load, mounts};
use crate::lookup::{definitions, local_records};
use crate::progress::Progress;
use crate::runner::StepRunner;
use crate::{BuildError, CacheSummary, VertexOutcome};
use acetate_graph::VertexId;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How a build went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All that was asked for is there.
    Well,
    /// It failed or was cancelled.
    Failed,
}

/// Gives caches what they still lack, waits for it as long as the flags say, and tells what was
/// done.
pub(crate) async fn finish(
    runner: &StepRunner,
    progress: &Progress,
    ending: Ending,
) -> Result<Vec<CacheSummary>, BuildError> {
    let step = runner
        .publisher
        .is_active()
        .then(|| progress.internal("exporting cache"));
    if step.is_some() {
        offer_unneeded(runner).await;
        let waits = runner.caches.exports.iter().map(|one| one.spec.wait);
        let patience = waits.max().unwrap_or(Duration::ZERO);
        let began = tokio::time::Instant::now();
        let (n_left, ()) = tokio::join!(
            runner.publisher.drain(patience),
            mounts::share(runner, ending)
        );
        if n_left == 0 {
            // Behind the results, without which nobody asks for them.
            forms_out::share(runner, ending, began).await;
        } else {
            let secs = patience.as_secs();
            tracing::warn!(
                "{n_left} results were not shared: sending them took longer than {secs} s"
            );
        }
    }
    let refuted = runner.blobs.claims.refuted();
    let mut summaries = Vec::new();
    for cache in runner.caches.all() {
        let mut report = cache.close().await;
        if let Some(n) = refuted.get(&cache.name()) {
            report.stats.listings_refuted += n;
            tracing::warn!(
                "{} lists {n} layers otherwise than they are: what was made by that was made again",
                cache.name()
            );
        }
        for warning in &report.warnings {
            tracing::warn!("{warning}");
        }
        summaries.push(CacheSummary {
            name: cache.name(),
            stats: report.stats,
        });
    }
    let faults = runner.publisher.faults();
    if let Some(step) = step {
        step.end_as(match faults.first() {
            None => VertexOutcome::Done,
            Some(fault) => VertexOutcome::Failed(fault.clone()),
        });
    }
    match faults.into_iter().next() {
        None => Ok(summaries),
        Some(fault) => Err(BuildError::request_with(
            fault,
            "with ignore-error=true a cache that fails is a warning",
        )),
    }
}

/// Offers what is recorded of steps that this build did not need, here or in the caches that it takes
/// from: whoever takes the results of all steps, or of all that are in the image, wants those, too.
/// Only the first call does anything.
pub(crate) async fn offer_unneeded(runner: &StepRunner) {
    if runner.has_offered.swap(true, Ordering::Relaxed) {
        return;
    }
    let untouched = runner.outcomes.untouched(&runner.graph).into_iter();
    let wanted: Vec<VertexId> = untouched.filter(|id| runner.publisher.wants(*id)).collect();
    if wanted.is_empty() {
        return;
    }
    let records = local_records(&runner.cache, &runner.graph, &wanted);
    let mut unknown = Vec::new();
    for (vertex, records) in wanted.into_iter().zip(records) {
        let mut records = records.into_iter();
        let record = records.find(|record| runner.caches.admits(record));
        let files = record
            .as_ref()
            .and_then(|record| runner.load_record(record));
        match record.zip(files) {
            Some((record, files)) => runner.publisher.offer(Made {
                vertex,
                files,
                inputs: None,
                duration_ms: record.duration_ms,
                reach: Reach::Local,
                lease: None,
            }),
            None => unknown.push(vertex),
        }
    }
    if runner.caches.gives_to_others() {
        pass_on(runner, &unknown).await;
    }
}

/// Offers what the caches that are taken from know.
async fn pass_on(runner: &StepRunner, vertices: &[VertexId]) {
    let found = runner
        .caches
        .lookup(&definitions(&runner.graph, vertices))
        .await;
    for (vertex, hits) in vertices.iter().zip(found) {
        if let Some(hit) = hits.into_iter().next() {
            // Whoever wants it is told of it there.
            load::load_shared(runner, *vertex, hit);
        }
    }
}
