//! Gives the directories of cache mounts to caches when a build has gone well.

use super::mount_fact::MountFact;
use super::{Ending, Export};
use crate::runner::StepRunner;
use acetate_cache::remote::{Attest, Existing, LayerSource, Publication, Published, Skip};
use acetate_cache::{CacheKey, Fidelity};
use acetate_graph::BuildGraph;
use acetate_oci::{Digest, HashingWriter};
use acetate_snapshot::{SnapshotError, Survey};
use acetate_store::{ScratchDir, StoreError};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The cache mounts that steps of one build have taken.
#[derive(Debug, Default)]
pub(crate) struct UsedMounts(Mutex<BTreeMap<Digest, String>>);

impl UsedMounts {
    /// Notes that a step takes a cache mount, which the Dockerfile calls `id`.
    pub(crate) fn note(&self, identity: Digest, id: &str) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(identity, id.to_owned());
    }

    /// Those that have one of these ids.
    fn called(&self, ids: &[String]) -> Vec<(Digest, String)> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let called = used.iter().filter(|(_, id)| ids.contains(id));
        called
            .map(|(identity, id)| (*identity, id.clone()))
            .collect()
    }
}

/// Gives what the flags name of what steps used to each cache, for as long as its flag says.
pub(crate) async fn share(runner: &StepRunner, ending: Ending) {
    if ending != Ending::Well {
        return;
    }
    let exports = runner.caches.exports.iter();
    let sharing = exports.filter(|export| !export.spec.mounts.is_empty());
    join_all(sharing.map(|export| share_with(runner, export))).await;
}

async fn share_with(runner: &StepRunner, export: &Export) {
    let Export { opened, spec } = export;
    if let Some(words) = unknown(&runner.graph, &spec.mounts) {
        tracing::warn!("--cache-to: {words}");
    }
    let cache = opened.cache.name();
    let work = async {
        for (identity, id) in runner.used_mounts.called(&spec.mounts) {
            let outgoing = Outgoing {
                runner,
                export,
                identity,
            };
            match outgoing.share().await {
                Ok(sent) => tracing::debug!(%cache, %id, ?sent, "a cache mount is shared"),
                Err(NotShared::InUse) => {
                    tracing::debug!(%cache, %id, "a cache mount in use is not shared");
                }
                Err(error) => tracing::warn!("the cache mount {id:?} is not shared: {error}"),
            }
        }
    };
    if tokio::time::timeout(spec.wait, work).await.is_err() {
        let secs = spec.wait.as_secs();
        tracing::warn!(
            "cache mounts were not all shared with {cache}: sending them took longer than {secs} s"
        );
    }
}

/// What is to be said of ids that no step has; nothing where the step was cached.
fn unknown(graph: &BuildGraph, wanted: &[String]) -> Option<String> {
    let vertices = graph.vertices().iter();
    let mounts = vertices.flat_map(|vertex| &vertex.meta.caches);
    let known: BTreeSet<&str> = mounts.map(|mount| mount.id.as_str()).collect();
    let unknown = wanted.iter().map(String::as_str);
    let unknown: BTreeSet<&str> = unknown.filter(|id| !known.contains(id)).collect();
    if unknown.is_empty() {
        return None;
    }
    let list = |ids: &BTreeSet<&str>| {
        let quoted: Vec<String> = ids.iter().map(|id| format!("{id:?}")).collect();
        quoted.join(", ")
    };
    let there_is = if known.is_empty() {
        "and none has another".to_owned()
    } else {
        format!("but there is {}", list(&known))
    };
    Some(format!(
        "no step has a cache mount with the id {}, {there_is}",
        list(&unknown)
    ))
}

/// One directory on its way to one cache.
struct Outgoing<'a> {
    runner: &'a StepRunner,
    export: &'a Export,
    identity: Digest,
}

