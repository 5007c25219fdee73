//! One build from the Dockerfile to the outputs.

use crate::attesting::{self, Generator};
use crate::context::Contexts;
use crate::daemon;
use crate::damage::{self, Damage, MAX_REPAIRS};
use crate::engine::Engine;
use crate::explain;
use crate::images::{self, Finished};
use crate::lookup::{self, Asked};
use crate::output::Output;
use crate::pin::{self, Pinned};
use crate::progress::Progress;
use crate::runner::StepRunner;
use crate::shared::{self, Ending};
use crate::start::Start;
use crate::steps::StepError;
use crate::{BuildError, BuildEvent, BuildReport, BuildRequest, EventSink, OutputSpec, export};
use acetate_frontend::checks::Settings;
use acetate_frontend::{Diagnostic, Lowered, SourceFile};
use acetate_graph::{BuildGraph, Decision, Known, Op, SourceOp, VertexId, prune};
use acetate_scheduler::{CancellationToken, Failure, Job, Limits, Session, scope};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// How many processes run at once where nobody says: more than there are processors, for most
/// steps wait for disks and networks.
fn default_parallel() -> usize {
    let n = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    (4 * n).max(16)
}

fn limits(request: &BuildRequest) -> Limits {
    Limits {
        max_parallel: request.max_parallel.unwrap_or_else(default_parallel),
        max_light: 16,
        max_loads: 64,
    }
}

/// Refuses what cannot come to a good end before anything is built.
async fn check(engine: &Engine, request: &BuildRequest) -> Result<(), BuildError> {
    export::check::check(request)?;
    for output in &request.outputs {
        if let OutputSpec::Load(_, context) = output {
            daemon::reach(&engine.daemons, context.as_deref(), &engine.store).await?;
        }
    }
    Ok(())
}

pub(crate) async fn build(
    engine: &Engine,
    request: BuildRequest,
    sink: Arc<dyn EventSink>,
    cancel: CancellationToken,
) -> Result<BuildReport, BuildError> {
    let began = Instant::now();
    unless(&cancel, check(engine, &request)).await?;
    let progress = Progress::new(sink, Arc::clone(&engine.clock));
    let caches = unless(&cancel, shared::open(engine, &request)).await?;
    let opening = Contexts::open(&request, engine, &progress);
    let contexts = Arc::new(unless(&cancel, opening).await?);
    progress.emit(BuildEvent::Dockerfile(Arc::clone(&contexts.source)));
    let phase = |name: &str| tracing::debug!(phase = name, elapsed = ?began.elapsed());
    phase("opened");
    let planning = plan(engine, &request, &contexts, &progress);
    let (lowered, warnings, pinned) = unless(&cancel, planning).await?;
    let generator = unless(&cancel, Generator::find(engine, &request, &progress)).await?;
    tell_warnings(&warnings, &contexts, &progress)?;
    phase("lowered");
    let graph = Arc::new(lowered.graph.clone());
    progress.graph(&graph);
    let asked = unless(&cancel, async {
        Ok(lookup::ask(engine, &graph, &caches).await)
    });
    let asked = asked.await?;
    phase("looked up");
    if !asked.is_complete {
        // Something runs, so nobody notices that what earlier builds left is written to the disk.
        engine.store.sync_in_background();
    }
    let cached = tell_cached(&graph, &asked, &progress);
    let start = Start {
        engine,
        request: &request,
        graph: &graph,
        lowered: &lowered,
        progress: &progress,
        contexts: &contexts,
        caches: &caches,
        generator,
        n_cached: cached,
    };
    let (runner, hits) = start.runner(pinned, asked)?;
    let job = Job::new(&graph, hits, Arc::clone(&runner), limits(&request));
    let body = async |session: Session<Output>| finish(&runner, &lowered, &request, &session).await;
    phase("scheduled");
    let result = scope(job, cancel.clone(), body).await;
    progress.close();
    phase("finished");
    let ending = match &result {
        Ok(Ok(_)) => Ending::Well,
        _ => Ending::Failed,
    };
    let explanations = explain::after(&runner, &request, ending == Ending::Well).await;
    let summaries = unless(&cancel, shared::finish(&runner, &progress, ending)).await;
    runner.record_proven();
    phase("shared");
    let finished = match result {
        Ok(finished) => finished?,
        Err(failure) => return Err(blame(failure, &graph, &contexts.source)),
    };
    let caches = summaries?;
    Ok(BuildReport {
        images: finished.images,
        names: finished.names,
        digest: finished.digest,
        root: finished.root,
        provenance: finished.provenance,
        n_run: runner.n_run.load(Ordering::Relaxed),
        n_cached: runner.n_cached.load(Ordering::Relaxed),
        explanations,
        warnings,
        file: Some(Arc::clone(&contexts.source)),
        caches,
        duration: began.elapsed(),
    })
}

/// Does something unless the build is cancelled meanwhile; what was begun is dropped then.
pub(crate) async fn unless<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, BuildError>>,
) -> Result<T, BuildError> {
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => Err(BuildError::Cancelled),
    }
}

