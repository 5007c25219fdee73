use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::{FactKey, Kept, Object, PruneOptions, Reason};

fn is_empty(store: &Store) {
    for dir in ["blobs/sha256", "layers", "tmp", "trash"] {
        assert_eq!(names(store, dir), Vec::<String>::new(), "{dir}");
    }
    let usage = store.usage().unwrap();
    assert_eq!((usage.records, usage.facts, usage.reclaimable), (0, 0, 0));
}

fn fill(root: &Path) -> (LayerId, Digest) {
    let store = open(root);
    let id = make_layer(&store);
    let blob = store.blobs().put(&[7; 10_000]).unwrap();
    let mut row = row_of(&store, id);
    row.blob = Some(blob_ref(&[7; 10_000]));
    store.index().put_layer(row);
    store
        .index()
        .put_records(vec![(key(1), record(b"r", &[id]))]);
    store
        .index()
        .put_facts(vec![(FactKey::new("k", b"s"), b"v".to_vec())]);
    (id, blob.digest)
}

#[test]
fn spared_kinds_of_facts_stay_until_they_are_old() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let kinds = ["k", "kept", "ke", "other"];
    let facts = kinds.map(|kind| FactKey::new(kind, b"\0s"));
    let values = facts.iter().map(|key| (key.clone(), b"v".to_vec()));
    store.index().put_facts(values.collect());
    let spare = PruneOptions {
        spared: &["kept", "k"],
        ..PruneOptions::ALL
    };
    assert_eq!(store.prune(&spare).unwrap().facts, 2);
    let left = store.index().facts(&facts).unwrap();
    let left: Vec<bool> = left.iter().map(Option::is_some).collect();
    assert_eq!(left, [true, true, false, false]);
    let path = temp.path().join("index.sqlite");
    let conn = rusqlite::Connection::open(path).unwrap();
    conn.execute("UPDATE facts SET used = used - 31 * 86400", [])
        .unwrap();
    drop(conn);
    assert_eq!(store.prune(&spare).unwrap().facts, 2);
}

#[test]
fn all_removes_everything_and_counts_it() {
    let temp = tempfile::tempdir().unwrap();
    fill(temp.path());
    std::fs::write(temp.path().join("tmp/blob.dead"), "half").unwrap();
    std::fs::create_dir_all(temp.path().join("tmp/n00.dead/fs/a")).unwrap();
    std::fs::create_dir_all(temp.path().join("trash/0/a/b")).unwrap();
    std::fs::write(temp.path().join("locks/stale"), "").unwrap();
    std::fs::write(temp.path().join("live/stale"), "blob 00").unwrap();
    let store = open(temp.path());
    let before = store.usage().unwrap();
    assert_eq!((before.blobs.n, before.layers.n), (1, 1));
    assert_eq!((before.temporary.n, before.trash.n), (2, 1));
    assert_eq!((before.records, before.facts), (1, 1));
    assert!(before.blobs.bytes >= 10_000 && before.index_bytes > 0);
    assert_eq!(before.reclaimable, before.blobs.bytes + before.layers.bytes);
    assert!(before.bytes() > before.reclaimable);
    let report = store.prune(&PruneOptions::ALL).unwrap();
    assert_eq!((report.blobs, report.layers), (before.blobs, before.layers));
    assert_eq!(
        (report.temporary, report.trash),
        (before.temporary, before.trash)
    );
    assert_eq!((report.records, report.facts), (1, 1));
    assert_eq!(
        (report.kept.len(), report.failures.len()),
        (0, 0),
        "{:?}",
        report.failures
    );
    assert_eq!(report.bytes(), before.bytes() - before.index_bytes);
    is_empty(&store);
    assert_eq!(names(&store, "live"), Vec::<String>::new());
    assert_eq!(names(&store, "locks"), ["index"]);
    // And the store works on.
    drop(store);
    fill(temp.path());
    assert_eq!(open(temp.path()).usage().unwrap().records, 1);
}

#[test]
fn nothing_in_use_goes() {
    let temp = tempfile::tempdir().unwrap();
    let (id, digest) = fill(temp.path());
    let user = open(temp.path());
    user.live().pin(&[Object::Blob(digest)]).unwrap();
    let hold = user.layers().hold(&id).unwrap().unwrap();
    let active = user.layers().new_layer().unwrap();
    let mut writer = user.blobs().writer().unwrap();
    std::io::Write::write_all(&mut writer, b"half").unwrap();

    let store = open(temp.path());
    assert_eq!(store.usage().unwrap().reclaimable, 0);
    let report = store.prune(&PruneOptions::ALL).unwrap();
    let kept = |object, reason| Kept { object, reason };
    assert_eq!(
        report.kept,
        [
            kept(Object::Blob(digest), Reason::Pinned),
            kept(Object::Layer(id), Reason::Held)
        ]
    );
    assert_eq!(report.bytes(), 0);
    assert!(hold.path().join("file").exists());
    // What was unfinished can be finished, and what this process makes stays.
    let blob = writer.commit(crate::Expect::ANY).unwrap().digest;
    let published = active.publish().unwrap();
    let report = store.prune(&PruneOptions::ALL).unwrap();
    assert_eq!((report.bytes(), report.kept.len()), (0, 4));
    assert!(published.path.exists());
    assert_eq!(
        store.blobs().read(&blob, 9).unwrap().as_deref(),
        Some(&b"half"[..])
    );
    drop((hold, user));
    assert_eq!(store.prune(&PruneOptions::ALL).unwrap().kept, []);
    is_empty(&store);
}

