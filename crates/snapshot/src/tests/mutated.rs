//! The reader of tars on what no program wrote.

use crate::layer_tar::{TarEntry, TarKind, TarReader, TarRules, TarWriter};
use crate::{BadLayer, ClampTimes, Entry, EntryKind};
use acetate_oci::{Digest, Timestamp};
use proptest::prelude::*;
use std::io::Read;

/// What a reader says: each entry with its content, and how it ended.
type Said = (Vec<(TarEntry, Vec<u8>)>, Result<(), String>);

/// A mutation may claim any size, but no more is read than there is.
const MOST: u64 = 1 << 20;

fn read(bytes: &[u8], rules: TarRules) -> Said {
    let mut tar = TarReader::new(bytes, rules);
    let mut entries = Vec::new();
    let ended = loop {
        match next(&mut tar) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
    };
    (entries, ended)
}

fn next(tar: &mut TarReader<&[u8]>) -> Result<Option<(TarEntry, Vec<u8>)>, BadLayer> {
    let Some(entry) = tar.next_entry()? else {
        return Ok(None);
    };
    let mut content = Vec::new();
    let done = tar.by_ref().take(MOST).read_to_end(&mut content);
    done.map_err(|error| tar.error(error))?;
    if let TarKind::File { size } = entry.kind {
        assert_eq!(content.len() as u64, size.min(MOST));
    } else {
        assert!(content.is_empty());
    }
    Ok(Some((entry, content)))
}

fn kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        (0..3_u64).prop_map(|n| EntryKind::File {
            size: n * 300,
            digest: Some(Digest::of(b"")),
        }),
        Just(EntryKind::Dir { opaque: false }),
        "[a-z/]{1,120}".prop_map(|target| EntryKind::Symlink(target.into())),
        "[a-z]{1,5}".prop_map(|target| EntryKind::Hardlink(target.into())),
        (1..9_u32, 0..9_u32).prop_map(|(major, minor)| EntryKind::CharDevice { major, minor }),
        Just(EntryKind::Fifo),
    ]
}

fn tar() -> impl Strategy<Value = Vec<u8>> {
    let xattrs = proptest::collection::btree_map("user\\.[a-z\n]{1,4}", "[a-z\n]{0,9}", 0..2);
    let attributes = (0..0o7777_u32, 0..4_000_000_u32, -9_i64..9, xattrs);
    let entry = (kind(), "[a-zäö\n/]{1,130}", attributes);
    proptest::collection::vec(entry, 0..5).prop_map(|entries| {
        let mut writer = TarWriter::new(Vec::new(), ClampTimes::Keep);
        for (kind, path, (mode, id, secs, xattrs)) in entries {
            let mut entry = Entry::new(path, kind, mode);
            (entry.uid, entry.gid) = (id, id);
            entry.mtime = Timestamp::new(secs, 5);
            let bytes = |(key, value): (String, String)| (key.into_bytes(), value.into_bytes());
            entry.xattrs = xattrs.into_iter().map(bytes).collect();
            if let EntryKind::File { size, .. } = entry.kind {
                let content = vec![b'c'; usize::try_from(size).unwrap()];
                writer.append_file(&entry, &*content).unwrap();
            } else {
                writer.append(&entry).unwrap();
            }
        }
        writer.finish().unwrap()
    })
}

proptest! {
    /// An archive is read by the rules of layers, and then some.
    #[test]
    fn what_a_layer_may_hold_an_archive_may(tar in tar()) {
        let layer = read(&tar, TarRules::Layer);
        prop_assert_eq!(&layer.1, &Ok(()));
        prop_assert_eq!(layer, read(&tar, TarRules::Archive));
    }

    #[test]
    fn a_changed_tar_is_read_or_refused(
        tar in tar(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = tar;
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let layer = read(&bytes, TarRules::Layer);
        let archive = read(&bytes, TarRules::Archive);
        if layer.1.is_ok() {
            prop_assert_eq!(layer, archive);
        }
    }

    /// Changes that keep the checksums right reach what stands behind them.
    #[test]
    fn a_changed_header_is_read_or_refused(
        tar in tar(),
        at in 0..512_usize,
        byte in any::<u8>(),
        block in any::<prop::sample::Index>(),
    ) {
        let mut bytes = tar;
        let block = block.index(bytes.len() / 512) * 512;
        bytes[block + at] = byte;
        let header = &mut bytes[block..block + 512];
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        drop(read(&bytes, TarRules::Layer));
        drop(read(&bytes, TarRules::Archive));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        drop(read(&bytes, TarRules::Layer));
        drop(read(&bytes, TarRules::Archive));
    }

    /// The content of a sparse file is its pieces, with zeros between them.
    #[test]
    fn sparse_files_have_all_their_bytes(
        pieces in proptest::collection::vec((0..50_u64, 1..60_u64), 0..20),
        tail in 0..50_u64,
    ) {
        let mut whole: Vec<u8> = Vec::new();
        let mut stored: Vec<u8> = Vec::new();
        let mut map = String::new();
        for (hole, len) in &pieces {
            whole.resize(whole.len() + usize::try_from(*hole).unwrap(), 0);
            map += &format!("{},{len},", whole.len());
            let data = vec![b'x'; usize::try_from(*len).unwrap()];
            whole.extend(&data);
            stored.extend(&data);
        }
        whole.resize(whole.len() + usize::try_from(tail).unwrap(), 0);
        map += &format!("{},0", whole.len());
        let bytes = sparse(&map, whole.len(), &stored);
        let (entries, ended) = read(&bytes, TarRules::Archive);
        prop_assert_eq!(ended, Ok(()));
        prop_assert_eq!(&entries[0].1, &whole);
        prop_assert!(read(&bytes, TarRules::Layer).1.is_err());
        let mut tar = TarReader::new(&*bytes, TarRules::Archive);
        tar.next_entry().unwrap();
        let first_hole = pieces.first().map_or(whole.len() as u64, |(hole, _)| *hole);
        prop_assert_eq!(tar.skip_hole(), first_hole);
    }
}

/// An archive of one sparse file in PAX records.
fn sparse(map: &str, size: usize, stored: &[u8]) -> Vec<u8> {
    let record = |key: &str, value: &str| {
        let rest = key.len() + value.len() + 3;
        let len = (rest + 1..rest + 9).find(|len| *len == rest + len.to_string().len());
        format!("{} {key}={value}\n", len.unwrap())
    };
    let records = record("GNU.sparse.map", map) + &record("GNU.sparse.size", &size.to_string());
    let block = |kind: u8, body: &[u8]| {
        let mut header = crate::layer_tar::header::Header::new(kind);
        header.set_bytes(crate::layer_tar::header::NAME, b"sparse");
        header.set_number(crate::layer_tar::header::SIZE, body.len() as u64);
        let padding = vec![0; crate::layer_tar::padding(body.len() as u64)];
        [header.finish().as_slice(), body, &padding].concat()
    };
    [
        block(b'x', records.as_bytes()),
        block(b'0', stored),
        vec![0; 1024],
    ]
    .concat()
}
