use super::Case;
use acetate_graph::{Archives, CopyOwner};
use std::io::Write;
use std::os::unix::fs::MetadataExt;

/// A tar with a file in a directory that it does not name, a link, a hard link and a mode.
fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let header = |kind, mode, size: usize| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(11);
        header.set_gid(12);
        header.set_mtime(1_000_000_000);
        header.set_size(size as u64);
        header
    };
    tar.append_data(
        &mut header(tar::EntryType::Regular, 0o4711, 2),
        "deep/dir/a",
        &b"aa"[..],
    )
    .unwrap();
    tar.append_link(
        &mut header(tar::EntryType::Link, 0o644, 0),
        "deep/b",
        "deep/dir/a",
    )
    .unwrap();
    tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), "l", "deep")
        .unwrap();
    tar.append_data(
        &mut header(tar::EntryType::Directory, 0o700, 0),
        "empty/",
        &b""[..],
    )
    .unwrap();
    tar.into_inner().unwrap()
}

fn add(bytes: &[u8], dest: &str, base: &str, owner: CopyOwner) -> (Case, String) {
    let case = Case::new("archive", base);
    std::fs::write(case.path("context/archive"), bytes).unwrap();
    let text = case.copy_with(&["archive"], dest, |action| {
        action.archives = Archives::Unpack;
        action.owner = if owner == CopyOwner::Root {
            CopyOwner::Keep
        } else {
            owner.clone()
        };
    });
    (case, text)
}

const UNPACKED: &str = "d 0755 0:0 x
d 0755 0:0 x/deep
- 4711 11:12 x/deep/b [aa] linked
d 0755 0:0 x/deep/dir
- 4711 11:12 x/deep/dir/a [aa] linked
d 0700 11:12 x/empty
l 11:12 x/l -> deep
";

#[test]
fn archives_are_found_by_content_in_every_compression_s55() {
    let tar = tar();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip.write_all(&tar).unwrap();
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    for bytes in [tar, gzip.finish().unwrap(), bzip.finish().unwrap(), zstd] {
        assert_eq!(add(&bytes, "/x", "", CopyOwner::Root).1, UNPACKED);
    }
}

#[test]
fn xz_is_unpacked_where_the_tool_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t");
    std::fs::write(&path, tar()).unwrap();
    match std::process::Command::new("xz")
        .arg("-k")
        .arg(&path)
        .status()
    {
        Ok(status) => assert!(status.success()),
        Err(_) => return eprintln!("skipped: xz is not installed"),
    }
    let bytes = std::fs::read(path.with_extension("xz")).unwrap();
    assert_eq!(add(&bytes, "/x", "", CopyOwner::Root).1, UNPACKED);
}

#[test]
fn what_only_looks_like_an_archive_is_copied() {
    for bytes in [&b""[..], b"\x1f\x8b\x08not gzip", b"text", &[0; 10240]] {
        let (case, _) = add(bytes, "/x", "", CopyOwner::Root);
        assert_eq!(std::fs::read(case.path("layer/x")).unwrap(), bytes);
    }
}

#[test]
fn chown_reaches_every_entry_s57() {
    let (_case, text) = add(&tar(), "/x", "", CopyOwner::Named("7:8".into()));
    assert!(text.lines().all(|line| line.contains(" 7:8 ")), "{text}");
}

#[test]
fn entries_go_through_links_of_the_base_but_never_out() {
    let (_case, text) = add(&tar(), "/x", "x/deep -> /real\nreal/", CopyOwner::Root);
    assert!(text.contains("real/dir/a [aa]"), "{text}");
    let (_case, text) = add(&tar(), "/x", "x/deep -> ../../../../tmp", CopyOwner::Root);
    assert!(text.contains(" tmp/dir/a [aa]"), "{text}");
}

#[test]
fn broken_archives_are_named_and_say_why() {
    let whole = tar();
    let (_case, text) = add(&whole[..600], "/x", "", CopyOwner::Root);
    assert!(
        text.starts_with("error: broken archive `/archive`: "),
        "{text}"
    );
    let mut bad = whole;
    // The checksum of the second header: it follows a header and one block of content.
    bad[1024 + 150] ^= 1;
    let (_case, text) = add(&bad, "/x", "", CopyOwner::Root);
    assert!(
        text.starts_with("error: broken archive `/archive`: "),
        "{text}"
    );
}

#[test]
fn times_of_entries_are_kept() {
    let (case, _) = add(&tar(), "/x", "", CopyOwner::Root);
    for name in ["layer/x/deep/dir/a", "layer/x/empty"] {
        assert_eq!(
            case.path(name).metadata().unwrap().mtime(),
            1_000_000_000,
            "{name}"
        );
    }
}
