//! Long chains, stacking, and what making layers costs.

use super::foreign::tar_of;
use super::support::*;
use crate::{DriverChoice, RootMount, Snapshot};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

fn file_layer(world: &World, base: &Snapshot, name: &str) -> Snapshot {
    let layer = world.snapshots.prepare_layer(base).unwrap();
    write(layer.path().join(name), name);
    layer.commit().unwrap()
}

#[test]
fn more_layers_than_overlayfs_takes() {
    if !is_root() {
        return;
    }
    let world = World::new(DriverChoice::Overlay);
    let mut snapshot = world.step(&Snapshot::scratch(), |root| {
        fs::create_dir(root.join("dir")).unwrap();
        write(root.join("dir/a"), "a");
        fs::hard_link(root.join("dir/a"), root.join("dir/b")).unwrap();
        write(root.join("gone"), "");
    });
    snapshot = world.step(&snapshot, |root| {
        fs::remove_file(root.join("gone")).unwrap();
    });
    for n in 0..508 {
        snapshot = file_layer(&world, &snapshot, &format!("f{}", n % 300));
    }
    assert_eq!(snapshot.layers().len(), 510);
    let active = world.snapshots.prepare(&snapshot).unwrap();
    let RootMount::Overlay { lower, .. } = active.root() else {
        panic!("not an overlay");
    };
    assert!(lower.len() <= RootMount::MAX_LOWERS, "{}", lower.len());
    let merged = lower.last().unwrap().clone();
    let mounted = Mounted::new(active.root());
    let names = fs::read_dir(&mounted.path).unwrap().count();
    assert_eq!(names, 301);
    assert_eq!(fs::read(mounted.path.join("f299")).unwrap(), b"f299");
    assert!(!mounted.path.join("gone").exists());
    fs::remove_file(mounted.path.join("f0")).unwrap();
    write(mounted.path.join("dir/a"), "changed");
    drop(mounted);
    let above = active.commit().unwrap();
    assert_eq!(
        fs::read(merged.join("dir/b")).unwrap(),
        b"a",
        "lower layers never change"
    );
    let blob = world.blobs(&above).pop().unwrap();
    let tar = world
        .store()
        .blobs()
        .read(&blob.blob.digest, 1 << 20)
        .unwrap()
        .unwrap();
    let lines = tar_lines(&tar);
    let names: Vec<_> = lines
        .lines()
        .map(|line| line.split(' ').nth(5).unwrap())
        .collect();
    assert_eq!(names, ["dir/", "dir/a", ".wh.f0"]);
    let again = world.snapshots.prepare(&snapshot).unwrap();
    let RootMount::Overlay { lower, .. } = again.root() else {
        panic!("not an overlay");
    };
    assert_eq!(lower.last(), Some(&merged), "merged once, used again");
}

#[test]
fn layers_are_stacked_on_other_chains() {
    for world in worlds() {
        let base = world.step(&Snapshot::scratch(), |root| write(root.join("base"), ""));
        let link = file_layer(&world, &Snapshot::scratch(), "linked");
        let stacked = world.snapshots.stack(&base, &link).unwrap();
        assert_eq!(stacked.layers()[1], link.layers()[0], "taken as it is");
        let seen = world.observe(&stacked);
        assert!(
            seen.contains("/base ") && seen.contains("/linked "),
            "{seen}"
        );
        let two = world.step(&link, |root| fs::remove_file(root.join("linked")).unwrap());
        let stacked = world.snapshots.stack(&base, &two).unwrap();
        assert_eq!(stacked.layers().len(), 3);
        let seen = world.observe(&stacked);
        assert!(
            seen.contains("/base ") && !seen.contains("/linked "),
            "{seen}"
        );
        let same = world.snapshots.stack(&Snapshot::scratch(), &two).unwrap();
        assert_eq!(same, two);
        let ids = world.snapshots.stack(&base, &link).unwrap().ids();
        let diff = world.blobs(&link)[0].diff_id;
        drop((base, link, two, stacked, same));
        let world = world.reopen();
        let again = world.snapshots.from_layers(&ids).unwrap().unwrap();
        assert_eq!(
            world.blobs(&again)[1].diff_id,
            diff,
            "its diff is that against scratch"
        );
    }
}

