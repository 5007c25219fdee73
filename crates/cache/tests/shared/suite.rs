//! The suite: what a build may rely on, whatever the cache is.

use std::io::Read;
use std::sync::Arc;

use acetate_cache::remote::{
    Existing, LayerForm, Lost, Publication, Published, Put, RemoteLayer, Skip,
};
use acetate_cache::{CacheKey, Fidelity, SharedCache};
use acetate_image::ImageLayer;
use acetate_oci::{Descriptor, Digest, MediaType, Timestamp};
use acetate_store::{BlobRef, Store};

use crate::place::{Http, Layout, Place, store};
use crate::support::{content, definition, hint, noise, publication, source};

macro_rules! over_all_places {
    ($($name:ident)*) => {
        mod http {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Http::new()).await;
            })*
        }

        mod layout {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Layout::new()).await;
            })*
        }

        mod registry {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::registry::Registry::new()).await;
            })*
        }
    };
}

over_all_places! {
    what_is_published_is_found_and_comes_whole
    chains_keep_their_order
    hints_have_no_layers
    the_first_result_stays_unless_it_is_replaced
    weaker_results_are_not_published
    layers_of_base_images_stay_where_they_are
    lost_layers_are_lost_and_published_again
    damaged_layers_are_lost
    another_version_is_a_miss
    an_unreadable_source_is_skipped
    equal_layers_are_read_once
}

/// Publishes as one build does, to its end.
pub(crate) async fn publish(cache: &dyn SharedCache, publication: &Publication) -> Published {
    let published = cache.publish(publication).await;
    cache.close().await;
    published
}

