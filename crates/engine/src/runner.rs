use crate::VertexOutcome;
use crate::blobs::{Blobs, FetchError};
use crate::cache_mounts::Renewed;
use crate::context::Contexts;
use crate::damage::{Damage, MAX_REPAIRS};
use crate::outcomes::{How, Outcomes};
use crate::output::{Files, Output, Selected};
use crate::pin::Pinned;
use crate::progress::{Progress, vertex_digest};
use crate::release::Releaser;
use crate::same::Same;
use crate::secrets::Secrets;
use crate::shared::{Candidate, Made, Publisher, Reach, SharedCaches, load};
use crate::ssh::SshAgents;
use crate::steps::{StepError, exec, file, merge, source};
use acetate_cache::{
    CacheIndex, CacheKey, CacheRecord, Entry, LayerRecord, LocalCache, OpHistory, Past, PastInput,
    Pasts,
};
use acetate_exec::Executor;
use acetate_frontend::{ImageNeed, RemoteNeed, SelectionSpec};
use acetate_graph::{BuildGraph, Op, OpKey, SourceOp, Vertex, VertexId, op_key};
use acetate_oci::{Digest, Timestamp};
use acetate_scheduler::{Class, JobCtx, Profile, Question, RunError, Runner};
use acetate_snapshot::Snapshots;
use acetate_store::{Object, Store, StoreLock};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Carries out the steps of one build.
#[derive(Debug)]
pub(crate) struct StepRunner {
    pub(crate) graph: Arc<BuildGraph>,
    pub(crate) store: Arc<Store>,
    pub(crate) snapshots: Snapshots,
    pub(crate) blobs: Arc<Blobs>,
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
    pub(crate) publisher: Publisher,
    pub(crate) outcomes: Outcomes,
    /// The time of everything that has no other.
    pub(crate) now: Timestamp,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) ssh: Arc<SshAgents>,
    pub(crate) renewed: Arc<Renewed>,
    pub(crate) releaser: Releaser,
    pub(crate) n_run: AtomicUsize,
    pub(crate) n_cached: AtomicUsize,
}

/// How a vertex got its result without being carried out.
enum Claim {
    /// Somebody else carried it out a moment ago.
    Result(Output),
    /// It is ours to carry out; the lock keeps others from doing the same.
    Work(Option<StoreLock>),
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
        let lock = match self.claim(id, &inputs, &ctx).await? {
            Claim::Result(output) => return Ok(output),
            Claim::Work(lock) => lock,
        };
        let digest = vertex_digest(&self.graph, id);
        self.progress.started(digest);
        let began = Instant::now();
        let result = self.carry_out(vertex, digest, &inputs, &ctx).await;
        self.n_run.fetch_add(1, Ordering::Relaxed);
        self.outcomes.note(id, How::Ran);
        match result {
            Ok(files) => {
                let duration = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.record(id, &inputs, &files, duration);
                self.publish(id, inputs, &files, duration);
                self.releaser.release(lock);
                self.progress.finished(digest, VertexOutcome::Done);
                Ok(Output::Files(files))
            }
            Err(StepError::Fetch(FetchError::Lost(layer))) => {
                // It begins anew once its inputs are there again.
                self.progress.finished(digest, VertexOutcome::Cancelled);
                let lost = inputs
                    .iter()
                    .enumerate()
                    .filter(|(_, input)| input.files().snapshot.ids().contains(&layer));
                Err(RunError::InputsLost(lost.map(|(n, _)| n).collect()))
            }
            Err(error) => {
                let outcome = match &error {
                    StepError::Cancelled => VertexOutcome::Cancelled,
                    error => VertexOutcome::Failed(error.words()),
                };
                self.progress.finished(digest, outcome);
                Err(error.into())
            }
        }
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
            if let Err(error) = self.blobs.ensure_usable(&input.files().snapshot).await {
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
    fn records_of(&self, past: &Past) -> Vec<CacheRecord> {
        let key = acetate_graph::DefinitionKey::from_digest(past.definition);
        let found = self
            .cache
            .lookup(&[CacheKey::definition(&key, 0)])
            .pop()
            .unwrap_or_default();
        let is_its_result =
            |record: &CacheRecord| record.layers.last().map(|layer| layer.id) == past.result;
        found.into_iter().filter(is_its_result).collect()
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

    /// Takes the lock of a vertex, or the result of whoever had it (single flight across
    /// processes). A forced vertex joins nobody.
    async fn claim(
        &self,
        id: VertexId,
        inputs: &[Output],
        ctx: &JobCtx,
    ) -> Result<Claim, StepError> {
        if self.graph.vertex(id).meta.no_cache {
            return Ok(Claim::Work(None));
        }
        let key = self.graph.key(id);
        let name = format!("vertex-{}", key.digest().hex());
        let lock = if let Some(lock) = self.store.try_lock(&name)? {
            lock
        } else {
            tokio::select! {
                lock = self.store.lock(&name) => lock?,
                () = ctx.cancel.cancelled() => return Err(StepError::Cancelled),
            }
        };
        if let Some(output) = self.join(id, inputs) {
            self.tell_cached(id);
            return Ok(Claim::Result(output));
        }
        Ok(Claim::Work(Some(lock)))
    }

    /// A result that another process recorded since this build began, made of exactly these inputs.
    fn join(&self, id: VertexId, inputs: &[Output]) -> Option<Output> {
        let key = self.graph.key(id);
        let op = op_key(&self.graph.vertex(id).op);
        let ours: Vec<PastInput> = inputs.iter().map(Output::as_past).collect();
        let pasts = self.history.find(&[op]).pop()?.decode();
        let is_ours = |past: &&Past| past.definition == *key.digest() && past.inputs == ours;
        let records = self.records_of(pasts.iter().find(is_ours)?);
        records
            .iter()
            .find_map(|record| self.load_record(record))
            .map(Output::Files)
    }

    async fn carry_out(
        &self,
        vertex: &Vertex,
        digest: Digest,
        inputs: &[Output],
        ctx: &JobCtx,
    ) -> Result<Files, StepError> {
        let mut repairs = 0;
        loop {
            if vertex.op != Op::Merge {
                for input in inputs {
                    self.blobs.ensure_usable(&input.files().snapshot).await?;
                }
            }
            let result = match &vertex.op {
                Op::Exec(op) => exec::run(self, op, vertex, digest, inputs, ctx).await,
                Op::File(op) => file::run(self, op, inputs).await,
                Op::Source(_) => source::run(self, vertex, ctx).await,
                Op::Merge => merge::run(self, inputs).await,
                Op::Diff => Err(StepError::internal("an op that makes no files")),
            };
            match result {
                Err(error) if error.is_damage() && repairs < MAX_REPAIRS => {
                    tracing::warn!(error = %error.words(), "a step is tried again");
                    repairs += 1;
                    let snapshots = inputs.iter().map(|input| input.files().snapshot);
                    self.blobs.repair(snapshots.collect()).await?;
                }
                result => return result,
            }
        }
    }

    /// Gives a result to the caches that want it.
    fn publish(&self, vertex: VertexId, inputs: Vec<Output>, files: &Files, duration_ms: u64) {
        let replaces = self.replaces.get(vertex.idx()) == Some(&true);
        self.publisher.offer(Made {
            vertex,
            files: files.clone(),
            inputs: Some(inputs),
            duration_ms,
            reach: if replaces { Reach::Anew } else { Reach::Ran },
        });
    }

    /// Records a result by definition, and its inputs for the lookup by content.
    fn record(&self, id: VertexId, inputs: &[Output], files: &Files, duration_ms: u64) {
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
