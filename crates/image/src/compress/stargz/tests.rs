use std::collections::BTreeMap;
use std::io::Read;

use acetate_oci::Digest;
use serde_json::Value;

use super::*;
use crate::testing::sample;

fn stargz(tar: &[u8], piece: usize, n_threads: usize) -> (Vec<u8>, Traits) {
    let mut writer = StargzWriter::new(Vec::new(), 6, n_threads);
    for chunk in tar.chunks(piece) {
        writer.write_all(chunk).unwrap();
    }
    writer.finish().unwrap()
}

fn member<'a>(path: &'a str, kind: MemberKind<'a>, xattrs: &'a Xattrs) -> Member<'a> {
    Member {
        path: path.as_bytes(),
        kind,
        mode: 0o4755,
        uid: 7,
        gid: 8,
        mtime: Timestamp::from_secs(1_000_000_000),
        xattrs,
    }
}

type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// A tar with everything, and a file of two chunks and a bit.
fn everything() -> (Vec<u8>, Vec<u8>) {
    let xattrs = Xattrs::from([(b"user.x".to_vec(), b"a\nb\0".to_vec())]);
    let large = sample(CHUNK * 2 + 100);
    let deep = "d/".repeat(80) + "end";
    let mut tar = TarWriter::new(Vec::new());
    let none = Xattrs::new();
    let mut entry = |path: &str, kind: MemberKind<'_>, content: &[u8]| match kind {
        MemberKind::File(_) => tar.file(&member(path, kind, &none), content).unwrap(),
        kind => tar.entry(&member(path, kind, &xattrs)).unwrap(),
    };
    entry("dir", MemberKind::Directory, b"");
    entry("dir/empty", MemberKind::File(0), b"");
    entry("dir/small", MemberKind::File(5), b"hello");
    entry("large", MemberKind::File(large.len() as u64), &large);
    entry(&deep, MemberKind::File(512), &[7; 512]);
    entry("sym", MemberKind::Symlink(b"dir/small"), b"");
    entry("hard", MemberKind::Hardlink(b"dir/small"), b"");
    entry("null", MemberKind::CharDevice(1, 3), b"");
    entry("fifo", MemberKind::Fifo, b"");
    // Of an earlier table, which must not stand beside the new one.
    entry(TOC_NAME, MemberKind::File(3), b"old");
    entry(LANDMARK, MemberKind::File(1), b"x");
    (tar.finish().unwrap(), large)
}

fn number(entry: &Value, key: &str) -> usize {
    usize::try_from(entry[key].as_u64().unwrap_or_default()).unwrap()
}

/// One member from this place on.
fn member_at(blob: &[u8], at: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reader = flate2::bufread::GzDecoder::new(&blob[at..]);
    reader.read_to_end(&mut out).unwrap();
    out
}

/// Reads the table as a stranger would: from the footer, checking all that the format demands.
fn table(blob: &[u8], traits: &Traits) -> Vec<Value> {
    let footer = &blob[blob.len() - 51..];
    assert!(member_at(footer, 0).is_empty(), "an empty member");
    assert_eq!(
        &footer[..16],
        b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x1a\0SG\x16\0"
    );
    assert_eq!(&footer[32..38], b"STARGZ");
    let at = std::str::from_utf8(&footer[16..32]).unwrap();
    let tail = member_at(blob, usize::from_str_radix(at, 16).unwrap());
    let mut tar = tar::Archive::new(tail.as_slice());
    let mut entries = tar.entries().unwrap();
    let mut file = entries.next().unwrap().unwrap();
    assert_eq!(&*file.path_bytes(), TOC_NAME.as_bytes());
    let mut json = Vec::new();
    file.read_to_end(&mut json).unwrap();
    assert_eq!(
        traits.annotations()[toc::TOC_DIGEST],
        Digest::of(&json).to_string()
    );
    let table: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(table["version"], 1);
    table["entries"].as_array().unwrap().clone()
}

