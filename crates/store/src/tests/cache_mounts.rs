//! Directories of cache mounts: who gets which, and when they go.

use std::path::PathBuf;

use acetate_oci::Digest;

use super::open;
use crate::{CacheClaim, CacheFound, CacheHold, PruneOptions, Replaced, Store, Tally};

/// What a step does: takes a directory and makes it where there is none.
fn take(store: &Store, id: &str, claim: CacheClaim) -> Option<CacheHold> {
    let mounts = store.cache_mounts();
    loop {
        match mounts.claim(&Digest::of(id.as_bytes()), claim).unwrap() {
            CacheFound::Held(hold) => return Some(hold),
            CacheFound::Busy => return None,
            CacheFound::Missing(place) => mounts.create(place).unwrap().publish().unwrap(),
        }
    }
}

/// `<generation>.<slot>` of a hold.
fn slot(hold: &CacheHold) -> String {
    let slot = hold.path().parent().unwrap().file_name().unwrap();
    slot.to_str().unwrap().to_owned()
}

fn successor(store: &Store, id: &str) {
    let mounts = store.cache_mounts();
    let place = mounts.successor(&Digest::of(id.as_bytes())).unwrap();
    mounts.create(place).unwrap().publish().unwrap();
}

#[test]
fn s68_shared_ones_share_and_private_ones_do_not() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (open(temp.path()), open(temp.path()));
    let a = take(&one, "a", CacheClaim::Shared).unwrap();
    let b = take(&two, "a", CacheClaim::Shared).unwrap();
    assert_eq!((slot(&a), slot(&b)), ("0.0".into(), "0.0".into()));
    let private = take(&one, "a", CacheClaim::Private).unwrap();
    let another = take(&two, "a", CacheClaim::Private).unwrap();
    assert_eq!(
        (slot(&private), slot(&another)),
        ("0.1".into(), "0.2".into())
    );
    drop(private);
    let first_free = take(&two, "a", CacheClaim::Private).unwrap();
    assert_eq!(slot(&first_free), "0.1");
    // Another identity has nothing to do with it.
    let other = take(&one, "b", CacheClaim::Private).unwrap();
    assert_eq!(slot(&other), "0.0");
    drop((a, b));
    let alone = take(&one, "a", CacheClaim::Private).unwrap();
    let beside = take(&one, "a", CacheClaim::Shared).unwrap();
    assert_eq!((slot(&alone), slot(&beside)), ("0.0".into(), "0.3".into()));
}

#[test]
fn s68_a_locked_one_waits_for_the_first_directory() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let held = take(&store, "a", CacheClaim::Locked).unwrap();
    assert!(take(&store, "a", CacheClaim::Locked).is_none());
    let private = take(&store, "a", CacheClaim::Private).unwrap();
    assert_eq!(slot(&private), "0.1");
    drop((held, private));
    let shared = take(&store, "a", CacheClaim::Shared).unwrap();
    assert!(take(&store, "a", CacheClaim::Locked).is_none());
    drop(shared);
    let locked = take(&store, "a", CacheClaim::Locked).unwrap();
    assert_eq!(slot(&locked), "0.0");
}

#[test]
fn what_is_written_stays_and_what_was_not_finished_does_not() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let hold = take(&store, "a", CacheClaim::Shared).unwrap();
    std::fs::write(hold.path().join("file"), "x").unwrap();
    drop(hold);
    let digest = Digest::of(b"b");
    let CacheFound::Missing(place) = store
        .cache_mounts()
        .claim(&digest, CacheClaim::Shared)
        .unwrap()
    else {
        panic!("nothing was made yet");
    };
    let unfinished = store.cache_mounts().create(place).unwrap();
    std::fs::write(unfinished.path().join("half"), "x").unwrap();
    drop(unfinished);
    drop(store);
    let store = open(temp.path());
    let hold = take(&store, "a", CacheClaim::Private).unwrap();
    assert_eq!(
        std::fs::read_to_string(hold.path().join("file")).unwrap(),
        "x"
    );
    let other = take(&store, "b", CacheClaim::Shared).unwrap();
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);
}