/// What came of sharing a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// The cache has what is here.
    Now,
    /// It had it before, or something newer.
    Before,
    /// It did not take it, for a cause that it warns of itself.
    Refused,
}

/// Why a directory is not shared.
#[derive(Debug, thiserror::Error)]
enum NotShared {
    #[error("others use it")]
    InUse,
    #[error(
        "its tar would have {size} bytes, and `mounts-max` allows {most}; raise that, or let a step remove what is not needed"
    )]
    TooLarge { size: u64, most: u64 },
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
    #[error("failed to {0}")]
    Store(#[from] StoreError),
    #[error("failed to write its tar: {0}")]
    Write(#[from] io::Error),
    #[error("it is larger than what the cache takes")]
    Refused,
}

/// The tar of a directory, removed with this.
struct Packed {
    dir: Arc<ScratchDir>,
    diff_id: Digest,
    size: u64,
}

impl Outgoing<'_> {
    async fn share(&self) -> Result<Sent, NotShared> {
        let Some((dir, survey)) = self.look().await? else {
            return Err(NotShared::InUse);
        };
        let (size, most) = (survey.tar_size(), self.export.spec.mounts_max);
        if size > most {
            return Err(NotShared::TooLarge { size, most });
        }
        let store = &self.runner.store;
        let name = self.export.opened.cache.name();
        let before = MountFact::find(store, &self.identity, &name)?;
        if before.is_some_and(|fact| fact.still_holds(&survey)) && self.is_there().await {
            return Ok(Sent::Before);
        }
        let fingerprint = survey.fingerprint();
        let packed = self.pack(&dir, survey).await?;
        // Nothing kept others from it meanwhile.
        let now = self.runner.progress.now();
        let survey = match self.look().await? {
            Some((_, survey)) if survey.fingerprint() == fingerprint => survey,
            _ => return Err(NotShared::InUse),
        };
        let fact = MountFact::new(&survey, packed.diff_id, now);
        let is_same = before.is_some_and(|before| before.diff_id == packed.diff_id);
        if is_same && self.is_there().await {
            fact.put(store, &self.identity, &name);
            return Ok(Sent::Before);
        }
        let publication = self.publication(&packed);
        match self.export.opened.cache.publish(&publication).await {
            Published::Done(_) => {
                fact.put(store, &self.identity, &name);
                Ok(Sent::Now)
            }
            Published::Skipped(Skip::TooLarge) => Err(NotShared::Refused),
            Published::Skipped(skip) => {
                let publisher = &self.runner.publisher;
                publisher.note_fault(self.export, "a cache mount", &skip);
                Ok(Sent::Refused)
            }
        }
    }

    /// Looks at the directory, unless somebody has it alone.
    async fn look(&self) -> Result<Option<(PathBuf, Survey)>, NotShared> {
        let (store, snapshots) = (
            Arc::clone(&self.runner.store),
            self.runner.snapshots.clone(),
        );
        let identity = self.identity;
        acetate_stdx::blocking(move || {
            let Some(dir) = store.cache_mounts().at_rest(&identity)? else {
                return Ok(None);
            };
            let survey = snapshots.survey(&dir).map_err(gone_or)?;
            Ok(Some((dir, survey)))
        })
        .await
    }

    /// True when the cache has this cache mount: what was given before, or what others gave since.
    async fn is_there(&self) -> bool {
        let key = CacheKey::mount(&self.identity);
        let found = self.export.opened.cache.lookup(&[key]).await;
        found.into_iter().flatten().next().is_some()
    }

    /// Writes the tar.
    async fn pack(&self, dir: &Path, survey: Survey) -> Result<Packed, NotShared> {
        let scratch = Arc::new(self.runner.store.scratch()?);
        let stop = StopOnDrop::default();
        let (snapshots, dir) = (self.runner.snapshots.clone(), dir.to_owned());
        let (out, is_over) = (Arc::clone(&scratch), Arc::clone(&stop.0));
        let (diff_id, size) = acetate_stdx::blocking(move || {
            let file = File::create(tar_path(&out))?;
            let until = Until {
                out: io::BufWriter::with_capacity(1 << 20, file),
                is_over,
            };
            let packed = snapshots.pack(&dir, survey, HashingWriter::new(until));
            let mut packed = packed.map_err(changed_or)?;
            packed.flush()?;
            let (_, diff_id, size) = packed.finish();
            Ok::<_, NotShared>((diff_id, size))
        })
        .await?;
        Ok(Packed {
            dir: scratch,
            diff_id,
            size,
        })
    }

    fn publication(&self, packed: &Packed) -> Publication {
        let dir = Arc::clone(&packed.dir);
        let open = move || -> io::Result<Box<dyn io::Read + Send>> {
            Ok(Box::new(File::open(tar_path(&dir))?))
        };
        Publication {
            keys: vec![CacheKey::mount(&self.identity)],
            layers: vec![LayerSource {
                diff_id: packed.diff_id,
                size: packed.size,
                created: self.runner.now,
                base: None,
                listing: None,
                open: Arc::new(open),
            }],
            duration_ms: 0,
            fidelity: Fidelity::Full,
            made_of: Vec::new(),
            // The last one that went well is the one that counts.
            existing: Existing::Replace,
            attest: Attest::Own,
        }
    }
}

