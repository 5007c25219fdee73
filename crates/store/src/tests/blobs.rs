use std::io::{self, Read, Write};

use super::*;
use crate::{Expect, Object, StoreError};

fn flip_byte(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_put_is_read_and_removed() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let blobs = store.blobs();
    for bytes in [&b""[..], b"x", &vec![7; 300_000]] {
        let ingested = blobs.put(bytes).unwrap();
        assert_eq!(ingested.digest, Digest::of(bytes));
        assert_eq!(
            blobs.has(&ingested.digest).unwrap(),
            Some(bytes.len() as u64)
        );
        assert_eq!(
            blobs.read(&ingested.digest, 1 << 20).unwrap().as_deref(),
            Some(bytes)
        );
        assert_eq!(std::fs::read(blobs.path(&ingested.digest)).unwrap(), bytes);
        assert!(blobs.remove(&ingested.digest).unwrap());
        assert!(!blobs.remove(&ingested.digest).unwrap());
        assert_eq!(blobs.has(&ingested.digest).unwrap(), None);
        assert!(blobs.open(&ingested.digest).unwrap().is_none());
    }
    assert_eq!(names(&store, "tmp"), Vec::<String>::new());
}

#[test]
fn what_this_process_wrote_is_hashed_again_once_anybody_changed_it() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let digest = store.blobs().put(b"our own bytes").unwrap().digest;
    let read = |store: &Store| {
        let mut bytes = Vec::new();
        let mut reader = store.blobs().open_known(&digest).unwrap().unwrap();
        reader.read_to_end(&mut bytes).map(|_| bytes)
    };
    assert_eq!(read(&store).unwrap(), b"our own bytes");
    let path = store.blobs().path(&digest);
    // Time is told in ticks: what changes within one looks unchanged.
    std::thread::sleep(std::time::Duration::from_millis(20));
    flip_byte(&path, 3);
    assert!(read(&store).is_err());
    // Another file of that name.
    let other = path.with_file_name("other");
    std::fs::write(&other, b"our oWn bytes").unwrap();
    std::fs::rename(&other, &path).unwrap();
    assert!(read(&store).is_err());
    // One that another process wrote.
    std::fs::write(&path, b"our own bytes").unwrap();
    assert_eq!(read(&open(temp.path())).unwrap(), b"our own bytes");
    flip_byte(&path, 3);
    assert!(read(&open(temp.path())).is_err());
}

#[test]
fn large_blobs_of_other_processes_are_verified_whatever_is_known_of_them() {
    let temp = tempfile::tempdir().unwrap();
    let bytes = vec![7; 3 << 20];
    let store = open(temp.path());
    let written = store.blobs().put(&bytes).unwrap().digest;
    let path = store.blobs().path(&written);
    drop(store);
    let read = || {
        let mut read = Vec::new();
        let store = open(temp.path());
        let mut reader = store.blobs().open_known(&written).unwrap().unwrap();
        reader.read_to_end(&mut read).map(|_| read == bytes)
    };
    // By the checksum that was noted when it was written, then by the digest, which notes it.
    for _ in 0..2 {
        assert!(read().unwrap());
        for at in [0, 1_000_000, bytes.len() - 1] {
            flip_byte(&path, at);
            assert!(read().is_err(), "{at}");
            flip_byte(&path, at);
        }
        for size in [bytes.len() - 1, 1 << 20, 5, bytes.len() + 1] {
            let mut other = bytes.clone();
            other.resize(size, 7);
            std::fs::write(&path, other).unwrap();
            assert!(read().is_err(), "{size} bytes");
        }
        std::fs::write(&path, &bytes).unwrap();
        assert!(read().unwrap());
        let store = open(temp.path());
        let key = crate::FactKey::new("blob-xxh3-128", written.as_bytes());
        assert!(store.index().facts(std::slice::from_ref(&key)).unwrap()[0].is_some());
        store.index().drop_fact(&key);
    }
}

#[test]
fn what_was_not_expected_is_not_kept() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let blobs = store.blobs();
    let wanted = Digest::of(b"wanted");
    let error = blobs
        .ingest(&b"other!"[..], Expect::digest(wanted))
        .unwrap_err();
    assert!(matches!(error, StoreError::WrongDigest { expected, .. } if expected == wanted));
    for bytes in [&b"wante"[..], b"wanted!", &vec![0; 100_000]] {
        let expect = Expect {
            digest: Some(wanted),
            size: Some(6),
        };
        let error = blobs.ingest(bytes, expect).unwrap_err();
        assert!(
            matches!(error, StoreError::WrongSize { expected: 6, .. }),
            "{error}"
        );
    }
    let mut writer = blobs.writer().unwrap();
    writer.write_all(b"dropped").unwrap();
    drop(writer);
    assert_eq!(blobs.has(&wanted).unwrap(), None);
    assert_eq!(names(&store, "tmp"), Vec::<String>::new());
    assert_eq!(names(&store, "blobs/sha256"), Vec::<String>::new());
}

