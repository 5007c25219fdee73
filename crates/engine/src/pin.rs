//! The only early I/O: images are resolved and selected files are hashed until there is a plan.

use crate::context::{Contexts, Fetched};
use crate::engine::Engine;
use crate::error::words;
use crate::file_memory::FileMemory;
use crate::progress::Progress;
use crate::{BuildError, BuildRequest};
use acetate_files::{Attributes, Selection, SelectionOptions};
use acetate_frontend::{
    Diagnostic, ImageNeed, ImageSource as NeedSource, Need, PinnedImage, Pins, Plan, PlanRequest,
    Planned, RemoteNeed, SelectionSpec, Span, ast::Dockerfile,
};
use acetate_image::{ImageSource, ResolvedImage};
use acetate_oci::Platform;
use acetate_store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// What was found out: for the frontend the pins, for running the things behind them.
#[derive(Debug, Default)]
pub(crate) struct Pinned {
    pub(crate) pins: Pins,
    pub(crate) images: BTreeMap<ImageNeed, Arc<ResolvedImage>>,
    pub(crate) selections: BTreeMap<SelectionSpec, Arc<Selection>>,
    pub(crate) remotes: BTreeMap<RemoteNeed, Fetched>,
}

/// What names of images lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names<'a> {
    /// What is kept here for all of these platforms, else what the registry has: the platforms of
    /// one image are not to come from two versions of its base.
    KeptFirst(&'a [Platform]),
    /// What the registry has.
    Registry,
}

/// A round makes at least one new pin; a Dockerfile that needs more than this is at fault.
const MAX_ROUNDS: usize = 64;

/// Plans, resolves what the plan lacks, and plans again; files and fetches are pinned last.
pub(crate) async fn pin(
    dockerfile: &Dockerfile,
    request: &BuildRequest,
    contexts: &Arc<Contexts>,
    engine: &Engine,
    progress: &Progress,
) -> Result<(Plan, Pinned), BuildError> {
    let plan_request = plan_request(request, contexts);
    let mut pinned = Pinned::default();
    let names = if request.pull {
        Names::Registry
    } else {
        Names::KeptFirst(&request.platforms)
    };
    for _ in 0..MAX_ROUNDS {
        let planned = acetate_frontend::draft(dockerfile, &plan_request, &pinned.pins);
        match planned.map_err(|diagnostics| contexts.blame(diagnostics))? {
            Planned::Plan(mut plan) => {
                // Files and fetches change nothing of a plan: it is not made again for them.
                let needs = std::mem::take(&mut plan.needs);
                satisfy(needs, &mut pinned, names, contexts, engine, progress).await?;
                return Ok((plan, pinned));
            }
            Planned::Needs(needs) => {
                satisfy(needs, &mut pinned, names, contexts, engine, progress).await?;
            }
        }
    }
    Err(BuildError::request(
        "the Dockerfile asks for ever more images",
    ))
}

pub(crate) fn plan_request(request: &BuildRequest, contexts: &Contexts) -> PlanRequest {
    let mut out = PlanRequest::new(Platform::host());
    contexts.source.name().clone_into(&mut out.file);
    out.target.clone_from(&request.target);
    out.platforms.clone_from(&request.platforms);
    out.build_args.clone_from(&request.build_args);
    out.labels.clone_from(&request.labels);
    out.context = contexts.main();
    out.contexts = contexts.named();
    out.ignore.clone_from(&contexts.ignore);
    out.checks.clone_from(&request.checks);
    out.no_cache = request.no_cache;
    out.no_cache_filter.clone_from(&request.no_cache_filter);
    out.network = request.network;
    out.extra_hosts.clone_from(&request.extra_hosts);
    out.epoch.clone_from(&request.epoch);
    out.allow.clone_from(&request.allow);
    out.ulimits.clone_from(&request.ulimits);
    out.shm_size = request.shm_size;
    out.resources.clone_from(&request.resources);
    out
}

