//! `acetate explain`: what would run and why, without running it.

use super::cases::{Told, cases};
use super::compare;
use super::reason::{Explanation, Tense, explain};
use super::teller::{Teller, is_step};
use crate::build::{self, unless};
use crate::context::Contexts;
use crate::engine::Engine;
use crate::lookup::{self, Asked};
use crate::progress::Progress;
use crate::shared::{self, stories::SharedStories};
use crate::{BuildError, BuildEvent, BuildRequest, EventSink};
use acetate_cache::story::LocalStories;
use acetate_frontend::SourceFile;
use acetate_graph::{BuildGraph, Decision, Known, VertexId, prune};
use acetate_scheduler::CancellationToken;
use std::sync::Arc;

/// What a build would do.
#[derive(Debug, Clone)]
pub struct ExplainReport {
    /// The Dockerfile that it is about.
    pub file: Arc<SourceFile>,
    /// What would run, and why.
    pub explanations: Vec<Explanation>,
    /// How many steps would come out of the cache.
    pub n_cached: usize,
}

pub(crate) async fn ask(
    engine: &Engine,
    mut request: BuildRequest,
    sink: Arc<dyn EventSink>,
    cancel: CancellationToken,
) -> Result<ExplainReport, BuildError> {
    let progress = Progress::new(sink, Arc::clone(&engine.clock));
    let opening = Contexts::open(&request, engine, &progress);
    let contexts = Arc::new(unless(&cancel, opening).await?);
    progress.emit(BuildEvent::Dockerfile(Arc::clone(&contexts.source)));
    let planning = build::plan(engine, &request, &contexts, &progress);
    let (lowered, _, pinned) = unless(&cancel, planning).await?;
    let graph = &lowered.graph;
    // Nothing is made that could be given to anybody.
    request.cache_to.clear();
    let caches = unless(&cancel, shared::open(engine, &request)).await?;
    let asking = async { Ok(lookup::ask(engine, graph, &caches).await) };
    let asked = unless(&cancel, asking).await?;
    for cache in caches.all() {
        for warning in cache.close().await.warnings {
            tracing::warn!("{warning}");
        }
    }
    let would_run = would_run(graph, &asked);
    let n_steps = graph
        .vertices()
        .iter()
        .filter(|vertex| is_step(vertex))
        .count();
    let teller = Teller {
        graph,
        images: &lowered.images_used,
        selections: &lowered.selections,
        remotes: &lowered.remotes,
        pinned: &pinned,
    };
    let all = teller.finders().into_iter();
    let all = all.filter(|(id, _)| would_run.contains(id));
    let told: Vec<Told> = all
        .filter_map(|(id, finders)| Told::of(&teller, id, finders))
        .collect();
    let local = LocalStories::new(Arc::clone(&engine.store));
    let elsewhere = SharedStories {
        caches: caches.clone(),
        store: Arc::clone(&engine.store),
    };
    let nearest = unless(&cancel, async {
        Ok(compare(graph, &told, &[&local, &elsewhere]).await)
    })
    .await?;
    let has_record = |id: VertexId| {
        let duration = asked.durations.get(id.idx());
        duration.is_some_and(Option::is_some)
    };
    let n_cached = n_steps - told.len();
    let explanations = explain(
        cases(&teller, &request, told, nearest, &has_record),
        Tense::Future,
    );
    for explanation in &explanations {
        progress.emit(BuildEvent::Explained(explanation.clone()));
    }
    Ok(ExplainReport {
        file: Arc::clone(&contexts.source),
        explanations,
        n_cached,
    })
}

/// The vertices that run, or are looked for by content once what they use has run, in ascending order.
fn would_run(graph: &BuildGraph, asked: &Asked) -> Vec<VertexId> {
    let known = |id: VertexId| Known {
        definition: !asked.hits.candidates[id.idx()].is_empty(),
        hint: asked.hits.hints[id.idx()],
    };
    let targets: Vec<VertexId> = graph.targets().iter().map(|edge| edge.vertex).collect();
    let demand = prune(graph, &targets, &known);
    let runs = |id: &VertexId| {
        let decision = demand.decision(*id);
        matches!(decision, Decision::Run | Decision::AskContent)
    };
    graph.ids().filter(runs).collect()
}
