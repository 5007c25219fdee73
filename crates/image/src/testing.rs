//! Helpers of this crate's tests.

/// Keeps how far each blob came, by its digest.
#[derive(Default)]
pub(crate) struct Heard(
    std::sync::Mutex<std::collections::BTreeMap<acetate_oci::Digest, Vec<u64>>>,
);

impl Heard {
    /// Checks that blobs came to their ends, each growing all the time, and no others were heard of.
    pub(crate) fn ended(&self, blobs: &[&acetate_oci::Descriptor]) {
        let heard = self.0.lock().unwrap();
        let ends = heard.iter().map(|(digest, steps)| {
            assert!(steps.is_sorted(), "{digest}: {steps:?}");
            (*digest, *steps.last().unwrap())
        });
        let expected = blobs.iter().map(|blob| (blob.digest, blob.size));
        let expected: std::collections::BTreeMap<_, _> = expected.collect();
        assert_eq!(ends.collect::<std::collections::BTreeMap<_, _>>(), expected);
    }
}

impl acetate_registry::Progress for Heard {
    fn moved(&self, blob: &acetate_oci::Descriptor, n_done: u64) {
        let mut heard = self.0.lock().unwrap();
        heard.entry(blob.digest).or_default().push(n_done);
    }
}

/// Bytes that compress about as well as text, the same on every run.
pub(crate) fn sample(n: usize) -> Vec<u8> {
    const WORDS: [&[u8]; 8] = [
        b"acetate ",
        b"sheet ",
        b"layer",
        b"\n",
        b"  ",
        b"0x",
        b"snapshot ",
        b"of ",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut out = Vec::with_capacity(n + 16);
    while out.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        match state % 11 {
            pick @ 0..8 => out.extend_from_slice(WORDS[usize::try_from(pick).unwrap()]),
            _ => out.extend_from_slice(&state.to_le_bytes()[..4]),
        }
    }
    out.truncate(n);
    out
}

/// An empty store in a directory that vanishes with the test.
pub(crate) fn store() -> (tempfile::TempDir, std::sync::Arc<acetate_store::Store>) {
    let dir = tempfile::tempdir().unwrap();
    let store = acetate_store::Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

use std::collections::BTreeMap;

use acetate_oci::{Descriptor, HistoryEntry, ImageConfig, MediaType, Platform, Timestamp};
use acetate_store::Store;

use crate::tarball::{Member, MemberKind, NO_XATTRS, TarWriter};
use crate::{Image, ImageLayer, Style, assemble};

/// One entry of a layer for tests.
pub(crate) struct E<'a> {
    path: &'a str,
    kind: MemberKind<'a>,
    content: &'a [u8],
    mode: u32,
}

/// A file.
pub(crate) fn f<'a>(path: &'a str, content: &'a str) -> E<'a> {
    let kind = MemberKind::File(content.len() as u64);
    E {
        path,
        kind,
        content: content.as_bytes(),
        mode: 0o644,
    }
}

/// A directory.
pub(crate) fn d(path: &str) -> E<'_> {
    E {
        path,
        kind: MemberKind::Directory,
        content: b"",
        mode: 0o755,
    }
}

/// A symbolic link.
pub(crate) fn s<'a>(path: &'a str, target: &'a str) -> E<'a> {
    E {
        path,
        kind: MemberKind::Symlink(target.as_bytes()),
        content: b"",
        mode: 0o777,
    }
}

/// A hard link.
pub(crate) fn h<'a>(path: &'a str, target: &'a str) -> E<'a> {
    E {
        path,
        kind: MemberKind::Hardlink(target.as_bytes()),
        content: b"",
        mode: 0o644,
    }
}

/// Any other kind.
pub(crate) fn k<'a>(path: &'a str, kind: MemberKind<'a>) -> E<'a> {
    E {
        path,
        kind,
        content: b"",
        mode: 0o600,
    }
}

impl E<'_> {
    /// The entry with another mode.
    pub(crate) fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }
}

/// The tar of some entries, in the order given.
pub(crate) fn tar_of(entries: &[E<'_>]) -> Vec<u8> {
    let xattrs = BTreeMap::from([(b"user.note".to_vec(), b"kept".to_vec())]);
    let mut tar = TarWriter::new(Vec::new());
    for entry in entries {
        // The kernel keeps such attributes for files and directories only.
        let has_xattrs = matches!(entry.kind, MemberKind::File(_) | MemberKind::Directory);
        let member = Member {
            path: entry.path.as_bytes(),
            kind: entry.kind,
            mode: entry.mode,
            uid: 10,
            gid: 20,
            mtime: Timestamp::new(1_600_000_000, 500_000_000),
            xattrs: if has_xattrs { &xattrs } else { &NO_XATTRS },
        };
        match entry.kind {
            MemberKind::File(_) => tar.file(&member, entry.content).unwrap(),
            _ => tar.entry(&member).unwrap(),
        }
    }
    tar.finish().unwrap()
}

/// Puts a plain layer into a store.
pub(crate) fn put_layer(store: &Store, entries: &[E<'_>]) -> ImageLayer {
    let put = store.blobs().put(&tar_of(entries)).unwrap();
    ImageLayer {
        descriptor: Descriptor::new(MediaType::OCI_LAYER, put.digest, put.size),
        diff_id: put.digest,
    }
}

/// An image of some layers with a history.
pub(crate) fn image_of(layers: Vec<ImageLayer>, platform: &str) -> Image {
    let mut config = ImageConfig::scratch(&platform.parse::<Platform>().unwrap());
    config.created = Some(Timestamp::from_secs(1_600_000_000));
    config.config.cmd = Some(vec!["/bin/app".to_owned()]);
    let entry = |n| HistoryEntry {
        created: Some(Timestamp::from_secs(1_600_000_000)),
        created_by: format!("COPY {n} # buildkit"),
        ..HistoryEntry::default()
    };
    let history = (0..layers.len()).map(entry).collect();
    assemble(config, history, layers, Style::Oci).unwrap()
}
