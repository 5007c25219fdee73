//! What all roles need.

use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use acetate_cache::layout::{LayoutCache, LayoutOptions, LayoutPlace, Missing};
use acetate_cache::remote::{Attest, Existing, LayerSource, Publication};
use acetate_cache::{CacheKey, Fidelity, SharedCache};
use acetate_graph::DefinitionKey;
use acetate_oci::{Digest, Timestamp};
use acetate_store::Store;

/// This binary in the role `args[0]`.
pub(crate) fn victim(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a program knows its path"));
    command.args(args);
    command
}

/// Runs asynchronous work to its end.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime starts").block_on(work)
}

pub(crate) fn key(name: &str) -> CacheKey {
    CacheKey::definition(&DefinitionKey::from_digest(Digest::of(name.as_bytes())), 0)
}

/// A result with one layer of the given bytes.
pub(crate) fn result(name: &str, bytes: Vec<u8>) -> Publication {
    let layer = LayerSource {
        diff_id: Digest::of(&bytes),
        size: bytes.len() as u64,
        created: Timestamp::from_secs(7),
        base: None,
        listing: None,
        open: Arc::new(move || Ok(Box::new(std::io::Cursor::new(bytes.clone())))),
    };
    Publication {
        keys: vec![key(name)],
        layers: vec![layer],
        duration_ms: 10,
        fidelity: Fidelity::Full,
        made_of: Vec::new(),
        existing: Existing::Keep,
        attest: Attest::default(),
    }
}

/// Bytes that hardly compress, the same everywhere.
pub(crate) fn noise(name: &str, n: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(n + 32);
    let mut digest = Digest::of(name.as_bytes());
    while bytes.len() < n {
        bytes.extend_from_slice(digest.as_bytes());
        digest = Digest::of(digest.as_bytes());
    }
    bytes.truncate(n);
    bytes
}

pub(crate) fn writer(dir: &Path, store: &Arc<Store>) -> LayoutCache {
    let place = LayoutPlace::new(dir);
    LayoutCache::writer(place, LayoutOptions::default(), Arc::clone(store))
}

/// The named results that a fresh machine finds, each of which comes whole; nothing is warned of.
pub(crate) fn found(dir: &Path, names: &[String]) -> Vec<String> {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(&temp.path().join("store")).expect("a store opens");
    let place = LayoutPlace::new(dir);
    let cache = LayoutCache::reader(place, Missing::Expected, Arc::clone(&store));
    let keys: Vec<CacheKey> = names.iter().map(|name| key(name)).collect();
    wait(async {
        let hits = cache.lookup(&keys).await;
        let mut found = Vec::new();
        for (name, hit) in names.iter().zip(hits) {
            let Some(hit) = hit else {
                continue;
            };
            for layer in &hit.record.layers {
                let blob = cache.fetch(layer).await;
                blob.unwrap_or_else(|lost| panic!("{name} does not come: {lost}"));
            }
            found.push(name.clone());
        }
        assert_eq!(cache.close().await.warnings, [], "a reader complains");
        found
    })
}
