//! Listings that somebody else wrote.

use super::support::{World, is_root};
use crate::{BlobLayer, DriverChoice, Entry, EntryKind, Follow, Listing, Snapshot};
use acetate_oci::Digest;
use acetate_store::Expect;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Two layers, the upper one with a deletion, a hard link and accounts, and their listings.
fn two(world: &World) -> (Vec<BlobLayer>, Vec<Arc<Listing>>) {
    let lower = world.step(&Snapshot::scratch(), |root| {
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
        fs::create_dir_all(root.join("data")).unwrap();
        fs::write(root.join("data/old"), "old").unwrap();
        std::os::unix::fs::symlink("data", root.join("link")).unwrap();
    });
    let upper = world.step(&lower, |root| {
        fs::remove_file(root.join("data/old")).unwrap();
        fs::write(root.join("data/one"), "one").unwrap();
        fs::hard_link(root.join("data/one"), root.join("data/two")).unwrap();
        fs::write(root.join("data/large"), vec![7; 300_000]).unwrap();
    });
    let blobs = world.blobs(&upper);
    let listings = upper.layers().iter();
    let listings = listings.map(|layer| world.snapshots.listing(layer).unwrap());
    (blobs, listings.collect())
}

fn bring(from: &World, to: &World, layers: &[BlobLayer]) {
    for layer in layers {
        let blob = from.store().blobs().open(&layer.blob.digest);
        let expect = Expect::descriptor(&layer.blob);
        to.store()
            .blobs()
            .ingest(blob.unwrap().unwrap(), expect)
            .unwrap();
    }
}

fn claim(world: &World, snapshot: &Snapshot, listings: &[Arc<Listing>]) {
    for (layer, listing) in snapshot.layers().iter().zip(listings) {
        let bytes = listing.encode();
        world
            .snapshots
            .claim(layer, Listing::decode(&bytes).unwrap());
    }
}

/// The listing with one entry changed.
fn changed(listing: &Listing, path: &str, change: impl Fn(&mut Entry)) -> Arc<Listing> {
    let mut entries = listing.entries().to_vec();
    let entry = entries
        .iter_mut()
        .find(|entry| entry.path == Path::new(path));
    change(entry.unwrap());
    let mut other = Listing::new(entries).unwrap();
    for (path, bytes) in listing.inline_files() {
        other.set_inline(path.clone(), bytes.clone());
    }
    Arc::new(other)
}

#[test]
fn a_view_needs_no_blob_where_listings_are_claimed() {
    if !is_root() {
        return;
    }
    let (here, there) = (
        World::new(DriverChoice::Auto),
        World::new(DriverChoice::Auto),
    );
    let (blobs, listings) = two(&there);
    let snapshot = here.snapshots.from_blobs(&blobs).unwrap();
    assert!(here.snapshots.view(&snapshot).is_err());
    claim(&here, &snapshot, &listings);
    let view = here.snapshots.view(&snapshot).unwrap();
    let found = view.resolve(Path::new("/link/one"), Follow::All).unwrap();
    assert_eq!(found.path, Path::new("data/one"));
    assert!(view.lookup(Path::new("data/old")).is_none());
    let passwd = view.read(Path::new("etc/passwd"), 1000).unwrap();
    assert!(passwd.unwrap().starts_with(b"root:"));
    assert!(snapshot.layers().iter().all(crate::Layer::is_unproven));
    // Nothing to compare with yet.
    here.snapshots.prove(&snapshot).unwrap();
    assert!(snapshot.layers().iter().all(crate::Layer::is_unproven));
}

#[test]
fn what_a_step_leaves_is_listed_as_its_tar_is() {
    if !is_root() {
        return;
    }
    let (here, there) = (
        World::new(DriverChoice::Auto),
        World::new(DriverChoice::Auto),
    );
    let (blobs, listings) = two(&there);
    bring(&there, &here, &blobs);
    for is_unpacked in [false, true] {
        let snapshot = here.snapshots.from_blobs(&blobs).unwrap();
        claim(&here, &snapshot, &listings);
        here.snapshots.view(&snapshot).unwrap();
        if is_unpacked {
            here.snapshots.dirs(&snapshot).unwrap();
        } else {
            here.snapshots.prove(&snapshot).unwrap();
        }
        for layer in snapshot.layers() {
            assert!(!layer.is_refuted() && !layer.is_unproven(), "{layer:?}");
        }
    }
}

