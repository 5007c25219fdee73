//! The tar writer against golden bytes and against another program's reader.

use super::support::{THEN, tar_lines};
use crate::layer_tar::{ClampTimes, TarKind, TarReader, TarRules, TarWriter};
use crate::{Entry, EntryKind};
use acetate_oci::{Digest, Timestamp};
use expect_test::expect;
use std::io::Read;

fn entries() -> Vec<(Entry, &'static [u8])> {
    let file = |path: &str, content: &'static [u8]| {
        let kind = EntryKind::File {
            size: content.len() as u64,
            digest: None,
        };
        (Entry::new(path, kind, 0o644), content)
    };
    let plain = |path: &str, kind, mode| (Entry::new(path, kind, mode), &b""[..]);
    let mut rich = file("dir/rich", &[7; 1000]);
    rich.0.mtime = THEN;
    (rich.0.uid, rich.0.gid) = (u32::MAX - 1, 0o7_777_777);
    rich.0.xattrs.insert(b"user.b".to_vec(), b"2".to_vec());
    rich.0.xattrs.insert(b"user.a".to_vec(), vec![0, 0xff]);
    let mut early = file("early", b"");
    early.0.mtime = Timestamp::from_secs(-1);
    vec![
        plain("", EntryKind::Dir { opaque: false }, 0o755),
        plain("dir", EntryKind::Dir { opaque: false }, 0o1777),
        rich,
        plain("dir/gone", EntryKind::Whiteout, 0),
        early,
        plain("hard", EntryKind::Hardlink("early".into()), 0o644),
        plain(
            "node",
            EntryKind::CharDevice {
                major: 10,
                minor: 200,
            },
            0o600,
        ),
        plain("soft", EntryKind::Symlink("\u{e4}/../x".into()), 0o777),
    ]
}

fn tar(clamp: ClampTimes) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new(), clamp);
    for (entry, content) in entries() {
        match entry.kind {
            EntryKind::File { .. } => {
                let digest = writer.append_file(&entry, content).unwrap();
                assert_eq!(digest, Digest::of(content));
            }
            _ => writer.append(&entry).unwrap(),
        }
    }
    writer.finish().unwrap()
}

#[test]
fn the_bytes_never_change() {
    let bytes = tar(ClampTimes::Keep);
    expect![[r"
        d 755 0:0 0 @0 ./
        d 1777 0:0 0 @0 dir/
        f 644 4294967294:2097151 1000 @1000000000 dir/rich SCHILY.xattr.user.a=\x00\xff SCHILY.xattr.user.b=2 mtime=1000000000.123456789 uid=4294967294
        f 0 0:0 0 @0 dir/.wh.gone
        f 644 0:0 0 @0 early mtime=-1
        h 644 0:0 0 @0 hard -> early
        c 600 0:0 0 @0 node
        l 777 0:0 0 @0 soft -> \xc3\xa4/../x
    "]]
    .assert_eq(&tar_lines(&bytes));
    assert_eq!(bytes, tar(ClampTimes::Keep));
    // Whoever changes this digest changes the digest of every layer.
    expect![["sha256:3ffd26e188badb7aa99ffa978be8bf8319cc0685c68eba87eae4f1905d388b7c"]]
        .assert_eq(&Digest::of(&bytes).to_string());
}

#[test]
fn later_times_are_clamped() {
    let epoch = Timestamp::from_secs(500);
    let bytes = tar(ClampTimes::To(epoch));
    let mut reader = TarReader::new(&*bytes, TarRules::Layer);
    let mut times = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        times.push(entry.mtime);
    }
    let (zero, early) = (Timestamp::default(), Timestamp::from_secs(-1));
    assert_eq!(times, [zero, zero, epoch, zero, early, zero, zero, zero]);
}

#[test]
fn a_layer_that_is_rewritten_is_what_it_would_have_been() {
    for secs in [-5, 0, 500, 2_000_000_000] {
        let limit = Timestamp::from_secs(secs);
        let plain = tar(ClampTimes::Keep);
        let kind = acetate_oci::Compression::None;
        let (rewritten, diff_id) = crate::clamp::rewrite(&*plain, kind, Vec::new(), limit).unwrap();
        assert_eq!(diff_id, Digest::of(&plain));
        assert_eq!(
            tar_lines(&rewritten),
            tar_lines(&tar(ClampTimes::To(limit)))
        );
        assert!(rewritten == tar(ClampTimes::To(limit)), "limit {secs}");
    }
}

#[test]
fn reading_gives_what_was_written() {
    let bytes = tar(ClampTimes::Keep);
    let mut reader = TarReader::new(&*bytes, TarRules::Layer);
    for (entry, content) in entries() {
        let read = reader.next_entry().unwrap().unwrap();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, content);
        assert_eq!(
            (read.mode, read.uid, read.gid),
            (entry.mode, entry.uid, entry.gid)
        );
        assert_eq!((read.mtime, &read.xattrs), (entry.mtime, &entry.xattrs));
        let same_kind = match (&read.kind, &entry.kind) {
            (TarKind::File { size }, EntryKind::File { size: written, .. }) => size == written,
            (TarKind::Symlink(target), EntryKind::Symlink(written))
            | (TarKind::Hardlink(target), EntryKind::Hardlink(written)) => {
                target == crate::entry::path_bytes(written)
            }
            (TarKind::File { size: 0 }, EntryKind::Whiteout)
            | (
                TarKind::CharDevice {
                    major: 10,
                    minor: 200,
                },
                EntryKind::CharDevice { .. },
            )
            | (TarKind::Dir, EntryKind::Dir { .. }) => true,
            _ => false,
        };
        assert!(same_kind, "{read:?}");
    }
    assert!(reader.next_entry().unwrap().is_none());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_noticed() {
    let kind = EntryKind::File {
        size: 3,
        digest: None,
    };
    let entry = Entry::new("f", kind, 0o644);
    for content in [&b"12"[..], b"1234", b""] {
        let mut writer = TarWriter::new(Vec::new(), ClampTimes::Keep);
        let error = writer.append_file(&entry, content).unwrap_err();
        assert_eq!(error.to_string(), "the file changed while it was read");
    }
}