#[test]
fn of_two_that_make_one_directory_the_first_wins() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let mounts = store.cache_mounts();
    let place = mounts.successor(&Digest::of(b"a")).unwrap();
    let [first, second] = ["first", "second"].map(|name| {
        let new = mounts.create(place).unwrap();
        std::fs::write(new.path().join(name), "").unwrap();
        new
    });
    first.publish().unwrap();
    second.publish().unwrap();
    let hold = take(&store, "a", CacheClaim::Shared).unwrap();
    assert!(hold.path().join("first").exists());
    assert!(!hold.path().join("second").exists());
    assert_eq!(store.usage().unwrap().cache_mounts.n, 1);
    assert_eq!(store.usage().unwrap().temporary, Tally::default());
}

#[test]
fn s69_a_successor_replaces_what_nobody_uses() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let other = take(&store, "b", CacheClaim::Shared).unwrap();
    let old = take(&store, "a", CacheClaim::Shared).unwrap();
    drop(take(&store, "a", CacheClaim::Private).unwrap());
    successor(&store, "a");
    // The one in use stays for its user, its neighbour went.
    let dir: PathBuf = old.path().parent().unwrap().parent().unwrap().to_owned();
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(), ["0.0", "1.0"]);
    let new = take(&store, "a", CacheClaim::Shared).unwrap();
    assert_eq!(slot(&new), "1.0");
    drop(old);
    // A prune that keeps cache mounts still takes what was replaced.
    let report = store.prune(&PruneOptions::unused_for(1)).unwrap();
    assert_eq!(report.cache_mounts.n, 1);
    assert_eq!(names(), ["1.0"]);
    assert_eq!(slot(&other), "0.0");
}

#[test]
fn prune_keeps_cache_mounts_unless_all_goes_and_never_takes_one_in_use() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let used = take(&store, "used", CacheClaim::Shared).unwrap();
    let free = take(&store, "free", CacheClaim::Locked).unwrap();
    std::fs::write(free.path().join("file"), vec![1; 100_000]).unwrap();
    drop(free);
    let usage = store.usage().unwrap();
    assert_eq!(usage.cache_mounts.n, 2);
    assert!(usage.cache_mounts.bytes > 100_000);
    assert!((100_000..usage.cache_mounts.bytes).contains(&usage.reclaimable));
    assert!(usage.bytes() >= usage.cache_mounts.bytes);

    let report = store.prune(&PruneOptions::unused_for(0)).unwrap();
    assert_eq!(report.cache_mounts, Tally::default());
    let report = store.prune(&PruneOptions::ALL).unwrap();
    assert_eq!((report.cache_mounts.n, report.cache_mounts_in_use), (1, 1));
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(used.path().exists());
    drop(used);
    let report = store.prune(&PruneOptions::ALL).unwrap();
    assert_eq!((report.cache_mounts.n, report.cache_mounts_in_use), (1, 0));
    let left = std::fs::read_dir(temp.path().join("cache-mounts"));
    assert_eq!(left.unwrap().count(), 0);
}

/// Looking at a lock takes it for a moment, which must never push a step into another directory.
#[test]
fn whoever_looks_is_no_user() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    drop(take(&store, "a", CacheClaim::Shared).unwrap());
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let is_done = &is_done;
        let root = temp.path();
        scope.spawn(move || {
            let store = open(root);
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                store.usage().unwrap();
            }
        });
        for _ in 0..300 {
            let hold = take(&store, "a", CacheClaim::Locked).expect("nobody else uses it");
            assert_eq!(slot(&hold), "0.0");
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn scratch_directories_go_with_their_owner() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let scratch = store.scratch().unwrap();
    let path = scratch.path().to_owned();
    std::fs::write(path.join("file"), "").unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    store.prune(&PruneOptions::ALL).unwrap();
    assert!(path.exists(), "it is in use");
    drop(scratch);
    assert!(!path.exists());
}

#[test]
fn there_is_a_first_directory_once() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let (mounts, id) = (store.cache_mounts(), Digest::of(b"a"));
    let place = mounts.first(&id).unwrap().expect("there is none");
    mounts.create(place).unwrap().publish().unwrap();
    assert_eq!(mounts.first(&id).unwrap(), None);
    successor(&store, "a");
    assert_eq!(mounts.first(&id).unwrap(), None);
}

