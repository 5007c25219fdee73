//! From results to images: layers are sealed, times filled in, documents written.

use crate::attesting::{self, Results};
use crate::blobs::FetchError;
use crate::export::Exporting;
use crate::output::{Files, Output};
use crate::progress::InternalStep;
use crate::runner::StepRunner;
use crate::shared::{Tars, offer_unneeded};
use crate::{BuildError, BuildRequest, BuiltImage, BuiltLayer, VertexOutcome, export, names};
use acetate_cache::layout::INLINE_FIELD;
use acetate_frontend::{ImageResult, Lowered};
use acetate_graph::VertexId;
use acetate_image::{Alongside, Image, ImageLayer, Permit, Recipe, ResolvedImage, Style, assemble};
use acetate_oci::{Descriptor, Digest, HistoryEntry, ImageConfig, Platform, Reference, Timestamp};
use acetate_registry::Progress;
use acetate_snapshot::{BlobLayer, Snapshot, SnapshotError};
use acetate_store::LayerId;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long an image waits for the sealing of the results that its config tells of.
const INLINE_PATIENCE: Duration = Duration::from_secs(60);

/// What the outputs of a build are.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    pub(crate) images: Vec<BuiltImage>,
    pub(crate) names: Vec<String>,
    pub(crate) digest: Option<Digest>,
    pub(crate) root: Option<Descriptor>,
    pub(crate) provenance: Vec<(Platform, Value)>,
}

/// Why the outputs could not be made.
#[derive(Debug)]
pub(crate) enum FinishError {
    /// The result of the target with this index has lost a layer.
    Lost(usize),
    Build(BuildError),
}

impl<E: Into<BuildError>> From<E> for FinishError {
    fn from(error: E) -> Self {
        Self::Build(error.into())
    }
}

/// An image and the snapshot that its layers come from.
pub(crate) struct Assembled {
    pub(crate) image: Image,
    pub(crate) files: Files,
    /// Which of the demanded results it is made of; none for one without steps.
    pub(crate) target: Option<usize>,
}

/// The layers of a resolved image as a snapshot takes them.
pub(crate) fn layers_of(image: &ResolvedImage) -> Vec<BlobLayer> {
    let pairs = image.layers().iter().zip(image.diff_ids());
    pairs
        .map(|(blob, diff_id)| BlobLayer {
            diff_id: *diff_id,
            blob: blob.clone(),
        })
        .collect()
}

/// Makes all outputs of a build.
pub(crate) async fn finish(
    runner: &Arc<StepRunner>,
    lowered: &Lowered,
    request: &BuildRequest,
    edges: &[VertexId],
    outputs: &[Output],
) -> Result<Finished, FinishError> {
    let tags = export::kept(request)?;
    if !export::wants_image(request) {
        return Ok(Finished::default());
    }
    let step = runner.progress.internal("exporting to image");
    let results = (edges, outputs);
    let result = finish_images(runner, lowered, request, results, (&tags, &step)).await;
    step.end_as(outcome(&result));
    result
}

/// How a step of making outputs is shown that ended so.
pub(crate) fn outcome<T>(result: &Result<T, FinishError>) -> VertexOutcome {
    match result {
        Ok(_) => VertexOutcome::Done,
        Err(FinishError::Lost(_)) => VertexOutcome::Cancelled,
        Err(FinishError::Build(error)) => VertexOutcome::Failed(error.words()),
    }
}

async fn finish_images(
    runner: &Arc<StepRunner>,
    lowered: &Lowered,
    request: &BuildRequest,
    (edges, outputs): (&[VertexId], &[Output]),
    (tags, step): (&[Reference], &InternalStep),
) -> Result<Finished, FinishError> {
    if runner.caches.inline.is_some() {
        // What the config is to hold has to be there before the config is.
        offer_unneeded(runner).await;
        runner.publisher.prepared(INLINE_PATIENCE).await;
    }
    let packing = step.transfer("compressing");
    let recipe = export::packing(request);
    let sealed_images = seal_all(runner, lowered, (recipe, &packing), (edges, outputs)).await?;
    let formed = bring_forms(runner, request, &sealed_images).await;
    let mut assembled = Vec::with_capacity(lowered.images.len());
    for (image, target, files, layers) in sealed_images {
        if export::wants_blobs(request) {
            let fetched = runner.blobs.ensure_blobs(&files.snapshot, &formed).await;
            fetched.map_err(|error| lost_or(error, target))?;
        } else if export::keeps(request, tags) {
            // A name keeps its image: all layers are here in some form.
            let fetched = runner.blobs.ensure_usable(&files.snapshot).await;
            fetched.map_err(|error| lost_or(error, target))?;
        }
        runner
            .blobs
            .uses(layers.iter().map(|layer| layer.descriptor.digest));
        let inline = runner.caches.inline.as_ref().and_then(|inline| {
            let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
            inline.records(&diff_ids)
        });
        let image = put_together(image, &files, layers, lowered.epoch, inline)?;
        assembled.push(Assembled {
            image,
            files,
            target,
        });
    }
    let results = Results {
        vertices: edges,
        outputs,
    };
    let attestations = attesting::gather(runner, lowered, request, results, &assembled).await?;
    let attestations = Arc::new(attestations);
    let exporting = Exporting {
        request,
        times: lowered.epoch.map(Timestamp::from_secs),
        attestations: &attestations,
        packing: &packing,
        writing: &step.transfer("writing"),
    };
    let root = export::export(runner, &assembled, &exporting).await?;
    if !tags.is_empty() {
        names::write(&runner.store, tags, &assembled)?;
    }
    let mut finished = told(runner, request, &assembled, root)?;
    finished.provenance = attestations.predicates();
    Ok(finished)
}

