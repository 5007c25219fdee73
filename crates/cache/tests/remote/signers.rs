//! Keys of the tests, and clients that sign and that want signatures.

use std::sync::Arc;

use acetate_cache::remote::sign::{PublicKey, generate};
use acetate_cache::remote::{RemoteCache, RemoteConfig, SigningKey, Trust, TrustedKeys};
use acetate_stdx::clock::FixedClock;

use crate::support::patient;

/// 2026-07-01, noon.
pub(crate) const NOW: i64 = 1_782_907_200;

/// A key of one of those who take part.
pub(crate) struct Party {
    pub(crate) key: SigningKey,
    pub(crate) public: PublicKey,
}

impl Party {
    pub(crate) fn new() -> Self {
        let key = SigningKey::parse(generate(None).unwrap().private.expose()).unwrap();
        let public = key.public();
        Self { key, public }
    }

    /// A list that holds this key, with what follows it in its line.
    pub(crate) fn list(&self, remark: &str) -> TrustedKeys {
        TrustedKeys::parse(&format!("{} {remark}", self.public.base64())).unwrap()
    }

    /// Wants this key.
    pub(crate) fn required(&self) -> Trust {
        Trust::require(self.list("main"))
    }

    pub(crate) fn preferred(&self) -> Trust {
        Trust::prefer(self.list("main"))
    }
}

/// A client of a cache at noon.
pub(crate) fn client(url: &str, signer: Option<&Party>, trust: Trust) -> RemoteCache {
    client_at(url, signer, trust, NOW)
}

pub(crate) fn client_at(url: &str, signer: Option<&Party>, trust: Trust, time: i64) -> RemoteCache {
    let config = RemoteConfig {
        trust,
        signer: signer.map(|party| party.key.clone()),
        builder: "a test".to_owned(),
        clock: Arc::new(FixedClock::at(time)),
        limits: patient(),
        ..RemoteConfig::new(url)
    };
    RemoteCache::open(&config).unwrap()
}