#[test]
fn names_and_attributes_that_are_not_so_are_refuted() {
    if !is_root() {
        return;
    }
    let there = World::new(DriverChoice::Auto);
    let (blobs, listings) = two(&there);
    let lies = [
        changed(&listings[0], "data", |entry| entry.mode = 0o777),
        changed(&listings[0], "link", |entry| {
            entry.kind = EntryKind::Symlink("etc".into());
        }),
        {
            let mut lie = (*listings[0]).clone();
            lie.set_inline("etc/passwd".into(), b"root:x:7:7::/:/bin/sh\n".to_vec());
            Arc::new(lie)
        },
    ];
    for lie in lies {
        for is_unpacked in [false, true] {
            let here = World::new(DriverChoice::Auto);
            let snapshot = here.snapshots.from_blobs(&blobs).unwrap();
            claim(&here, &snapshot, &[Arc::clone(&lie), listings[1].clone()]);
            here.snapshots.view(&snapshot).unwrap();
            bring(&there, &here, &blobs);
            if is_unpacked {
                here.snapshots.dirs(&snapshot).unwrap();
            } else {
                here.snapshots.prove(&snapshot).unwrap();
            }
            assert!(snapshot.layers()[0].is_refuted());
            // From then on the layer itself is asked.
            let listing = here.snapshots.listing(&snapshot.layers()[0]).unwrap();
            assert_eq!(listing, listings[0]);
            assert_eq!(
                here.observe(&snapshot),
                there.observe(&snapshot_of(&there, &blobs))
            );
        }
    }
}

fn snapshot_of(world: &World, blobs: &[BlobLayer]) -> Snapshot {
    world.snapshots.from_blobs(blobs).unwrap()
}

#[test]
fn a_wrong_digest_is_refuted_where_somebody_took_it() {
    if !is_root() {
        return;
    }
    let there = World::new(DriverChoice::Auto);
    let (blobs, listings) = two(&there);
    let lie = changed(&listings[1], "data/one", |entry| {
        entry.kind = EntryKind::File {
            size: 3,
            digest: Some(Digest::of(b"two")),
        };
    });
    let here = World::new(DriverChoice::Auto);
    let snapshot = here.snapshots.from_blobs(&blobs).unwrap();
    claim(&here, &snapshot, &[listings[0].clone(), lie]);
    let view = here.snapshots.view(&snapshot).unwrap();
    let found = view.lookup(Path::new("data/one")).unwrap();
    assert_eq!(view.digest(found).unwrap(), Some(Digest::of(b"two")));
    bring(&there, &here, &blobs);
    here.snapshots.prove(&snapshot).unwrap();
    assert!(!snapshot.layers()[0].is_refuted());
    assert!(snapshot.layers()[1].is_refuted());
}

#[test]
fn files_of_one_layer_are_read_without_those_below_and_nothing_is_kept() {
    if !is_root() {
        return;
    }
    let (here, there) = (
        World::new(DriverChoice::Auto),
        World::new(DriverChoice::Auto),
    );
    let (blobs, listings) = two(&there);
    let snapshot = here.snapshots.from_blobs(&blobs).unwrap();
    claim(&here, &snapshot, &listings);
    bring(&there, &here, &blobs[1..]);
    let view = here.snapshots.view(&snapshot).unwrap();
    let found = view.lookup(Path::new("data/two")).unwrap();
    let text = std::io::read_to_string(view.open(found).unwrap()).unwrap();
    assert_eq!(text, "one");
    let top = &snapshot.layers()[1];
    let kept = here.store().layers().dir(&top.id()).unwrap();
    assert!(kept.is_none());
    // With the lower one all is there.
    bring(&there, &here, &blobs[..1]);
    here.snapshots.dirs(&snapshot).unwrap();
    assert!(here.store().layers().dir(&top.id()).unwrap().is_some());
}
