//! What the tests publish and how they look at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use acetate_cache::remote::{
    Attest, BucketConfig, Chunk, Existing, LayerSource, Publication, RemoteCache, RemoteConfig,
    RemoteLimits,
};
use acetate_cache::{CacheKey, Fidelity};
use acetate_graph::{ContentKey, DefinitionKey, OpKey};
use acetate_oci::{Digest, Timestamp};

/// Bytes that look random and are the same everywhere (xorshift, Marsaglia 2003).
pub(crate) fn noise(seed: u64, n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ (seed << 17);
    let mut bytes = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(n);
    bytes
}

pub(crate) fn definition(name: &str) -> CacheKey {
    CacheKey::definition(&DefinitionKey::from_digest(Digest::of(name.as_bytes())), 0)
}

pub(crate) fn content(name: &str) -> CacheKey {
    CacheKey::content(&ContentKey::from_digest(Digest::of(name.as_bytes())), 0)
}

pub(crate) fn hint(name: &str) -> CacheKey {
    CacheKey::hint(&OpKey::from_digest(Digest::of(name.as_bytes())))
}

/// A layer of these bytes, and how often it was opened.
pub(crate) fn source(bytes: &[u8]) -> (LayerSource, Arc<AtomicUsize>) {
    let n_opened = Arc::new(AtomicUsize::new(0));
    let (counter, shared): (_, Arc<[u8]>) = (Arc::clone(&n_opened), bytes.into());
    let source = LayerSource {
        diff_id: Digest::of(bytes),
        size: bytes.len() as u64,
        created: Timestamp::new(1_700_000_000, 5),
        base: None,
        listing: None,
        open: Arc::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(std::io::Cursor::new(Arc::clone(&shared))))
        }),
    };
    (source, n_opened)
}

/// A result of these layers under one definition key.
pub(crate) fn publication(name: &str, layers: &[&[u8]]) -> Publication {
    Publication {
        keys: vec![definition(name)],
        layers: layers.iter().map(|bytes| source(bytes).0).collect(),
        duration_ms: 1500,
        fidelity: Fidelity::Full,
        made_of: Vec::new(),
        existing: Existing::Keep,
        attest: Attest::Own,
    }
}

/// Limits that make faults end soon.
pub(crate) fn quick() -> RemoteLimits {
    RemoteLimits {
        first_try: Duration::from_millis(150),
        question: Duration::from_millis(600),
        lookup: Duration::from_millis(1200),
        transfer: Duration::from_millis(300),
        silence: Duration::from_secs(5),
        ..RemoteLimits::default()
    }
}

/// Limits under which nothing is asked twice, for tests that count requests on a busy machine.
pub(crate) fn patient() -> RemoteLimits {
    RemoteLimits {
        first_try: Duration::from_secs(20),
        question: Duration::from_secs(30),
        lookup: Duration::from_secs(60),
        ..RemoteLimits::default()
    }
}

pub(crate) fn cache(url: &str, limits: RemoteLimits) -> RemoteCache {
    let config = RemoteConfig {
        limits,
        ..RemoteConfig::new(url)
    };
    RemoteCache::open(&config).unwrap()
}

/// The bucket `org` with the prefix `repo`, behind the interface of S3 at an address.
pub(crate) fn bucket_config(endpoint: &str) -> BucketConfig {
    let options = [
        ("aws_endpoint", endpoint.trim_end_matches('/')),
        ("aws_access_key_id", "fleet-id"),
        ("aws_secret_access_key", "fleet-secret"),
        ("aws_region", "us-east-1"),
    ];
    let own = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    BucketConfig::new("s3://org/repo", own.to_vec().into())
}

pub(crate) fn bucket(endpoint: &str, limits: RemoteLimits) -> RemoteCache {
    let mut config = bucket_config(endpoint);
    config.remote.limits = limits;
    RemoteCache::open_bucket(&config).unwrap()
}

/// Nothing is here already.
pub(crate) fn nothing(_: &Chunk) -> Option<Vec<u8>> {
    None
}

pub(crate) fn texts(cache: &RemoteCache) -> Vec<String> {
    let warnings = cache.take_warnings();
    warnings.into_iter().map(|warning| warning.text).collect()
}