/// The tar of what was fetched, whatever its form.
pub(crate) fn tar(store: &Store, layer: &RemoteLayer, blob: &BlobRef) -> Vec<u8> {
    let layer = ImageLayer {
        descriptor: Descriptor::new(blob.media_type.clone(), blob.digest, blob.size),
        diff_id: layer.diff_id,
    };
    let mut bytes = Vec::new();
    let mut reader = layer
        .open(store)
        .unwrap()
        .expect("the blob is in the store");
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

async fn layers(cache: &dyn SharedCache, key: CacheKey) -> Option<Vec<RemoteLayer>> {
    let hit = cache.lookup(&[key]).await.pop().flatten()?;
    Some(hit.record.layers)
}

async fn warnings(cache: &dyn SharedCache) -> usize {
    cache.close().await.warnings.len()
}

async fn what_is_published_is_found_and_comes_whole(place: impl Place) {
    let ((_here, here), (_there, there)) = (store(), store());
    let bytes = [noise(1, 300_000), noise(2, 5_000_000)];
    let mut given = publication("a", &[&bytes[0], &bytes[1]]);
    given.keys.push(content("a"));
    given.made_of = vec![Digest::of(b"below")];
    let published = publish(&*place.open(&here), &given).await;
    assert_eq!(published, Published::Done(vec![Put::Written; 2]));

    let cache = place.open(&there);
    let keys = [content("a"), definition("absent"), definition("a")];
    let hits = cache.lookup(&keys).await;
    assert!(hits[1].is_none());
    for hit in [&hits[0], &hits[2]] {
        let record = &hit.as_ref().unwrap().record;
        assert_eq!(
            (record.duration_ms, &record.made_of),
            (1500, &given.made_of)
        );
        assert_eq!(record.fidelity, Fidelity::Full);
        assert_eq!(record.layers[1].created, Timestamp::new(1_700_000_000, 5));
    }
    let record = &hits[0].as_ref().unwrap().record;
    for (layer, bytes) in record.layers.iter().zip(&bytes) {
        assert_eq!(
            (layer.diff_id, layer.size),
            (Digest::of(bytes), bytes.len() as u64)
        );
        let blob = cache.fetch(layer).await.unwrap();
        assert!(tar(&there, layer, &blob) == *bytes);
        // The second time it is here.
        assert_eq!(cache.fetch(layer).await.unwrap(), blob);
    }
    let report = cache.close().await;
    assert_eq!((report.stats.hits, report.stats.misses), (2, 1));
    assert_eq!(report.warnings, []);
}

async fn chains_keep_their_order(place: impl Place) {
    let (_dir, store) = store();
    let (a, b, c) = (noise(1, 5000), noise(2, 5000), noise(3, 5000));
    let cache = place.open(&store);
    for (name, chain) in [
        ("abc", vec![&a[..], &b, &c]),
        ("ab", vec![&a, &b]),
        ("ba", vec![&b, &a]),
        ("aba", vec![&a, &b, &a]),
        ("none", vec![]),
    ] {
        cache.publish(&publication(name, &chain)).await;
    }
    cache.close().await;
    let cache = place.open(&store);
    let digests = async |name: &str| {
        let layers = layers(&*cache, definition(name)).await.unwrap();
        layers.iter().map(|layer| layer.diff_id).collect::<Vec<_>>()
    };
    let [a, b, c] = [a, b, c].map(|bytes| Digest::of(&bytes));
    assert_eq!(digests("abc").await, [a, b, c]);
    assert_eq!(digests("ab").await, [a, b]);
    assert_eq!(digests("ba").await, [b, a]);
    assert_eq!(digests("aba").await, [a, b, a]);
    assert_eq!(digests("none").await, []);
}

async fn hints_have_no_layers(place: impl Place) {
    let (_dir, store) = store();
    let bytes = noise(1, 5000);
    let mut given = publication("a", &[&bytes]);
    given.keys.push(hint("a"));
    publish(&*place.open(&store), &given).await;
    let found = place.open(&store).lookup(&[hint("a")]).await;
    let record = &found[0].as_ref().unwrap().record;
    assert_eq!((record.layers.len(), record.made_of.len()), (0, 0));
    assert_eq!(record.duration_ms, 1500);
}

async fn the_first_result_stays_unless_it_is_replaced(place: impl Place) {
    let (_dir, store) = store();
    let (first, second) = (noise(1, 5000), noise(2, 5000));
    publish(&*place.open(&store), &publication("a", &[&first])).await;
    let mut other = publication("a", &[&second]);
    let published = publish(&*place.open(&store), &other).await;
    assert_eq!(published, Published::Done(vec![Put::Kept]));
    let found = async || {
        let cache = place.open(&store);
        layers(&*cache, definition("a")).await.unwrap()[0].diff_id
    };
    assert_eq!(found().await, Digest::of(&first));
    other.existing = Existing::Replace;
    let published = publish(&*place.open(&store), &other).await;
    assert_eq!(published, Published::Done(vec![Put::Written]));
    assert_eq!(found().await, Digest::of(&second));
}

async fn weaker_results_are_not_published(place: impl Place) {
    let (_dir, store) = store();
    let mut given = publication("a", &[&noise(1, 5000)]);
    given.fidelity = Fidelity::Reduced {
        reason: "one id".into(),
    };
    let published = publish(&*place.open(&store), &given).await;
    assert_eq!(published, Published::Skipped(Skip::Reduced));
    assert!(
        layers(&*place.open(&store), definition("a"))
            .await
            .is_none()
    );
}

async fn layers_of_base_images_stay_where_they_are(place: impl Place) {
    let (_dir, store) = store();
    let bytes = [noise(1, 5000), noise(2, 5000)];
    let mut given = publication("a", &[&bytes[0], &bytes[1]]);
    let (base, n_opened) = source(&bytes[0]);
    let blob = Descriptor::new(MediaType::DOCKER_LAYER_GZIP, Digest::of(b"base"), 1234);
    given.layers[0] = base;
    given.layers[0].base = Some(blob.clone());
    publish(&*place.open(&store), &given).await;
    assert_eq!(n_opened.load(std::sync::atomic::Ordering::SeqCst), 0);
    let cache = place.open(&store);
    let layers = layers(&*cache, definition("a")).await.unwrap();
    assert_eq!(layers[0].form, LayerForm::Blob(blob));
    let lost = cache.fetch(&layers[0]).await;
    assert!(matches!(lost, Err(Lost::Elsewhere)), "{lost:?}");
    assert!(cache.fetch(&layers[1]).await.is_ok());
    assert_eq!(warnings(&*cache).await, 0);
}

async fn lost_layers_are_lost_and_published_again(place: impl Place) {
    let bytes = noise(1, 50_000);
    let given = publication("a", &[&bytes]);
    let (_dir, here) = store();
    publish(&*place.open(&here), &given).await;
    place.spoil(|_| None);
    let lost = fetch_first(&place).await;
    assert!(matches!(lost, Err(Lost::Missing(_))), "{lost:?}");
    again(&place, &given, &here).await;
}

async fn damaged_layers_are_lost(place: impl Place) {
    let bytes = noise(1, 50_000);
    let given = publication("a", &[&bytes]);
    let (_dir, here) = store();
    publish(&*place.open(&here), &given).await;
    // Bytes that are other ones, too few, and none.
    let flip = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Some(bytes)
    };
    let cut = |bytes: &[u8]| Some(bytes[..bytes.len() / 2].to_vec());
    for change in [&flip as &dyn Fn(&[u8]) -> Option<Vec<u8>>, &cut] {
        place.spoil(change);
        let (_dir, there) = store();
        let cache = place.open(&there);
        let found = layers(&*cache, definition("a")).await.unwrap();
        let lost = cache.fetch(&found[0]).await;
        assert!(matches!(lost, Err(Lost::Damaged(_))), "{lost:?}");
        let report = cache.close().await;
        assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
        assert_eq!(report.stats.layers_lost, 1);
        // The build that found it makes the step again. Whether its layer replaces what is there is
        // for servers to see to, which check what they keep.
        if place.is_checked_by_clients() {
            again(&place, &given, &there).await;
        }
    }
}