/// What the build is said to have made; further names of an image are given once its digest is known.
fn told(
    runner: &StepRunner,
    request: &BuildRequest,
    assembled: &[Assembled],
    root: Option<Descriptor>,
) -> Result<Finished, FinishError> {
    let mut images: Vec<BuiltImage> = assembled
        .iter()
        .map(|assembled| built(&assembled.image))
        .collect();
    let is_manifest = |root: &&Descriptor| !root.media_type.is_index();
    if let ([image], Some(root)) = (images.as_mut_slice(), root.as_ref().filter(is_manifest)) {
        // What was written may have other compressed layers, hence another manifest.
        (image.manifest, image.manifest_size) = (root.digest, root.size);
    }
    let only = match images.as_slice() {
        [one] => Some(one.manifest),
        _ => None,
    };
    let digest = root.as_ref().map(|root| root.digest).or(only);
    let mut names = export::given(request)?;
    if let Some(digest) = digest {
        let further = export::with_digest(request, digest)?;
        names::write(&runner.store, &further.canonical, assembled)?;
        names::write(&runner.store, &further.dangling, assembled)?;
        names.extend(further.dangling);
    }
    Ok(Finished {
        images,
        names: names.iter().map(ToString::to_string).collect(),
        digest,
        root,
        provenance: Vec::new(),
    })
}

/// Seals the layers of all images.
async fn seal_all<'a>(
    runner: &StepRunner,
    lowered: &'a Lowered,
    packing: Packing<'_>,
    (edges, outputs): (&[VertexId], &[Output]),
) -> Result<Vec<SealedImage<'a>>, FinishError> {
    let mut sealed_images = Vec::with_capacity(lowered.images.len());
    for image in &lowered.images {
        let target = image
            .output
            .and_then(|edge| edges.iter().position(|id| *id == edge.vertex));
        let files = target
            .and_then(|n| outputs.get(n))
            .map(Output::files)
            .unwrap_or_default();
        if lowered.epoch.is_some() {
            // Layers of builds elsewhere are rewritten for the epoch, too.
            let fetched = runner.blobs.ensure_own(&files.snapshot).await;
            fetched.map_err(|error| lost_or(error, target))?;
        }
        let sealed = seal(runner, &files.snapshot, lowered.epoch, packing).await;
        let layers = sealed.map_err(|error| lost_or(error, target))?;
        sealed_images.push((image, target, files, layers));
    }
    Ok(sealed_images)
}

/// How layers are compressed while they are sealed, and who hears of it.
type Packing<'a> = (Option<Recipe>, &'a Arc<dyn Progress>);

type SealedImage<'a> = (&'a ImageResult, Option<usize>, Files, Vec<ImageLayer>);