#[test]
fn a_partial_prune_leaves_what_was_used_lately() {
    let temp = tempfile::tempdir().unwrap();
    let (clock, day) = (Arc::new(FixedClock::at(0)), 86_400);
    let age = |path: &Path| {
        // Files carry the machine's time; the test's clock starts there.
        let file = std::fs::File::open(path).unwrap();
        file.metadata().unwrap().modified().unwrap()
    };
    let make = |n: u32| {
        let store = open_at(temp.path(), 1, &clock);
        let id = make_layer(&store);
        let bytes = vec![u8::try_from(n).unwrap(); 9000];
        store.blobs().put(&bytes).unwrap();
        let mut row = row_of(&store, id);
        row.used = 0;
        row.blob = Some(blob_ref(&bytes));
        store.index().put_layer(row);
        store
            .index()
            .put_records(vec![(key(n), record(b"r", &[id]))]);
        (id, store.blobs().path(&Digest::of(&bytes)))
    };
    let now = age(temp.path())
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    clock.advance(i64::try_from(now).unwrap());
    let (old, old_blob) = make(1);
    let (new, new_blob) = make(2);
    clock.advance(10 * day);
    {
        let store = open_at(temp.path(), 1, &clock);
        store.index().records(&[key(2)]).unwrap();
    }
    let store = open_at(temp.path(), 1, &clock);
    let report = store.prune(&PruneOptions::unused_for(20 * day)).unwrap();
    assert_eq!((report.bytes(), report.records), (0, 0));
    let report = store.prune(&PruneOptions::unused_for(5 * day)).unwrap();
    assert_eq!(
        (report.layers.n, report.blobs.n, report.records),
        (1, 1, 1),
        "{report:?} {:?}",
        store.index().all_layers()
    );
    assert!(!old_blob.exists() && new_blob.exists());
    assert_eq!(store.index().layer(&old).unwrap(), None);
    assert!(store.layers().dir(&new).unwrap().is_some());
    assert_eq!(store.index().records(&[key(1), key(2)]).unwrap()[0], None);
}

#[test]
fn the_index_follows_the_files() {
    let temp = tempfile::tempdir().unwrap();
    let (id, digest) = fill(temp.path());
    let user = open(temp.path());
    user.live().pin(&[Object::Blob(digest)]).unwrap();
    let store = open(temp.path());
    store.prune(&PruneOptions::ALL).unwrap();
    let row = store.index().layer(&id).unwrap().unwrap();
    assert_eq!(row.directory, Directory::Absent);
    assert_eq!(row.blob.map(|blob| blob.digest), Some(digest));
    drop(user);
    store.prune(&PruneOptions::ALL).unwrap();
    assert_eq!(store.index().layer(&id).unwrap(), None);
}

#[test]
fn closed_directories_of_an_ordinary_user_go_too() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("tree/a/b");
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("f"), "x").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).unwrap();
    crate::trash::remove(&temp.path().join("tree")).unwrap();
    crate::trash::remove(&temp.path().join("tree")).unwrap();
    assert!(!temp.path().join("tree").exists());
}

#[test]
fn prunes_and_builds_side_by_side() {
    let temp = tempfile::tempdir().unwrap();
    let roots = temp.path();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..2_u8)
            .map(|n| scope.spawn(move || build(roots, n)))
            .collect();
        let is_done = &is_done;
        for _ in 0..2 {
            scope.spawn(move || {
                let store = open(roots);
                while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                    let report = store.prune(&PruneOptions::ALL).unwrap();
                    assert_eq!(report.failures, Vec::<String>::new());
                }
            });
        }
        for builder in builders {
            builder.join().unwrap();
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let store = open(roots);
    store.prune(&PruneOptions::ALL).unwrap();
    is_empty(&store);
}

/// Makes blobs and layers; what a handle has made or pinned must stay until the handle ends.
fn build(root: &Path, n: u8) {
    for round in 0..20_u8 {
        let store = open(root);
        let shared = store.blobs().put(&[round; 5000]).unwrap().digest;
        let own = store.blobs().put(&[n, round]).unwrap().digest;
        let id = make_layer(&store);
        let chain = store
            .layers()
            .new_chain_layer(&shared)
            .unwrap()
            .publish()
            .unwrap();
        store
            .index()
            .put_records(vec![(key(u32::from(round)), record(b"r", &[id]))]);
        store.flush().unwrap();
        assert!(store.blobs().read(&shared, 1 << 20).unwrap().is_some());
        assert!(store.blobs().read(&own, 1 << 20).unwrap().is_some());
        assert!(chain.path.exists());
        let objects = [Object::Blob(shared), Object::Blob(own), Object::Layer(id)];
        assert_eq!(store.live().pin(&objects).unwrap(), [true; 3]);
        assert!(store.root().join(format!("layers/{id}/fs/file")).exists());
    }
}
