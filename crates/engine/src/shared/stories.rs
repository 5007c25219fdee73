//! Stories of steps in caches that machines share, so that a miss here is explained by what another
//! machine had.

use super::SharedCaches;
use crate::runner::StepRunner;
use acetate_cache::remote::{Attest, Existing, LayerSource, Publication, RemoteLayer};
use acetate_cache::story::{Finders, Found, Salt, Story, StorySource, Tier, Wanted};
use acetate_cache::{CacheKey, Fidelity, SharedCache};
use acetate_graph::VertexId;
use acetate_oci::Digest;
use acetate_store::Store;
use futures_util::future::{BoxFuture, join_all};
use futures_util::{FutureExt, StreamExt, stream};
use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long giving and asking for stories may take: they are words, and nobody waits for them long.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many are given at once.
const N_PARALLEL: usize = 8;
/// A story that is larger is none of ours.
const MAX_STORY: u64 = 8 << 20;

/// The stories that the caches of a build hold.
#[derive(Debug)]
pub(crate) struct SharedStories {
    pub(crate) caches: SharedCaches,
    pub(crate) store: Arc<Store>,
}

impl StorySource for SharedStories {
    fn find<'a>(&'a self, wanted: &'a [Wanted]) -> BoxFuture<'a, Vec<Vec<Found>>> {
        async move {
            let found = timeout(PATIENCE, self.search(wanted)).await;
            found.unwrap_or_else(|_| vec![Vec::new(); wanted.len()])
        }
        .boxed()
    }
}

impl SharedStories {
    async fn search(&self, wanted: &[Wanted]) -> Vec<Vec<Found>> {
        let keys = wanted.iter().map(|it| CacheKey::story(&it.finders.exact));
        let keys: Vec<CacheKey> = keys.collect();
        let found = self.caches.lookup(&keys).await.into_iter();
        let fetched = found.map(|hits| async {
            let mut stories = Vec::new();
            for hit in hits {
                if let [layer] = hit.hit.record.layers.as_slice()
                    && let Some(story) = self.fetch(&hit.cache, layer).await
                {
                    stories.push(Found {
                        story,
                        tier: Tier::Exact,
                        from: hit.cache.name(),
                    });
                }
            }
            stories
        });
        join_all(fetched).await
    }

    async fn fetch(&self, cache: &Arc<dyn SharedCache>, layer: &RemoteLayer) -> Option<Story> {
        if layer.size > MAX_STORY {
            return None;
        }
        let blob = cache.fetch(layer).await.ok()?;
        let bytes = self.store.blobs().read(&blob.digest, MAX_STORY).ok()??;
        Story::decode(&bytes)
            .inspect_err(|error| tracing::debug!(%error, "a shared story cannot be read"))
            .ok()
    }
}

/// Gives the stories of steps that ran to the servers that are given their results.
pub(crate) async fn share(runner: &StepRunner, stories: &[(VertexId, Story, Finders)]) {
    let exports = runner.caches.exports.iter();
    let servers = exports.filter(|export| export.opened.server.is_some());
    let caches: Vec<&Arc<dyn SharedCache>> = servers.map(|export| &export.opened.cache).collect();
    if caches.is_empty() {
        return;
    }
    let wanted = stories
        .iter()
        .filter(|(id, ..)| runner.publisher.wants(*id));
    let publications: Vec<Publication> = wanted
        .filter_map(|(_, story, finders)| publication(runner, story, finders))
        .collect();
    let mut sends = Vec::with_capacity(publications.len() * caches.len());
    for publication in &publications {
        sends.extend(caches.iter().map(|cache| cache.publish(publication)));
    }
    let all = stream::iter(sends).buffer_unordered(N_PARALLEL).count();
    if timeout(PATIENCE, all).await.is_err() {
        tracing::debug!("not all stories were shared in time");
    }
}

fn publication(runner: &StepRunner, story: &Story, finders: &Finders) -> Option<Publication> {
    let encoded = story.encode_for_upload(salt()?);
    let bytes: Arc<[u8]> = encoded
        .inspect_err(|error| tracing::debug!(%error, "a story is not shared"))
        .ok()?
        .into();
    let layer = LayerSource {
        diff_id: Digest::of(&bytes),
        size: bytes.len() as u64,
        created: runner.progress.now(),
        base: None,
        listing: None,
        open: Arc::new(move || Ok(Box::new(Cursor::new(Arc::clone(&bytes))))),
    };
    Some(Publication {
        keys: vec![CacheKey::story(&finders.exact)],
        layers: vec![layer],
        duration_ms: 0,
        fidelity: Fidelity::Full,
        made_of: Vec::new(),
        existing: Existing::Replace,
        attest: Attest::Own,
    })
}

/// A salt of its own for each story: who has one can compare a value that he knows, and nobody can
/// look the digests of many stories up in one table.
fn salt() -> Option<Salt> {
    let mut bytes = [0; 16];
    let n = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
    (n == bytes.len()).then_some(Salt(bytes))
}
