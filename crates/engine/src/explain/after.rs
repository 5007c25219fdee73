//! After a build: explains what ran, and keeps the stories of what there is now.

use super::cases::{Told, cases};
use super::compare;
use super::reason::{Explanation, Tense, explain};
use super::teller::Teller;
use super::told;
use crate::runner::StepRunner;
use crate::shared::stories::{self, SharedStories};
use crate::{BuildEvent, BuildRequest};
use acetate_cache::story::{LocalStories, StorySource};
use acetate_graph::VertexId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The steps that ran, and whether they ended well.
#[derive(Debug, Default)]
pub(crate) struct Ran(Mutex<BTreeMap<VertexId, bool>>);

impl Ran {
    /// Notes that a step ran; the last time counts.
    pub(crate) fn add(&self, id: VertexId, is_ok: bool) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, is_ok);
    }

    fn list(&self) -> BTreeMap<VertexId, bool> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Explains what ran, if anybody asked, and keeps the stories of what ran and of what was cached and
/// has none yet. Where nothing ran, nothing is read and nothing is written.
///
/// `is_ok` says that the build ended well, so that whatever did not run was cached.
pub(crate) async fn after(
    runner: &Arc<StepRunner>,
    request: &BuildRequest,
    is_ok: bool,
) -> Vec<Explanation> {
    let ran = runner.ran.list();
    if ran.is_empty() {
        return Vec::new();
    }
    let local = LocalStories::new(Arc::clone(&runner.store));
    let (telling, knowing) = (Arc::clone(runner), local.clone());
    let (told, new, shared) = acetate_stdx::blocking(move || {
        let told = tell(&telling, &ran);
        let new = if is_ok {
            unknown(&telling, &knowing, &ran)
        } else {
            Vec::new()
        };
        let good = told.iter().filter(|told| ran.get(&told.id) == Some(&true));
        let shared = good
            .clone()
            .map(|told| (told.id, told.story.clone(), told.finders));
        let shared: Vec<_> = shared.collect();
        let new: Vec<Told> = good.cloned().chain(new).collect();
        (told, new, shared)
    })
    .await;
    let mut explanations = Vec::new();
    if request.explain || runner.caches.has_server() {
        explanations = explained(runner, request, told, &local).await;
        told::tell(&runner.caches, &explanations).await;
    }
    if !request.explain {
        explanations.clear();
    }
    // Asked before they are given: a step must not be explained by itself.
    stories::share(runner, &shared).await;
    let keeping = move || {
        let stories: Vec<_> = new
            .into_iter()
            .map(|told| (told.story, told.finders))
            .collect();
        local.keep(&stories);
    };
    acetate_stdx::blocking(keeping).await;
    explanations
}

async fn explained(
    runner: &StepRunner,
    request: &BuildRequest,
    told: Vec<Told>,
    source: &dyn StorySource,
) -> Vec<Explanation> {
    let elsewhere = SharedStories {
        caches: runner.caches.clone(),
        store: Arc::clone(&runner.store),
    };
    let nearest = compare(&runner.graph, &told, &[source, &elsewhere]).await;
    let has_record = |id: VertexId| {
        let duration = runner.durations.get(id.idx());
        duration.is_some_and(Option::is_some)
    };
    let cases = cases(&teller(runner), request, told, nearest, &has_record);
    let explanations = explain(cases, Tense::Past);
    for explanation in explanations.iter().filter(|_| request.explain) {
        runner
            .progress
            .emit(BuildEvent::Explained(explanation.clone()));
    }
    explanations
}

fn teller(runner: &StepRunner) -> Teller<'_> {
    Teller {
        graph: &runner.graph,
        images: &runner.images_used,
        selections: &runner.selections,
        remotes: &runner.remotes,
        pinned: &runner.pinned,
    }
}

fn tell(runner: &StepRunner, ran: &BTreeMap<VertexId, bool>) -> Vec<Told> {
    let teller = teller(runner);
    let all = teller.finders().into_iter();
    let ran = all.filter(|(id, _)| ran.contains_key(id));
    ran.filter_map(|(id, finders)| Told::of(&teller, id, finders))
        .collect()
}

/// The stories of what was cached, as far as nobody keeps them.
fn unknown(runner: &StepRunner, local: &LocalStories, ran: &BTreeMap<VertexId, bool>) -> Vec<Told> {
    let teller = teller(runner);
    let all = teller.finders().into_iter();
    let cached: Vec<_> = all.filter(|(id, _)| !ran.contains_key(id)).collect();
    let names: Vec<_> = cached
        .iter()
        .map(|(id, finders)| (*runner.graph.key(*id).digest(), *finders))
        .collect();
    let known = local.knows(&names);
    let new = cached
        .into_iter()
        .zip(known)
        .filter(|(_, is_known)| !is_known);
    new.filter_map(|((id, finders), _)| Told::of(&teller, id, finders))
        .collect()
}
