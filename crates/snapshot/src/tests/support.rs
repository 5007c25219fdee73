//! A store in a temporary directory, steps run in it, and what they leave.

use crate::{
    BlobLayer, DriverChoice, EntryKind, Listing, OverlayXattrs, RootEntry, RootMount, Snapshot,
    SnapshotOptions, Snapshots, WalkOptions, probe, sys, walk,
};
use acetate_oci::{Descriptor, Digest, MediaType, Timestamp};
use acetate_store::{Expect, Store};
use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A moment that no test reaches by itself.
pub(crate) const THEN: Timestamp = Timestamp::new(1_000_000_000, 123_456_789);

pub(crate) struct World {
    // Declared first: the store is closed before its directory goes.
    pub(crate) snapshots: Snapshots,
    root: tempfile::TempDir,
}

/// Tells whether the test can run, and says so when it cannot.
pub(crate) fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: needs root");
    }
    root
}

/// A world for each driver; none where they cannot work.
pub(crate) fn worlds() -> Vec<World> {
    if !is_root() {
        return Vec::new();
    }
    vec![
        World::new(DriverChoice::Overlay),
        World::new(DriverChoice::Copy),
    ]
}

impl World {
    pub(crate) fn new(driver: DriverChoice) -> Self {
        Self::with_options(SnapshotOptions {
            driver,
            ..SnapshotOptions::default()
        })
    }

    pub(crate) fn with_options(options: SnapshotOptions) -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&root.path().join("store")).unwrap();
        Self {
            snapshots: Snapshots::with_options(store, options),
            root,
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.snapshots.0.store
    }

    /// Closes the store and opens it again, as another process would.
    pub(crate) fn reopen(self) -> Self {
        let options = self.snapshots.0.options.clone();
        drop(self.snapshots);
        let store = Store::open(&self.root.path().join("store")).unwrap();
        Self {
            snapshots: Snapshots::with_options(store, options),
            root: self.root,
        }
    }

    /// Runs a step over `base`: the closure gets the path of the root.
    pub(crate) fn step(&self, base: &Snapshot, step: impl FnOnce(&Path)) -> Snapshot {
        let active = self.snapshots.prepare(base).unwrap();
        let mounted = Mounted::new(active.root());
        step(&mounted.path);
        drop(mounted);
        active.commit().unwrap()
    }

    /// Describes everything that a step over `snapshot` can see.
    pub(crate) fn observe(&self, snapshot: &Snapshot) -> String {
        let active = self.snapshots.prepare(snapshot).unwrap();
        let mounted = Mounted::new(active.root());
        describe_tree(&mounted.path)
    }

    /// Seals all layers and returns their blobs.
    pub(crate) fn blobs(&self, snapshot: &Snapshot) -> Vec<BlobLayer> {
        let layers = snapshot.layers().iter();
        let sealed = layers.map(|layer| self.snapshots.seal(layer).unwrap());
        sealed
            .map(|sealed| BlobLayer {
                diff_id: sealed.diff_id,
                blob: sealed.blob.clone(),
            })
            .collect()
    }

    /// Brings the layers of a snapshot into another world by their blobs alone.
    pub(crate) fn transfer(&self, snapshot: &Snapshot, to: &World) -> Snapshot {
        let blobs = self.blobs(snapshot);
        for layer in &blobs {
            let blob = self
                .store()
                .blobs()
                .open(&layer.blob.digest)
                .unwrap()
                .unwrap();
            let expect = Expect::descriptor(&layer.blob);
            to.store().blobs().ingest(blob, expect).unwrap();
        }
        to.snapshots.from_blobs(&blobs).unwrap()
    }

    /// Names a layer by the bytes of its uncompressed tar.
    pub(crate) fn layer_of_tar(&self, tar: &[u8]) -> BlobLayer {
        let digest = self.store().blobs().put(tar).unwrap().digest;
        BlobLayer {
            diff_id: digest,
            blob: Descriptor::new(MediaType::OCI_LAYER, digest, tar.len() as u64),
        }
    }

    /// Returns the names of directory forms and of things half done.
    pub(crate) fn leftovers(&self) -> Vec<PathBuf> {
        let root = self.store().root();
        let mut all = Vec::new();
        for dir in ["layers", "tmp"] {
            let names = std::fs::read_dir(root.join(dir));
            all.extend(
                names
                    .into_iter()
                    .flatten()
                    .map(|entry| entry.unwrap().path()),
            );
        }
        all
    }
}

/// A prepared root that can be written through `path`; an overlay lives as long as this.
pub(crate) struct Mounted {
    pub(crate) path: PathBuf,
    _root: Option<OwnedFd>,
}

