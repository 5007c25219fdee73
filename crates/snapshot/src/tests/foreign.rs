//! Layers as other programs write them: sloppy, compressed, and about the layers below.

use super::support::*;
use crate::{
    BlobLayer, DriverChoice, Follow, Found, LayerInput, Limits, Snapshot, Snapshots, scan,
};
use acetate_oci::{Compression, Descriptor, Digest, MediaType};
use expect_test::{Expect, expect};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Builds a tar with another program's writer: `path`, `path/`, `path -> link`, `path = hard link`
/// or `path: content`.
pub(super) fn tar_of(lines: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for line in lines {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(77);
        header.set_size(0);
        if let Some((path, target)) = line.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, path, target).unwrap();
        } else if let Some((path, target)) = line.split_once(" = ") {
            header.set_entry_type(tar::EntryType::Link);
            builder.append_link(&mut header, path, target).unwrap();
        } else if let Some((path, content)) = line.split_once(": ") {
            header.set_size(content.len() as u64);
            builder
                .append_data(&mut header, path, content.as_bytes())
                .unwrap();
        } else {
            if line.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o750);
            }
            builder
                .append_data(&mut header, line, std::io::empty())
                .unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn chain(world: &World, layers: &[&[&str]]) -> Snapshot {
    let blobs: Vec<BlobLayer> = layers
        .iter()
        .map(|lines| world.layer_of_tar(&tar_of(lines)))
        .collect();
    world.snapshots.from_blobs(&blobs).unwrap()
}

/// Shows the names and contents of a tree, not the attributes.
fn names(snapshots: &Snapshots, snapshot: &Snapshot) -> String {
    let view = snapshots.view(snapshot).unwrap();
    let mut out = String::new();
    view.walk(Path::new(""), &mut |found| {
        out += &found.path().display().to_string();
        if found.entry.is_dir() {
            write!(out, "/ {:o}", found.entry.mode).unwrap();
        } else if let crate::EntryKind::Symlink(target) = &found.entry.kind {
            write!(out, " -> {}", target.display()).unwrap();
        } else if view.size(found).is_some() {
            let digest = view.digest(found).unwrap().unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut view.open(found).unwrap(), &mut bytes).unwrap();
            assert_eq!(Digest::of(&bytes), digest);
            write!(out, ": {}", String::from_utf8(bytes).unwrap()).unwrap();
        }
        out += "\n";
    });
    out
}

/// Checks what the chain shows: from scanned listings, from applied ones, and mounted.
fn check(layers: &[&[&str]], expected: &Expect) {
    for world in worlds() {
        let snapshot = chain(&world, layers);
        let shown = names(&world.snapshots, &snapshot);
        expected.assert_eq(&shown);
        let scanned: Vec<_> = snapshot
            .layers()
            .iter()
            .map(|layer| world.snapshots.listing(layer).unwrap())
            .collect();
        let other = World::new(DriverChoice::Overlay);
        let applied = chain(&other, layers);
        drop(other.snapshots.prepare(&applied).unwrap());
        for (layer, scanned) in applied.layers().iter().zip(scanned) {
            assert_eq!(other.snapshots.listing(layer).unwrap(), scanned);
        }
        let mounted = other.observe(&applied);
        assert_eq!(world.observe(&snapshot), mounted);
        for line in shown.lines() {
            let path = line.split([':', ' ']).next().unwrap().trim_end_matches('/');
            assert!(
                mounted.contains(&format!("/{path} ")),
                "{path} in {mounted}"
            );
        }
        let n_names = mounted.lines().count() - 1;
        assert_eq!(n_names, shown.lines().count(), "{mounted}");
    }
}

