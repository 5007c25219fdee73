use std::path::Path;

use acetate_graph::{ContentKey, DefinitionKey, OpKey};
use acetate_oci::{Digest, MediaType};
use acetate_stdx::clock::SystemClock;
use acetate_store::{BlobRef, BootId, Directory, PruneOptions};

use super::*;

fn cache_at(root: &Path) -> LocalCache {
    LocalCache::new(Store::open(root).unwrap())
}

fn definition(n: u32) -> CacheKey {
    let digest = Digest::of(format!("definition {n}").as_bytes());
    CacheKey::definition(&DefinitionKey::from_digest(digest), 0)
}

fn content(n: u32) -> CacheKey {
    let digest = Digest::of(format!("content {n}").as_bytes());
    CacheKey::content(&ContentKey::from_digest(digest), 0)
}

fn hint(n: u32) -> CacheKey {
    CacheKey::hint(&OpKey::from_digest(Digest::of(
        format!("op {n}").as_bytes(),
    )))
}

/// Publishes a layer directory and its row, as a commit does.
fn make_layer(store: &Store) -> LayerRecord {
    let layer = store.layers().new_layer().unwrap().publish().unwrap();
    let created = Timestamp::new(7, 8);
    let mut row = LayerRow::new(layer.id, created);
    row.directory = Directory::written(store.boot());
    store.index().put_layer(row);
    LayerRecord::new(layer.id, created)
}

fn record_under(cache: &LocalCache, keys: &[CacheKey], layers: &[LayerRecord]) -> CacheRecord {
    let record = CacheRecord::local(layers.to_vec(), 1234);
    cache.record(vec![Entry {
        keys: keys.to_vec(),
        record: record.clone(),
    }]);
    record
}

#[test]
fn a_record_is_found_under_all_its_keys_and_by_the_next_process() {
    let temp = tempfile::tempdir().unwrap();
    let record = {
        let cache = cache_at(temp.path());
        let chain = [make_layer(&cache.store), make_layer(&cache.store)];
        let record = record_under(&cache, &[definition(1), content(1), hint(1)], &chain);
        // Seen at once by the same handle, before it is in the database.
        assert_eq!(cache.lookup(&[definition(1)]), [vec![record.clone()]]);
        record
    };
    let cache = cache_at(temp.path());
    let keys = [
        definition(2),
        definition(1),
        content(1),
        hint(1),
        hint(2),
        content(2),
    ];
    let found = cache.lookup(&keys);
    assert_eq!(found[0], []);
    assert_eq!(found[1], std::slice::from_ref(&record));
    assert_eq!(found[2], std::slice::from_ref(&record));
    assert_eq!(found[3].len(), 1);
    assert!(found[3][0].layers.is_empty());
    assert_eq!(found[4], []);
    assert_eq!(found[5], []);
    assert_eq!(record.objects().len(), 2);
}

#[test]
fn outputs_and_origins_are_kept_apart() {
    let temp = tempfile::tempdir().unwrap();
    let cache = cache_at(temp.path());
    let key = DefinitionKey::from_digest(Digest::of(b"two outputs"));
    let record = CacheRecord {
        layers: vec![make_layer(&cache.store)],
        duration_ms: 5,
        origin: Origin::Imported {
            from: "ci".to_owned(),
            signer: None,
        },
        fidelity: Fidelity::Reduced {
            reason: "one id".to_owned(),
        },
    };
    let keys = vec![CacheKey::definition(&key, 1)];
    cache.record(vec![Entry {
        keys,
        record: record.clone(),
    }]);
    cache.store.flush().unwrap();
    let found = cache.lookup(&[CacheKey::definition(&key, 0), CacheKey::definition(&key, 1)]);
    assert_eq!(found, [vec![], vec![record]]);
}

