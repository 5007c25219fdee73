//! Giving records of the local store to a cache.

use super::catalog::{CachedRecord, LayerOrigin};
use super::{Moved, Transfer, close};
use crate::engine::Engine;
use crate::shared::{SourceError, layer_source, listing_source};
use crate::{BuildError, BuildRequest, CacheExport, ContextInput};
use acetate_cache::remote::{Attest, Existing, LayerSource, Publication, Published, Put};
use acetate_cache::{Fidelity, KeyKind, SharedCache};
use acetate_oci::Digest;
use futures_util::{StreamExt, stream};
use std::path::PathBuf;
use std::sync::Arc;

/// So many records are read and sent side by side.
const SIDE_BY_SIDE: usize = 4;

/// Which records are given to a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordChoice {
    /// All whose layers are here.
    All,
    /// Those whose keys begin so.
    Keys(Vec<String>),
}

impl Engine {
    /// Gives records to a cache, unsigned: nobody here saw them made.
    ///
    /// # Errors
    /// When a name fits no record or several, or the cache cannot be opened.
    pub async fn export_records(
        &self,
        to: &CacheExport,
        choice: &RecordChoice,
    ) -> Result<Transfer, BuildError> {
        let records = match choice {
            RecordChoice::All => self.cached_records()?,
            RecordChoice::Keys(names) => self.find_records(names)?,
        };
        let is_wanted = |record: &CachedRecord| {
            matches!(record.key.kind(), KeyKind::Definition | KeyKind::Content)
                && u128::from(record.duration_ms) >= to.min_cost.as_millis()
        };
        let records: Vec<CachedRecord> = records.into_iter().filter(is_wanted).collect();
        let request = BuildRequest {
            cache_to: vec![to.clone()],
            ..no_build()
        };
        let caches = crate::shared::open(self, &request).await?;
        let cache = caches.exports.first().map(|one| &one.opened.cache);
        let cache = cache.ok_or_else(|| BuildError::request("no cache was opened"))?;
        let moves: Vec<_> = records
            .iter()
            .map(|record| async { (*record.key.digest(), self.give(cache, record).await) })
            .collect();
        let moved: Vec<(Digest, Moved)> =
            stream::iter(moves).buffered(SIDE_BY_SIDE).collect().await;
        Ok(close(&**cache, moved).await)
    }

    async fn give(&self, cache: &Arc<dyn SharedCache>, record: &CachedRecord) -> Moved {
        if record.fidelity != Fidelity::Full {
            return Moved::NotHere("it was made in a weaker sandbox".to_owned());
        }
        if !record.is_usable() {
            return Moved::NotHere("not all of its layers are here".to_owned());
        }
        let prepared = self.clone_parts().prepare(record.clone()).await;
        let publication = match prepared {
            Ok(Some(publication)) => publication,
            Ok(None) => return Moved::NotHere("a layer of it is gone".to_owned()),
            Err(error) => return Moved::Failed(crate::error::words(&error)),
        };
        match cache.publish(&publication).await {
            Published::Done(puts) if puts.contains(&Put::Written) => Moved::Done,
            Published::Done(_) => Moved::Kept,
            Published::Skipped(skip) => {
                Moved::Failed(format!("the cache did not take it: {skip:?}"))
            }
        }
    }

    fn clone_parts(&self) -> Parts {
        Parts {
            store: Arc::clone(&self.store),
            snapshots: self.snapshots.clone(),
        }
    }
}

/// What reading a record needs, for another thread.
struct Parts {
    store: Arc<acetate_store::Store>,
    snapshots: acetate_snapshot::Snapshots,
}

impl Parts {
    async fn prepare(self, record: CachedRecord) -> Result<Option<Publication>, SourceError> {
        acetate_stdx::offload(move || self.publication(&record)).await
    }

    fn publication(&self, record: &CachedRecord) -> Result<Option<Publication>, SourceError> {
        let ids: Vec<_> = record.layers.iter().map(|layer| layer.id).collect();
        let Some(snapshot) = self.snapshots.from_layers(&ids)? else {
            return Ok(None);
        };
        let mut layers = Vec::with_capacity(ids.len());
        for (layer, known) in snapshot.layers().iter().zip(&record.layers) {
            let sealed = self.snapshots.seal(layer)?;
            // Who builds on the same image has this layer, and must keep it in the form it has there.
            let base = (known.origin == LayerOrigin::Base).then(|| sealed.blob.clone());
            layers.push(LayerSource {
                listing: listing_source(&self.snapshots, layer)?,
                ..layer_source(&self.store, &sealed, known.created, base)?
            });
        }
        Ok(Some(Publication {
            keys: vec![record.key],
            layers,
            duration_ms: record.duration_ms,
            fidelity: record.fidelity.clone(),
            made_of: Vec::new(),
            existing: Existing::Keep,
            attest: Attest::No,
        }))
    }
}

/// A request that only names caches.
pub(super) fn no_build() -> BuildRequest {
    BuildRequest::new(ContextInput::Directory(PathBuf::new()))
}
