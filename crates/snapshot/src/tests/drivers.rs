//! One suite over both drivers: what a step leaves, what its layer says, what the blob gives back.

use super::support::*;
use crate::{DriverChoice, Snapshot};
use acetate_oci::Timestamp;
use expect_test::{Expect, expect};
use rustix::fs::{CWD, FileType, Gid, Mode, Uid, XattrFlags};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Makes `base` in one step and changes it in another, with both drivers.
///
/// The tar of the change must be the one expected, bit for bit the same from both; and what the
/// change left must be seen again over the snapshot, and over its blobs in another store.
fn check(base: fn(&Path), change: fn(&Path), expected: &Expect) {
    let mut seen = Vec::new();
    for world in worlds() {
        let below = world.step(&Snapshot::scratch(), base);
        let mut left = String::new();
        let above = world.step(&below, |root| {
            change(root);
            left = describe_tree(root);
        });
        assert_eq!(world.observe(&above), left, "seen over the snapshot");
        let other = World::new(world.snapshots.0.options.driver);
        let copy = world.transfer(&above, &other);
        assert_eq!(other.observe(&copy), left, "seen over the blobs");
        for (layer, copied) in above.layers().iter().zip(copy.layers()) {
            let listing = world.snapshots.listing(layer).unwrap();
            assert_eq!(listing, other.snapshots.listing(copied).unwrap());
            assert!(listing.is_digested());
        }
        let top = world.blobs(&above).pop().unwrap();
        let mut tar = Vec::new();
        let mut blob = world
            .store()
            .blobs()
            .open(&top.blob.digest)
            .unwrap()
            .unwrap();
        blob.read_to_end(&mut tar).unwrap();
        expected.assert_eq(&tar_lines(&tar));
        seen.push(top.diff_id);
    }
    assert!(
        seen.windows(2).all(|pair| pair[0] == pair[1]),
        "drivers differ"
    );
}

fn at(path: impl AsRef<Path>) {
    set_time(path, THEN);
}

fn nothing(_: &Path) {}