#[test]
fn a_chain_made_by_one_driver_serves_the_other() {
    if !is_root() {
        return;
    }
    let base = |root: &Path| {
        fs::create_dir(root.join("d")).unwrap();
        write(root.join("d/x"), "x");
        write(root.join("y"), "y");
    };
    let change = |root: &Path| {
        fs::remove_file(root.join("d/x")).unwrap();
        write(root.join("d/new"), "new");
    };
    for (first, second) in [
        (DriverChoice::Copy, DriverChoice::Overlay),
        (DriverChoice::Overlay, DriverChoice::Copy),
    ] {
        let world = World::new(first);
        let below = world.step(&Snapshot::scratch(), base);
        let above = world.step(&below, change);
        let above = file_layer(&world, &above, "file");
        let seen = world.observe(&above);
        let store = std::sync::Arc::clone(&world.snapshots.0.store);
        let other = crate::Snapshots::open(store, second);
        let same = other.from_layers(&above.ids()).unwrap().unwrap();
        let active = other.prepare(&same).unwrap();
        let mounted = Mounted::new(active.root());
        assert_eq!(describe_tree(&mounted.path), seen);
    }
}

#[test]
fn a_local_layer_without_its_directory_goes_on_by_its_blob() {
    for world in worlds() {
        let base = world.step(&Snapshot::scratch(), |root| write(root.join("a"), "a"));
        let above = file_layer(&world, &base, "b");
        let (ids, seen) = (above.ids(), world.observe(&above));
        let blobs = world.blobs(&above);
        for layer in above.layers() {
            let dir = world.snapshots.dir(layer).unwrap();
            fs::remove_dir_all(dir.parent().unwrap()).unwrap();
        }
        drop((base, above));
        let world = world.reopen();
        let again = world.snapshots.from_layers(&ids).unwrap().unwrap();
        assert_eq!(world.observe(&again), seen);
        assert_eq!(world.blobs(&again), blobs);
        world.store().blobs().remove(&blobs[1].diff_id).unwrap();
        for layer in again.layers() {
            let dir = world.snapshots.dir(layer).unwrap();
            fs::remove_dir_all(dir.parent().unwrap()).unwrap();
        }
        drop(again);
        let world = world.reopen();
        assert!(world.snapshots.from_layers(&ids).unwrap().is_none());
    }
}

#[test]
fn one_layer_is_unpacked_once_by_many_threads() {
    if !is_root() {
        return;
    }
    let world = World::new(DriverChoice::Overlay);
    let names: Vec<String> = (0..200).map(|n| format!("f{n}: {n}")).collect();
    let lines: Vec<&str> = names.iter().map(String::as_str).collect();
    let blob = world.layer_of_tar(&tar_of(&lines));
    let snapshot = world.snapshots.from_blobs(&[blob]).unwrap();
    let dirs: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                // Half of them have handles of their own, like other processes.
                let store = std::sync::Arc::clone(&world.snapshots.0.store);
                let other = crate::Snapshots::open(store, DriverChoice::Overlay);
                let snapshot = snapshot.clone();
                scope.spawn(move || {
                    let own = other.from_layers(&snapshot.ids()).unwrap().unwrap();
                    other.dir(&own.layers()[0]).unwrap()
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(dirs.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(fs::read_dir(&dirs[0]).unwrap().count(), 200);
    assert_eq!(world.leftovers().len(), 1);
}

/// The median of some runs; generous limits, since tests run unoptimised and beside others.
fn median(n: usize, mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..n)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[n / 2]
}

#[test]
fn making_layers_costs_little() {
    if !is_root() {
        return;
    }
    let world = World::new(DriverChoice::Overlay);
    let mut snapshot = world.step(&Snapshot::scratch(), |root| write(root.join("base"), ""));
    for n in 0..40 {
        snapshot = file_layer(&world, &snapshot, &format!("f{n}"));
    }
    drop(world.snapshots.prepare(&snapshot).unwrap());
    let step = median(50, || {
        drop(
            world
                .snapshots
                .prepare(&snapshot)
                .unwrap()
                .commit()
                .unwrap(),
        );
    });
    let layer = median(50, || {
        drop(
            world
                .snapshots
                .prepare_layer(&snapshot)
                .unwrap()
                .commit()
                .unwrap(),
        );
    });
    let view = world.snapshots.view(&snapshot).unwrap();
    let look = median(50, || {
        for n in 0..100 {
            assert!(view.lookup(Path::new(&format!("f{}", n % 40))).is_some());
            assert!(view.lookup(Path::new("usr/lib/nothing")).is_none());
        }
    });
    println!("prepare and commit {step:?}, file layer {layer:?}, 200 look-ups {look:?}");
    assert!(step < Duration::from_millis(5), "{step:?}");
    assert!(layer < Duration::from_millis(3), "{layer:?}");
    assert!(look < Duration::from_millis(50), "{look:?}");
}
