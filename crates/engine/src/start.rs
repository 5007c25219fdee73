//! From what was planned and looked up to what carries it out.

use crate::attesting::Generator;
use crate::cache_mounts::Turns;
use crate::context::Contexts;
use crate::engine::Engine;
use crate::explain::Ran;
use crate::lookup::Asked;
use crate::outcomes::Outcomes;
use crate::pin::Pinned;
use crate::progress::{Progress, vertex_digest};
use crate::pulls::Pulls;
use crate::release::Releaser;
use crate::runner::StepRunner;
use crate::secrets::Secrets;
use crate::shared::{Candidate, Forms, Publisher, SharedCaches};
use crate::ssh::SshAgents;
use crate::unproven::Unproven;
use crate::waits::Waits;
use crate::{BuildError, BuildRequest};
use acetate_cache::OpHistory;
use acetate_frontend::Lowered;
use acetate_graph::{BuildGraph, Op, SourceOp};
use acetate_scheduler::Hits;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

/// Everything that a build knows before anything runs.
pub(crate) struct Start<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) request: &'a BuildRequest,
    pub(crate) graph: &'a Arc<BuildGraph>,
    pub(crate) lowered: &'a Lowered,
    pub(crate) progress: &'a Progress,
    pub(crate) contexts: &'a Arc<Contexts>,
    pub(crate) caches: &'a SharedCaches,
    /// What scans results for packages, when it is an image.
    pub(crate) generator: Option<Arc<Generator>>,
    /// How many steps are known to be cached already.
    pub(crate) n_cached: usize,
}

impl Start<'_> {
    /// What carries the steps out, and what it may take instead.
    pub(crate) fn runner(
        self,
        pinned: Pinned,
        asked: Asked,
    ) -> Result<(Arc<StepRunner>, Hits<Candidate>), BuildError> {
        let (engine, store) = (self.engine, &self.engine.store);
        let blobs = engine.blobs(self.pulls(&pinned));
        for image in pinned.images.values() {
            blobs.offer(image);
        }
        if let Some(generator) = &self.generator {
            blobs.offer(&generator.image);
        }
        for image in &self.caches.images {
            blobs.offer_blobs(image);
        }
        let publisher = Publisher::new(
            self.graph,
            store,
            &engine.snapshots,
            &blobs,
            &self.caches.exports,
            pinned.images.values(),
        );
        let search_path = &engine.programs.search_path;
        let runner = StepRunner {
            graph: Arc::clone(self.graph),
            store: Arc::clone(store),
            snapshots: engine.snapshots.clone(),
            blobs,
            registries: Arc::clone(&engine.registries),
            daemons: engine.daemons.clone(),
            cache: engine.cache(),
            history: OpHistory::new(Arc::clone(store)),
            executor: engine.executor(self.request.isolation, self.graph)?,
            progress: self.progress.clone(),
            contexts: Arc::clone(self.contexts),
            pinned,
            images_used: self.lowered.images_used.clone(),
            selections: self.lowered.selections.clone(),
            remotes: self.lowered.remotes.clone(),
            pasts: asked.pasts,
            durations: asked.durations,
            shared_hints: asked.shared_hints,
            replaces: asked.replaces,
            caches: self.caches.clone(),
            generator: self.generator,
            publisher,
            forms: Arc::new(Forms::new(store, self.caches)),
            outcomes: Outcomes::default(),
            has_offered: AtomicBool::new(false),
            is_alone: AtomicBool::new(false),
            now: self.progress.now(),
            secrets: Arc::new(Secrets::new(&self.request.secrets)),
            ssh: Arc::new(SshAgents::new(&self.request.ssh, search_path, store)),
            renewed: Arc::default(),
            used_mounts: Arc::default(),
            releaser: Releaser::start(Arc::clone(store)),
            waits: Waits::default(),
            turns: Turns::default(),
            ran: Ran::default(),
            unproven: Unproven::default(),
            n_run: AtomicUsize::new(0),
            n_cached: AtomicUsize::new(self.n_cached),
        };
        Ok((Arc::new(runner), asked.hits))
    }

    /// The steps that take images.
    fn pulls(&self, pinned: &Pinned) -> Pulls {
        let mut pulls = Pulls::default();
        for id in self.graph.ids() {
            let vertex = self.graph.vertex(id);
            let (Op::Source(SourceOp::Image { .. }), Some(location)) =
                (&vertex.op, vertex.meta.location)
            else {
                continue;
            };
            let need = self.lowered.images_used.get(location.0 as usize);
            if let Some(image) = need.and_then(|need| pinned.images.get(need)) {
                let vertex = vertex_digest(self.graph, id);
                pulls.add(image.manifest_digest, self.progress, vertex);
            }
        }
        pulls
    }
}
