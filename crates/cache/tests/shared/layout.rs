//! What a directory does besides.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use acetate_cache::SharedCache;
use acetate_cache::layout::{LayoutCache, LayoutOptions, LayoutPlace, Missing, Reset};
use acetate_cache::remote::{Cause, Published, Put, Skip};
use acetate_image::{Force, Recipe};
use acetate_oci::{Compression, Digest, Index, Manifest, MediaType};
use acetate_store::Store;

use crate::place::{Layout, blobs, store};
use crate::suite::{publish, tar};
use crate::support::{content, definition, hint, noise, publication, source};

fn reader(layout: &Layout, missing: Missing, store: &Arc<Store>) -> LayoutCache {
    LayoutCache::reader(layout.place(), missing, Arc::clone(store))
}

fn options(kind: Compression) -> LayoutOptions {
    LayoutOptions {
        recipe: Recipe::new(kind),
        ..LayoutOptions::default()
    }
}

fn index(dir: &Path) -> Index {
    serde_json::from_slice(&std::fs::read(dir.join("index.json")).unwrap()).unwrap()
}

fn manifest(dir: &Path) -> Manifest {
    let digest = index(dir).manifests.last().unwrap().digest;
    let path = dir.join("blobs/sha256").join(digest.hex());
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

async fn finds(cache: &LayoutCache, name: &str) -> bool {
    cache.lookup(&[definition(name)]).await[0].is_some()
}

/// Warnings of a look-up and what follows.
async fn complaints(cache: &LayoutCache) -> Vec<(Cause, String)> {
    finds(cache, "a").await;
    let warnings = cache.close().await.warnings;
    let parts = warnings.into_iter().map(|w| (w.cause, w.text));
    parts.collect()
}

#[tokio::test]
async fn the_files_are_those_of_an_image_and_the_same_in_any_order() {
    let (_dir, store) = store();
    let (a, b) = (noise(1, 5000), noise(2, 700_000));
    let mut two = publication("two", &[&a, &b]);
    two.keys.extend([content("two"), hint("two")]);
    let one = publication("one", &[&a]);
    let (here, there) = (Layout::new(), Layout::new());
    let cache = here.writer(&store);
    cache.publish(&one).await;
    publish(&cache, &two).await;
    publish(&there.writer(&store), &two).await;
    publish(&there.writer(&store), &one).await;

    let text =
        |layout: &Layout, name: &str| std::fs::read_to_string(layout.dir().join(name)).unwrap();
    assert_eq!(
        text(&here, "oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#
    );
    assert_eq!(text(&here, "index.json"), text(&there, "index.json"));
    let index = index(&here.dir());
    let tag = &index.manifests[0].annotations["org.opencontainers.image.ref.name"];
    assert_eq!((index.manifests.len(), tag.as_str()), (1, "latest"));
    let manifest = manifest(&here.dir());
    assert_eq!(
        manifest.config.media_type.as_str(),
        "application/vnd.acetate.cache.config.v1+json"
    );
    let layers = manifest.layers.iter();
    let notes = layers.map(|layer| {
        assert_eq!(layer.media_type, MediaType::OCI_LAYER_GZIP);
        let made = &layer.annotations["buildkit/createdat"];
        assert_eq!(made, "2023-11-14T22:13:20.000000005Z");
        layer.annotations["containerd.io/uncompressed"].clone()
    });
    let named: BTreeSet<String> = notes.collect();
    let expected = [a, b].map(|bytes| Digest::of(&bytes).to_string());
    assert_eq!(named, BTreeSet::from(expected));
    for path in blobs(&here.dir()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(Digest::of(&std::fs::read(&path).unwrap()).hex(), name);
    }
    assert_eq!(
        std::fs::read_dir(here.dir().join("ingest"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn layers_are_compressed_as_asked_and_keep_their_form() {
    let bytes = noise(1, 100_000);
    for kind in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let ((_a, here), (_b, there), layout) = (store(), store(), Layout::new());
        let given = publication("a", &[&bytes]);
        publish(&layout.writer_with(&here, options(kind)), &given).await;
        let cache = reader(&layout, Missing::Warned, &there);
        let hit = cache
            .lookup(&[definition("a")])
            .await
            .pop()
            .flatten()
            .unwrap();
        let layer = &hit.record.layers[0];
        let blob = cache.fetch(layer).await.unwrap();
        assert_eq!(blob.media_type, MediaType::oci_layer(kind));
        assert!(tar(&there, layer, &blob) == bytes);
        // What is fetched is what an export with the same compression needs.
        assert_eq!(manifest(&layout.dir()).layers[0].digest, blob.digest);
    }
}

#[tokio::test]
async fn another_compression_is_only_made_by_force() {
    let ((_dir, store), layout) = (store(), Layout::new());
    let (layer, n_opened) = source(&noise(1, 100_000));
    let mut given = publication("a", &[]);
    given.layers = vec![layer];
    publish(&layout.writer(&store), &given).await;
    let kind = || manifest(&layout.dir()).layers[0].media_type.clone();
    given.keys = vec![definition("b")];
    publish(
        &layout.writer_with(&store, options(Compression::Zstd)),
        &given,
    )
    .await;
    assert_eq!(kind(), MediaType::OCI_LAYER_GZIP);
    assert_eq!(n_opened.load(Ordering::SeqCst), 1);
    given.keys = vec![definition("c")];
    let forced = LayoutOptions {
        force: Force::Other,
        ..options(Compression::Zstd)
    };
    publish(&layout.writer_with(&store, forced), &given).await;
    assert_eq!(kind(), MediaType::OCI_LAYER_ZSTD);
    // The older records go on with the newer form.
    let cache = reader(&layout, Missing::Warned, &store);
    let hits = cache.lookup(&[definition("a"), definition("c")]).await;
    let layers: Vec<_> = hits
        .into_iter()
        .map(|hit| hit.unwrap().record.layers)
        .collect();
    assert_eq!(layers[0], layers[1]);
}

#[tokio::test]
async fn a_form_that_the_store_has_is_not_made_again() {
    let ((_a, here), (_b, there)) = (store(), store());
    let (first, second) = (Layout::new(), Layout::new());
    let (layer, n_opened) = source(&noise(1, 100_000));
    let mut given = publication("a", &[]);
    given.layers = vec![layer];
    publish(&first.writer(&here), &given).await;
    publish(&second.writer(&here), &given).await;
    assert_eq!(n_opened.load(Ordering::SeqCst), 1);
    // A damaged one is.
    let blob = manifest(&first.dir()).layers[0].clone();
    std::fs::write(here.blobs().path(&blob.digest), vec![0; 100]).unwrap();
    let third = Layout::new();
    publish(&third.writer(&here), &given).await;
    assert_eq!(n_opened.load(Ordering::SeqCst), 2);
    let cache = reader(&third, Missing::Warned, &there);
    let hit = cache
        .lookup(&[definition("a")])
        .await
        .pop()
        .flatten()
        .unwrap();
    assert!(cache.fetch(&hit.record.layers[0]).await.is_ok());
}

#[tokio::test]
async fn a_blob_that_holds_another_tar_is_refused() {
    let ((_dir, store), layout) = (store(), Layout::new());
    let (good, bad) = (noise(1, 5000), noise(2, 5000));
    publish(&layout.writer(&store), &publication("a", &[&good])).await;
    publish(&layout.writer(&store), &publication("b", &[&bad])).await;
    let (_other, other) = crate::place::store();
    let cache = reader(&layout, Missing::Warned, &other);
    let hits = cache.lookup(&[definition("a"), definition("b")]).await;
    let [a, b] = [&hits[0], &hits[1]].map(|hit| &hit.as_ref().unwrap().record.layers[0]);
    let mut liar = a.clone();
    liar.form = b.form.clone();
    let lost = cache.fetch(&liar).await;
    assert!(
        matches!(lost, Err(acetate_cache::remote::Lost::Damaged(_))),
        "{lost:?}"
    );
    liar = a.clone();
    liar.size -= 1;
    assert!(cache.fetch(&liar).await.is_err(), "more bytes than it says");
    assert!(cache.fetch(a).await.is_ok());
}

#[tokio::test]
async fn tags_and_what_others_keep_stay() {
    let ((_dir, store), layout) = (store(), Layout::new());
    publish(
        &layout.writer(&store),
        &publication("a", &[&noise(1, 5000)]),
    )
    .await;
    let mut index = index(&layout.dir());
    index.manifests[0]
        .annotations
        .insert("note".into(), "x".into());
    let first = index.manifests[0].digest;
    std::fs::write(
        layout.dir().join("index.json"),
        acetate_oci::canonical_json(&index),
    )
    .unwrap();
    let place = LayoutPlace {
        tag: "other".into(),
        ..layout.place()
    };
    let other = LayoutCache::writer(place.clone(), LayoutOptions::default(), Arc::clone(&store));
    publish(&other, &publication("b", &[&noise(2, 5000)])).await;
    let latest = reader(&layout, Missing::Warned, &store);
    assert!(finds(&latest, "a").await && !finds(&latest, "b").await);
    let other = LayoutCache::reader(place, Missing::Warned, Arc::clone(&store));
    assert!(finds(&other, "b").await && !finds(&other, "a").await);
    // A digest goes before a tag, also of a manifest that has no tag any more.
    publish(
        &layout.writer(&store),
        &publication("c", &[&noise(3, 5000)]),
    )
    .await;
    let place = LayoutPlace {
        digest: Some(first),
        ..layout.place()
    };
    let old = LayoutCache::reader(place, Missing::Warned, Arc::clone(&store));
    assert!(finds(&old, "a").await && !finds(&old, "c").await);
    assert!(
        old.name().ends_with(&format!("cache@{first}")),
        "{}",
        old.name()
    );
}

#[tokio::test]
async fn a_reset_leaves_what_this_build_gave() {
    let ((_dir, store), layout) = (store(), Layout::new());
    let (a, b, c) = (noise(1, 5000), noise(2, 5000), noise(3, 5000));
    for (name, bytes) in [("a", &a), ("b", &b)] {
        publish(&layout.writer(&store), &publication(name, &[bytes])).await;
    }
    let reset = LayoutOptions {
        reset: Reset::Drop,
        ..LayoutOptions::default()
    };
    let cache = layout.writer_with(&store, reset);
    // While another build writes, nothing is removed.
    let other = layout.writer(&store);
    other.publish(&publication("d", &[&noise(4, 5000)])).await;
    let published = cache.publish(&publication("a", &[&a])).await;
    assert_eq!(published, Published::Done(vec![Put::Kept]));
    publish(&cache, &publication("c", &[&c])).await;
    let now = reader(&layout, Missing::Warned, &store);
    assert!(finds(&now, "a").await && finds(&now, "c").await && !finds(&now, "b").await);
    assert!(blobs(&layout.dir()).len() > 4);
    other.close().await;
    let cache = layout.writer_with(&store, reset);
    let published = publish(&cache, &publication("a", &[&a])).await;
    assert_eq!(published, Published::Done(vec![Put::Kept]));
    let layers = manifest(&layout.dir()).layers;
    assert_eq!(layers.len(), 1);
    assert_eq!(blobs(&layout.dir()).len(), 3, "layer, config and manifest");
    // A build that gave nothing, as one that failed at once, drops nothing.
    layout.writer_with(&store, reset).close().await;
    assert!(finds(&reader(&layout, Missing::Warned, &store), "a").await);
}

#[tokio::test]
async fn what_is_there_already_is_not_written() {
    let ((_dir, store), layout) = (store(), Layout::new());
    let given = publication("a", &[&noise(1, 5000)]);
    publish(&layout.writer(&store), &given).await;
    let before = std::fs::metadata(layout.dir().join("index.json")).unwrap();
    let (layer, n_opened) = source(&noise(1, 5000));
    let mut again = given.clone();
    again.layers = vec![layer];
    publish(&layout.writer(&store), &again).await;
    let after = std::fs::metadata(layout.dir().join("index.json")).unwrap();
    let inode = |data: &std::fs::Metadata| std::os::unix::fs::MetadataExt::ino(data);
    assert_eq!(inode(&before), inode(&after));
    assert_eq!(n_opened.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn records_whose_blobs_are_gone_are_dropped() {
    let ((_dir, store), layout) = (store(), Layout::new());
    for (name, seed) in [("a", 1), ("b", 2)] {
        publish(
            &layout.writer(&store),
            &publication(name, &[&noise(seed, 5000)]),
        )
        .await;
    }
    let gone = manifest(&layout.dir()).layers[0].digest;
    std::fs::remove_file(layout.dir().join("blobs/sha256").join(gone.hex())).unwrap();
    publish(
        &layout.writer(&store),
        &publication("c", &[&noise(3, 5000)]),
    )
    .await;
    let layers = manifest(&layout.dir()).layers;
    assert_eq!(layers.len(), 2);
    assert!(layers.iter().all(|layer| layer.digest != gone));
}

#[tokio::test]
async fn what_is_missing_is_warned_of_unless_it_is_to_be_made() {
    let ((_dir, store), layout) = (store(), Layout::new());
    let warned = complaints(&reader(&layout, Missing::Warned, &store)).await;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert_eq!(warned[0].0, Cause::Unreachable);
    assert!(
        warned[0]
            .1
            .contains("there is no such directory; check `src=`"),
        "{}",
        warned[0].1
    );
    assert_eq!(
        complaints(&reader(&layout, Missing::Expected, &store)).await,
        []
    );
    assert_eq!(complaints(&layout.writer(&store)).await, []);
    publish(
        &layout.writer(&store),
        &publication("a", &[&noise(1, 5000)]),
    )
    .await;
    let place = LayoutPlace {
        tag: "other".into(),
        ..layout.place()
    };
    let other = LayoutCache::reader(place, Missing::Warned, Arc::clone(&store));
    let warned = complaints(&other).await;
    assert!(
        warned[0].1.contains("there is no tag `other` in it"),
        "{warned:?}"
    );
}

#[tokio::test]
async fn garbage_is_warned_of_once_and_made_anew() {
    let ((_dir, store), layout) = (store(), Layout::new());
    let given = publication("a", &[&noise(1, 5000)]);
    publish(&layout.writer(&store), &given).await;
    let nested = "[".repeat(100_000);
    for garbage in ["", "{}", "[1]", "no JSON", nested.as_str()] {
        std::fs::write(layout.dir().join("index.json"), garbage).unwrap();
        let cache = reader(&layout, Missing::Expected, &store);
        let warned = complaints(&cache).await;
        assert_eq!(warned.len(), 1, "{garbage:.20} {warned:?}");
        assert_eq!(warned[0].0, Cause::Damaged, "{warned:?}");
        let cache = layout.writer(&store);
        cache.publish(&given).await;
        assert_eq!(cache.close().await.warnings.len(), 1);
        assert!(finds(&reader(&layout, Missing::Warned, &store), "a").await);
    }
    let big = vec![b' '; 5 << 20];
    std::fs::write(layout.dir().join("index.json"), big).unwrap();
    assert_eq!(
        complaints(&reader(&layout, Missing::Expected, &store))
            .await
            .len(),
        1
    );
}

#[tokio::test]
async fn a_damaged_config_is_warned_of_once() {
    let ((_dir, store), layout) = (store(), Layout::new());
    let given = publication("a", &[&noise(1, 5000)]);
    for damage in ["flip", "remove"] {
        publish(&layout.writer(&store), &given).await;
        let digest = manifest(&layout.dir()).config.digest;
        let path = layout.dir().join("blobs/sha256").join(digest.hex());
        match damage {
            "flip" => std::fs::write(&path, b"{}").unwrap(),
            _ => std::fs::remove_file(&path).unwrap(),
        }
        assert_eq!(
            complaints(&reader(&layout, Missing::Warned, &store))
                .await
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn a_directory_of_something_else_is_left_alone() {
    let ((_dir, store), layout) = (store(), Layout::new());
    std::fs::create_dir(layout.dir()).unwrap();
    std::fs::write(layout.dir().join("index.json"), r#"{"pages":[]}"#).unwrap();
    let cache = layout.writer(&store);
    let published = cache.publish(&publication("a", &[&noise(1, 5000)])).await;
    assert!(
        matches!(published, Published::Skipped(Skip::Cache(_))),
        "{published:?}"
    );
    let warned: Vec<String> = cache
        .close()
        .await
        .warnings
        .into_iter()
        .map(|w| w.text)
        .collect();
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(
        warned[0].contains("it is no OCI layout; name another directory"),
        "{warned:?}"
    );
    let left = std::fs::read_to_string(layout.dir().join("index.json")).unwrap();
    assert_eq!(left, r#"{"pages":[]}"#);
}

#[tokio::test]
async fn a_newer_layout_is_not_overwritten() {
    use crate::place::Place;
    let ((_dir, store), layout) = (store(), Layout::new());
    publish(
        &layout.writer(&store),
        &publication("a", &[&noise(1, 5000)]),
    )
    .await;
    layout.age();
    let before = std::fs::read(layout.dir().join("index.json")).unwrap();
    let cache = layout.writer(&store);
    let published = cache.publish(&publication("b", &[&noise(2, 5000)])).await;
    assert!(
        matches!(published, Published::Skipped(Skip::Cache(_))),
        "{published:?}"
    );
    assert_eq!(cache.close().await.warnings.len(), 1);
    assert_eq!(
        std::fs::read(layout.dir().join("index.json")).unwrap(),
        before
    );
}

#[test]
fn builds_that_write_at_once_lose_nothing() {
    const N: u64 = 12;
    let layout = Layout::new();
    std::thread::scope(|scope| {
        for build in 0..4 {
            let layout = &layout;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let (_dir, store) = store();
                    for n in 0..N {
                        let own = noise(build * 100 + n, 3000);
                        let shared = noise(1000 + n, 3000);
                        let name = format!("{build} {n}");
                        let given = publication(&name, &[&shared, &own]);
                        let cache = layout.writer(&store);
                        publish(&cache, &given).await;
                    }
                });
            });
        }
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (_dir, store) = store();
        let cache = reader(&layout, Missing::Warned, &store);
        for build in 0..4 {
            for n in 0..N {
                let key = definition(&format!("{build} {n}"));
                let hit = cache.lookup(&[key]).await.pop().flatten();
                let hit = hit.unwrap_or_else(|| panic!("record {build} {n} is lost"));
                for layer in &hit.record.layers {
                    cache.fetch(layer).await.unwrap();
                }
            }
        }
        assert_eq!(cache.close().await.warnings, []);
    });
}