#[test]
fn a_layer_sealed_later_is_found_sealed() {
    let temp = tempfile::tempdir().unwrap();
    let cache = cache_at(temp.path());
    let layer = make_layer(&cache.store);
    record_under(&cache, &[definition(1)], std::slice::from_ref(&layer));
    let tar = cache.store.blobs().put(b"a tar").unwrap();
    let mut row = cache.store.index().layer(&layer.id).unwrap().unwrap();
    row.diff_id = Some(tar.digest);
    row.size = tar.size;
    let media_type = MediaType::OCI_LAYER;
    row.blob = Some(BlobRef {
        media_type,
        digest: tar.digest,
        size: tar.size,
    });
    cache.store.index().put_layer(row);
    let found = cache.lookup(&[definition(1)]);
    assert_eq!(found[0][0].layers[0].diff_id, Some(tar.digest));
    assert_eq!(found[0][0].layers[0].size, 5);
    assert_eq!(found[0][0].objects().len(), 2);
}

#[test]
fn a_missing_layer_is_a_miss_and_drops_the_record() {
    let temp = tempfile::tempdir().unwrap();
    let cache = cache_at(temp.path());
    let chain = [make_layer(&cache.store), make_layer(&cache.store)];
    record_under(&cache, &[definition(1), hint(1)], &chain);
    let dir = cache.store.layers().dir(&chain[0].id).unwrap().unwrap();
    std::fs::remove_dir_all(dir.parent().unwrap()).unwrap();
    assert_eq!(cache.lookup(&[definition(1)]), [vec![]]);
    let name = definition(1).record_key();
    assert_eq!(cache.store.index().records(&[name]).unwrap(), [None]);
    assert_eq!(
        cache.lookup(&[hint(1)])[0].len(),
        1,
        "a hint needs no layers"
    );
}

#[test]
fn a_blob_stands_in_for_a_missing_directory() {
    let temp = tempfile::tempdir().unwrap();
    let cache = cache_at(temp.path());
    let tar = cache.store.blobs().put(b"a tar").unwrap();
    let id = LayerId::Chain(tar.digest);
    let mut row = LayerRow::new(id, Timestamp::new(1, 0));
    row.diff_id = Some(tar.digest);
    row.blob = Some(BlobRef {
        media_type: MediaType::OCI_LAYER,
        digest: tar.digest,
        size: tar.size,
    });
    cache.store.index().put_layer(row);
    let layers = [LayerRecord::new(id, Timestamp::new(1, 0))];
    record_under(&cache, &[definition(1)], &layers);
    assert_eq!(cache.lookup(&[definition(1)])[0].len(), 1);
    cache.store.blobs().remove(&tar.digest).unwrap();
    assert_eq!(cache.lookup(&[definition(1)]), [vec![]]);
}

#[test]
fn unsynced_layers_of_another_boot_are_a_miss() {
    let temp = tempfile::tempdir().unwrap();
    let open = |boot: u8| {
        let boot = BootId::from_bytes([boot; 16]);
        LocalCache::new(Store::open_in(temp.path(), boot, Arc::new(SystemClock)).unwrap())
    };
    let cache = open(1);
    let record = record_under(&cache, &[definition(1)], &[make_layer(&cache.store)]);
    assert_eq!(cache.store.sync_now().unwrap(), 1);
    record_under(&cache, &[definition(2)], &[make_layer(&cache.store)]);
    drop(cache);
    let cache = open(2);
    assert_eq!(
        cache.lookup(&[definition(1), definition(2)]),
        [vec![record], vec![]]
    );
}

#[test]
fn corrupt_and_foreign_payloads_are_misses_and_go() {
    let temp = tempfile::tempdir().unwrap();
    let cache = cache_at(temp.path());
    let payloads = [
        b"garbage".to_vec(),
        Vec::new(),
        codec::encode(VERSION + 1, &7_u8).unwrap(),
        codec::encode(VERSION, &7_u8).unwrap(),
        codec::encode(
            VERSION,
            &(vec![(1_i64, 2_u32)], 3_u64, Origin::Local, Fidelity::Full),
        )
        .unwrap(),
    ];
    let keys: Vec<CacheKey> = (0..5).map(definition).collect();
    let put = |(key, payload): (&CacheKey, Vec<u8>)| {
        (
            key.record_key(),
            Record {
                payload,
                layers: Vec::new(),
            },
        )
    };
    cache
        .store
        .index()
        .put_records(keys.iter().zip(payloads).map(put).collect());
    cache.store.flush().unwrap();
    assert_eq!(cache.lookup(&keys), vec![Vec::new(); 5]);
    let names: Vec<RecordKey> = keys.iter().map(CacheKey::record_key).collect();
    assert_eq!(cache.store.index().records(&names).unwrap(), vec![None; 5]);
    assert!(cache.has_warned.load(Ordering::Relaxed));
}

