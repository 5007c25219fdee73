//! State directories that were damaged, or cannot be used.

use acetate_tests::{Mounted, World, files_below, needs_root};
use std::os::unix::fs::PermissionsExt;

const DOCKERFILE: &str = "
    FROM base AS a
    RUN echo a > /a
    FROM base
    COPY --from=a /a /
    RUN cat /a > /b
";

#[test]
fn an_index_of_garbage_is_made_anew() {
    let world = World::of(DOCKERFILE);
    let before = world.image(&["-tx", "--build-arg=SOURCE_DATE_EPOCH=1"]);
    for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        drop(std::fs::remove_file(world.root().join(name)));
    }
    std::fs::write(
        world.root().join("index.sqlite"),
        "this is no database at all".repeat(100),
    )
    .unwrap();
    let after = world.image(&["-tx", "--build-arg=SOURCE_DATE_EPOCH=1"]);
    assert_eq!(before.file("b"), after.file("b"));
    world.acetate(&["run", "x", "cat", "/b"]).ok();
}

#[test]
fn a_missing_index_is_made_anew() {
    let world = World::of(DOCKERFILE);
    world.build(&["-tx"]).ok();
    for path in files_below(&world.root()) {
        if path.to_string_lossy().starts_with("index.sqlite") {
            std::fs::remove_file(world.root().join(path)).unwrap();
        }
    }
    world.build(&["-tx"]).ok();
    world.acetate(&["prune", "--all", "--force"]).ok();
    assert_eq!(world.stored(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn layers_that_are_gone_are_made_again() {
    let world = World::of(DOCKERFILE);
    let before = world.image(&[]);
    std::fs::remove_dir_all(world.root().join("layers")).unwrap();
    std::fs::create_dir(world.root().join("layers")).unwrap();
    let after = world.image(&[]);
    assert_eq!(
        (before.file("a"), before.file("b")),
        (after.file("a"), after.file("b"))
    );
}

#[test]
fn one_layer_that_is_gone_is_made_again() {
    let world = World::of(DOCKERFILE);
    world.build(&["-otype=cacheonly"]).ok();
    let layers: Vec<_> = std::fs::read_dir(world.root().join("layers"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    for layer in layers {
        if layer.exists() {
            std::fs::remove_dir_all(&layer).unwrap();
        }
        let image = world.image(&[]);
        assert_eq!(image.file("b"), "a\n", "without {}", layer.display());
    }
}

#[test]
fn blobs_that_are_gone_or_damaged_are_made_again() {
    let world = World::of(DOCKERFILE);
    let before = world.image(&["-tx", "--build-arg=SOURCE_DATE_EPOCH=1"]);
    let blobs: Vec<_> = files_below(&world.root().join("blobs"));
    assert!(!blobs.is_empty());
    for (n, blob) in blobs.iter().enumerate() {
        let path = world.root().join("blobs").join(blob);
        if n % 2 == 0 {
            std::fs::remove_file(path).unwrap();
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0xff;
            std::fs::remove_file(&path).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
    let after = world.image(&["-tx", "--build-arg=SOURCE_DATE_EPOCH=1"]);
    assert_eq!(before.config.rootfs, after.config.rootfs);
}

#[test]
fn a_newer_version_is_refused_with_words() {
    let world = World::of(DOCKERFILE);
    world.build(&[]).ok();
    std::fs::write(world.root().join("version"), "acetate store 99\n").unwrap();
    world.build(&[]).fails(&["99"]);
    world.acetate(&["du"]).fails(&["99"]);
}

#[test]
fn a_directory_of_other_things_is_left_alone() {
    let world = World::of(DOCKERFILE);
    std::fs::create_dir(world.root()).unwrap();
    std::fs::write(world.root().join("precious"), "p").unwrap();
    let outcome = world.build(&[]);
    outcome.fails(&["root"]);
    assert_eq!(files_below(&world.root()).len(), 1);
}

#[test]
fn a_parent_that_others_can_write_is_refused() {
    let world = World::of(DOCKERFILE);
    let shared = world.dir().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::set_permissions(&shared, PermissionsExt::from_mode(0o777)).unwrap();
    let output = world
        .command_in(&shared.join("root"), &[])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    std::fs::set_permissions(&shared, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(
        world
            .command_in(&shared.join("root"), &[])
            .output()
            .unwrap()
            .status
            .success()
    );
    let mode = std::fs::metadata(shared.join("root"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_read_only_directory_is_one_clear_error() {
    if needs_root() {
        return;
    }
    let world = World::of(DOCKERFILE);
    let mounted = Mounted::tmpfs(&world.dir().join("small"), 64);
    let root = world.dir().join("small/root");
    assert!(
        world
            .command_in(&root, &[])
            .output()
            .unwrap()
            .status
            .success()
    );
    mounted.again("ro");
    let outcome = acetate_tests::Outcome::of(world.command_in(&root, &["--no-cache"]));
    outcome.fails(&["ead-only file system", "small/root"]);
    mounted.again("rw");
    acetate_tests::Outcome::of(world.command_in(&root, &["--no-cache"])).ok();
}
