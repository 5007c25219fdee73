//! Layers that must be refused, each with its reason, and that leave nothing behind.

use super::foreign::tar_of;
use super::support::*;
use crate::layer_tar::ClampTimes;
use crate::{
    BlobLayer, DriverChoice, Entry, EntryKind, LayerInput, Limits, SnapshotError, SnapshotOptions,
    scan,
};
use acetate_oci::{Compression, Digest};
use std::io::Read;

/// One raw tar entry: type, name, link, size field, body.
struct Raw<'a>(u8, &'a [u8], &'a [u8], u64, &'a [u8]);

fn raw(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut tar = Vec::new();
    for Raw(kind, name, link, size, body) in entries {
        let mut header = tar::Header::new_ustar();
        let bytes = header.as_mut_bytes();
        bytes[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
        bytes[157..157 + link.len()].copy_from_slice(link);
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(*size);
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(body);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn file(name: &[u8]) -> Raw<'_> {
    Raw(b'0', name, b"", 0, b"")
}

fn pax(body: &[u8]) -> Raw<'_> {
    Raw(b'x', b"pax", b"", body.len() as u64, body)
}

type Attacks = Vec<(Vec<u8>, &'static str)>;

/// Layers and a part of the reason why each is refused.
fn table() -> Attacks {
    [names(), extensions(), forms()].concat()
}

/// Names, links and kinds that no layer may have.
fn names() -> Attacks {
    vec![
        (raw(&[file(b"../escape")]), "climbs out with `..`"),
        (raw(&[file(b"a/../../escape")]), "climbs out with `..`"),
        (raw(&[file(b"/../escape")]), "climbs out with `..`"),
        (raw(&[file(b"")]), "has no name"),
        (raw(&[file(b"./")]), "replaces the root"),
        (raw(&[Raw(b'2', b"/", b"etc", 0, b"")]), "replaces the root"),
        (
            raw(&[Raw(b'1', b"a", b"../../etc/passwd", 0, b"")]),
            "climbs out with `..`",
        ),
        (
            raw(&[Raw(b'1', b"a", b"missing", 0, b"")]),
            "a file that does not exist",
        ),
        (
            raw(&[Raw(b'1', b"a", b"a", 0, b"")]),
            "a hard link to itself",
        ),
        (
            raw(&[Raw(b'5', b"d", b"", 0, b""), Raw(b'1', b"a", b"d", 0, b"")]),
            "link to a directory",
        ),
        (raw(&[Raw(b'2', b"a", b"", 0, b"")]), "is a link to nothing"),
        (
            raw(&[Raw(b'3', b"a", b"", 0, b"")]),
            "is a whiteout of overlayfs",
        ),
        (
            raw(&[file(b"f"), file(b"f/below")]),
            "has a parent that is no directory",
        ),
        (
            raw(&[Raw(b'2', b"l", b"l", 0, b""), file(b"l/x")]),
            "has too many symbolic links",
        ),
        (raw(&[file(b".wh.d/x")]), "lies below a whiteout"),
        (raw(&[file(b"d/.wh.")]), "is a whiteout of nothing"),
        (raw(&[file(b"d/.wh...")]), "is a whiteout of nothing"),
        (
            raw(&[Raw(b'5', b"d", b"", 512, &[1; 512])]),
            "has content, but is no file",
        ),
        (
            raw(&[Raw(b'1', b"a", b"b", 512, &[1; 512])]),
            "has content, but is no file",
        ),
        (raw(&[Raw(b'S', b"a", b"", 0, b"")]), "is a sparse file"),
        (
            raw(&[Raw(b'Z', b"a", b"", 0, b"")]),
            "has the unknown type `Z`",
        ),
    ]
}

/// Extended headers on which programs disagree.
fn extensions() -> Attacks {
    let long = [b'x'; 300];
    vec![
        (
            raw(&[pax(b"30 GNU.sparse.major=1 and so o\n"), file(b"a")]),
            "malformed",
        ),
        (
            raw(&[pax(b"22 GNU.sparse.major=1\n"), file(b"a")]),
            "sparse files are not supported",
        ),
        (raw(&[pax(b"10 path=x\n")]), "belongs to no entry"),
        (
            raw(&[pax(b"10 path=x\n"), pax(b"10 path=y\n"), file(b"a")]),
            "same extension twice",
        ),
        (
            raw(&[pax(b"10 path=x\n10 path=y\n"), file(b"a")]),
            "`path` is repeated",
        ),
        (raw(&[pax(b"11 path=x\0\n"), file(b"a")]), "NUL byte"),
        (raw(&[pax(b"8 path=\n"), file(b"a")]), "has no name"),
        (
            raw(&[pax(b"16 path=../up/x\n"), file(b"a")]),
            "climbs out with `..`",
        ),
        (raw(&[pax(b"11 size=-1\n"), file(b"a")]), "impossible size"),
        (
            raw(&[pax(b"29 size=18446744073709551615\n"), file(b"a")]),
            "ends within an entry",
        ),
        (
            raw(&[pax(b"18 uid=9999999999\n"), file(b"a")]),
            "impossible owner",
        ),
        (raw(&[pax(b"11 mtime=x\n"), file(b"a")]), "impossible time"),
        (
            raw(&[
                pax(b"10 path=x\n"),
                Raw(b'L', b"l", b"", 2, b"y\0"),
                file(b"a"),
            ]),
            "both PAX and GNU",
        ),
        (
            raw(&[Raw(b'L', b"l", b"", 0, b""), file(b"a")]),
            "a long name is empty",
        ),
        (
            raw(&[Raw(b'L', b"l", b"", 300, &long), file(b"a")]),
            "more than 255 bytes",
        ),
        (
            raw(&[Raw(b'x', b"p", b"", 2 << 20, b"")]),
            "impossible size",
        ),
        (
            raw(&[Raw(b'g', b"g", b"", 10, b"10 path=x\n"), file(b"a")]),
            "global PAX header",
        ),
    ]
}

/// Streams that are no tar, or more than one.
fn forms() -> Attacks {
    vec![
        (
            raw(&[Raw(b'0', b"a", b"", 4096, b"short")]),
            "ends within an entry",
        ),
        (raw(&[file(b"a")])[..600].to_vec(), "ends within a header"),
        (
            [raw(&[file(b"a")]), vec![1; 512]].concat(),
            "something follows its end",
        ),
        (
            [raw(&[file(b"a")]), raw(&[file(b"b")])].concat(),
            "something follows its end",
        ),
        (vec![b'x'; 1024], "checksum does not match"),
        (vec![0; 100], "ends within a header"),
    ]
}

fn scanned(tar: &[u8], limits: Limits) -> Result<crate::Listing, crate::BadLayer> {
    let input = LayerInput {
        reader: tar,
        compression: Compression::None,
        diff_id: Digest::of(tar),
    };
    scan(input, &[], limits)
}

#[test]
fn attacks_are_refused_with_their_reason() {
    for (tar, reason) in table() {
        let error = scanned(&tar, Limits::default()).unwrap_err().to_string();
        assert!(error.contains(reason), "expected `{reason}`, got `{error}`");
    }
}

#[test]
fn nothing_of_a_refused_layer_stays() {
    if !is_root() {
        return;
    }
    let world = World::new(DriverChoice::Overlay);
    for (tar, reason) in table() {
        let blob = world.layer_of_tar(&tar);
        let snapshot = world.snapshots.from_blobs(&[blob]).unwrap();
        let error = world.snapshots.prepare(&snapshot).unwrap_err();
        assert!(matches!(error, SnapshotError::Bad { .. }), "{error}");
        assert!(
            error.to_string().contains(reason),
            "expected `{reason}`, got `{error}`"
        );
        assert!(world.snapshots.view(&snapshot).is_err());
        assert!(
            world.leftovers().is_empty(),
            "{reason}: {:?}",
            world.leftovers()
        );
    }
}

#[test]
fn links_never_lead_a_write_outside() {
    if !is_root() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap();
    let climbing = format!("../../../../../../../../../..{target}");
    for link in [target, &climbing] {
        let world = World::new(DriverChoice::Overlay);
        let tar = tar_of(&[&format!("l -> {link}"), "l/x: inside"]);
        let blob = world.layer_of_tar(&tar);
        let snapshot = world.snapshots.from_blobs(&[blob]).unwrap();
        let seen = world.observe(&snapshot);
        assert!(seen.contains(&format!("{target}/x 644")), "{seen}");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}

#[test]
fn marks_of_overlayfs_are_dropped() {
    let mut entry = Entry::new("d", EntryKind::Dir { opaque: false }, 0o755);
    for name in [
        "trusted.overlay.opaque",
        "user.overlay.opaque",
        "trusted.x",
        "user.kept",
    ] {
        entry.xattrs.insert(name.as_bytes().to_vec(), b"y".to_vec());
    }
    let mut writer = crate::layer_tar::TarWriter::new(Vec::new(), ClampTimes::Keep);
    writer.append(&entry).unwrap();
    let listing = scanned(&writer.finish().unwrap(), Limits::default()).unwrap();
    let names: Vec<_> = listing.entries()[0].xattrs.keys().collect();
    assert_eq!(names, [b"user.kept"]);
}

#[test]
fn bombs_stop_at_the_limits() {
    let zeros = std::io::repeat(0).take(64 << 20);
    let bomb = zstd::encode_all(zeros, 1).unwrap();
    assert!(bomb.len() < 100_000);
    let limits = Limits {
        bytes: 1 << 20,
        entries: 10,
    };
    let input = LayerInput {
        reader: &*bomb,
        compression: Compression::Zstd,
        diff_id: Digest::of(b""),
    };
    let error = scan(input, &[], limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it is larger than the limit of 1048576 bytes"
    );
    let names: Vec<String> = (0..11).map(|n| format!("f{n}")).collect();
    let lines: Vec<&str> = names.iter().map(String::as_str).collect();
    let error = scanned(&tar_of(&lines), limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "it is larger than the limit of 10 entries"
    );
    assert!(scanned(&tar_of(&lines[..10]), limits).is_ok());
    if !is_root() {
        return;
    }
    let world = World::with_options(SnapshotOptions {
        limits,
        ..SnapshotOptions::default()
    });
    let big = "x".repeat(2 << 20);
    let blob = world.layer_of_tar(&tar_of(&[&format!("big: {big}")]));
    let snapshot = world.snapshots.from_blobs(&[blob]).unwrap();
    assert!(world.snapshots.prepare(&snapshot).is_err());
    assert!(world.leftovers().is_empty());
}

#[test]
fn other_bytes_than_promised_are_refused() {
    let tar = tar_of(&["a: content"]);
    let mut wrong = *Digest::of(&tar).as_bytes();
    wrong[31] ^= 1;
    let input = LayerInput {
        reader: &*tar,
        compression: Compression::None,
        diff_id: Digest::from_bytes(wrong),
    };
    let error = scan(input, &[], Limits::default()).unwrap_err().to_string();
    assert!(
        error.starts_with("its content has the diff id `sha256:"),
        "{error}"
    );
    if !is_root() {
        return;
    }
    let world = World::new(DriverChoice::Overlay);
    let blob = BlobLayer {
        diff_id: Digest::from_bytes(wrong),
        ..world.layer_of_tar(&tar)
    };
    let snapshot = world.snapshots.from_blobs(&[blob]).unwrap();
    let error = world.snapshots.prepare(&snapshot).unwrap_err();
    assert!(matches!(error, SnapshotError::Bad { .. }), "{error}");
    assert!(world.leftovers().is_empty());
}

#[test]
fn every_truncation_of_a_compressed_layer_is_refused() {
    let tar = tar_of(&["d/", "d/a: some content", "b: more"]);
    let zstd = zstd::encode_all(&*tar, 1).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &tar).unwrap();
    let gzip = gzip.finish().unwrap();
    for (bytes, compression) in [(zstd, Compression::Zstd), (gzip, Compression::Gzip)] {
        for end in 0..bytes.len() {
            let input = LayerInput {
                reader: &bytes[..end],
                compression,
                diff_id: Digest::of(&tar),
            };
            assert!(
                scan(input, &[], Limits::default()).is_err(),
                "{compression:?} {end}"
            );
        }
    }
}
