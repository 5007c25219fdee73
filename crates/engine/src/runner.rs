use crate::VertexOutcome;
use crate::attempt::Attempt;
use crate::attesting::Generator;
use crate::blobs::{Blobs, FetchError};
use crate::cache_mounts::{Renewed, Turns};
use crate::claim::Claim;
use crate::context::Contexts;
use crate::explain::Ran;
use crate::outcomes::{How, Outcomes};
use crate::output::{Files, Output, Selected};
use crate::pin::Pinned;
use crate::progress::{Progress, vertex_digest};
use crate::release::Releaser;
use crate::same::Same;
use crate::secrets::Secrets;
use crate::shared::lease::Lease;
use crate::shared::{Candidate, Forms, Made, Publisher, Reach, SharedCaches, UsedMounts, load};
use crate::ssh::SshAgents;
use crate::steps::StepError;
use crate::unproven::Unproven;
use crate::waits::Waits;
use acetate_cache::{
    CacheIndex, CacheKey, CacheRecord, Entry, LayerRecord, LocalCache, OpHistory, Past, Pasts,
};
use acetate_exec::Executor;
use acetate_frontend::{ImageNeed, RemoteNeed, SelectionSpec};
use acetate_graph::{BuildGraph, Op, OpKey, SourceOp, Vertex, VertexId, op_key};
use acetate_oci::Timestamp;
use acetate_registry::Registries;
use acetate_scheduler::{Class, JobCtx, Profile, Question, RunError, Runner};
use acetate_snapshot::Snapshots;
use acetate_store::{Object, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

/// Carries out the steps of one build.
#[derive(Debug)]
pub(crate) struct StepRunner {
    pub(crate) graph: Arc<BuildGraph>,
    pub(crate) store: Arc<Store>,
    pub(crate) snapshots: Snapshots,
    pub(crate) blobs: Arc<Blobs>,
    pub(crate) registries: Arc<Registries>,
    pub(crate) cache: LocalCache,
    pub(crate) history: OpHistory,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) progress: Progress,
    pub(crate) contexts: Arc<Contexts>,
    pub(crate) pinned: Pinned,
    pub(crate) images_used: Vec<ImageNeed>,
    pub(crate) selections: Vec<SelectionSpec>,
    pub(crate) remotes: Vec<RemoteNeed>,
    /// Earlier uses of each vertex's op, by index.
    pub(crate) pasts: Vec<Pasts>,
    /// How long each vertex took last, in milliseconds, where that is known.
    pub(crate) durations: Vec<Option<u64>>,
    /// By vertex, whether a shared cache has a record of its op.
    pub(crate) shared_hints: Vec<bool>,
    /// By vertex, whether a result of its own replaces what is shared.
    pub(crate) replaces: Vec<bool>,
    pub(crate) caches: SharedCaches,
    /// What scans results for packages, when it is an image.
    pub(crate) generator: Option<Arc<Generator>>,
    pub(crate) publisher: Publisher,
    pub(crate) forms: Arc<Forms>,
    pub(crate) outcomes: Outcomes,
    /// Whether what this build did not need was offered to caches.
    pub(crate) has_offered: AtomicBool,
    /// Whether the build goes on without leases.
    pub(crate) is_alone: AtomicBool,
    /// The time of everything that has no other.
    pub(crate) now: Timestamp,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) ssh: Arc<SshAgents>,
    pub(crate) renewed: Arc<Renewed>,
    pub(crate) used_mounts: Arc<UsedMounts>,
    pub(crate) releaser: Releaser,
    pub(crate) waits: Waits,
    pub(crate) turns: Turns,
    pub(crate) ran: Ran,
    pub(crate) unproven: Unproven,
    pub(crate) n_run: AtomicUsize,
    pub(crate) n_cached: AtomicUsize,
}

impl Runner for StepRunner {
    type Output = Output;
    type Candidate = Candidate;
    type Error = StepError;

    fn profile(&self, vertex: VertexId) -> Profile {
        let class = match self.graph.vertex(vertex).op {
            Op::Exec(_) => Class::Heavy,
            _ => Class::Light,
        };
        let known = self.durations.get(vertex.idx()).copied().flatten();
        // Of an unknown process nothing is known but that it takes longer than a copy.
        let guess = if class == Class::Heavy { 1000 } else { 1 };
        Profile {
            class,
            cost: known.unwrap_or(guess),
        }
    }

    async fn load(&self, vertex: VertexId, candidate: Candidate) -> Option<Output> {
        let files = load::load(self, vertex, candidate)?;
        self.tell_cached(vertex);
        Some(Output::Files(files))
    }

    async fn ask(&self, questions: Vec<Question<Output>>) -> Vec<Vec<Candidate>> {
        let mut answers = Vec::with_capacity(questions.len());
        for question in &questions {
            let found = self.same_result(question).await.into_iter();
            answers.push(found.map(Candidate::Local).collect());
        }
        load::add_shared(self, &questions, &mut answers).await;
        answers
    }