#[test]
fn a_failing_source_leaves_nothing() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset"))
        }
    }
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let error = store
        .blobs()
        .ingest((&b"abc"[..]).chain(Broken), Expect::ANY)
        .unwrap_err();
    assert!(error.to_string().contains("reset"), "{error}");
    assert_eq!(names(&store, "tmp"), Vec::<String>::new());
}

#[test]
fn a_damaged_blob_is_an_error_before_its_last_byte() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let bytes = vec![9_u8; 100_000];
    let digest = store.blobs().put(&bytes).unwrap().digest;
    let path = store.blobs().path(&digest);
    for damage in [0, 50_000, 99_999] {
        flip_byte(&path, damage);
        let mut reader = store.blobs().open(&digest).unwrap().unwrap();
        // A reader that stops at the known size must notice, too.
        let error = reader.read_exact(&mut vec![0; 100_000]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = store.blobs().read(&digest, 1 << 20).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { digest: found } if found == digest));
        flip_byte(&path, damage);
    }
    for size in [0, 1, 99_999, 100_001] {
        std::fs::write(&path, vec![9_u8; size]).unwrap();
        let error = store.blobs().read(&digest, 1 << 20).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{size}");
    }
    // Making it again repairs it: that a file has the name proves nothing.
    store.blobs().put(&bytes).unwrap();
    assert_eq!(store.blobs().read(&digest, 1 << 20).unwrap(), Some(bytes));
}

#[test]
fn too_large_blobs_are_not_read_at_once() {
    let temp = tempfile::tempdir().unwrap();
    let store = open(temp.path());
    let digest = store.blobs().put(b"four").unwrap().digest;
    assert!(matches!(
        store.blobs().read(&digest, 3),
        Err(StoreError::WrongSize { .. })
    ));
}

#[test]
fn equal_blobs_from_many_threads_and_handles() {
    let temp = tempfile::tempdir().unwrap();
    let stores = [open(temp.path()), open(temp.path())];
    std::thread::scope(|scope| {
        for n in 0..8 {
            let store = &stores[n % 2];
            scope.spawn(move || {
                for round in 0..30_u8 {
                    let bytes = vec![round; 10_000];
                    let digest = store.blobs().put(&bytes).unwrap().digest;
                    assert_eq!(store.blobs().read(&digest, 1 << 20).unwrap(), Some(bytes));
                }
            });
        }
    });
    let usage = stores[0].usage().unwrap();
    assert_eq!((usage.blobs.n, usage.temporary.n), (30, 0));
}

#[test]
fn a_pin_tells_what_is_there_and_keeps_it() {
    let temp = tempfile::tempdir().unwrap();
    let digest = open(temp.path()).blobs().put(b"x").unwrap().digest;
    let store = open(temp.path());
    let objects = [Object::Blob(digest), Object::Blob(Digest::of(b"absent"))];
    assert_eq!(store.live().pin(&objects).unwrap(), [true, false]);
    assert_eq!(names(&store, "live").len(), 1);
    let pruner = open(temp.path());
    let report = pruner.prune(&crate::PruneOptions::ALL).unwrap();
    assert_eq!((report.blobs.n, report.kept.len()), (0, 1));
    drop(store);
    assert_eq!(pruner.prune(&crate::PruneOptions::ALL).unwrap().blobs.n, 1);
    assert_eq!(names(&pruner, "live"), Vec::<String>::new());
}

#[test]
fn reading_notes_the_use_once_an_hour() {
    use std::os::unix::fs::MetadataExt;
    let temp = tempfile::tempdir().unwrap();
    let clock = Arc::new(FixedClock::at(4_000_000_000));
    let store = open_at(temp.path(), 1, &clock);
    let digest = store.blobs().put(b"x").unwrap().digest;
    let used = || {
        std::fs::metadata(store.blobs().path(&digest))
            .unwrap()
            .mtime()
    };
    store.blobs().read(&digest, 9).unwrap();
    assert_eq!(used(), 4_000_000_000);
    clock.advance(3_599);
    store.blobs().read(&digest, 9).unwrap();
    assert_eq!(used(), 4_000_000_000);
    clock.advance(1);
    store.blobs().read(&digest, 9).unwrap();
    assert_eq!(used(), 4_000_003_600);
}
