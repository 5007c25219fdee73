//! A store on a disk without space.

use std::io::Write;
use std::path::Path;

use acetate_store::{Expect, FactKey, PruneOptions, Store, StoreError};
use rustix::mount::{MountFlags, mount};

/// Starts the victim in a mount namespace of its own, so that no mount outlives it.
pub(super) fn test() {
    if !rustix::process::geteuid().is_root() {
        drop(writeln!(std::io::stdout(), "skipped: needs root"));
        return;
    }
    let temp = tempfile::tempdir().expect("a temporary directory");
    let exe = std::env::current_exe().expect("a program knows its path");
    let status = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(exe)
        .arg("fill-the-disk")
        .arg(temp.path())
        .status()
        .expect("unshare is part of every Linux system");
    assert!(status.success(), "{status}");
}

/// The victim: fills a small disk, sees clear errors, frees space and goes on.
pub(super) fn fill(dir: &Path) {
    mount(
        "none",
        dir,
        "tmpfs",
        MountFlags::empty(),
        Some(c"size=6m,mode=0700"),
    )
    .expect("root mounts a tmpfs in its own namespace");
    let store = Store::open(dir).expect("six MiB are enough for an empty store");
    store
        .index()
        .put_facts(vec![(FactKey::new("early", b"1"), vec![1])]);
    store.flush().expect("there is space");
    let n_blobs = fill_with_blobs(&store);
    assert!(n_blobs > 10, "{n_blobs}");
    check_refusals(&store);
    // Nothing half-written is left, and what was written before can be read.
    let usage = store.usage().expect("a full store can be measured");
    assert_eq!(usage.temporary.n, 0);
    assert_eq!(usage.blobs.n, n_blobs);
    for item in usage.items {
        if let acetate_store::Object::Blob(digest) = item.object {
            assert!(
                store
                    .blobs()
                    .read(&digest, 1 << 20)
                    .expect("it is whole")
                    .is_some()
            );
        }
    }
    drop(store);
    check_prune(dir);
}

fn fill_with_blobs(store: &Store) -> u64 {
    for n in 0_u64.. {
        let mut bytes = vec![0; 100_000];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        match store.blobs().put(&bytes) {
            Ok(_) => {}
            Err(error) => {
                assert!(error.is_full(), "{error}");
                assert!(error.to_string().contains("no space left"), "{error}");
                return fill_to_the_brim(store, n);
            }
        }
    }
    unreachable!("a disk of six MiB is full at some time")
}

/// Takes the last pages too, so that even a small write fails.
fn fill_to_the_brim(store: &Store, mut n: u64) -> u64 {
    for small in 0_u64.. {
        match store.blobs().put(format!("small {small}").as_bytes()) {
            Ok(_) => n += 1,
            Err(error) => {
                assert!(error.is_full(), "{error}");
                break;
            }
        }
    }
    n
}

fn check_refusals(store: &Store) {
    let big = std::io::Read::take(std::io::repeat(7), 50 << 20);
    let error = store
        .blobs()
        .ingest(big, Expect::ANY)
        .expect_err("the disk is full");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let facts = |n: u32| vec![(FactKey::new("late", &n.to_be_bytes()), vec![7; 100_000])];
    for n in 0..20 {
        store.index().put_facts(facts(n));
    }
    let error = store.flush().expect_err("the disk is full");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    // This process still knows what it could not write.
    let found = store
        .index()
        .facts(&[FactKey::new("late", &3_u32.to_be_bytes())]);
    assert_eq!(
        found.expect("reading needs no space"),
        [Some(vec![7; 100_000])]
    );
    let found = store.index().facts(&[FactKey::new("early", b"1")]);
    assert_eq!(found.expect("reading needs no space"), [Some(vec![1])]);
}

fn check_prune(dir: &Path) {
    let store = Store::open(dir).expect("a full store opens");
    let report = store
        .prune(&PruneOptions::ALL)
        .expect("a full store can be pruned");
    assert_eq!(report.failures, Vec::<String>::new());
    assert!(report.blobs.bytes > 2 << 20, "{report:?}");
    let usage = store.usage().expect("a store can be measured");
    assert_eq!(
        (usage.blobs.n, usage.trash.n, usage.records, usage.facts),
        (0, 0, 0, 0)
    );
    assert!(
        dir.join("reserve").exists(),
        "there is space for the reserve again"
    );
    store
        .blobs()
        .put(&vec![7; 1 << 20])
        .expect("there is space again");
    store
        .index()
        .put_facts(vec![(FactKey::new("again", b"1"), vec![1])]);
    store.flush().expect("there is space again");
}
