//! [`HttpCache`]: a cache over HTTP whose layers come into a store.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use acetate_oci::{Digest, MediaType};
use acetate_store::{BlobRef, BlobWriter, Expect, FactKey, Object, Store, StoreError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::fetch::OwnPieces;
use super::{
    Chunk, LayerForm, Lost, Publication, Published, Recall, RemoteCache, RemoteHit, RemoteLayer,
};
use crate::CacheKey;
use crate::shared::{CacheReport, SharedCache};

/// A cache that machines share over HTTP, used by builds on one store.
///
/// Pieces of layers that the store has in whatever other layer do not travel: which tar holds which
/// piece is remembered as facts of the store.
#[derive(Debug, Clone)]
pub struct HttpCache {
    remote: RemoteCache,
    store: Arc<Store>,
}

impl HttpCache {
    /// Uses `remote`, and puts what comes into `store`.
    pub fn new(remote: RemoteCache, store: Arc<Store>) -> Self {
        Self { remote, store }
    }

    /// The cache itself, for leases and questions that only servers answer.
    pub fn remote(&self) -> &RemoteCache {
        &self.remote
    }

    async fn fetch_into_store(&self, layer: &RemoteLayer) -> Result<BlobRef, Lost> {
        let plain = BlobRef {
            media_type: MediaType::OCI_LAYER,
            digest: layer.diff_id,
            size: layer.size,
        };
        // Another step, or another build, may be fetching it: the second one finds it here.
        let name = format!("fetch-{}", layer.diff_id.hex());
        let _lock = self.store.lock(&name).await.map_err(local)?;
        let (store, digest) = (Arc::clone(&self.store), layer.diff_id);
        let is_here = move || {
            let pinned = store.live().pin(&[Object::Blob(digest)])?;
            Ok::<_, StoreError>(pinned == [true] && store.blobs().has(&digest)?.is_some())
        };
        if acetate_stdx::blocking(is_here).await.map_err(local)? {
            return Ok(plain);
        }
        let pieces = Arc::new(Pieces::find(Arc::clone(&self.store), layer.chunks()).await);
        let mut fetched = self.attempt(layer, &pieces, OwnPieces::AtEnd).await;
        if fetched.is_none() && !pieces.places.is_empty() {
            tracing::debug!(layer = %layer.diff_id, "a piece that is here has changed");
            fetched = self.attempt(layer, &pieces, OwnPieces::Each).await;
        }
        let fetched = fetched.unwrap_or_else(|| Err(self.remote.other_layer(layer)));
        self.remote.note_fetch(layer, &fetched);
        fetched?;
        remember(&self.store, layer, Word::Others);
        Ok(plain)
    }
}

impl HttpCache {
    /// Writes a layer once; none when all came as it is called and the whole is another layer.
    async fn attempt(
        &self,
        layer: &RemoteLayer,
        pieces: &Arc<Pieces>,
        own: OwnPieces,
    ) -> Option<Result<(), Lost>> {
        let writer = match self.store.blobs().writer() {
            Ok(writer) => writer,
            Err(error) => return Some(Err(local(error))),
        };
        let pieces = Arc::clone(pieces);
        let have = move |chunk: &Chunk| pieces.read(chunk);
        // The store hashes what it keeps: nobody else has to.
        match self.remote.write_pieces(layer, writer, have, own).await {
            Ok(writer) => keep(layer, writer).await,
            Err(lost) => Some(Err(lost)),
        }
    }
}

/// Gives a tar its name in the store, if it is the one that the record names.
async fn keep(layer: &RemoteLayer, writer: BlobWriter) -> Option<Result<(), Lost>> {
    let expect = Expect {
        digest: Some(layer.diff_id),
        size: Some(layer.size),
    };
    match acetate_stdx::blocking(move || writer.commit(expect)).await {
        Ok(_) => Some(Ok(())),
        Err(StoreError::WrongDigest { .. } | StoreError::WrongSize { .. }) => None,
        Err(error) => Some(Err(local(error))),
    }
}

impl SharedCache for HttpCache {
    fn name(&self) -> String {
        self.remote.name()
    }

    fn lookup<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Vec<Option<RemoteHit>>> {
        self.remote.lookup(keys).boxed()
    }

    fn fetch<'a>(&'a self, layer: &'a RemoteLayer) -> BoxFuture<'a, Result<BlobRef, Lost>> {
        self.fetch_into_store(layer).boxed()
    }

    fn listing<'a>(&'a self, layer: &'a RemoteLayer) -> BoxFuture<'a, Result<Vec<u8>, Lost>> {
        self.remote.fetch_listing(layer).boxed()
    }

    fn publish<'a>(&'a self, publication: &'a Publication) -> BoxFuture<'a, Published> {
        async move {
            let recall = recall(&self.store);
            let published = self.remote.publish_recalling(publication, &recall).await;
            for layer in self.remote.take_made() {
                remember(&self.store, &layer, Word::Own);
            }
            published
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, CacheReport> {
        let report = CacheReport {
            stats: self.remote.stats(),
            warnings: self.remote.take_warnings(),
        };
        std::future::ready(report).boxed()
    }
}

fn local(error: StoreError) -> Lost {
    Lost::Local(std::io::Error::other(error))
}

/// Where pieces lie in tars that the store has.
struct Pieces {
    store: Arc<Store>,
    places: HashMap<Digest, (Digest, u64)>,
    open: Mutex<HashMap<Digest, Option<Arc<File>>>>,
}

impl Pieces {
    /// Looks all pieces up in one question; a fault means that all of them travel.
    async fn find(store: Arc<Store>, chunks: &[Chunk]) -> Self {
        let raws: Vec<Digest> = chunks.iter().map(|chunk| chunk.raw).collect();
        let index = Arc::clone(&store);
        let find = move || {
            let facts = facts(&index, &raws, fact_key);
            let found = raws.into_iter().zip(facts);
            found
                .filter_map(|(raw, fact)| Some((raw, place(&fact?)?)))
                .collect()
        };
        let places = acetate_stdx::blocking(find).await;
        Self {
            store,
            places,
            open: Mutex::default(),
        }
    }

    /// The bytes at the place where a piece was once; whoever asks checks them.
    fn read(&self, chunk: &Chunk) -> Option<Vec<u8>> {
        let (tar, offset) = self.places.get(&chunk.raw)?;
        let file = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let opened = open.entry(*tar);
            let open = || {
                let file = self.store.blobs().open_unverified(tar).ok().flatten();
                file.map(Arc::new)
            };
            opened.or_insert_with(open).clone()?
        };
        let mut bytes = vec![0; chunk.raw_size as usize];
        file.read_exact_at(&mut bytes, *offset).ok()?;
        Some(bytes)
    }
}

/// Tells what pieces became before, in one question; a fault means that nothing is known.
fn recall(store: &Arc<Store>) -> Recall {
    let store = Arc::clone(store);
    Arc::new(move |raws| {
        let facts = facts(&store, raws, object_key).into_iter();
        facts.map(|fact| object(&fact?)).collect()
    })
}

fn facts(store: &Store, raws: &[Digest], key: fn(&Digest) -> FactKey) -> Vec<Option<Vec<u8>>> {
    let keys: Vec<FactKey> = raws.iter().map(key).collect();
    store.index().facts(&keys).unwrap_or_else(|error| {
        tracing::debug!(%error, "pieces of layers that are here cannot be looked up");
        Vec::new()
    })
}

/// Who says what the pieces of a layer become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// This machine, which made the objects now or earlier.
    Own,
    /// A record: its layer is what it is called, but its pieces may become something else.
    Others,
}

/// Notes where each piece of a tar in the store is, and what it becomes in a cache.
///
/// The latter is noted by our own word only: a record that lies about it would spoil all that is
/// published here later.
fn remember(store: &Store, layer: &RemoteLayer, word: Word) {
    let LayerForm::Chunks(chunks) = &layer.form else {
        return;
    };
    if chunks.len() < 2 {
        // A small tar is one piece, and comes or does not come as a whole.
        return;
    }
    let mut offset = 0;
    let mut facts = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let value = [layer.diff_id.as_bytes(), &u64::to_le_bytes(offset)[..]].concat();
        facts.push((fact_key(&chunk.raw), value));
        offset += u64::from(chunk.raw_size);
        if word == Word::Own {
            let size = chunk.stored_size.to_le_bytes();
            let value = [chunk.stored.as_bytes(), &size[..]].concat();
            facts.push((object_key(&chunk.raw), value));
        }
    }
    store.index().put_facts(facts);
}

fn fact_key(raw: &Digest) -> FactKey {
    FactKey::new("piece", raw.as_bytes())
}

fn object_key(raw: &Digest) -> FactKey {
    FactKey::new("object", raw.as_bytes())
}

fn place(fact: &[u8]) -> Option<(Digest, u64)> {
    let (tar, offset) = fact.split_first_chunk::<32>()?;
    let offset = <[u8; 8]>::try_from(offset).ok().map(u64::from_le_bytes)?;
    Some((Digest::from_bytes(*tar), offset))
}

fn object(fact: &[u8]) -> Option<(Digest, u32)> {
    let (stored, size) = fact.split_first_chunk::<32>()?;
    let size = <[u8; 4]>::try_from(size).ok().map(u32::from_le_bytes)?;
    Some((Digest::from_bytes(*stored), size))
}