async fn again(place: &impl Place, given: &Publication, store: &Arc<Store>) {
    let replaced = Publication {
        existing: Existing::Replace,
        ..given.clone()
    };
    publish(&*place.open(store), &replaced).await;
    fetch_first(place).await.unwrap();
}

async fn fetch_first(place: &impl Place) -> Result<BlobRef, Lost> {
    let (_dir, store) = store();
    let cache = place.open(&store);
    let layers = layers(&*cache, definition("a")).await.unwrap();
    cache.fetch(&layers[0]).await
}

async fn another_version_is_a_miss(place: impl Place) {
    let (_dir, store) = store();
    let bytes = noise(1, 5000);
    publish(&*place.open(&store), &publication("a", &[&bytes])).await;
    place.age();
    let cache = place.open(&store);
    assert!(layers(&*cache, definition("a")).await.is_none());
    assert!(layers(&*cache, definition("a")).await.is_none());
    assert_eq!(warnings(&*cache).await, 1);
}

async fn an_unreadable_source_is_skipped(place: impl Place) {
    let (_dir, store) = store();
    let mut given = publication("a", &[&noise(1, 5000)]);
    given.layers[0].open = Arc::new(|| Err(std::io::Error::other("gone")));
    let published = publish(&*place.open(&store), &given).await;
    assert!(
        matches!(published, Published::Skipped(Skip::Source(_))),
        "{published:?}"
    );
    // Nor is one that is something else.
    let mut given = publication("b", &[&noise(1, 5000)]);
    given.layers[0].open = source(&noise(2, 5000)).0.open;
    let published = publish(&*place.open(&store), &given).await;
    assert!(
        matches!(published, Published::Skipped(Skip::Source(_))),
        "{published:?}"
    );
    let cache = place.open(&store);
    assert!(layers(&*cache, definition("a")).await.is_none());
    assert!(layers(&*cache, definition("b")).await.is_none());
}

async fn equal_layers_are_read_once(place: impl Place) {
    let (_dir, store) = store();
    let (layer, n_opened) = source(&noise(1, 50_000));
    let cache = place.open(&store);
    for name in ["a", "b", "c"] {
        let mut given = publication(name, &[]);
        given.layers = vec![layer.clone()];
        let published = cache.publish(&given).await;
        assert_eq!(published, Published::Done(vec![Put::Written]));
    }
    cache.close().await;
    let mut given = publication("d", &[]);
    given.layers = vec![layer.clone()];
    publish(&*cache, &given).await;
    assert_eq!(n_opened.load(std::sync::atomic::Ordering::SeqCst), 1);
}