impl Mounted {
    pub(crate) fn new(root: &RootMount) -> Self {
        let (lower, upper, work) = match root {
            RootMount::Dir(path) => {
                return Self {
                    path: path.clone(),
                    _root: None,
                };
            }
            RootMount::Overlay { lower, upper, work } => (lower, upper, work),
        };
        let lowers: Vec<OwnedFd> = lower
            .iter()
            .map(|dir| sys::open_dir(dir).unwrap())
            .collect();
        let lowers: Vec<_> = lowers.iter().map(AsFd::as_fd).collect();
        let upper = sys::open_dir(upper).unwrap();
        let work = sys::open_dir(work).unwrap();
        let marks = OverlayXattrs::Trusted;
        let root = probe::mount(&lowers, upper.as_fd(), work.as_fd(), marks).unwrap();
        Self {
            path: format!("/proc/self/fd/{}/", root.as_raw_fd()).into(),
            _root: Some(root),
        }
    }
}

/// Describes a tree with its attributes and contents, one name per line.
pub(crate) fn describe_tree(root: &Path) -> String {
    let options = WalkOptions {
        overlay: OverlayXattrs::Trusted,
        root: RootEntry::Own,
    };
    describe(&walk(root, options).unwrap(), &|path| {
        Some(Digest::of(&std::fs::read(root.join(path)).unwrap()))
    })
}

/// Describes a listing; links are shown as files of their own, since a copy has no others.
pub(crate) fn describe(listing: &Listing, digest: &dyn Fn(&Path) -> Option<Digest>) -> String {
    let mut out = String::new();
    for entry in listing.entries() {
        let kind = match &entry.kind {
            EntryKind::File { .. } | EntryKind::Hardlink(_) => match digest(&entry.path) {
                Some(digest) => format!("file {}", &digest.hex()[..12]),
                None => "file".to_owned(),
            },
            EntryKind::Dir { .. } => "dir".to_owned(),
            EntryKind::Symlink(target) => format!("-> {}", target.display()),
            EntryKind::CharDevice { major, minor } => format!("char {major}:{minor}"),
            EntryKind::BlockDevice { major, minor } => format!("block {major}:{minor}"),
            EntryKind::Fifo => "fifo".to_owned(),
            EntryKind::Whiteout => "deleted".to_owned(),
        };
        let xattrs: Vec<String> = entry
            .xattrs
            .iter()
            .map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii()))
            .collect();
        let time = if entry.path.as_os_str().is_empty() {
            String::new()
        } else {
            entry.mtime.to_string()
        };
        let (path, mode, uid, gid) = (entry.path.display(), entry.mode, entry.uid, entry.gid);
        writeln!(
            out,
            "/{path} {mode:o} {uid}:{gid} {time} {kind} {}",
            xattrs.join(" ")
        )
        .unwrap();
    }
    out
}

pub(crate) fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap();
}

/// Sets the time of a name itself, never of what it links to.
pub(crate) fn set_time(path: impl AsRef<Path>, time: Timestamp) {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path.as_ref(), &sys::times(time), flags).unwrap();
}

/// Reads a tar with another program's reader: one line per entry.
pub(crate) fn tar_lines(tar: &[u8]) -> String {
    let mut archive = tar::Archive::new(tar);
    let mut out = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        let kind = match header.entry_type() {
            tar::EntryType::Regular => 'f',
            tar::EntryType::Directory => 'd',
            tar::EntryType::Symlink => 'l',
            tar::EntryType::Link => 'h',
            tar::EntryType::Char => 'c',
            tar::EntryType::Block => 'b',
            tar::EntryType::Fifo => 'p',
            other => panic!("{other:?}"),
        };
        let mut records = Vec::new();
        for record in entry.pax_extensions().unwrap().into_iter().flatten() {
            let record = record.unwrap();
            let value = record.value_bytes().escape_ascii().to_string();
            let value = if value.len() > 40 {
                format!("({})", value.len())
            } else {
                value
            };
            records.push(format!("{}={value}", record.key().unwrap()));
        }
        let name = entry.path_bytes().escape_ascii().to_string();
        let name = if name.len() > 60 {
            format!("({})", name.len())
        } else {
            name
        };
        let link = entry
            .link_name_bytes()
            .map(|link| link.escape_ascii().to_string());
        writeln!(
            out,
            "{kind} {:o} {}:{} {} @{} {name}{} {}",
            header.mode().unwrap(),
            header.uid().unwrap(),
            header.gid().unwrap(),
            entry.size(),
            header.mtime().unwrap(),
            link.map(|link| format!(" -> {link}")).unwrap_or_default(),
            records.join(" "),
        )
        .unwrap();
    }
    out.lines()
        .fold(String::new(), |all, line| all + line.trim_end() + "\n")
}