#[test]
fn missing_parents_are_made_or_taken_from_below() {
    check(
        &[&["kept/"], &["kept/a: 1", "new/er/b: 2"]],
        &expect![[r"
            kept/ 750
            kept/a: 1
            new/ 755
            new/er/ 755
            new/er/b: 2
        "]],
    );
}

#[test]
fn parents_that_are_links_lead_inside_the_root() {
    check(
        &[
            &[
                "usr/",
                "usr/lib/",
                "lib -> usr/lib",
                "abs -> /usr",
                "up -> ../../../usr/lib",
            ],
            &[
                "lib/x: 1",
                "abs/y: 2",
                "up/z: 3",
                "lib/sub/deep: 4",
                "here/",
                "there -> here",
                "there/w: 5",
            ],
        ],
        &expect![[r"
            abs -> /usr
            here/ 750
            here/w: 5
            lib -> usr/lib
            there -> here
            up -> ../../../usr/lib
            usr/ 750
            usr/lib/ 750
            usr/lib/sub/ 755
            usr/lib/sub/deep: 4
            usr/lib/x: 1
            usr/lib/z: 3
            usr/y: 2
        "]],
    );
}

#[test]
fn both_forms_of_whiteouts_are_read() {
    check(
        &[
            &[
                "d/", "d/1: 1", "d/2: 2", "d/s/", "d/s/x: x", "e/", "e/1: 1", "f: f", "g/",
                "g/x: x",
            ],
            &[
                "d/",
                "d/new: n",
                "d/.wh..wh..opq",
                "e/.wh.1",
                "e/.wh.never",
                ".wh.f",
                ".wh.g",
                "g/",
                "g/y: y",
                ".wh..wh.plnk/",
                "d/s/",
            ],
        ],
        &expect![[r"
            d/ 750
            d/new: n
            d/s/ 750
            e/ 750
            g/ 750
            g/y: y
        "]],
    );
}

#[test]
fn whiteouts_concern_lower_layers_only() {
    check(
        &[
            &["a: low", "d/", "d/low: 1"],
            &["a: high", ".wh.a", "d/", "d/high: 2", ".wh.d"],
        ],
        &expect![[r"
            a: high
            d/ 750
            d/high: 2
        "]],
    );
}

#[test]
fn the_last_of_two_entries_counts() {
    check(
        &[
            &["low/", "low/x: x"],
            &[
                "a: first",
                "b = a",
                "a: second",
                "d/",
                "d/x: 1",
                "d: file",
                "f: file",
                "f/",
                "f/y: 2",
                "low: file",
                "low/",
                "low/new: 3",
            ],
        ],
        &expect![[r"
            a: second
            b: first
            d: file
            f/ 750
            f/y: 2
            low/ 750
            low/new: 3
        "]],
    );
}

#[test]
fn hard_links_reach_down() {
    check(
        &[
            &[
                "lib -> usr",
                "usr/",
                "usr/low: low",
                "usr/two: two",
                "s -> target",
            ],
            &["z = lib/low", "a = usr/low", "t = s"],
            &["usr/b = a", ".wh.z"],
        ],
        &expect![[r"
            a: low
            lib -> usr
            s -> target
            t -> target
            usr/ 750
            usr/b: low
            usr/low: low
            usr/two: two
        "]],
    );
}

#[test]
fn blobs_may_be_compressed() {
    let lines = ["etc/", "etc/passwd: root:x:0:0", "f: f"];
    let tar = tar_of(&lines);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar[..700]).unwrap();
    let mut two_members = gzip.finish().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar[700..]).unwrap();
    two_members.extend(gzip.finish().unwrap());
    let zstd = zstd::encode_all(&*tar, 1).unwrap();
    for (bytes, compression) in [
        (tar.clone(), Compression::None),
        (two_members, Compression::Gzip),
        (zstd, Compression::Zstd),
    ] {
        let input = LayerInput {
            reader: &*bytes,
            compression,
            diff_id: Digest::of(&tar),
        };
        let listing = scan(input, &[], Limits::default()).unwrap();
        assert_eq!(listing.len(), 3);
        assert!(listing.is_digested());
        let passwd = listing.inline(Path::new("etc/passwd"));
        assert_eq!(passwd, Some(&b"root:x:0:0"[..]));
        for world in worlds() {
            let digest = world.store().blobs().put(&bytes).unwrap().digest;
            let media_type = MediaType::oci_layer(compression);
            let blob = BlobLayer {
                diff_id: Digest::of(&tar),
                blob: Descriptor::new(media_type, digest, bytes.len() as u64),
            };
            let snapshot = world.snapshots.from_blobs(&[blob]).unwrap();
            assert!(world.observe(&snapshot).contains("/etc/passwd 644"));
            assert_eq!(
                *world.snapshots.listing(&snapshot.layers()[0]).unwrap(),
                listing
            );
        }
    }
}

#[test]
fn a_view_needs_no_directory_until_bytes_are_wanted() {
    for world in worlds() {
        let snapshot = chain(
            &world,
            &[
                &[
                    "etc/",
                    "etc/passwd: root:x:0:0",
                    "etc/other: other",
                    "bin -> usr/bin",
                ],
                &["usr/", "usr/bin/", "usr/bin/sh: sh"],
            ],
        );
        let view = world.snapshots.view(&snapshot).unwrap();
        let found = view.resolve(Path::new("/bin/sh"), Follow::All).unwrap();
        assert_eq!(found.path, Path::new("usr/bin/sh"));
        assert_eq!(found.found.unwrap().layer, 1);
        let missing = view
            .resolve(Path::new("bin/../../new/x"), Follow::All)
            .unwrap();
        assert_eq!(
            (missing.path.as_path(), missing.found),
            (Path::new("new/x"), None)
        );
        assert!(
            view.resolve(Path::new("etc/passwd/x"), Follow::All)
                .is_err()
        );
        let names = view.read_dir(Path::new("/"));
        let names: Vec<_> = names.iter().map(Found::path).collect();
        assert_eq!(
            names,
            [Path::new("bin"), Path::new("etc"), Path::new("usr")]
        );
        let passwd = view.read(Path::new("/etc/passwd"), 100).unwrap();
        assert_eq!(passwd.as_deref(), Some(&b"root:x:0:0"[..]));
        assert!(view.read(Path::new("/etc/passwd"), 3).is_err());
        assert_eq!(view.read(Path::new("/etc/group"), 100).unwrap(), None);
        let digest = view
            .digest(view.lookup(Path::new("etc/other")).unwrap())
            .unwrap();
        assert_eq!(digest, Some(Digest::of(b"other")));
        assert!(world.leftovers().is_empty(), "nothing was unpacked");
        let other = view.read(Path::new("etc/other"), 100).unwrap();
        assert_eq!(other.as_deref(), Some(&b"other"[..]));
        assert_eq!(world.leftovers().len(), 1, "one layer was unpacked");
    }
}

#[test]
fn a_scanned_listing_is_remembered_in_the_store() {
    for world in worlds() {
        let blob = world.layer_of_tar(&tar_of(&["a: a"]));
        let snapshot = world
            .snapshots
            .from_blobs(std::slice::from_ref(&blob))
            .unwrap();
        let listing = world.snapshots.listing(&snapshot.layers()[0]).unwrap();
        drop(snapshot);
        let world = world.reopen();
        world.store().blobs().remove(&blob.blob.digest).unwrap();
        let snapshot = world.snapshots.from_blobs(&[blob]).unwrap();
        assert_eq!(
            world.snapshots.listing(&snapshot.layers()[0]).unwrap(),
            listing
        );
        let error = world.snapshots.dir(&snapshot.layers()[0]).unwrap_err();
        assert!(
            error.to_string().contains("is not in the store any more"),
            "{error}"
        );
    }
}
