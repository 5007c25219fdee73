//! Archives as tools write them, and as no tool would.

use crate::tree::Line;
use std::io::Write;

/// Packs entries. The form is `tar`, `gzip`, `bzip2`, `xz` or `zstd`, followed by changes: `+short=N`
/// cuts the end off, `+behind=TEXT` puts something behind, `+twice` repeats the whole, `+split` makes
/// two frames, `+noend` leaves out the mark of the end.
pub(crate) fn pack(form: &str, entries: &[Line]) -> Vec<u8> {
    let mut parts = form.split('+');
    let compression = parts.next().unwrap();
    let changes: Vec<&str> = parts.collect();
    let has = |name| changes.contains(&name);
    let mut tar: Vec<u8> = entries.iter().flat_map(entry).collect();
    if !has("noend") {
        tar.extend([0; 1024]);
    }
    let mut bytes = if has("split") {
        let (one, two) = tar.split_at(tar.len() / 2);
        [compress(compression, one), compress(compression, two)].concat()
    } else {
        compress(compression, &tar)
    };
    if has("twice") {
        bytes = bytes.repeat(2);
    }
    for change in changes {
        if let Some(n) = change.strip_prefix("short@") {
            bytes.truncate(bytes.len() - n.parse::<usize>().unwrap());
        } else if let Some(text) = change.strip_prefix("behind@") {
            bytes.extend(text.bytes());
        }
    }
    bytes
}

fn compress(compression: &str, bytes: &[u8]) -> Vec<u8> {
    match compression {
        "gzip" => {
            let level = flate2::Compression::fast();
            let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        "bzip2" => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        "zstd" => zstd::encode_all(bytes, 1).unwrap(),
        "tar" => bytes.to_vec(),
        other => panic!("unknown compression {other}"),
    }
}

/// One entry with its extensions. Words: `type=C`, `pax.KEY=VALUE`, `global.KEY=VALUE`, `gnuname=NAME`,
/// `size=N` for a size that is not the content's, `map=O,L,O,L` with `real=N` for a sparse file in
/// the form of GNU tar, `sum` for a wrong checksum.
fn entry(line: &Line) -> Vec<u8> {
    let mut out = Vec::new();
    for (prefix, kind) in [("global.", b'g'), ("pax.", b'x')] {
        let records: Vec<u8> = line
            .words
            .iter()
            .filter_map(|(key, value)| Some(record(key.strip_prefix(prefix)?, value)))
            .flatten()
            .collect();
        if !records.is_empty() {
            out.extend(raw(b"PaxHeader", kind, &records, b"", &Line::default()));
        }
    }
    if let Some(name) = line.word("gnuname") {
        out.extend(raw(b"././@LongLink", b'L', name, b"", &Line::default()));
    }
    let (kind, content, target) = if let Some(target) = &line.link {
        (b'2', Vec::new(), target.clone())
    } else if let Some(first) = &line.hard_link {
        (b'1', Vec::new(), first.clone())
    } else if line.is_dir() {
        (b'5', Vec::new(), Vec::new())
    } else if line.word("fifo").is_some() {
        (b'6', Vec::new(), Vec::new())
    } else if line.device("char").is_some() {
        (b'3', Vec::new(), Vec::new())
    } else if line.device("block").is_some() {
        (b'4', Vec::new(), Vec::new())
    } else {
        (b'0', line.content(), Vec::new())
    };
    let kind = line.word("type").map_or(kind, |kind| kind[0]);
    let name = if line.name == b"\"\"" {
        b""
    } else {
        line.name.as_slice()
    };
    out.extend(raw(name, kind, &content, &target, line));
    out
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    [format!("{len} {key}=").as_bytes(), value, b"\n"].concat()
}

/// One header and its content.
fn raw(name: &[u8], kind: u8, content: &[u8], target: &[u8], line: &Line) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    let default = if kind == b'5' { 0o755 } else { 0o644 };
    let (uid, gid) = line.owner.unwrap_or((0, 0));
    let size = line.word("size").map_or_else(
        || format!("{:011o}", content.len()).into_bytes(),
        <[u8]>::to_vec,
    );
    put(0, &name[..name.len().min(100)]);
    put(
        100,
        format!("{:07o}", line.mode.unwrap_or(default)).as_bytes(),
    );
    put(108, format!("{uid:07o}").as_bytes());
    put(116, format!("{gid:07o}").as_bytes());
    put(124, &size);
    put(
        136,
        format!("{:011o}", crate::world::ARCHIVE_TIME).as_bytes(),
    );
    put(156, &[kind]);
    put(157, target);
    put(257, b"ustar\x0000");
    if let Some((major, minor)) = line.device("char").or(line.device("block")) {
        put(329, format!("{major:07o}").as_bytes());
        put(337, format!("{minor:07o}").as_bytes());
    }
    if let Some(map) = line.text("map") {
        put(257, b"ustar  \0");
        for (n, number) in map.split(',').enumerate() {
            let number: u64 = number.parse().unwrap();
            put(386 + 12 * n, format!("{number:011o}").as_bytes());
        }
        let real: u64 = line.text("real").unwrap().parse().unwrap();
        put(483, format!("{real:011o}").as_bytes());
    }
    put(148, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let sum = sum + u32::from(line.word("sum").is_some());
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; (512 - content.len() % 512) % 512];
    [&header, content, &padding].concat()
}
