use super::{Export, Import, Opened, SharedCaches};
use crate::cache_place::remote_config;
use crate::engine::Engine;
use crate::{BuildError, BuildRequest, CachePlace};
use acetate_cache::remote::{HttpCache, RemoteCache, RemoteConfig, RemoteError};
use acetate_net::is_loopback;
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
                    ..remote_config(url)
                };
                warn_of_clear_token(&config);
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

/// A token that anybody on the way can read is worth a line.
fn warn_of_clear_token(config: &RemoteConfig) {
    let Ok(address) = config.address() else {
        return;
    };
    let is_clear = address.url.starts_with("http:") && !is_loopback(&address.host);
    if is_clear && config.token.is_some() {
        let url = &address.url;
        tracing::warn!("the token for the cache {url} is sent unencrypted; use https");
    }
}

fn refuse(flag: &str, error: &RemoteError) -> BuildError {
    BuildError::request(format!("{flag}: {}", crate::error::words(error)))
}