pub(crate) async fn satisfy(
    needs: Vec<Need>,
    pinned: &mut Pinned,
    names: Names<'_>,
    contexts: &Arc<Contexts>,
    engine: &Engine,
    progress: &Progress,
) -> Result<(), BuildError> {
    let mut resolving = JoinSet::new();
    let mut fetching = JoinSet::new();
    let mut specs = Vec::new();
    for need in needs {
        match need {
            Need::Image(need, span) => {
                let source = source(&need, contexts)?;
                let kept = match (&source, names) {
                    (ImageSource::Registry(name), Names::KeptFirst(all)) => {
                        engine.kept_base(name, &need.platform, all).await?
                    }
                    _ => None,
                };
                let (images, progress) = (Arc::clone(&engine.puller), progress.clone());
                resolving.spawn(async move {
                    let step = progress.internal(&format!("[internal] load metadata for {source}"));
                    let resolved = match kept {
                        Some(kept) => Ok(kept),
                        None => images.resolve(&source, &need.platform).await,
                    };
                    let resolved = resolved.map_err(BuildError::from);
                    step.end(&resolved);
                    (need, span, resolved)
                });
            }
            Need::Selection(spec, span) => specs.push((spec, span)),
            Need::Remote(need, span) => {
                let (contexts, progress) = (Arc::clone(contexts), progress.clone());
                fetching.spawn(async move {
                    let fetched = contexts.fetch(&need, &progress).await;
                    (need, span, fetched)
                });
            }
        }
    }
    select(specs, pinned, contexts, &engine.store, progress).await?;
    keep(fetching, pinned, contexts).await?;
    while let Some(joined) = resolving.join_next().await {
        let Ok((need, span, resolved)) = joined else {
            continue;
        };
        let resolved = resolved.map_err(|error| {
            let mut found = Diagnostic::error("unresolved-image", words(&error));
            found.hint = error.hint().map(str::to_owned);
            contexts.blame(vec![found.at(span)])
        })?;
        let resolved = Arc::new(resolved);
        let pin = PinnedImage {
            manifest: resolved.manifest_digest,
            platform: resolved.config.platform(),
            config: resolved.config.clone(),
            n_layers: resolved.layers().len(),
        };
        pinned.pins.images.insert(need.clone(), pin);
        pinned.images.insert(need, resolved);
    }
    Ok(())
}

/// Waits for what is fetched beside images.
async fn keep(
    mut fetching: JoinSet<(RemoteNeed, Span, Result<Fetched, BuildError>)>,
    pinned: &mut Pinned,
    contexts: &Contexts,
) -> Result<(), BuildError> {
    while let Some(joined) = fetching.join_next().await {
        let Ok((need, span, fetched)) = joined else {
            continue;
        };
        let fetched = fetched.map_err(|error| {
            let found = Diagnostic::error("unfetched-source", words(&error));
            contexts.blame(vec![found.at(span)])
        })?;
        pinned
            .pins
            .remotes
            .insert(need.clone(), fetched.pin.clone());
        pinned.remotes.insert(need, fetched);
    }
    Ok(())
}

fn source(need: &ImageNeed, contexts: &Contexts) -> Result<ImageSource, BuildError> {
    match &need.source {
        NeedSource::Registry(reference) => Ok(ImageSource::Registry(reference.clone())),
        NeedSource::Context(name) => contexts
            .layout(name)
            .cloned()
            .ok_or_else(|| BuildError::request(format!("build context `{name}` is no image"))),
    }
}

/// Finds and hashes what each COPY and ADD takes from a context; nothing else is read.
async fn select(
    specs: Vec<(SelectionSpec, Span)>,
    pinned: &mut Pinned,
    contexts: &Arc<Contexts>,
    store: &Arc<Store>,
    progress: &Progress,
) -> Result<(), BuildError> {
    if specs.is_empty() {
        return Ok(());
    }
    let step = progress.internal("[internal] load build context");
    let contexts = Arc::clone(contexts);
    let memory = FileMemory::new(Arc::clone(store));
    let now = progress.now().secs;
    let done = acetate_stdx::offload(move || {
        let select = |(spec, span): (SelectionSpec, Span)| {
            let selection =
                selection(&spec, &contexts, &memory, now).map_err(|error| match error {
                    BuildError::Files(error) => {
                        let found = Diagnostic::error("unreadable-source", words(&error));
                        contexts.blame(vec![found.at(span)])
                    }
                    error => error,
                })?;
            Ok((spec, selection))
        };
        specs
            .into_iter()
            .map(select)
            .collect::<Result<Vec<_>, BuildError>>()
    })
    .await;
    step.end(&done);
    for (spec, selection) in done? {
        let attributes = Attributes {
            owner: spec.flavour.keep_owner,
            mode: spec.flavour.keep_mode,
        };
        pinned
            .pins
            .selections
            .insert(spec.clone(), selection.digest(attributes));
        pinned.selections.insert(spec, Arc::new(selection));
    }
    Ok(())
}

fn selection(
    spec: &SelectionSpec,
    contexts: &Contexts,
    memory: &FileMemory,
    now: i64,
) -> Result<Selection, BuildError> {
    let tree = contexts.open_tree(&spec.context)?.ok_or_else(|| {
        BuildError::request(format!("build context `{}` is no directory", spec.context))
    })?;
    let options = SelectionOptions {
        sources: &spec.sources,
        excludes: &spec.excludes,
        parents: spec.parents,
    };
    let mut selection = Selection::find(tree, &options)?;
    selection.read_with(tree, memory, now)?;
    Ok(selection)
}