pub(crate) async fn plan(
    engine: &Engine,
    request: &BuildRequest,
    contexts: &Arc<Contexts>,
    progress: &Progress,
) -> Result<(Lowered, Vec<Diagnostic>, Pinned), BuildError> {
    let plan_request = pin::plan_request(request, contexts);
    let parsed = acetate_frontend::parse_for(&contexts.source, &plan_request);
    if parsed.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(contexts.blame(parsed.diagnostics));
    }
    // On the heap: what is pinned is fetched in here, and every build would carry room for it.
    let pinning = Box::pin(pin::pin(&parsed.ast, request, contexts, engine, progress));
    let (plan, pinned) = pinning.await?;
    let lowered = acetate_frontend::lower(&plan, &pinned.pins);
    let mut lowered = lowered.map_err(|diagnostics| contexts.blame(diagnostics))?;
    // Caches are asked for what is scanned, too, so that it does not run again.
    let extra = attesting::extra_targets(request, &lowered);
    lowered.graph = lowered.graph.wanting(extra);
    let mut warnings = parsed.diagnostics;
    warnings.extend(lowered.diagnostics.iter().cloned());
    // With `check=error=true` warnings end in an error, after all of them were told (S113).
    let settings = Settings::new(&parsed.ast, &plan_request);
    let verdict = settings.ok().and_then(|it| it.verdict(&warnings));
    warnings.extend(verdict);
    Ok((lowered, warnings, pinned))
}

/// Tells of all warnings, and then of the error that they may have been made (S113).
fn tell_warnings(
    found: &[Diagnostic],
    contexts: &Contexts,
    progress: &Progress,
) -> Result<(), BuildError> {
    for warning in found.iter().filter(|found| !found.is_error()) {
        progress.emit(BuildEvent::Warning(warning.clone()));
    }
    if found.iter().any(Diagnostic::is_error) {
        return Err(contexts.blame(found.to_vec()));
    }
    Ok(())
}

/// Shows the steps that nobody needs to look at, since something above them is cached.
fn tell_cached(graph: &BuildGraph, asked: &Asked, progress: &Progress) -> usize {
    let known = |id: VertexId| Known {
        definition: !asked.hits.candidates[id.idx()].is_empty(),
        hint: asked.hits.hints[id.idx()],
    };
    let targets: Vec<VertexId> = graph.targets().iter().map(|edge| edge.vertex).collect();
    let demand = prune(graph, &targets, &known);
    let mut n = 0;
    for id in graph.ids() {
        let is_files = match &graph.vertex(id).op {
            Op::Exec(_) | Op::File(_) | Op::Merge | Op::Source(SourceOp::Image { .. }) => true,
            Op::Source(_) | Op::Diff => false,
        };
        if is_files && demand.decision(id) == Decision::NotNeeded {
            progress.cached(graph, id);
            n += usize::from(!matches!(graph.vertex(id).op, Op::Source(_)));
        }
    }
    n
}

/// Demands the results and makes the outputs of them. A result whose bytes turn out to be gone is
/// made again.
async fn finish(
    runner: &Arc<StepRunner>,
    lowered: &Lowered,
    request: &BuildRequest,
    session: &Session<Output>,
) -> Result<Finished, BuildError> {
    let mut edges: Vec<VertexId> = lowered
        .images
        .iter()
        .filter_map(|image| image.output)
        .map(|edge| edge.vertex)
        .collect();
    let extra = attesting::extra_targets(request, lowered).into_iter();
    edges.extend(extra.map(|edge| edge.vertex));
    let stopped = |_| BuildError::Cancelled;
    let mut outputs = session.demand(&edges).await.map_err(stopped)?;
    let (mut lost_before, mut repairs) = (0, 0);
    loop {
        match images::finish(runner, lowered, request, &edges, &outputs).await {
            // What is lost once is not taken again, so that this ends.
            Err(images::FinishError::Lost(n)) if lost_before < edges.len() + runner.graph.len() => {
                lost_before += 1;
                outputs[n] = session.lost(edges[n]).await.map_err(stopped)?;
            }
            Err(images::FinishError::Lost(_)) => {
                return Err(BuildError::request(
                    "a layer of the image was lost again and again",
                ));
            }
            Err(images::FinishError::Build(error))
                if error.is_damage() && repairs < MAX_REPAIRS =>
            {
                tracing::warn!(%error, "the outputs are made again");
                repairs += 1;
                if let Some(blob) = damage::damaged_blob(&error) {
                    runner.store.blobs().remove(&blob)?;
                }
                let snapshots = outputs
                    .iter()
                    .map(|output| output.files().snapshot)
                    .collect();
                let repaired = runner.blobs.repair(snapshots).await;
                repaired.map_err(|error| BuildError::request(error.to_string()))?;
            }
            Err(images::FinishError::Build(error)) => return Err(error),
            Ok(finished) => return Ok(finished),
        }
    }
}

fn blame(failure: Failure<StepError>, graph: &BuildGraph, file: &Arc<SourceFile>) -> BuildError {
    let Some(vertex) = failure.vertex() else {
        return BuildError::Cancelled;
    };
    let meta = &graph.vertex(vertex).meta;
    let (message, hint, exit_code) = match &failure {
        Failure::Step { error, .. } => (error.words(), error.advice(), error.exit_code()),
        other => (other.to_string(), None, None),
    };
    if matches!(
        &failure,
        Failure::Step {
            error: StepError::Cancelled,
            ..
        }
    ) {
        return BuildError::Cancelled;
    }
    BuildError::Step {
        name: meta.name.clone(),
        origin: meta.origin.clone(),
        file: Arc::clone(file),
        message,
        hint,
        exit_code,
    }
}
