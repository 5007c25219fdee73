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

/// A tar of entries by name, kind and content or target.
pub(super) fn packed(entries: &[(&str, u8, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, kind, text) in entries {
        let is_link = matches!(kind, b'1' | b'2');
        let content = if *kind == b'0' { text.as_bytes() } else { b"" };
        let mut header = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, name.as_bytes());
        put(100, b"0000644\0" as &[u8]);
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        put(124, format!("{:011o}\0", content.len()).as_bytes());
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[*kind]);
        put(157, if is_link { text.as_bytes() } else { b"" });
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend(header);
        out.extend(content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.extend([0; 1024]);
    out
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

/// Packs the directory `from` as GNU tar does, with these arguments; nothing where it is missing.
fn gnu_tar(dir: &std::path::Path, args: &[&str]) -> Option<Vec<u8>> {
    let mut command = std::process::Command::new("tar");
    let command = command
        .current_dir(dir)
        .args(args)
        .args(["-cf", "-", "from"]);
    match command.output() {
        Ok(output) if output.status.success() => Some(output.stdout),
        _ => {
            println!("skipped: needs GNU tar");
            None
        }
    }
}

#[test]
fn s55_every_sparse_form_of_gnu_tar_is_read() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("from")).unwrap();
    // More pieces than fit into the first header.
    let file = std::fs::File::create(dir.path().join("from/sparse")).unwrap();
    file.set_len(100 << 20).unwrap();
    for at in (1..40_u64).map(|n| (n * 2) << 20) {
        rustix::io::pwrite(&file, b"data", at).unwrap();
    }
    std::fs::File::create(dir.path().join("from/hole"))
        .unwrap()
        .set_len(5 << 20)
        .unwrap();
    std::fs::write(dir.path().join("from/zz"), "behind").unwrap();
    for args in [
        &["--sparse", "--format=gnu"][..],
        &["--sparse", "--format=oldgnu"],
        &["--sparse", "--format=posix", "--sparse-version=0.0"],
        &["--sparse", "--format=posix", "--sparse-version=0.1"],
        &["--sparse", "--format=posix", "--sparse-version=1.0"],
    ] {
        let Some(bytes) = gnu_tar(dir.path(), args) else {
            return;
        };
        assert!(bytes.len() < 1 << 20, "{args:?} {}", bytes.len());
        let case = Case::new("archive", "");
        std::fs::write(case.path("context/archive"), bytes).unwrap();
        case.copy_with(&["archive"], "/x", |action| {
            action.archives = Archives::Unpack;
        });
        for name in ["sparse", "hole", "zz"] {
            let found = case.path("layer/x/from").join(name);
            let same = std::fs::read(&found).unwrap()
                == std::fs::read(dir.path().join("from").join(name)).unwrap();
            assert!(same, "{args:?} {name}");
            assert!(
                found.metadata().unwrap().blocks() * 512 < 2 << 20,
                "{args:?} {name}"
            );
        }
    }
}

#[test]
fn s55_every_format_of_gnu_tar_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let deep = "deep/".repeat(30);
    std::fs::create_dir_all(dir.path().join("from").join(&deep)).unwrap();
    std::fs::write(dir.path().join("from").join(&deep).join("file"), "deep").unwrap();
    std::os::unix::fs::symlink("x".repeat(150), dir.path().join("from/link")).unwrap();
    for args in [
        &["--format=gnu"][..],
        &["--format=posix"],
        &["--format=posix", "--xattrs"],
        &["--format=gnu", "--blocking-factor=1"],
        &["--format=gnu", "-z"],
        &[
            "--format=posix",
            "--pax-option=globexthdr.name=g,comment=hello",
        ],
    ] {
        let Some(bytes) = gnu_tar(dir.path(), args) else {
            return;
        };
        let case = Case::new("archive", "");
        std::fs::write(case.path("context/archive"), bytes).unwrap();
        case.copy_with(&["archive"], "/x", |action| {
            action.archives = Archives::Unpack;
        });
        let file = case.path("layer/x/from").join(&deep).join("file");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "deep", "{args:?}");
        let link = std::fs::read_link(case.path("layer/x/from/link")).unwrap();
        assert_eq!(link.as_os_str().len(), 150, "{args:?}");
    }
}