#[test]
fn what_one_has_alone_is_not_at_rest_and_looking_disturbs_nobody() {
    let temp = tempfile::tempdir().unwrap();
    let (store, other) = (open(temp.path()), open(temp.path()));
    let id = Digest::of(b"a");
    let at_rest = || other.cache_mounts().at_rest(&id).unwrap();
    assert_eq!(at_rest(), None);
    let shared = take(&store, "a", CacheClaim::Shared).unwrap();
    let path = at_rest().expect("others may share it");
    assert_eq!(path, shared.path());
    drop(shared);
    let locked = take(&store, "a", CacheClaim::Locked).expect("nobody holds it");
    assert_eq!(at_rest(), None);
    drop(locked);
    // A private one beside a shared one is the second: the first stays the one to look at.
    let shared = take(&store, "a", CacheClaim::Shared).unwrap();
    let _private = take(&store, "a", CacheClaim::Private).unwrap();
    assert_eq!(at_rest(), Some(path));
    drop(shared);
    successor(&store, "a");
    let newest = at_rest().unwrap();
    assert!(newest.ends_with("1.0/fs"), "{newest:?}");
}

#[test]
fn what_nobody_signed_is_known_until_it_is_replaced() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let (mounts, id) = (store.cache_mounts(), Digest::of(b"a"));
    let is_unsigned = || mounts.is_unsigned(&id).unwrap();
    assert!(!is_unsigned());
    let new = mounts.create(mounts.first(&id).unwrap().unwrap()).unwrap();
    new.mark_unsigned().unwrap();
    new.publish().unwrap();
    assert!(is_unsigned());
    assert!(!mounts.is_unsigned(&Digest::of(b"b")).unwrap());
    let hold = take(&store, "a", CacheClaim::Shared).unwrap();
    assert_eq!(
        std::fs::read_dir(hold.path()).unwrap().count(),
        0,
        "no step sees it"
    );
    successor(&store, "a");
    assert!(!is_unsigned());
}

#[test]
fn what_is_put_in_the_place_of_others_waits_for_nobody_and_takes_nothing_from_anybody() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let mounts = store.cache_mounts();
    let identity = Digest::of(b"a");
    let replace = |text: &str| {
        let new = mounts.create(mounts.successor(&identity).unwrap()).unwrap();
        std::fs::write(new.path().join("file"), text).unwrap();
        new.replace().unwrap()
    };
    let read = || {
        let held = take(&store, "a", CacheClaim::Shared).unwrap();
        std::fs::read_to_string(held.path().join("file")).unwrap()
    };
    assert_eq!((replace("one"), read()), (Replaced::Done, "one".into()));
    for claim in [CacheClaim::Shared, CacheClaim::Locked] {
        let held = take(&store, "a", claim).unwrap();
        assert_eq!(replace("two"), Replaced::InUse);
        drop(held);
        assert_eq!(read(), "one");
    }
    // Also where only the second directory is in use.
    let first = take(&store, "a", CacheClaim::Private).unwrap();
    let second = take(&store, "a", CacheClaim::Private).unwrap();
    drop(first);
    assert_eq!(replace("two"), Replaced::InUse);
    drop(second);
    assert_eq!((replace("two"), read()), (Replaced::Done, "two".into()));
    assert_eq!(mounts.list().unwrap()[0].dirs.len(), 1);
}

#[test]
fn who_reads_a_directory_keeps_out_those_who_want_it_alone() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let hold = || store.cache_mounts().hold(&Digest::of(b"a")).unwrap();
    assert!(matches!(hold(), CacheFound::Missing(_)));
    drop(take(&store, "a", CacheClaim::Locked));
    let CacheFound::Held(held) = hold() else {
        panic!("nobody has it");
    };
    assert_eq!(slot(&held), "0.0");
    assert!(take(&store, "a", CacheClaim::Locked).is_none());
    assert_eq!(slot(&take(&store, "a", CacheClaim::Shared).unwrap()), "0.0");
    drop(held);
    let alone = take(&store, "a", CacheClaim::Private).unwrap();
    assert_eq!(slot(&alone), "0.0");
    assert!(matches!(hold(), CacheFound::Busy));
}
