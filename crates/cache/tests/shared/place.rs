//! Places of caches that the suite runs over.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use acetate_cache::SharedCache;
use acetate_cache::layout::{LayoutCache, LayoutOptions, LayoutPlace};
use acetate_cache::remote::HttpCache;
use acetate_store::Store;
use tempfile::TempDir;

use crate::scripted::{Scripted, Speaks};
use crate::support;

/// Where a cache is, and how a test spoils what it keeps.
pub(crate) trait Place {
    /// The cache as a build on this store sees it.
    fn open(&self, store: &Arc<Store>) -> Box<dyn SharedCache>;
    /// Changes all content that layers are made of: to none where it is removed.
    fn spoil(&self, change: impl Fn(&[u8]) -> Option<Vec<u8>>);
    /// Whether what was found damaged is replaced by the client alone.
    fn is_checked_by_clients(&self) -> bool;
    /// Lets the records look as those of another version.
    fn age(&self);
}

/// A server in this process.
pub(crate) struct Http(Scripted);

impl Http {
    pub(crate) fn new() -> Self {
        Self(Scripted::start(Speaks::Extensions))
    }
}

impl Place for Http {
    fn open(&self, store: &Arc<Store>) -> Box<dyn SharedCache> {
        let remote = support::cache(&self.0.url(), support::patient());
        Box::new(HttpCache::new(remote, Arc::clone(store)))
    }

    fn spoil(&self, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
        self.0.edit(|objects| {
            let changed = objects.iter().filter_map(|(path, body)| {
                // Trees are content too, and small.
                let is_piece = path.contains("/cas/") && body.len() > 1000;
                let body = if is_piece {
                    change(body)?
                } else {
                    body.clone()
                };
                Some((path.clone(), body))
            });
            *objects = changed.collect();
        });
    }

    fn is_checked_by_clients(&self) -> bool {
        false
    }

    fn age(&self) {
        self.0.edit(|objects| {
            for (path, body) in objects.iter_mut() {
                if path.contains("/ac/") {
                    replace(body, b"acetate/record/v2", b"acetate/record/v9");
                }
            }
        });
    }
}

/// A directory.
pub(crate) struct Layout(pub(crate) TempDir);

impl Layout {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.path().join("cache")
    }

    pub(crate) fn place(&self) -> LayoutPlace {
        LayoutPlace::new(self.dir())
    }

    pub(crate) fn writer(&self, store: &Arc<Store>) -> LayoutCache {
        self.writer_with(store, LayoutOptions::default())
    }

    pub(crate) fn writer_with(&self, store: &Arc<Store>, options: LayoutOptions) -> LayoutCache {
        LayoutCache::writer(self.place(), options, Arc::clone(store))
    }
}

impl Place for Layout {
    fn open(&self, store: &Arc<Store>) -> Box<dyn SharedCache> {
        Box::new(self.writer(store))
    }

    fn spoil(&self, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
        for path in blobs(&self.dir()) {
            let bytes = std::fs::read(&path).unwrap();
            if bytes.starts_with(b"{") {
                continue;
            }
            match change(&bytes) {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
        }
    }

    fn is_checked_by_clients(&self) -> bool {
        true
    }

    fn age(&self) {
        let dir = self.dir();
        let index = std::fs::read_to_string(dir.join("index.json")).unwrap();
        let mut index: acetate_oci::Index = serde_json::from_str(&index).unwrap();
        let entry = index.manifests.last_mut().unwrap();
        let blob = |digest: &acetate_oci::Digest| dir.join("blobs/sha256").join(digest.hex());
        let mut manifest = std::fs::read(blob(&entry.digest)).unwrap();
        replace(
            &mut manifest,
            b"cache.config.v1+json",
            b"cache.config.v9+json",
        );
        entry.digest = acetate_oci::Digest::of(&manifest);
        std::fs::write(blob(&entry.digest), manifest).unwrap();
        let index = acetate_oci::canonical_json(&index);
        std::fs::write(dir.join("index.json"), index).unwrap();
    }
}

/// All blobs of a layout, in the order of their names.
pub(crate) fn blobs(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("blobs/sha256")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// An empty store in a directory that vanishes with the test.
pub(crate) fn store() -> (TempDir, Arc<Store>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

pub(crate) fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from);
    let at = at.expect("the text is there");
    bytes[at..at + to.len()].copy_from_slice(to);
}
