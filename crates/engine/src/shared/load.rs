//! Takes results from caches.

use super::{Candidate, Made, Reach, SharedHit, content_key};
use crate::output::{Files, Output};
use crate::runner::StepRunner;
use acetate_cache::remote::{LayerForm, RemoteLayer};
use acetate_cache::{CacheIndex, CacheKey, CacheRecord, Entry, KeyKind, LayerRecord, Origin};
use acetate_graph::{ContentKey, VertexId};
use acetate_oci::{Descriptor, MediaType};
use acetate_scheduler::Question;
use acetate_snapshot::BlobLayer;
use acetate_store::Object;

/// Makes a candidate usable; none when something of it is missing.
pub(crate) fn load(runner: &StepRunner, vertex: VertexId, candidate: Candidate) -> Option<Files> {
    match candidate {
        Candidate::Local(record) => {
            let files = runner.load_record(&record)?;
            let reach = Reach::Local;
            pass_on(runner, vertex, &files, record.duration_ms, reach);
            Some(files)
        }
        Candidate::Shared(hit) => load_shared(runner, vertex, hit),
    }
}

/// Makes a record of another cache usable.
pub(crate) fn load_shared(runner: &StepRunner, vertex: VertexId, hit: SharedHit) -> Option<Files> {
    let files = name_layers(runner, &hit)?;
    remember(runner, vertex, &files, &hit);
    let duration_ms = hit.hit.record.duration_ms;
    // What was found by content is news under this definition, for that cache, too.
    let reach = match hit.kind {
        KeyKind::Content => Reach::Local,
        KeyKind::Definition | KeyKind::Hint | KeyKind::Mount | KeyKind::Story | KeyKind::Form => {
            Reach::From(hit.cache, hit.hit.envelope)
        }
    };
    pass_on(runner, vertex, &files, duration_ms, reach);
    Some(files)
}

fn pass_on(runner: &StepRunner, vertex: VertexId, files: &Files, duration_ms: u64, reach: Reach) {
    runner.publisher.offer(Made {
        vertex,
        files: files.clone(),
        inputs: None,
        duration_ms,
        reach,
        lease: None,
    });
}

/// Names the layers of a shared result. Their bytes stay where they are until something needs them.
fn name_layers(runner: &StepRunner, hit: &SharedHit) -> Option<Files> {
    let record = &hit.hit.record;
    let blobs = record.layers.iter().map(|layer| place(runner, hit, layer));
    let blobs: Vec<BlobLayer> = blobs.collect::<Option<_>>()?;
    let pins = blobs.iter().map(|layer| Object::Blob(layer.blob.digest));
    let pins: Vec<Object> = pins.collect();
    if let Err(error) = runner.store.live().pin(&pins) {
        tracing::warn!(%error, "a shared result cannot be pinned");
        return None;
    }
    match runner.snapshots.from_blobs(&blobs) {
        Ok(snapshot) => {
            for (layer, remote) in snapshot.layers().iter().zip(&record.layers) {
                runner.blobs.claims.offer(layer.id(), &hit.cache, remote);
            }
            let created = record.layers.iter().map(|layer| layer.created).collect();
            Some(Files { snapshot, created })
        }
        Err(error) => {
            tracing::warn!(%error, "a shared result cannot be named");
            None
        }
    }
}

/// Where the blob of a layer comes from; none when nobody here has it.
fn place(runner: &StepRunner, hit: &SharedHit, layer: &RemoteLayer) -> Option<BlobLayer> {
    let diff_id = layer.diff_id;
    let blob = match &layer.form {
        LayerForm::Chunks(_) => {
            let blob = Descriptor::new(MediaType::OCI_LAYER, diff_id, layer.size);
            runner.blobs.offer_cached(blob.digest, &hit.cache, layer);
            blob
        }
        // What an image of this build holds, too, is taken from there.
        LayerForm::Blob(blob) => runner.blobs.base(&diff_id).unwrap_or_else(|| {
            runner.blobs.offer_cached(blob.digest, &hit.cache, layer);
            blob.clone()
        }),
    };
    (!runner.blobs.is_lost(&blob.digest)).then_some(BlobLayer { diff_id, blob })
}

/// Records a shared result here, so that the next build need not ask.
fn remember(runner: &StepRunner, vertex: VertexId, files: &Files, hit: &SharedHit) {
    let layers = files.snapshot.ids().into_iter().zip(files.created.iter());
    let layers = layers.map(|(id, created)| LayerRecord::new(id, *created));
    let record = CacheRecord {
        origin: Origin::Imported {
            from: hit.cache.name(),
            signer: hit.hit.signer.clone(),
        },
        fidelity: hit.hit.record.fidelity.clone(),
        ..CacheRecord::local(layers.collect(), hit.hit.record.duration_ms)
    };
    let keys = vec![CacheKey::definition(&runner.graph.key(vertex), 0)];
    runner.cache.record(vec![Entry { keys, record }]);
}

/// Asks shared caches, in one question, for those vertices that have a record of their op there and
/// none with the same inputs here.
pub(crate) async fn add_shared(
    runner: &StepRunner,
    questions: &[Question<Output>],
    answers: &mut [Vec<Candidate>],
) {
    let mut asked = Vec::new();
    for (n, question) in questions.iter().enumerate() {
        let is_hinted = runner.shared_hints.get(question.vertex.idx()) == Some(&true);
        if is_hinted
            && answers[n].is_empty()
            && let Some(key) = key_of(runner, question).await
        {
            asked.push((n, CacheKey::content(&key, 0)));
        }
    }
    let keys: Vec<CacheKey> = asked.iter().map(|(_, key)| *key).collect();
    let found = runner.caches.lookup(&keys).await;
    for ((n, _), hits) in asked.into_iter().zip(found) {
        answers[n].extend(hits.into_iter().map(Candidate::Shared));
    }
}

async fn key_of(runner: &StepRunner, question: &Question<Output>) -> Option<ContentKey> {
    for input in &question.inputs {
        if let Err(error) = runner.blobs.ensure_listed(&input.files().snapshot).await {
            tracing::debug!(%error, "a step is not asked for by content");
            return None;
        }
    }
    let (graph, snapshots) = (runner.graph.clone(), runner.snapshots.clone());
    let (vertex, inputs) = (question.vertex, question.inputs.clone());
    let key = acetate_stdx::offload(move || content_key(&snapshots, graph.vertex(vertex), &inputs));
    key.await.unwrap_or_else(|error| {
        tracing::debug!(%error, "a step is not asked for by content");
        None
    })
}
