use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use super::*;
use crate::StoreError;

fn refusal(root: &Path) -> StoreError {
    Store::open(root).expect_err("this store is refused")
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn makes_a_private_directory_with_a_version() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("deep/store");
    let store = open(&root);
    assert_eq!(std::fs::metadata(&root).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(
        std::fs::read_to_string(root.join("version")).unwrap(),
        "acetate store 1\n"
    );
    assert!(
        !root.join("index.sqlite").exists(),
        "the index is made by the first write"
    );
    assert_eq!(names(&store, "live"), Vec::<String>::new());
    drop(store);
    open(&root);
}

#[test]
fn an_own_directory_is_restricted() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("store");
    std::fs::create_dir(&root).unwrap();
    set_mode(&root, 0o777);
    open(&root);
    assert_eq!(std::fs::metadata(&root).unwrap().mode() & 0o7777, 0o700);
    set_mode(&root, 0o755);
    open(&root);
    set_mode(&root, 0o770);
    assert!(matches!(refusal(&root), StoreError::Unsafe { .. }));
}

#[test]
fn a_newer_version_is_refused_with_words() {
    let temp = tempfile::tempdir().unwrap();
    open(temp.path());
    std::fs::write(temp.path().join("version"), "acetate store 7\n").unwrap();
    let error = refusal(temp.path());
    assert!(matches!(
        error,
        StoreError::NewerVersion {
            found: 7,
            known: 1,
            ..
        }
    ));
    let text = error.to_string();
    assert!(
        text.contains("format 7") && text.contains("newer acetate"),
        "{text}"
    );
}

#[test]
fn foreign_directories_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("thesis.tex"), "precious").unwrap();
    let error = refusal(temp.path());
    assert!(matches!(error, StoreError::NotAStore { .. }));
    assert!(error.to_string().contains("thesis.tex"), "{error}");
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);

    let other = tempfile::tempdir().unwrap();
    std::fs::write(other.path().join("version"), "1.2.3").unwrap();
    assert!(matches!(
        refusal(other.path()),
        StoreError::NotAStore { .. }
    ));

    let file = temp.path().join("thesis.tex");
    assert!(matches!(refusal(&file), StoreError::Io { .. }));
}

#[test]
fn an_interrupted_first_open_is_finished() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir(temp.path().join("blobs")).unwrap();
    std::fs::write(temp.path().join(".version.77-0"), "").unwrap();
    std::fs::write(temp.path().join("version"), "").unwrap();
    let store = open(temp.path());
    store.blobs().put(b"x").unwrap();
}

#[test]
fn a_parent_that_others_can_write_is_refused() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("store");
    for mode in [0o770, 0o707, 0o777] {
        set_mode(temp.path(), mode);
        let error = refusal(&root);
        assert!(matches!(error, StoreError::Unsafe { .. }));
        assert!(error.to_string().contains("parent"), "{error}");
    }
    set_mode(temp.path(), 0o1777);
    open(&root);
}

#[test]
fn a_foreign_owner_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("store");
    open(&root);
    chown(&root, Some(4711), Some(4711)).unwrap();
    let error = refusal(&root);
    assert!(error.to_string().contains("user 4711"), "{error}");
}

#[test]
fn many_first_opens_at_once_succeed() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("store");
    std::thread::scope(|scope| {
        for n in 0..8_u8 {
            let root = &root;
            scope.spawn(move || {
                let store = open(root);
                store.blobs().put(&[n]).unwrap();
                store
                    .index()
                    .put_facts(vec![(crate::FactKey::new("n", &[n]), vec![n])]);
                store.flush().unwrap();
            });
        }
    });
    let store = open(&root);
    for n in 0..8_u8 {
        assert_eq!(store.blobs().has(&Digest::of(&[n])).unwrap(), Some(1));
        let fact = crate::FactKey::new("n", &[n]);
        assert_eq!(store.index().facts(&[fact]).unwrap(), [Some(vec![n])]);
    }
}

#[test]
fn errors_do_not_depend_on_panics_of_the_root() {
    let temp = tempfile::tempdir().unwrap();
    let link = temp.path().join("link");
    std::os::unix::fs::symlink(temp.path().join("real"), &link).unwrap();
    assert!(Store::open(&link).is_err(), "a dangling link is no place");
    std::fs::create_dir(temp.path().join("real")).unwrap();
    assert_eq!(
        open(&link).root(),
        temp.path().canonicalize().unwrap().join("real")
    );
}

#[tokio::test]
async fn a_lock_lets_one_in_and_leaves_no_file() {
    let temp = tempfile::tempdir().unwrap();
    let (one, two) = (open(temp.path()), open(temp.path()));
    let held = one.lock("vertex ../../1").await.unwrap();
    assert!(two.try_lock("vertex ../../1").unwrap().is_none());
    let other = two
        .try_lock("vertex 2")
        .unwrap()
        .expect("another name is free");
    let waiting = tokio::spawn({
        let two = Arc::clone(&two);
        async move { two.lock("vertex ../../1").await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    drop(held);
    let held = waiting.await.unwrap().unwrap();
    drop((held, other));
    assert_eq!(names(&one, "locks"), Vec::<String>::new());
}
