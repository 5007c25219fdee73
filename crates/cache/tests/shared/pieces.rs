//! Pieces of layers that a store has or has sent.

use acetate_cache::SharedCache;
use acetate_cache::remote::{Published, Put, RemoteLayer};

use crate::place::{Http, Place, store};
use crate::suite::{publish, tar};
use crate::support::{definition, noise, publication};

/// Two versions of a large file.
fn versions() -> [Vec<u8>; 2] {
    let before = noise(80, 24 << 20);
    let mut after = before.clone();
    after[9 << 20..][..300_000].copy_from_slice(&noise(81, 300_000));
    [before, after]
}

async fn layer(cache: &dyn SharedCache, name: &str) -> RemoteLayer {
    let hit = cache.lookup(&[definition(name)]).await.remove(0);
    hit.expect("it was published").record.layers.remove(0)
}

#[tokio::test]
async fn what_was_sent_is_not_compressed_again() {
    let ([before, after], place, (_dir, store)) = (versions(), Http::new(), store());
    // Each is what another process would have.
    for (name, bytes, n_new) in [("before", &before, 30..=90), ("after", &after, 1..=3)] {
        let cache = place.open(&store);
        let done = cache.publish(&publication(name, &[bytes])).await;
        assert_eq!(done, Published::Done(vec![Put::Written]));
        let stats = cache.close().await.stats;
        assert!(n_new.contains(&stats.chunks_compressed), "{stats:?}");
        assert_eq!(stats.chunks_up, stats.chunks_compressed);
    }
}

#[tokio::test]
async fn what_a_record_says_of_its_pieces_is_not_passed_on() {
    let ([before, after], place, (_dir, here)) = (versions(), Http::new(), store());
    publish(&*place.open(&here), &publication("before", &[&before])).await;
    let (_there, there) = store();
    let cache = place.open(&there);
    cache.fetch(&layer(&*cache, "before").await).await.unwrap();
    cache.publish(&publication("after", &[&after])).await;
    let stats = cache.close().await.stats;
    assert!(stats.chunks_compressed > 30, "{stats:?}");
    assert!(stats.chunks_up <= 3, "{stats:?}");
}

#[tokio::test]
async fn a_piece_that_changed_here_comes_from_the_cache() {
    let ([before, after], place, (_dir, here)) = (versions(), Http::new(), store());
    let writer = place.open(&here);
    publish(&*writer, &publication("before", &[&before])).await;
    publish(&*writer, &publication("after", &[&after])).await;
    let (_there, there) = store();
    let cache = place.open(&there);
    let old = layer(&*cache, "before").await;
    cache.fetch(&old).await.unwrap();
    let path = there.blobs().path(&old.diff_id);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[20 << 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let new = layer(&*cache, "after").await;
    let blob = cache.fetch(&new).await.unwrap();
    assert!(tar(&there, &new, &blob) == after);
    let report = cache.close().await;
    assert_eq!(report.warnings, [], "the cache is not to blame");
    assert_eq!(report.stats.layers_lost, 0);
    assert!(report.stats.chunks_reused > 30, "{:?}", report.stats);
}