/// Brings the compressed forms of layers that came from caches, and gives the layers that need not
/// come uncompressed.
async fn bring_forms(
    runner: &StepRunner,
    request: &BuildRequest,
    images: &[SealedImage<'_>],
) -> BTreeSet<Digest> {
    let (recipes, tars) = export::recipes(request);
    let mut imported = Vec::new();
    for (_, _, files, layers) in images {
        let pairs = files.snapshot.layers().iter().zip(layers);
        let plain = pairs.filter(|(own, layer)| {
            let is_plain = layer.descriptor.digest == layer.diff_id;
            is_plain && runner.blobs.is_imported(own)
        });
        imported.extend(plain.map(|(_, layer)| layer.clone()));
    }
    let formed = runner.forms.bring(&imported, &recipes, tars).await;
    match tars {
        // They are here, and looked for once more.
        Tars::Needed => BTreeSet::new(),
        Tars::Unneeded => formed,
    }
}

/// The result that has a layer, to be made again when the layer is gone.
pub(crate) fn target_of(assembled: &[Assembled], layer: LayerId) -> Option<usize> {
    let has = |one: &&Assembled| {
        let mut layers = one.files.snapshot.layers().iter();
        layers.any(|own| own.id() == layer)
    };
    assembled.iter().filter(has).find_map(|one| one.target)
}

pub(crate) fn lost_or(error: FetchError, target: Option<usize>) -> FinishError {
    match (error, target) {
        (FetchError::Lost(_) | FetchError::Snapshot(SnapshotError::Lost(_)), Some(n)) => {
            FinishError::Lost(n)
        }
        (FetchError::Lost(id), None) => {
            FinishError::Build(BuildError::request(format!("layer `{id}` is gone")))
        }
        (FetchError::Image(error), _) => error.into(),
        (error @ FetchError::Write(_), _) => {
            FinishError::Build(BuildError::request(crate::error::words(&error)))
        }
        (FetchError::Store(error), _) => error.into(),
        (FetchError::Snapshot(error), _) => error.into(),
    }
}

/// Seals all layers of a chain, several at once; with an epoch no new file is younger than it.
///
/// What has to become a tar is compressed at the same time when an output is known to want that.
async fn seal(
    runner: &StepRunner,
    snapshot: &Snapshot,
    epoch: Option<i64>,
    (recipe, packing): Packing<'_>,
) -> Result<Vec<ImageLayer>, FetchError> {
    let packing = Arc::clone(packing);
    let (snapshots, snapshot) = (runner.snapshots.clone(), snapshot.clone());
    let (blobs, store) = (Arc::clone(&runner.blobs), Arc::clone(&runner.store));
    let permit = Permit::default();
    acetate_stdx::offload(move || {
        use rayon::prelude::*;
        let seal = |layer: &acetate_snapshot::Layer| {
            let mut alongside = recipe.map(|recipe| Alongside::new(&store, recipe, &permit));
            let limit = epoch.map(Timestamp::from_secs);
            let sealed = match (limit, &mut alongside) {
                (Some(limit), _) if blobs.is_imported(layer) => {
                    snapshots.seal_clamped_blob(layer, limit)?
                }
                (Some(limit), Some(copy)) => snapshots.seal_clamped_with(layer, limit, copy)?,
                (Some(limit), None) => snapshots.seal_clamped(layer, limit)?,
                (None, Some(copy)) => snapshots.seal_with(layer, copy)?,
                (None, None) => snapshots.seal(layer)?,
            };
            if let Some(alongside) = alongside
                && let Err(error) = alongside.finish(&sealed.blob, &*packing)
            {
                // It is tried again when the output is written, and told then.
                tracing::debug!(%error, "a layer is not compressed alongside");
            }
            Ok(ImageLayer {
                descriptor: sealed.blob.clone(),
                diff_id: sealed.diff_id,
            })
        };
        snapshot.layers().par_iter().map(seal).collect()
    })
    .await
}

/// Fills in the times of the history and assembles the documents, with plain layers where they are
/// ours.
fn put_together(
    result: &ImageResult,
    files: &Files,
    layers: Vec<ImageLayer>,
    epoch: Option<i64>,
    records: Option<Value>,
) -> Result<Image, FinishError> {
    let n_new = result
        .history
        .iter()
        .filter(|item| item.layer.is_some())
        .count();
    let first_new = files.created.len().saturating_sub(n_new);
    let mut times = files.created[first_new..].iter().copied();
    let mut config = result.config.clone();
    if let Some(records) = records {
        config.extra.insert(INLINE_FIELD.to_owned(), records);
    }
    let mut history = config.history.clone();
    let n_base = history.len();
    for item in &result.history {
        let mut entry = item.entry.clone();
        entry.created = match item.layer {
            Some(_) => times.next(),
            None => None,
        };
        history.push(entry);
    }
    complete_base(&mut history, n_base, first_new);
    fill_times(&mut history, n_base, epoch);
    config.created = history
        .last()
        .and_then(|entry| entry.created)
        .or(config.created);
    Ok(assemble(config, history, layers, Style::Oci)?)
}

/// Makes the history of a base fit its layers: lines that it lacks are added, and of lines that speak
/// of more layers than there are the oldest are marked as empty, as builders do with squashed images.
fn complete_base(history: &mut Vec<HistoryEntry>, n_base: usize, n_layers: usize) {
    let known = history[..n_base]
        .iter()
        .filter(|entry| !entry.empty_layer)
        .count();
    let surplus = known.saturating_sub(n_layers);
    let filled = history[..n_base]
        .iter_mut()
        .filter(|entry| !entry.empty_layer);
    filled
        .take(surplus)
        .for_each(|entry| entry.empty_layer = true);
    let missing = n_layers.saturating_sub(known);
    let line = HistoryEntry {
        comment: "imported layer".to_owned(),
        ..HistoryEntry::default()
    };
    history.splice(n_base..n_base, std::iter::repeat_n(line, missing));
}

/// Gives every line of this build a time; those of the base keep theirs (S95).
///
/// With an epoch it is the epoch. Without one, lines without a layer have the time of the layer before
/// them, and those before the first new layer have its time; where there is no new layer at all, the
/// last time of the base.
fn fill_times(history: &mut [HistoryEntry], n_base: usize, epoch: Option<i64>) {
    if let Some(epoch) = epoch {
        let epoch = Some(Timestamp::from_secs(epoch));
        history[n_base..]
            .iter_mut()
            .for_each(|entry| entry.created = epoch);
        return;
    }
    let first_new = history[n_base..].iter().find_map(|entry| entry.created);
    let last_old = || history[..n_base].iter().rev().find_map(|e| e.created);
    let mut time = first_new.or_else(last_old);
    for entry in &mut history[n_base..] {
        time = entry.created.or(time);
        entry.created = time;
    }
}

fn built(image: &Image) -> BuiltImage {
    BuiltImage {
        platform: image.platform(),
        config: image.manifest.config.digest,
        manifest: image.descriptor.digest,
        manifest_size: image.descriptor.size,
        layers: built_layers(&image.config, &image.layers),
    }
}

fn built_layers(config: &ImageConfig, layers: &[ImageLayer]) -> Vec<BuiltLayer> {
    let mut lines = config.history.iter().filter(|entry| !entry.empty_layer);
    layers
        .iter()
        .map(|layer| BuiltLayer {
            diff_id: layer.diff_id,
            size: layer.descriptor.size,
            created_by: lines
                .next()
                .map(|line| line.created_by.clone())
                .unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, secs: Option<i64>, empty_layer: bool) -> HistoryEntry {
        HistoryEntry {
            created: secs.map(Timestamp::from_secs),
            created_by: text.to_owned(),
            empty_layer,
            ..HistoryEntry::default()
        }
    }

    fn times(history: &[HistoryEntry]) -> Vec<Option<i64>> {
        history
            .iter()
            .map(|entry| entry.created.map(|time| time.secs))
            .collect()
    }

    #[test]
    fn lines_without_a_layer_take_the_time_of_the_layer_before_them() {
        let mut history = vec![
            line("base", Some(5), false),
            line("ENV", None, true),
            line("RUN", Some(9), false),
            line("CMD", None, true),
        ];
        fill_times(&mut history, 1, None);
        assert_eq!(times(&history), [Some(5), Some(9), Some(9), Some(9)]);
    }

    #[test]
    fn s96_without_a_new_layer_they_take_the_last_time_of_the_base() {
        let mut history = vec![line("base", Some(5), false), line("ENV", None, true)];
        fill_times(&mut history, 1, None);
        assert_eq!(times(&history), [Some(5), Some(5)]);
        let mut history = vec![line("LABEL", None, true)];
        fill_times(&mut history, 0, None);
        assert_eq!(times(&history), [None]);
    }

    #[test]
    fn s95_an_epoch_is_the_time_of_every_new_line_and_of_no_old_one() {
        let mut history = vec![
            line("base", Some(50), false),
            line("ENV", None, true),
            line("RUN", Some(3), false),
            line("COPY", Some(90), false),
        ];
        fill_times(&mut history, 1, Some(7));
        assert_eq!(times(&history), [Some(50), Some(7), Some(7), Some(7)]);
    }

    #[test]
    fn a_base_that_says_less_than_it_has_gets_a_line_a_layer() {
        let mut history = vec![line("one", Some(1), false), line("RUN", Some(9), false)];
        complete_base(&mut history, 1, 3);
        let texts: Vec<&str> = history
            .iter()
            .map(|entry| entry.created_by.as_str())
            .collect();
        assert_eq!(texts, ["one", "", "", "RUN"]);
        assert!(history.iter().all(|entry| !entry.empty_layer));
        complete_base(&mut history, 3, 3);
        assert_eq!(history.len(), 4);
    }

    #[test]
    fn of_a_base_that_says_more_than_it_has_the_oldest_lines_count_as_empty() {
        let lines = ["a", "b", "c"].map(|text| line(text, Some(1), false));
        let mut history = [&lines[..], &[line("RUN", Some(9), false)]].concat();
        complete_base(&mut history, 3, 1);
        let empty: Vec<bool> = history.iter().map(|entry| entry.empty_layer).collect();
        assert_eq!(empty, [true, true, false, false]);
    }
}
