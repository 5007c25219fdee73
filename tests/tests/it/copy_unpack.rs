//! ADD of archives.

use acetate_tests::{World, tool};
use expect_test::expect;
use std::io::Write;
use std::path::Path;

/// A tar with a directory, a file of some owner, links, and a set-id file; no entry for `deep`.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind, mode, size: usize| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(11);
        header.set_gid(12);
        header.set_mtime(1_000_000);
        header.set_size(size as u64);
        header
    };
    let file = tar::EntryType::Regular;
    tar.append_data(
        &mut header(tar::EntryType::Directory, 0o711, 0),
        "d/",
        &[][..],
    )
    .expect("the test's own files");
    tar.append_data(&mut header(file, 0o640, 2), "d/f", &b"f\n"[..])
        .expect("the test's own files");
    tar.append_data(&mut header(file, 0o4755, 2), "deep/er/su", &b"s\n"[..])
        .expect("the test's own files");
    tar.append_link(
        &mut header(tar::EntryType::Symlink, 0o777, 0),
        "d/link",
        "f",
    )
    .expect("the test's own files");
    tar.append_link(&mut header(tar::EntryType::Link, 0o640, 0), "d/hard", "d/f")
        .expect("the test's own files");
    tar.into_inner().expect("the test's own files")
}

const UNPACKED: &str = "\
d0755 0:0 0 x/
d0711 11:12 0 x/d/
-0640 11:12 2 x/d/f
h0640 11:12 0 x/d/hard -> x/d/f
l0777 11:12 0 x/d/link -> f
d0755 0:0 0 x/deep/
d0755 0:0 0 x/deep/er/
-4755 11:12 2 x/deep/er/su
";

fn put(world: &World, name: &str, bytes: &[u8]) {
    std::fs::write(world.context().join(name), bytes).expect("the test's own files");
}

#[test]
fn s55_an_archive_is_unpacked_whatever_its_name_and_compression() {
    let world = World::of("FROM base\nARG NAME\nADD $NAME /x/\n");
    let tar = archive();
    put(&world, "plain", &tar);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    put(&world, "gz.txt", &gzip.finish().unwrap());
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(&tar).unwrap();
    put(&world, "a.bz2", &bzip.finish().unwrap());
    put(
        &world,
        "a.zst",
        &zstd::stream::encode_all(&tar[..], 1).unwrap(),
    );
    let path = |name: &str| world.context().join(name).to_string_lossy().into_owned();
    tool("xz", &["--keep", "--format=xz", &path("plain")]);
    for name in ["plain", "gz.txt", "a.bz2", "a.zst", "plain.xz"] {
        let image = world.image(&[&format!("--build-arg=NAME={name}")]);
        assert_eq!(image.listing(1), UNPACKED, "{name}");
        assert_eq!(image.item("x/d/f").mtime, 1_000_000);
    }
}

#[test]
fn s55_copy_never_unpacks_and_add_need_not() {
    let world = World::of(
        "FROM base\nCOPY a.tar /1\nADD --unpack=false a.tar /2\nADD empty.tar.gz text.tar /3/\n",
    );
    let tar = archive();
    put(&world, "a.tar", &tar);
    put(&world, "empty.tar.gz", b"");
    put(&world, "text.tar", b"no archive");
    let image = world.image(&[]);
    assert_eq!(
        (image.item("1").content, image.item("2").content),
        (tar.clone(), tar)
    );
    assert_eq!(image.item("3/empty.tar.gz").size, 0);
    assert_eq!(image.file("3/text.tar"), "no archive");
}

#[test]
fn s56_every_match_is_unpacked() {
    let world = World::of("FROM base\nADD *.tar /x\n");
    put(&world, "a.tar", &archive());
    let mut other = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o600);
    header.set_size(1);
    header.set_uid(0);
    header.set_gid(0);
    other.append_data(&mut header, "other", &b"o"[..]).unwrap();
    put(&world, "b.tar", &other.into_inner().unwrap());
    let image = world.image(&[]);
    assert_eq!(
        (image.file("x/other"), image.file("x/d/f")),
        ("o".into(), "f\n".into())
    );
}

#[test]
fn s57_an_owner_is_that_of_every_entry() {
    let world = World::of("FROM base\nADD --chown=3:4 a.tar /x\n");
    put(&world, "a.tar", &archive());
    let listing = world.image(&[]).listing(1);
    assert!(
        listing.lines().all(|line| line.contains(" 3:4 ")),
        "{listing}"
    );
}

#[test]
fn an_archive_cannot_write_beside_its_destination() {
    let world =
        World::of("FROM base\nRUN mkdir /x\nADD a.tar /x\nRUN cat /etc/passwd | head -1 > /out\n");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_old();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_mode(0o777);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    tar.append_link(&mut header, "etc", "/etc").unwrap();
    let mut header = tar::Header::new_old();
    let name = b"../../../etc/passwd";
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(4);
    header.set_cksum();
    tar.append(&header, &b"evil"[..]).unwrap();
    put(&world, "a.tar", &tar.into_inner().unwrap());
    let outcome = world.build(&[]);
    assert!(
        !Path::new("/etc/passwd").metadata().unwrap().len().eq(&4),
        "the host was written to"
    );
    if outcome.code == 0 {
        let image = world.image(&[]);
        assert!(
            image.file("out").starts_with("root:x:0:0"),
            "{}",
            image.file("out")
        );
    } else {
        outcome.fails(&["a.tar"]);
    }
}

#[test]
fn a_broken_archive_fails_by_name() {
    let world = World::of("FROM base\nADD a.tar.gz /x/\n");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&archive()).unwrap();
    let bytes = gzip.finish().unwrap();
    put(&world, "a.tar.gz", &bytes[..bytes.len() / 2]);
    let outcome =
        world
            .build(&[])
            .fails(&["broken archive", "a.tar.gz", "   2 | >>> ADD a.tar.gz"]);
    expect![["1"]].assert_eq(&outcome.code.to_string());
    put(&world, "a.tar.gz", &bytes);
    world.build(&[]).ok();
}