/// Files in the root and in two directories, all of one moment.
fn tree(root: &Path) {
    for dir in ["dir", "dir/sub", "other"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    for file in ["a", "b", "dir/x", "dir/y", "dir/sub/z"] {
        write(root.join(file), file);
        at(root.join(file));
    }
    for dir in ["dir/sub", "dir", "other"] {
        at(root.join(dir));
    }
}

#[test]
fn a_step_that_changes_nothing_gives_an_empty_tar() {
    check(tree, nothing, &expect![""]);
    check(
        tree,
        |root| {
            let file = root.join("a");
            fs::OpenOptions::new().append(true).open(&file).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
            write(root.join("dir/made"), "and gone");
            fs::remove_file(root.join("dir/made")).unwrap();
            at(root.join("dir"));
        },
        &expect![""],
    );
}

#[test]
fn files_are_made_changed_and_deleted() {
    check(
        tree,
        |root| {
            write(root.join("new"), "new");
            at(root.join("new"));
            let mut file = fs::OpenOptions::new()
                .append(true)
                .open(root.join("b"))
                .unwrap();
            file.write_all(b"more").unwrap();
            drop(file);
            at(root.join("b"));
            fs::remove_file(root.join("dir/x")).unwrap();
            at(root.join("dir"));
        },
        &expect![[r"
            f 644 0:0 5 @1000000000 b mtime=1000000000.123456789
            d 755 0:0 0 @1000000000 dir/ mtime=1000000000.123456789
            f 0 0:0 0 @0 dir/.wh.x
            f 644 0:0 3 @1000000000 new mtime=1000000000.123456789
        "]],
    );
}

#[test]
fn same_size_and_time_but_other_content_is_a_change() {
    check(
        tree,
        |root| {
            write(root.join("a"), "b");
            at(root.join("a"));
            // Moved into each other's place: neither inode was written.
            fs::rename(root.join("dir/x"), root.join("t")).unwrap();
            fs::rename(root.join("dir/y"), root.join("dir/x")).unwrap();
            fs::rename(root.join("t"), root.join("dir/y")).unwrap();
            at(root.join("dir"));
        },
        &expect![[r"
            f 644 0:0 1 @1000000000 a mtime=1000000000.123456789
            d 755 0:0 0 @1000000000 dir/ mtime=1000000000.123456789
            f 644 0:0 5 @1000000000 dir/x mtime=1000000000.123456789
            f 644 0:0 5 @1000000000 dir/y mtime=1000000000.123456789
        "]],
    );
}

#[test]
fn a_deleted_tree_is_one_whiteout() {
    check(
        tree,
        |root| fs::remove_dir_all(root.join("dir")).unwrap(),
        &expect![[r"
            f 0 0:0 0 @0 .wh.dir
        "]],
    );
    check(
        tree,
        |root| {
            fs::remove_dir_all(root.join("dir/sub")).unwrap();
            at(root.join("dir"));
        },
        &expect![[r"
            d 755 0:0 0 @1000000000 dir/ mtime=1000000000.123456789
            f 0 0:0 0 @0 dir/.wh.sub
        "]],
    );
}

#[test]
fn a_directory_made_anew_hides_what_was_in_it() {
    check(
        tree,
        |root| {
            fs::remove_dir_all(root.join("dir")).unwrap();
            fs::create_dir_all(root.join("dir/sub")).unwrap();
            write(root.join("dir/y"), "anew");
            write(root.join("dir/sub/new"), "");
            for path in ["dir/y", "dir/sub/new", "dir/sub", "dir"] {
                at(root.join(path));
            }
        },
        &expect![[r"
            d 755 0:0 0 @1000000000 dir/ mtime=1000000000.123456789
            d 755 0:0 0 @1000000000 dir/sub/ mtime=1000000000.123456789
            f 644 0:0 0 @1000000000 dir/sub/new mtime=1000000000.123456789
            f 0 0:0 0 @0 dir/sub/.wh.z
            f 0 0:0 0 @0 dir/.wh.x
            f 644 0:0 4 @1000000000 dir/y mtime=1000000000.123456789
        "]],
    );
}

#[test]
fn files_and_directories_replace_each_other() {
    check(
        tree,
        |root| {
            fs::remove_dir_all(root.join("dir")).unwrap();
            write(root.join("dir"), "file");
            at(root.join("dir"));
            fs::remove_file(root.join("a")).unwrap();
            fs::create_dir(root.join("a")).unwrap();
            write(root.join("a/in"), "");
            at(root.join("a/in"));
            at(root.join("a"));
            fs::remove_dir(root.join("other")).unwrap();
            symlink("a", root.join("other")).unwrap();
            at(root.join("other"));
        },
        &expect![[r"
            d 755 0:0 0 @1000000000 a/ mtime=1000000000.123456789
            f 644 0:0 0 @1000000000 a/in mtime=1000000000.123456789
            f 644 0:0 4 @1000000000 dir mtime=1000000000.123456789
            l 777 0:0 0 @1000000000 other -> a mtime=1000000000.123456789
        "]],
    );
}

#[test]
fn owners_modes_and_attributes_are_kept() {
    check(
        tree,
        |root| {
            let chown = |path: &str, id| {
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id + 1));
                rustix::fs::chownat(CWD, root.join(path), Some(uid), Some(gid), flags).unwrap();
            };
            chown("a", 1000);
            chown("dir", 3_000_000);
            fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o6755)).unwrap();
            fs::set_permissions(root.join("other"), fs::Permissions::from_mode(0o1777)).unwrap();
            let set = |path: &str, name: &str, value: &[u8]| {
                rustix::fs::setxattr(root.join(path), name, value, XattrFlags::empty()).unwrap();
            };
            set("b", "user.key", b"a=b\0");
            set("b", "trusted.mine", b"no");
            let capability = [&[0, 0, 0, 2][..], &[0x20, 0, 0, 0], &[0; 12]].concat();
            set("dir/x", "security.capability", &capability);
        },
        &expect![[r"
            f 6755 1000:1001 1 @1000000000 a mtime=1000000000.123456789
            f 644 0:0 1 @1000000000 b SCHILY.xattr.user.key=a=b\x00 mtime=1000000000.123456789
            d 755 3000000:3000001 0 @1000000000 dir/ gid=3000001 mtime=1000000000.123456789 uid=3000000
            f 644 0:0 5 @1000000000 dir/x SCHILY.xattr.security.capability=(77) mtime=1000000000.123456789
            d 1777 0:0 0 @1000000000 other/ mtime=1000000000.123456789
        "]],
    );
}

#[test]
fn hard_links_have_one_file_per_layer() {
    check(
        |root| {
            tree(root);
            fs::hard_link(root.join("b"), root.join("dir/link")).unwrap();
            at(root.join("dir"));
        },
        |root| {
            // A new group, a group that grows, and a write through one of two names.
            write(root.join("p"), "pair");
            at(root.join("p"));
            fs::hard_link(root.join("p"), root.join("dir/q")).unwrap();
            fs::hard_link(root.join("a"), root.join("z")).unwrap();
            write(root.join("dir/link"), "broken");
            at(root.join("dir/link"));
            at(root.join("dir"));
        },
        &expect![[r"
            f 644 0:0 1 @1000000000 a mtime=1000000000.123456789
            d 755 0:0 0 @1000000000 dir/ mtime=1000000000.123456789
            f 644 0:0 6 @1000000000 dir/link mtime=1000000000.123456789
            f 644 0:0 4 @1000000000 dir/q mtime=1000000000.123456789
            h 644 0:0 0 @1000000000 p -> dir/q mtime=1000000000.123456789
            h 644 0:0 0 @1000000000 z -> a mtime=1000000000.123456789
        "]],
    );
}

#[test]
fn links_devices_and_fifos_are_kept() {
    check(
        tree,
        |root| {
            let node = |name: &str, kind, device| {
                let mode = Mode::from_raw_mode(0o640);
                rustix::fs::mknodat(CWD, root.join(name), kind, mode, device).unwrap();
                at(root.join(name));
            };
            node("char", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
            node("block", FileType::BlockDevice, rustix::fs::makedev(8, 17));
            node("fifo", FileType::Fifo, 0);
            symlink("../outside/\u{fc}", root.join("link")).unwrap();
            set_time(root.join("link"), Timestamp::new(-5, 500_000_000));
        },
        &expect![[r"
            b 640 0:0 0 @1000000000 block mtime=1000000000.123456789
            c 640 0:0 0 @1000000000 char mtime=1000000000.123456789
            p 640 0:0 0 @1000000000 fifo mtime=1000000000.123456789
            l 777 0:0 0 @0 link -> ../outside/\xc3\xbc mtime=-4.5
        "]],
    );
}

#[test]
fn sockets_never_reach_a_layer() {
    check(
        tree,
        |root| {
            let node = |name: &str| {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(CWD, root.join(name), FileType::Socket, mode, 0).unwrap();
            };
            fs::remove_file(root.join("dir/x")).unwrap();
            node("dir/x");
            node("dir/sub/socket");
            at(root.join("dir/sub"));
            at(root.join("dir"));
            // What the step itself sees is compared below, so the sockets go unseen here too.
            for name in ["dir/x", "dir/sub/socket"] {
                fs::rename(root.join(name), root.join("dir/sub/s")).unwrap();
                fs::remove_file(root.join("dir/sub/s")).unwrap();
            }
            at(root.join("dir/sub"));
            at(root.join("dir"));
        },
        &expect![[r"
            d 755 0:0 0 @1000000000 dir/ mtime=1000000000.123456789
            f 0 0:0 0 @0 dir/.wh.x
        "]],
    );
    for world in worlds() {
        let base = world.step(&Snapshot::scratch(), tree);
        let above = world.step(&base, |root| {
            fs::remove_file(root.join("dir/x")).unwrap();
            for name in ["dir/x", "dir/new"] {
                let path = root.join(name);
                rustix::fs::mknodat(CWD, path, FileType::Socket, Mode::RWXU, 0).unwrap();
            }
            at(root.join("dir"));
        });
        let seen = world.observe(&above);
        assert!(
            !seen.contains("dir/x") && !seen.contains("dir/new"),
            "{seen}"
        );
        let other = World::new(DriverChoice::Overlay);
        let copy = world.transfer(&above, &other);
        assert_eq!(other.observe(&copy), seen);
    }
}

#[test]
fn the_root_itself_may_change() {
    check(
        tree,
        |root| {
            fs::set_permissions(root, fs::Permissions::from_mode(0o700)).unwrap();
            rustix::fs::chown(root, Some(Uid::from_raw(5)), None).unwrap();
            fs::remove_file(root.join("a")).unwrap();
        },
        &expect![[r"
            d 700 5:0 0 @0 ./
            f 0 0:0 0 @0 .wh.a
        "]],
    );
    for world in worlds() {
        let private = world.step(&Snapshot::scratch(), |root| {
            fs::set_permissions(root, fs::Permissions::from_mode(0o700)).unwrap();
        });
        let above = world.step(&private, |root| write(root.join("x"), ""));
        let layer = world.snapshots.prepare_layer(&above).unwrap();
        write(layer.path().join("y"), "");
        let above = layer.commit().unwrap();
        assert!(
            world.observe(&above).starts_with("/ 700 0:0"),
            "inherited by later layers"
        );
    }
}

#[test]
fn long_names_and_deep_trees_are_kept() {
    check(
        nothing,
        |root| {
            let long = "n".repeat(200);
            let deep = root.join("d").join(&long);
            fs::create_dir_all(&deep).unwrap();
            write(deep.join(&long), "x");
            symlink("t".repeat(150), root.join("link")).unwrap();
            for path in [
                &deep.join(&long),
                &deep,
                &root.join("d"),
                &root.join("link"),
            ] {
                at(path);
            }
        },
        &expect![[r"
            d 755 0:0 0 @1000000000 d/ mtime=1000000000.123456789
            d 755 0:0 0 @1000000000 (203) mtime=1000000000.123456789 path=(203)
            f 644 0:0 1 @1000000000 (403) mtime=1000000000.123456789 path=(403)
            l 777 0:0 0 @1000000000 link -> tttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttttt linkpath=(150) mtime=1000000000.123456789
        "]],
    );
}

#[test]
fn a_dropped_root_leaves_nothing() {
    for world in worlds() {
        let base = world.step(&Snapshot::scratch(), tree);
        let before = world.leftovers();
        let active = world.snapshots.prepare(&base).unwrap();
        write(active.root().writable().join("x"), "lost");
        drop(active);
        drop(world.snapshots.prepare_layer(&base).unwrap());
        assert_eq!(world.leftovers(), before);
    }
}

#[test]
fn names_that_mean_deletions_cannot_be_stored() {
    for world in worlds() {
        let above = world.step(&Snapshot::scratch(), |root| write(root.join(".wh.x"), ""));
        let error = world.snapshots.seal(&above.layers()[0]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`.wh.x` has a name that means a deletion in a layer (`.wh.`)"
        );
    }
}

#[test]
fn an_unsealed_snapshot_is_found_again() {
    for world in worlds() {
        let base = world.step(&Snapshot::scratch(), tree);
        let above = world.step(&base, |root| fs::remove_file(root.join("a")).unwrap());
        let (ids, seen, blobs) = (above.ids(), world.observe(&above), world.blobs(&above));
        drop((base, above));
        let world = world.reopen();
        let again = world.snapshots.from_layers(&ids).unwrap().unwrap();
        assert_eq!(world.observe(&again), seen);
        assert_eq!(world.blobs(&again), blobs);
        let fresh = world.snapshots.from_layers(&ids).unwrap().unwrap();
        assert_eq!(fresh, again);
        let unknown = [ids[0], acetate_store::LayerId::random()];
        assert!(world.snapshots.from_layers(&unknown).unwrap().is_none());
    }
}

#[test]
fn a_layer_is_sealed_once_and_again_when_its_blob_is_gone() {
    for world in worlds() {
        let above = world.step(&Snapshot::scratch(), tree);
        let layer = &above.layers()[0];
        assert!(layer.diff_id().is_none() && above.diff_ids().is_none());
        let sealed = world.snapshots.seal(layer).unwrap();
        assert!(std::sync::Arc::ptr_eq(
            &sealed,
            &world.snapshots.seal(layer).unwrap()
        ));
        assert_eq!(above.diff_ids(), Some(vec![sealed.diff_id]));
        assert!(world.store().blobs().remove(&sealed.diff_id).unwrap());
        assert_eq!(world.snapshots.seal(layer).unwrap(), sealed);
        assert!(
            world
                .store()
                .blobs()
                .has(&sealed.diff_id)
                .unwrap()
                .is_some()
        );
    }
}

#[test]
fn overlay_is_probed_once_per_boot() {
    if !is_root() {
        return;
    }
    let world = World::new(DriverChoice::Auto);
    let driver = world.snapshots.driver().unwrap();
    assert!(world.leftovers().is_empty(), "the trial left something");
    let world = world.reopen();
    let start = std::time::Instant::now();
    assert_eq!(world.snapshots.driver().unwrap(), driver);
    assert!(start.elapsed().as_millis() < 50);
}