fn tar_path(dir: &ScratchDir) -> PathBuf {
    dir.path().join("mount.tar")
}

/// A directory that goes while it is read was replaced, or removed by a prune.
fn gone_or(error: SnapshotError) -> NotShared {
    match &error {
        SnapshotError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            NotShared::InUse
        }
        _ => error.into(),
    }
}

/// A file that cannot be read as it was listed was changed by others.
fn changed_or(error: SnapshotError) -> NotShared {
    match &error {
        SnapshotError::Io { source, .. } if source.kind() == io::ErrorKind::Other => {
            NotShared::InUse
        }
        _ => gone_or(error),
    }
}

/// Tells work on another thread to stop when nobody waits for it any more.
#[derive(Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes until it is told to stop.
struct Until<W> {
    out: W,
    is_over: Arc<AtomicBool>,
}

impl<W: Write> Write for Until<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use acetate_graph::{CacheDirectory, Edge, FileOp, GraphBuilder, Op, VertexMeta};

    fn graph(ids: &[&str]) -> BuildGraph {
        let mut builder = GraphBuilder::new();
        let op = Op::File(FileOp {
            base: None,
            accounts: None,
            actions: Vec::new(),
        });
        let cache = |id: &&str| CacheDirectory {
            mount: 0,
            id: (*id).to_owned(),
            sharing: acetate_graph::CacheSharing::Shared,
        };
        let meta = VertexMeta {
            caches: ids.iter().map(cache).collect(),
            ..VertexMeta::default()
        };
        let step = builder.add(op, Vec::new(), meta);
        builder.build(vec![Edge::first(step)])
    }

    #[test]
    fn ids_that_no_step_has_are_told_with_those_that_there_are() {
        let told = |ids: &[&str], wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|id| (*id).to_owned()).collect();
            unknown(&graph(ids), &wanted).unwrap_or_default()
        };
        assert_eq!(told(&["a", "b"], &["a"]), "");
        assert_eq!(
            told(&["b", "a"], &["d", "a", "c", "d"]),
            r#"no step has a cache mount with the id "c", "d", but there is "a", "b""#
        );
        assert_eq!(
            told(&[], &["a"]),
            r#"no step has a cache mount with the id "a", and none has another"#
        );
    }

    #[test]
    fn writing_stops_when_nobody_waits() {
        let stop = StopOnDrop::default();
        let mut until = Until {
            out: Vec::new(),
            is_over: Arc::clone(&stop.0),
        };
        until.write_all(b"one").unwrap();
        drop(stop);
        let error = until.write_all(b"two").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(until.out, b"one");
    }
}
