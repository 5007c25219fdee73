use super::{Export, Import, Opened, SharedCaches};
use crate::engine::Engine;
use crate::{BuildError, BuildRequest, CachePlace};
use acetate_cache::remote::{HttpCache, RemoteCache, RemoteConfig, RemoteError, RemoteLimits};
use acetate_net::PlainHttp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Opens the caches that a request names. Nothing is asked yet.
///
/// # Errors
/// What is wrong with the flags; a cache that does not answer is none of it.
pub(crate) fn open(engine: &Engine, request: &BuildRequest) -> Result<SharedCaches, BuildError> {
    let mut opening = Opening {
        engine,
        opened: BTreeMap::new(),
    };
    let mut caches = SharedCaches::default();
    for spec in &request.cache_from {
        let opened = opening.open("--cache-from", &spec.place)?;
        let spec = spec.clone();
        caches.imports.push(Import { opened, spec });
    }
    for spec in &request.cache_to {
        let opened = opening.open("--cache-to", &spec.place)?;
        let spec = spec.clone();
        caches.exports.push(Export { opened, spec });
    }
    Ok(caches)
}

struct Opening<'a> {
    engine: &'a Engine,
    /// What is open, by the name of its place.
    opened: BTreeMap<String, Opened>,
}

impl Opening<'_> {
    fn open(&mut self, flag: &str, place: &CachePlace) -> Result<Opened, BuildError> {
        let name = format!("{place:?}");
        if let Some(opened) = self.opened.get(&name) {
            return Ok(opened.clone());
        }
        let opened = match place {
            CachePlace::Http { url, token } => {
                let config = RemoteConfig {
                    token: token.clone(),
                    limits: RemoteLimits {
                        // Whoever writes `http:` into the flag means it.
                        plain_http: PlainHttp::Anywhere,
                        ..RemoteLimits::default()
                    },
                    ..RemoteConfig::new(url)
                };
                let remote = RemoteCache::open(&config).map_err(|error| refuse(flag, &error))?;
                let store = Arc::clone(&self.engine.store);
                Opened {
                    cache: Arc::new(HttpCache::new(remote.clone(), store)),
                    server: Some(remote),
                }
            }
            other => {
                return Err(BuildError::request(format!(
                    "{flag}: {other:?} is not supported yet"
                )));
            }
        };
        self.opened.insert(name, opened.clone());
        Ok(opened)
    }
}

fn refuse(flag: &str, error: &RemoteError) -> BuildError {
    BuildError::request(format!("{flag}: {}", crate::error::words(error)))
}
