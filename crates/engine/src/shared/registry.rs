//! Caches in registries, and images there whose config holds records.

use super::open::recipe;
use crate::engine::Engine;
use crate::{BuildError, BuildRequest, CacheExport, CachePlace};
use acetate_cache::SharedCache;
use acetate_cache::layout::{InlineCache, Missing};
use acetate_cache::registry::{RegistryCache, RegistryOptions, RegistryPlace};
use acetate_image::{ImageSource, ResolvedImage};
use acetate_oci::{ImageConfig, Platform, Reference};
use acetate_registry::{Insecure, Name, Registries, RegistryError, Repository};
use std::sync::Arc;

/// What a reference led to.
pub(super) struct Found {
    pub(super) cache: Arc<dyn SharedCache>,
    /// The image that holds the records, where they are those of an image.
    pub(super) image: Option<Arc<ResolvedImage>>,
}

impl Found {
    fn plain(cache: RegistryCache) -> Self {
        Self {
            cache: Arc::new(cache),
            image: None,
        }
    }
}

/// Opens what a reference leads to: a cache that is written, too, is opened once for both; what is
/// only read may be an image as well, and is asked for.
///
/// # Errors
/// What is wrong with the flags; what is not there is none of it.
pub(super) async fn open(
    engine: &Engine,
    request: &BuildRequest,
    flag: &str,
    reference: &str,
) -> Result<Found, BuildError> {
    if reference.starts_with("oci-layout://") {
        let source = reference.parse::<ImageSource>();
        let source = source.map_err(|error| refuse(flag, reference, &error))?;
        return Ok(image(engine, request, &source, reference).await);
    }
    let parsed = reference.parse::<Reference>();
    let parsed = parsed.map_err(|error| refuse(flag, reference, &error))?;
    let place = RegistryPlace {
        registries: registries(engine, request, &parsed).await,
        reference: parsed.clone(),
    };
    let store = Arc::clone(&engine.store);
    let mut exports = request.cache_to.iter();
    if let Some(export) = exports.find(|export| leads_to(&export.place, &parsed)) {
        if parsed.digest().is_some() {
            let reason = "a digest cannot be written; name a tag";
            return Err(refuse(flag, reference, &reason));
        }
        let options = options(request, export);
        let options = options.map_err(|error| refuse(flag, reference, &error))?;
        return Ok(Found::plain(RegistryCache::writer(place, options, store)));
    }
    let cache = RegistryCache::reader(place, Missing::Warned, store);
    if cache.is_image().await {
        let source = ImageSource::Registry(parsed);
        return Ok(image(engine, request, &source, reference).await);
    }
    Ok(Found::plain(cache))
}

/// Reads the records of an image; one that cannot be had is an empty cache, and a warning.
async fn image(
    engine: &Engine,
    request: &BuildRequest,
    source: &ImageSource,
    reference: &str,
) -> Found {
    let platforms = request.platforms.first().cloned();
    let platform = platforms.unwrap_or_else(Platform::host);
    match engine.puller.resolve(source, &platform).await {
        Ok(image) => Found {
            cache: Arc::new(InlineCache::read(reference, &image.config, image.layers())),
            image: Some(Arc::new(image)),
        },
        Err(error) => {
            let words = crate::error::words(&error);
            tracing::warn!("nothing comes from the records in the image {reference}: {words}");
            let config = ImageConfig::scratch(&platform);
            Found {
                cache: Arc::new(InlineCache::read(reference, &config, &[])),
                image: None,
            }
        }
    }
}

fn options(
    request: &BuildRequest,
    export: &CacheExport,
) -> Result<RegistryOptions, acetate_image::LevelError> {
    let (recipe, force) = recipe(export)?;
    // Earlier builds of the image may have left layers beside it.
    let names = request.tags.iter().filter_map(|tag| tag.parse().ok());
    Ok(RegistryOptions {
        recipe,
        force,
        form: export.form,
        mount_from: names
            .map(|name: Reference| Repository::from(&name))
            .collect(),
        patience: export.wait,
    })
}

/// How registries are spoken to for the sake of one of them.
async fn registries(
    engine: &Engine,
    request: &BuildRequest,
    reference: &Reference,
) -> Arc<Registries> {
    let imports = request.cache_from.iter().map(|import| &import.place);
    let exports = request.cache_to.iter().map(|export| &export.place);
    let is_insecure = |place: &CachePlace| match place {
        CachePlace::Registry { insecure, .. } => *insecure && leads_to(place, reference),
        _ => false,
    };
    if !imports.chain(exports).any(is_insecure) {
        return Arc::clone(&engine.registries);
    }
    let (repository, name) = (Repository::from(reference), Name::from(reference));
    let any = engine
        .registries
        .trusting(&repository, Insecure::AnyCertificate);
    match any.describe(&repository, &name).await {
        Err(RegistryError::Net(error)) => {
            tracing::debug!(%error, %repository, "the registry is tried without TLS");
            let plain = Insecure::PlainHttp;
            Arc::new(engine.registries.trusting(&repository, plain))
        }
        _ => Arc::new(any),
    }
}

fn leads_to(place: &CachePlace, wanted: &Reference) -> bool {
    match place {
        CachePlace::Registry { reference, .. } => reference.parse().ok().as_ref() == Some(wanted),
        _ => false,
    }
}

fn refuse(flag: &str, reference: &str, error: &dyn std::fmt::Display) -> BuildError {
    BuildError::request(format!("{flag} {reference}: {error}"))
}
