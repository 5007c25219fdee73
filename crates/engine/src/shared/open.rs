use super::inline::InlineExport;
use super::keys::{self, Keys};
use super::{Export, Import, Opened, SharedCaches, registry};
use crate::cache_place::remote_config;
use crate::engine::Engine;
use crate::{BuildError, BuildRequest, CacheExport, CachePlace};
use acetate_cache::SharedCache;
use acetate_cache::layout::{LayoutCache, LayoutOptions, LayoutPlace, Missing, Reset};
use acetate_cache::remote::{BucketConfig, HttpCache, RemoteCache, RemoteConfig, RemoteError};
use acetate_image::{Force, Recipe, ResolvedImage};
use acetate_net::is_loopback;
use std::sync::Arc;

/// Opens the caches that a request names. Only images whose config holds records are asked for
/// already.
///
/// # Errors
/// What is wrong with the flags; a cache that does not answer is none of it.
pub(crate) async fn open(
    engine: &Engine,
    request: &BuildRequest,
) -> Result<SharedCaches, BuildError> {
    keys::check(request)?;
    let mut opening = Opening {
        engine,
        request,
        opened: Vec::new(),
        images: Vec::new(),
        inline: None,
    };
    let mut caches = SharedCaches {
        required: keys::required(request)?,
        ..SharedCaches::default()
    };
    for spec in &request.cache_from {
        let keys = Keys::import(request, &spec.place, &spec.trust);
        let opened = opening.open("--cache-from", &spec.place, keys).await?;
        let spec = spec.clone();
        caches.imports.push(Import { opened, spec });
    }
    for spec in &request.cache_to {
        let keys = Keys::export(request, &spec.place, spec.sign.as_ref());
        let opened = opening.open("--cache-to", &spec.place, keys).await?;
        let spec = spec.clone();
        caches.exports.push(Export { opened, spec });
    }
    caches.images = opening.images;
    caches.inline = opening.inline;
    Ok(caches)
}

struct Opening<'a> {
    engine: &'a Engine,
    request: &'a BuildRequest,
    /// What is open, by its place and its keys.
    opened: Vec<(Keys, Opened)>,
    /// Images that hold records: their layers come from where they are.
    images: Vec<Arc<ResolvedImage>>,
    inline: Option<Arc<InlineExport>>,
}

impl Opening<'_> {
    async fn open(
        &mut self,
        flag: &str,
        place: &CachePlace,
        keys: Keys,
    ) -> Result<Opened, BuildError> {
        if let Some((_, opened)) = self.opened.iter().find(|(known, _)| *known == keys) {
            return Ok(opened.clone());
        }
        let opened = match place {
            CachePlace::Http { url, .. } => {
                let config = RemoteConfig {
                    token: keys.read_token(),
                    write_token: keys.write_token(),
                    trust: keys.trust()?,
                    signer: keys.signer()?,
                    ..remote_config(url)
                };
                warn_of_clear_token(&config);
                let remote = RemoteCache::open(&config).map_err(|error| refuse(flag, &error))?;
                self.server(remote)
            }
            CachePlace::Bucket { url, options } => {
                let mut config = BucketConfig::new(url, options.clone());
                config.remote.trust = keys.trust()?;
                config.remote.signer = keys.signer()?;
                let remote = RemoteCache::open_bucket(&config);
                let remote = remote.map_err(|error| refuse(flag, &error))?;
                self.server(remote)
            }
            CachePlace::Layout {
                dir, tag, digest, ..
            } => {
                let place = LayoutPlace {
                    dir: dir.clone(),
                    tag: tag.clone(),
                    digest: *digest,
                };
                Opened::plain(Arc::new(self.layout(flag, place)?))
            }
            CachePlace::Inline => {
                let export = self.inline.get_or_insert_default();
                Opened::plain(Arc::clone(export) as Arc<dyn SharedCache>)
            }
            CachePlace::Registry { reference, .. } => {
                let opening = registry::open(self.engine, self.request, flag, reference);
                let found = Box::pin(opening).await?;
                self.images.extend(found.image);
                Opened::plain(found.cache)
            }
        };
        self.opened.push((keys, opened.clone()));
        Ok(opened)
    }

    fn server(&self, remote: RemoteCache) -> Opened {
        let store = Arc::clone(&self.engine.store);
        Opened {
            cache: Arc::new(HttpCache::new(remote.clone(), store)),
            server: Some(remote),
        }
    }

    /// A directory that is written, too, is opened once for both.
    fn layout(&self, flag: &str, place: LayoutPlace) -> Result<LayoutCache, BuildError> {
        let mut exports = self.request.cache_to.iter();
        let export = exports.find(|export| match &export.place {
            CachePlace::Layout { dir, tag, .. } => *dir == place.dir && *tag == place.tag,
            _ => false,
        });
        let same_dir = |export: &CacheExport| match &export.place {
            CachePlace::Layout { dir, .. } => *dir == place.dir,
            _ => false,
        };
        let store = Arc::clone(&self.engine.store);
        if let Some(export) = export.filter(|_| place.digest.is_none()) {
            let options = layout_options(export)
                .map_err(|error| BuildError::request(format!("{flag}: {error}")))?;
            return Ok(LayoutCache::writer(place, options, store));
        }
        let is_made = self.request.cache_to.iter().any(same_dir);
        let missing = if is_made {
            Missing::Expected
        } else {
            Missing::Warned
        };
        Ok(LayoutCache::reader(place, missing, store))
    }
}

impl Opened {
    fn plain(cache: Arc<dyn SharedCache>) -> Self {
        Self {
            cache,
            server: None,
        }
    }
}

fn layout_options(export: &CacheExport) -> Result<LayoutOptions, acetate_image::LevelError> {
    let (recipe, force) = recipe(export)?;
    Ok(LayoutOptions {
        recipe,
        force,
        reset: match export.place {
            CachePlace::Layout { reset: true, .. } => Reset::Drop,
            _ => Reset::Keep,
        },
    })
}

/// How layers are compressed that are kept as blobs.
pub(super) fn recipe(export: &CacheExport) -> Result<(Recipe, Force), acetate_image::LevelError> {
    let recipe = match export.compression_level {
        None => Recipe::new(export.compression),
        Some(level) => Recipe::new(export.compression).at_level(level)?,
    };
    let force = if export.force_compression {
        Force::Other
    } else {
        Force::Plain
    };
    Ok((recipe, force))
}

/// A token that anybody on the way can read is worth a line.
fn warn_of_clear_token(config: &RemoteConfig) {
    let Ok(address) = config.address() else {
        return;
    };
    let is_clear = address.url.starts_with("http:") && !is_loopback(&address.host);
    let has_token = config.token.is_some() || config.write_token.is_some();
    if is_clear && has_token {
        let url = &address.url;
        tracing::warn!("the token for the cache {url} is sent unencrypted; use https");
    }
}

fn refuse(flag: &str, error: &RemoteError) -> BuildError {
    BuildError::request(format!("{flag}: {}", crate::error::words(error)))
}