#[test]
fn every_file_is_found_by_the_table() {
    let (tar, large) = everything();
    let (blob, traits) = stargz(&tar, 10_007, 2);
    let entries = table(&blob, &traits);
    let mut found = BTreeMap::<String, Vec<u8>>::new();
    for entry in &entries {
        let name = entry["name"].as_str().unwrap();
        let is_data = matches!(entry["type"].as_str(), Some("reg" | "chunk"));
        if !is_data || entry["chunkDigest"].is_null() {
            continue;
        }
        let bytes = member_at(&blob, number(entry, "offset"));
        let whole = found.entry(name.to_owned()).or_default();
        assert_eq!(whole.len(), number(entry, "chunkOffset"));
        let first = entries.iter().find(|first| first["name"] == name).unwrap();
        let size = match number(entry, "chunkSize") {
            0 => number(first, "size") - whole.len(),
            size => size,
        };
        assert_eq!(entry["chunkDigest"], Digest::of(&bytes[..size]).to_string());
        whole.extend_from_slice(&bytes[..size]);
        if whole.len() == number(first, "size") {
            assert_eq!(first["digest"], Digest::of(whole).to_string());
        }
    }
    assert_eq!(found[LANDMARK], LANDMARK_CONTENT);
    assert_eq!(found["dir/small"], b"hello");
    assert!(found["large"] == large);
    assert_eq!(found.len(), 4, "and the deep one");
}

#[test]
fn the_table_tells_what_the_headers_tell() {
    let (blob, traits) = stargz(&everything().0, 1 << 20, 0);
    let entries = table(&blob, &traits);
    let of = |name: &str| entries.iter().find(|entry| entry["name"] == name).unwrap();
    let kinds: Vec<&str> = entries
        .iter()
        .map(|e| e["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "reg", "dir", "reg", "reg", "reg", "chunk", "chunk", "reg", "symlink", "hardlink",
            "char", "fifo"
        ]
    );
    let dir = of("dir/");
    assert_eq!(number(dir, "mode"), 0o4755);
    assert_eq!((number(dir, "uid"), number(dir, "gid")), (7, 8));
    assert_eq!(dir["modtime"], "2001-09-09T01:46:40Z");
    assert_eq!(dir["xattrs"]["user.x"], "YQpiAA==");
    assert_eq!(of("sym")["linkName"], "dir/small");
    assert_eq!(
        (
            number(of("null"), "devMajor"),
            number(of("null"), "devMinor")
        ),
        (1, 3)
    );
    assert_eq!(of("dir/empty")["digest"], Digest::of(b"").to_string());
    assert!(of("dir/empty")["offset"].is_null());
    assert!(of(LANDMARK)["modtime"].is_null());
}

#[test]
fn the_whole_is_a_tar_with_the_table_at_its_end() {
    let (tar, _) = everything();
    let (blob, traits) = stargz(&tar, 4_096, 1);
    let mut plain = Vec::new();
    flate2::bufread::MultiGzDecoder::new(blob.as_slice())
        .read_to_end(&mut plain)
        .unwrap();
    assert_eq!(Digest::of(&plain), traits.diff_id);
    assert_eq!(
        traits.annotations()[toc::PLAIN_SIZE],
        plain.len().to_string()
    );
    let mut names = Vec::new();
    for entry in tar::Archive::new(plain.as_slice()).entries().unwrap() {
        names.push(String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap());
    }
    assert_eq!(names.first().unwrap(), LANDMARK);
    assert_eq!(names.last().unwrap(), TOC_NAME);
    assert_eq!(names.len(), 9 + 2);
    // Between the two stand the members as they were.
    let n = plain
        .windows(512)
        .step_by(512)
        .position(|block| block.starts_with(b"dir/"));
    assert!(n.is_some());
}

#[test]
fn output_depends_on_nothing_else() {
    let (tar, _) = everything();
    let first = stargz(&tar, tar.len(), 0);
    for (piece, n_threads) in [(511, 1), (512, 2), (1 << 20, 4)] {
        assert!(
            stargz(&tar, piece, n_threads) == first,
            "{piece} {n_threads}"
        );
    }
    // A second time over it changes nothing.
    let mut plain = Vec::new();
    flate2::bufread::MultiGzDecoder::new(first.0.as_slice())
        .read_to_end(&mut plain)
        .unwrap();
    assert!(stargz(&plain, 1 << 20, 2) == first);
}

#[test]
fn odd_tars() {
    let (blob, traits) = stargz(&[], 1, 2);
    assert_eq!(table(&blob, &traits).len(), 1, "the landmark alone");
    assert!(stargz(&[0; 1024], 1024, 0) == (blob, traits));
    let (tar, _) = everything();
    for end in [100, 512 * 3 + 5, tar.len() / 2] {
        let mut writer = StargzWriter::new(Vec::new(), 6, 0);
        writer.write_all(&tar[..end]).unwrap();
        let error = writer.finish().map(drop).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{end}");
    }
}
