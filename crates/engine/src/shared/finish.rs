//! The end of a build, as far as caches are concerned.

use super::{Made, Reach};
use crate::engine::Engine;
use crate::lookup::local_records;
use crate::output::Files;
use crate::progress::Progress;
use crate::runner::StepRunner;
use crate::{BuildError, CacheSummary, VertexOutcome};
use acetate_graph::VertexId;
use std::time::Duration;

/// Gives caches what they still lack, waits for it as long as the flags say, and tells what was
/// done.
pub(crate) async fn finish(
    engine: &Engine,
    runner: &StepRunner,
    progress: &Progress,
) -> Result<Vec<CacheSummary>, BuildError> {
    let step = runner
        .publisher
        .is_active()
        .then(|| progress.internal("exporting cache"));
    if step.is_some() {
        offer_unneeded(engine, runner);
        let waits = runner.caches.exports.iter().map(|one| one.spec.wait);
        let patience = waits.max().unwrap_or(Duration::ZERO);
        let n_left = runner.publisher.drain(patience).await;
        if n_left > 0 {
            let secs = patience.as_secs();
            tracing::warn!(
                "{n_left} results were not shared: sending them took longer than {secs} s"
            );
        }
    }
    let mut summaries = Vec::new();
    for cache in runner.caches.all() {
        let report = cache.close().await;
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

/// Offers what is recorded here of steps that this build did not need: whoever takes the results of
/// all steps wants those, too.
fn offer_unneeded(engine: &Engine, runner: &StepRunner) {
    let unneeded = runner.outcomes.untouched(&runner.graph).into_iter();
    let wanted: Vec<VertexId> = unneeded.filter(|id| runner.publisher.wants(*id)).collect();
    if wanted.is_empty() {
        return;
    }
    let records = local_records(engine, &runner.graph, &wanted);
    for (vertex, records) in wanted.into_iter().zip(records) {
        let Some(record) = records.into_iter().next() else {
            continue;
        };
        let duration_ms = record.duration_ms;
        let Some(Files { snapshot, created }) = runner.load_record(&record) else {
            continue;
        };
        runner.publisher.offer(Made {
            vertex,
            files: Files { snapshot, created },
            inputs: None,
            duration_ms,
            reach: Reach::Local,
            lease: None,
        });
    }
}
