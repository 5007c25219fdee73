//! What people see of a store, and that seeing changes nothing.

use acetate_oci::Digest;
use acetate_stdx::clock::FixedClock;
use std::sync::Arc;

use super::{NOW, blob_ref, key, make_layer, names, open, open_at, record, row_of};
use crate::{
    CacheClaim, CacheFound, CacheMountName, CacheMountRemoval, LayerId, Object, PruneOptions,
    Store, StoreError, Tally,
};

#[test]
fn everything_is_seen_and_nothing_counts_as_used() {
    let temp = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::at(NOW));
    let store = open_at(temp.path(), 1, &clock);
    let (here, bytes) = (make_layer(&store), b"tar");
    store.blobs().put(bytes).unwrap();
    let mut row = row_of(&store, LayerId::Chain(Digest::of(b"chain")));
    row.directory = crate::Directory::Absent;
    row.blob = Some(blob_ref(bytes));
    let blob = row.id;
    store.index().put_layer(row);
    let both = record(b"payload", &[here, blob]);
    let entries = [(key(2), both.clone()), (key(1), record(b"", &[]))];
    store.index().put_records(entries.to_vec());
    let survey = store.survey().unwrap();
    let mut expected = vec![key(1), key(2)];
    expected.sort_unstable();
    let found: Vec<_> = survey.records.iter().map(|stored| stored.key).collect();
    assert_eq!(found, expected);
    let stored = survey.records.iter().find(|stored| stored.key == key(2));
    assert_eq!(
        stored.map(|stored| (&stored.record, stored.used)),
        Some((&both, NOW))
    );
    let forms = |id| {
        let layer = &survey.layers[id];
        (layer.has_directory, layer.has_blob, layer.is_usable())
    };
    assert_eq!(
        (forms(&here), forms(&blob)),
        ((true, false, true), (false, true, true))
    );
    // Days later a look, and a hash of all blobs, keep nothing from going.
    drop(store);
    clock.advance(100_000);
    let store = open_at(temp.path(), 1, &clock);
    assert_eq!(store.survey().unwrap().records, survey.records);
    for digest in store.blobs().list().unwrap() {
        assert_eq!(store.blobs().rehash(&digest).unwrap(), Some(3));
    }
    store.flush().unwrap();
    let report = store.prune(&PruneOptions::unused_for(50_000)).unwrap();
    assert_eq!(report.records, 2);
}

#[test]
fn a_damaged_blob_is_told_from_one_that_is_gone() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    store.blobs().put(b"good").unwrap();
    let digest = Digest::of(b"good");
    std::fs::remove_file(store.blobs().path(&digest)).unwrap();
    std::fs::write(store.blobs().path(&digest), "evil").unwrap();
    assert_eq!(store.blobs().list().unwrap(), [digest]);
    let error = store.blobs().rehash(&digest).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { digest: found } if found == digest));
    assert_eq!(store.blobs().rehash(&Digest::of(b"none")).unwrap(), None);
}

#[test]
fn what_is_pinned_or_held_is_in_use() {
    let temp = tempfile::tempdir().unwrap();
    let maker = open(temp.path());
    let (held, free) = (make_layer(&maker), make_layer(&maker));
    drop(maker);
    let (user, looker) = (open(temp.path()), open(temp.path()));
    let blob = Object::Blob(Digest::of(b"x"));
    let objects = [Object::Layer(held), Object::Layer(free), blob];
    assert!(looker.in_use(&objects).unwrap().is_empty());
    let hold = user.layers().hold(&held).unwrap();
    user.blobs().put(b"x").unwrap();
    let used = looker.in_use(&objects).unwrap();
    assert_eq!(used, [Object::Layer(held), blob].into_iter().collect());
    drop((hold, user));
    assert!(looker.in_use(&objects).unwrap().is_empty());
}

fn mount(store: &Store, id: &str, file: Option<&str>) -> Digest {
    let identity = Digest::of(id.as_bytes());
    let place = store.cache_mounts().successor(&identity).unwrap();
    let new = store.cache_mounts().create(place).unwrap();
    if let Some(file) = file {
        std::fs::write(new.path().join(file), "content").unwrap();
        new.describe(&CacheMountName {
            id: id.to_owned(),
            begins: "empty\n493".to_owned(),
        })
        .unwrap();
    }
    new.publish().unwrap();
    identity
}

#[test]
fn cache_mounts_tell_what_they_are() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    assert_eq!(store.cache_mounts().list().unwrap(), []);
    let (named, bare) = (mount(&store, "a\nb", Some("f")), mount(&store, "x", None));
    let items = store.cache_mounts().list().unwrap();
    let item = |identity| items.iter().find(|item| item.identity == identity).unwrap();
    let name = item(named).name.clone().unwrap();
    assert_eq!(
        (name.id.as_str(), name.begins.as_str()),
        ("a\nb", "empty 493")
    );
    let dir = &item(named).dirs[0];
    assert_eq!(
        (dir.generation, dir.number, dir.n_files, dir.in_use),
        (0, 0, 1, false)
    );
    assert_eq!(
        std::fs::read_to_string(dir.path.join("f")).unwrap(),
        "content"
    );
    assert_eq!((&item(bare).name, item(bare).dirs[0].n_files), (&None, 0));
    // What a later version may write is no name.
    let about = dir.path.with_file_name("about");
    std::fs::write(&about, "acetate cache mount 2\nx\ny").unwrap();
    assert!(
        store
            .cache_mounts()
            .list()
            .unwrap()
            .iter()
            .all(|item| item.name.is_none())
    );
}

#[test]
fn a_cache_mount_goes_whole_or_not_at_all() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (open(temp.path()), open(temp.path()));
    let identity = mount(&one, "a", Some("f"));
    let CacheFound::Held(hold) = one
        .cache_mounts()
        .claim(&identity, CacheClaim::Shared)
        .unwrap()
    else {
        panic!("a directory is there");
    };
    let CacheFound::Missing(place) = one
        .cache_mounts()
        .claim(&identity, CacheClaim::Private)
        .unwrap()
    else {
        panic!("the first one is taken");
    };
    one.cache_mounts().create(place).unwrap().publish().unwrap();
    assert_eq!(
        two.cache_mounts().remove(&identity).unwrap(),
        CacheMountRemoval::InUse
    );
    let item = &two.cache_mounts().list().unwrap()[0];
    let uses: Vec<bool> = item.dirs.iter().map(|dir| dir.in_use).collect();
    assert_eq!(uses, [true, false]);
    drop(hold);
    let removed = two.cache_mounts().remove(&identity).unwrap();
    assert!(
        matches!(
            removed,
            CacheMountRemoval::Removed(Tally { n: 2, bytes: 1.. })
        ),
        "{removed:?}"
    );
    assert_eq!(
        two.cache_mounts().remove(&identity).unwrap(),
        CacheMountRemoval::Absent
    );
    assert_eq!(names(&two, "cache-mounts"), [""; 0]);
    assert_eq!(names(&two, "trash"), [""; 0]);
}
