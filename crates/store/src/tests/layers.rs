use super::*;
use crate::Object;

#[test]
fn a_dropped_layer_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let layer = store.layers().new_layer().unwrap();
    std::fs::write(layer.fs_path().join("file"), "x").unwrap();
    std::fs::create_dir(layer.work_path().unwrap().join("work")).unwrap();
    drop(layer);
    assert_eq!(names(&store, "tmp"), Vec::<String>::new());
    assert_eq!(names(&store, "layers"), Vec::<String>::new());
}

#[test]
fn a_published_layer_is_whole_and_has_no_work_directory() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    for extra in ["work", "index"] {
        let layer = store.layers().new_layer().unwrap();
        let id = layer.id();
        std::fs::create_dir_all(layer.work_path().unwrap().join(extra)).unwrap();
        std::fs::write(layer.fs_path().join("file"), "x").unwrap();
        assert_eq!(store.layers().dir(&id).unwrap(), None);
        let published = layer.publish().unwrap();
        assert_eq!(published.id, id);
        assert_eq!(store.layers().dir(&id).unwrap(), None, "not without a row");
        store.index().put_layer(row_of(&store, id));
        assert_eq!(
            store.layers().dir(&id).unwrap(),
            Some(published.path.clone())
        );
        assert_eq!(std::fs::read(published.path.join("file")).unwrap(), b"x");
        assert_eq!(names(&store, &format!("layers/{id}")), ["fs"]);
    }
    assert_eq!(names(&store, "tmp"), Vec::<String>::new());
}

#[test]
fn the_content_directory_has_a_fixed_mode() {
    use std::os::unix::fs::MetadataExt;
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let layer = store.layers().new_layer().unwrap();
    assert_eq!(
        std::fs::metadata(layer.fs_path()).unwrap().mode() & 0o7777,
        0o755
    );
}

#[test]
fn the_first_of_two_equal_chain_layers_stays() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (open(temp.path()), open(temp.path()));
    let chain = Digest::of(b"chain");
    let first = one.layers().new_chain_layer(&chain).unwrap();
    let second = two.layers().new_chain_layer(&chain).unwrap();
    std::fs::write(first.fs_path().join("from"), "first").unwrap();
    std::fs::write(second.fs_path().join("from"), "second").unwrap();
    let first = first.publish().unwrap();
    let second = second.publish().unwrap();
    assert_eq!(first, second);
    assert_eq!(std::fs::read(first.path.join("from")).unwrap(), b"first");
    assert_eq!(names(&one, "tmp"), Vec::<String>::new());
}

#[test]
fn a_chain_layer_of_another_boot_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::at(NOW));
    let chain = Digest::of(b"chain");
    let publish = |store: &Store, text: &str| {
        let layer = store.layers().new_chain_layer(&chain).unwrap();
        std::fs::write(layer.fs_path().join("from"), text).unwrap();
        let layer = layer.publish().unwrap();
        store.index().put_layer(row_of(store, layer.id));
        std::fs::read_to_string(layer.path.join("from")).unwrap()
    };
    let store = open_at(temp.path(), 1, &clock);
    assert_eq!(publish(&store, "before"), "before");
    drop(store);
    let store = open_at(temp.path(), 2, &clock);
    assert_eq!(store.layers().dir(&LayerId::Chain(chain)).unwrap(), None);
    assert_eq!(publish(&store, "after"), "after");
    assert!(
        store
            .layers()
            .dir(&LayerId::Chain(chain))
            .unwrap()
            .is_some()
    );
    assert_eq!(names(&store, "trash"), Vec::<String>::new());
    // A directory that somebody holds was judged by that somebody: it stays.
    let _hold = store
        .layers()
        .hold(&LayerId::Chain(chain))
        .unwrap()
        .unwrap();
    let other = open_at(temp.path(), 3, &clock);
    assert_eq!(publish(&other, "later"), "after");
}

#[test]
fn unsynced_layers_do_not_outlive_their_boot() {
    let temp = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::at(NOW));
    let store = open_at(temp.path(), 1, &clock);
    let synced = make_layer(&store);
    assert_eq!(store.sync_now().unwrap(), 1);
    assert_eq!(store.sync_now().unwrap(), 0);
    let unsynced = make_layer(&store);
    // A row put again by the maker of a synced layer does not unsync it.
    store.index().put_layer(row_of(&store, synced));
    assert!(
        store
            .layers()
            .dirs(&[synced, unsynced])
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    drop(store);
    let store = open_at(temp.path(), 2, &clock);
    let dirs = store.layers().dirs(&[synced, unsynced]).unwrap();
    assert!(dirs[0].is_some() && dirs[1].is_none());
    // The blob of an untrusted directory is as good as ever.
    let blob = blob_ref(b"tar");
    store.blobs().put(b"tar").unwrap();
    let mut row = row_of(&store, unsynced);
    row.directory = Directory::Unsynced(BootId::from_bytes([1; 16]));
    row.blob = Some(blob);
    store.index().put_layer(row);
    assert!(store.layers().available(&[unsynced]).unwrap()[0].is_some());
    assert_eq!(store.layers().dir(&unsynced).unwrap(), None);
}

#[test]
fn the_background_sync_takes_settled_layers_only() {
    let temp = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::at(NOW));
    let store = open_at(temp.path(), 1, &clock);
    let id = make_layer(&store);
    store.flush().unwrap();
    let index = Arc::new(crate::Index::new(Arc::new(
        crate::root::Root::open(
            temp.path(),
            store.boot(),
            Arc::clone(&clock) as Arc<dyn acetate_stdx::clock::Clock>,
        )
        .unwrap(),
    )));
    let root = crate::root::Root::open(
        temp.path(),
        store.boot(),
        Arc::new(FixedClock::at(NOW + 90)),
    )
    .unwrap();
    let early =
        crate::root::Root::open(temp.path(), store.boot(), Arc::new(FixedClock::at(NOW + 9)))
            .unwrap();
    let weak = Arc::downgrade(&index);
    assert_eq!(
        crate::sync::run(&early, &weak, crate::sync::Age::Settled).unwrap(),
        0
    );
    assert_eq!(
        crate::sync::run(&root, &weak, crate::sync::Age::Settled).unwrap(),
        1
    );
    assert_eq!(
        store.index().layer(&id).unwrap().unwrap().directory,
        Directory::Synced
    );
    store.sync_in_background();
    store.sync_in_background();
}

#[test]
fn pins_see_layers() {
    let temp = tempfile::tempdir().unwrap();
    let id = make_layer(&open(temp.path()));
    let store = open(temp.path());
    let objects = [Object::Layer(LayerId::random()), Object::Layer(id)];
    assert_eq!(store.live().pin(&objects).unwrap(), [false, true]);
    assert_eq!(store.live().pin(&objects).unwrap(), [false, true]);
    assert!(
        store
            .layers()
            .hold(&id)
            .unwrap()
            .unwrap()
            .path()
            .ends_with("fs")
    );
    assert!(store.layers().hold(&LayerId::random()).unwrap().is_none());
}