    async fn run(
        &self,
        id: VertexId,
        inputs: Vec<Output>,
        ctx: JobCtx,
    ) -> Result<Output, RunError<StepError>> {
        let graph = Arc::clone(&self.graph);
        let vertex = graph.vertex(id);
        match &vertex.op {
            Op::Source(SourceOp::Download(_) | SourceOp::Git(_))
            | Op::Exec(_)
            | Op::File(_)
            | Op::Merge => {}
            Op::Source(source) => return Ok(self.source(id, vertex, source)?),
            Op::Diff => return Err(StepError::internal("a difference").into()),
        }
        let mut held = match self.claim(id, &inputs).await? {
            Claim::Result(output) => {
                self.tell_cached(id);
                return Ok(output);
            }
            Claim::Work(held) => held,
            Claim::Taken(held, obstacle) => {
                self.park(id, inputs, held, obstacle);
                return Err(RunError::Taken);
            }
        };
        let digest = vertex_digest(&self.graph, id);
        self.progress.started(digest);
        let began = Instant::now();
        let result = self.carry_out(vertex, digest, &inputs, &mut held, &ctx);
        let result = match result.await {
            Ok(Attempt::Taken(obstacle)) => {
                self.park(id, inputs, held, obstacle);
                return Err(RunError::Taken);
            }
            Ok(Attempt::Made(files)) => Ok(files),
            Err(error) => Err(error),
        };
        self.n_run.fetch_add(1, Ordering::Relaxed);
        self.outcomes.note(id, How::Ran);
        self.ran.add(id, result.is_ok());
        match result {
            Ok(files) => {
                let duration = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.record(id, &inputs, &files, duration);
                self.publish(id, inputs, &files, duration, held.lease);
                self.releaser.release(held.lock);
                self.progress.finished(digest, VertexOutcome::Done);
                Ok(Output::Files(files))
            }
            Err(StepError::Fetch(FetchError::Lost(layer))) => {
                end_lease(held.lease).await;
                // It begins anew once its inputs are there again.
                self.progress.finished(digest, VertexOutcome::Cancelled);
                let lost = inputs
                    .iter()
                    .enumerate()
                    .filter(|(_, input)| input.files().snapshot.ids().contains(&layer));
                Err(RunError::InputsLost(lost.map(|(n, _)| n).collect()))
            }
            Err(error) => {
                end_lease(held.lease).await;
                let outcome = match &error {
                    StepError::Cancelled => VertexOutcome::Cancelled,
                    error => VertexOutcome::Failed(error.words()),
                };
                self.progress.finished(digest, outcome);
                Err(error.into())
            }
        }
    }

    async fn wait(&self, vertex: VertexId, _ctx: JobCtx) {
        self.wait_for_others(vertex).await;
    }

    fn let_go(&self, vertex: VertexId) {
        drop(self.waits.unpark(vertex));
    }
}

/// Lets others have a step that was not made.
async fn end_lease(lease: Option<Lease>) {
    if let Some(lease) = lease {
        lease.end().await;
    }
}

