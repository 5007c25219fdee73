//! Taking records of a cache into the local store.

use super::export::no_build;
use super::find::bare;
use super::{Moved, Transfer, close};
use crate::engine::Engine;
use crate::{BuildError, BuildRequest, CacheImport};
use acetate_cache::remote::{LayerForm, Lost, RemoteHit, RemoteLayer};
use acetate_cache::{CacheIndex, CacheKey, CacheRecord, Entry, LayerRecord, Origin, SharedCache};
use acetate_graph::{ContentKey, DefinitionKey};
use acetate_oci::{Descriptor, Digest, MediaType};
use acetate_snapshot::BlobLayer;
use acetate_store::LayerId;

impl Engine {
    /// Takes records of a cache, with the bytes of their layers. The keys are whole, as
    /// [`Engine::cached_records`] gives them on the machine that has them: those of the cache itself
    /// do not tell what a record answers.
    ///
    /// # Errors
    /// When a key is none, or the cache cannot be opened.
    pub async fn import_records(
        &self,
        from: &CacheImport,
        keys: &[String],
    ) -> Result<Transfer, BuildError> {
        let keys = keys.iter().map(|text| whole(text));
        let keys: Vec<Digest> = keys.collect::<Result<_, _>>()?;
        let request = BuildRequest {
            cache_from: vec![from.clone()],
            ..no_build()
        };
        let caches = crate::shared::open(self, &request).await?;
        let cache = caches.imports.first().map(|one| &one.opened.cache);
        let cache = cache.ok_or_else(|| BuildError::request("no cache was opened"))?;
        let asked: Vec<CacheKey> = keys.iter().flat_map(names).collect();
        let answers = cache.lookup(&asked).await;
        let mut moved: Vec<(Digest, Moved)> = Vec::with_capacity(keys.len());
        for (n, key) in keys.iter().enumerate() {
            let mut found = asked.iter().zip(&answers).skip(2 * n).take(2);
            let outcome = match found.find_map(|(name, hit)| Some((name, hit.as_ref()?))) {
                None => Moved::NotHere(format!("{} has no record of it", cache.name())),
                Some((name, hit)) => self.take(&**cache, *name, hit).await,
            };
            moved.push((*key, outcome));
        }
        self.store.flush()?;
        Ok(close(&**cache, moved).await)
    }

    async fn take(&self, cache: &dyn SharedCache, key: CacheKey, hit: &RemoteHit) -> Moved {
        match self.try_take(cache, key, hit).await {
            Ok(moved) => moved,
            Err(error) => Moved::Failed(crate::error::words(&error)),
        }
    }

    async fn try_take(
        &self,
        cache: &dyn SharedCache,
        key: CacheKey,
        hit: &RemoteHit,
    ) -> Result<Moved, BuildError> {
        let is_here = self
            .cache()
            .lookup(&[key])
            .iter()
            .any(|found| !found.is_empty());
        if is_here {
            return Ok(Moved::Kept);
        }
        let record = &hit.record;
        let blobs: Vec<BlobLayer> = record.layers.iter().map(blob_of).collect();
        let ids: Vec<LayerId> = self.snapshots.from_blobs(&blobs)?.ids();
        for (layer, id) in record.layers.iter().zip(&ids) {
            if self.has(*id)? {
                continue;
            }
            if let Err(lost) = cache.fetch(layer).await {
                return Ok(Moved::Failed(reason(layer, &lost)));
            }
            if !self.has(*id)? {
                let diff_id = layer.diff_id;
                return Ok(Moved::Failed(format!(
                    "the layer {diff_id} is known here in another form than the cache has"
                )));
            }
        }
        let layers = ids.iter().zip(&record.layers);
        let layers = layers.map(|(id, layer)| LayerRecord::new(*id, layer.created));
        let record = CacheRecord {
            origin: Origin::Imported {
                from: cache.name(),
                signer: hit.signer.clone(),
            },
            fidelity: record.fidelity.clone(),
            ..CacheRecord::local(layers.collect(), record.duration_ms)
        };
        let keys = vec![key];
        self.cache().record(vec![Entry { keys, record }]);
        Ok(Moved::Done)
    }

    fn has(&self, id: LayerId) -> Result<bool, BuildError> {
        let available = self.store.layers().available(&[id])?;
        Ok(available.iter().any(Option::is_some))
    }
}

fn whole(text: &str) -> Result<Digest, BuildError> {
    Digest::from_hex(bare(text)).map_err(|_| {
        BuildError::request_with(
            format!("`{text}` is no whole key, which has 64 hexadecimal digits"),
            "`acetate cache ls --json`, on a machine that has the record, tells it",
        )
    })
}

/// The records that a key of a build can have.
fn names(key: &Digest) -> [CacheKey; 2] {
    [
        CacheKey::definition(&DefinitionKey::from_digest(*key), 0),
        CacheKey::content(&ContentKey::from_digest(*key), 0),
    ]
}

fn blob_of(layer: &RemoteLayer) -> BlobLayer {
    let diff_id = layer.diff_id;
    let blob = match &layer.form {
        LayerForm::Chunks(_) => Descriptor::new(MediaType::OCI_LAYER, diff_id, layer.size),
        LayerForm::Blob(blob) => blob.clone(),
    };
    BlobLayer { diff_id, blob }
}

fn reason(layer: &RemoteLayer, lost: &Lost) -> String {
    match lost {
        Lost::Elsewhere => format!(
            "the layer {} is one of its base image, which is not here; build on that image first",
            layer.diff_id
        ),
        lost => format!("the layer {}: {}", layer.diff_id, crate::error::words(lost)),
    }
}