#[test]
fn a_pruned_store_misses_and_says_nothing_else() {
    let temp = tempfile::tempdir().unwrap();
    let cache = cache_at(temp.path());
    record_under(
        &cache,
        &[definition(1), hint(1)],
        &[make_layer(&cache.store)],
    );
    drop(cache);
    let cache = cache_at(temp.path());
    cache.store.prune(&PruneOptions::ALL).unwrap();
    assert_eq!(cache.lookup(&[definition(1), hint(1)]), [vec![], vec![]]);
    std::fs::remove_dir_all(temp.path()).unwrap();
    assert_eq!(cache.lookup(&[definition(1)]), [vec![]]);
    assert_eq!(cache.lookup(&[]), Vec::<Vec<CacheRecord>>::new());
}

#[test]
fn many_threads_on_two_handles_agree() {
    let temp = tempfile::tempdir().unwrap();
    let caches = [cache_at(temp.path()), cache_at(temp.path())];
    std::thread::scope(|scope| {
        for n_thread in 0..8 {
            let cache = &caches[n_thread % 2];
            scope.spawn(move || {
                for n in 0..20 {
                    let n = u32::try_from(n_thread * 100 + n).unwrap();
                    let layers = [make_layer(&cache.store)];
                    let record = record_under(cache, &[definition(n), content(n)], &layers);
                    assert_eq!(cache.lookup(&[content(n)]), [vec![record]]);
                }
            });
        }
    });
    for cache in &caches {
        cache.store.flush().unwrap();
    }
    let keys: Vec<CacheKey> = (0..8)
        .flat_map(|thread| (0..20).map(move |n| definition(thread * 100 + n)))
        .collect();
    for cache in &caches {
        assert!(cache.lookup(&keys).iter().all(|found| found.len() == 1));
    }
}

#[test]
fn all_records_are_listed_and_those_that_are_forgotten_are_gone() {
    let temp = tempfile::tempdir().unwrap();
    let cache = cache_at(temp.path());
    let chain = [make_layer(&cache.store), make_layer(&cache.store)];
    record_under(&cache, &[definition(1), content(1), hint(1)], &chain);
    let bad = Record {
        payload: b"of another version".to_vec(),
        layers: Vec::new(),
    };
    let entries = vec![(definition(2).record_key(), bad)];
    cache.store.index().put_records(entries);
    let inventory = cache.inventory().unwrap();
    assert_eq!(inventory.n_unreadable, 1);
    let mut keys: Vec<CacheKey> = inventory.records.iter().map(|held| held.key).collect();
    keys.sort_unstable();
    assert_eq!(keys, [definition(1), content(1), hint(1)]);
    for held in &inventory.records {
        let expected: Vec<_> = chain
            .iter()
            .map(|layer| (layer.id, layer.created))
            .collect();
        let is_hint = held.key.kind() == KeyKind::Hint;
        assert_eq!(held.layers, if is_hint { Vec::new() } else { expected });
        assert_eq!((held.duration_ms, &held.origin), (1234, &Origin::Local));
    }
    assert!(
        chain
            .iter()
            .all(|layer| inventory.layers[&layer.id].is_usable())
    );
    cache.forget(&[definition(1), hint(1)]).unwrap();
    let left = cache_at(temp.path()).inventory().unwrap();
    let keys: Vec<CacheKey> = left.records.iter().map(|held| held.key).collect();
    assert_eq!(keys, [content(1)]);
}