impl StepRunner {
    /// Makes a recorded chain usable: pinned first, then looked at again.
    pub(crate) fn load_record(&self, record: &CacheRecord) -> Option<Files> {
        let objects: Vec<Object> = record.objects();
        if let Err(error) = self.store.live().pin(&objects) {
            tracing::warn!(%error, "a cached result cannot be pinned");
            return None;
        }
        let ids: Vec<_> = record.layers.iter().map(|layer| layer.id).collect();
        match self.snapshots.from_layers(&ids) {
            Ok(Some(snapshot)) => {
                let created = record.layers.iter().map(|layer| layer.created).collect();
                Some(Files { snapshot, created })
            }
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "a cached result cannot be read");
                None
            }
        }
    }

    fn tell_cached(&self, vertex: VertexId) {
        self.outcomes.note(vertex, How::Loaded);
        self.n_cached.fetch_add(1, Ordering::Relaxed);
        self.progress.cached(&self.graph, vertex);
    }

    /// The records of earlier uses whose inputs had the same content.
    async fn same_result(&self, question: &Question<Output>) -> Vec<CacheRecord> {
        let pasts = self.pasts_of(question.vertex).decode();
        let (graph, snapshots) = (Arc::clone(&self.graph), self.snapshots.clone());
        let (vertex, inputs) = (question.vertex, question.inputs.clone());
        for input in &inputs {
            // Names of layers are compared without their bytes, so a failure is no error here.
            if let Err(error) = self.blobs.ensure_listed(&input.files().snapshot).await {
                tracing::debug!(%error, "an input is not compared");
                return Vec::new();
            }
        }
        let same = acetate_stdx::offload(move || {
            let same = Same::new(&snapshots);
            let is_same = |past: &Past| {
                let same = same.inputs(graph.vertex(vertex), &inputs, past);
                same.unwrap_or_else(|error| {
                    tracing::debug!(%error, "an earlier use of a step cannot be compared");
                    false
                })
            };
            pasts.into_iter().find(is_same)
        })
        .await;
        let Some(past) = same else {
            return Vec::new();
        };
        self.records_of(&past)
    }

    /// The records of an earlier use, if they still are what was made then.
    ///
    /// The definition key alone does not say that: a step below may have been run again, here or by
    /// another process, and the record replaced by one that was made of other inputs.
    pub(crate) fn records_of(&self, past: &Past) -> Vec<CacheRecord> {
        let key = acetate_graph::DefinitionKey::from_digest(past.definition);
        let found = self
            .cache
            .lookup(&[CacheKey::definition(&key, 0)])
            .pop()
            .unwrap_or_default();
        let is_its_result =
            |record: &CacheRecord| record.layers.last().map(|layer| layer.id) == past.result;
        let is_admitted = |record: &CacheRecord| self.caches.admits(record);
        found
            .into_iter()
            .filter(is_its_result)
            .filter(is_admitted)
            .collect()
    }

    fn pasts_of(&self, vertex: VertexId) -> Pasts {
        self.pasts.get(vertex.idx()).cloned().unwrap_or_default()
    }

    fn source(
        &self,
        id: VertexId,
        vertex: &Vertex,
        source: &SourceOp,
    ) -> Result<Output, StepError> {
        let location = vertex
            .meta
            .location
            .ok_or_else(|| StepError::internal("a source without a place"))?;
        let n = location.0 as usize;
        match source {
            SourceOp::Image { .. } => {
                let need = self.images_used.get(n);
                let image = need.and_then(|need| self.pinned.images.get(need));
                let image = image.ok_or_else(|| StepError::internal("an image without a pin"))?;
                self.blobs.offer(image);
                let snapshot = self
                    .snapshots
                    .from_blobs(&crate::images::layers_of(image))?;
                let created = vec![Timestamp::default(); snapshot.layers().len()].into();
                let digest = vertex_digest(&self.graph, id);
                self.progress.started(digest);
                self.progress.finished(digest, VertexOutcome::Done);
                Ok(Output::Files(Files { snapshot, created }))
            }
            SourceOp::Download(_) | SourceOp::Git(_) => {
                Err(StepError::internal("what lies behind a URL"))
            }
            SourceOp::Local { selection: digest } => {
                let spec = self.selections.get(n);
                let found = spec.and_then(|spec| Some((spec, self.pinned.selections.get(spec)?)));
                let (spec, selection) =
                    found.ok_or_else(|| StepError::internal("files without a pin"))?;
                Ok(Output::Selected(Arc::new(Selected {
                    contexts: Arc::clone(&self.contexts),
                    context: spec.context.clone(),
                    selection: Arc::clone(selection),
                    digest: *digest,
                })))
            }
        }
    }

    /// Gives a result to the caches that want it.
    fn publish(
        &self,
        vertex: VertexId,
        inputs: Vec<Output>,
        files: &Files,
        duration_ms: u64,
        lease: Option<Lease>,
    ) {
        let replaces = self.replaces.get(vertex.idx()) == Some(&true);
        self.publisher.offer(Made {
            vertex,
            files: files.clone(),
            inputs: Some(inputs),
            duration_ms,
            reach: if replaces { Reach::Anew } else { Reach::Ran },
            lease,
        });
    }

    /// Records what was made by listings of caches that are known to be right by now. What nobody
    /// could compare is not recorded, and made again the next time.
    pub(crate) fn record_proven(&self) {
        for kept in self.unproven.take() {
            if !self.blobs.claims.is_unproven(&kept.files.snapshot) {
                self.record(kept.vertex, &kept.inputs, &kept.files, kept.duration_ms);
            }
        }
    }

    /// Records a result by definition, and its inputs for the lookup by content.
    fn record(&self, id: VertexId, inputs: &[Output], files: &Files, duration_ms: u64) {
        if self.blobs.claims.is_unproven(&files.snapshot) {
            self.unproven.keep(id, inputs, files, duration_ms);
            return;
        }
        let key = self.graph.key(id);
        let ids = files.snapshot.ids();
        let past = Past {
            definition: *key.digest(),
            inputs: inputs.iter().map(Output::as_past).collect(),
            result: ids.last().copied(),
        };
        let layers = ids.into_iter().zip(files.created.iter());
        let layers = layers
            .map(|(id, created)| LayerRecord::new(id, *created))
            .collect();
        let record = CacheRecord::local(layers, duration_ms);
        let keys = vec![CacheKey::definition(&key, 0)];
        self.cache.record(vec![Entry { keys, record }]);
        let op: OpKey = op_key(&self.graph.vertex(id).op);
        self.history.add(&op, past, &self.pasts_of(id));
    }
}
