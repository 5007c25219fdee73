//! Keys of caches: whose results are taken, with what those of this build are signed, and the tokens.

use crate::{BuildError, BuildRequest, CachePlace, SigningKey, Trust};
use acetate_cache::remote::sign::{self, KeyError, TrustedKeys};
use acetate_oci::{Digest, Reference};
use acetate_stdx::Redacted;
use std::collections::BTreeSet;

/// What the flags say about the keys of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    place: String,
    trust: Trust,
    signer: Option<SigningKey>,
    reading: Option<Redacted<String>>,
    writing: Option<Redacted<String>>,
}

impl Keys {
    /// Those of a place that results are taken from, and perhaps given to by another flag.
    pub(super) fn import(request: &BuildRequest, place: &CachePlace, trust: &Trust) -> Self {
        let exports = request.cache_to.iter();
        let same = exports.filter(|export| name(&export.place) == name(place));
        Self {
            place: name(place),
            trust: trust.clone(),
            signer: same.clone().find_map(|export| export.sign.clone()),
            reading: token(place),
            writing: same.clone().find_map(|export| token(&export.place)),
        }
    }

    /// Those of a place that results are given to, and perhaps taken from by another flag.
    pub(super) fn export(
        request: &BuildRequest,
        place: &CachePlace,
        signer: Option<&SigningKey>,
    ) -> Self {
        let imports = request.cache_from.iter();
        let same = imports.filter(|import| name(&import.place) == name(place));
        let first = same.clone().next();
        Self {
            place: name(place),
            trust: first.map(|it| it.trust.clone()).unwrap_or_default(),
            signer: signer.cloned(),
            reading: same.clone().find_map(|import| token(&import.place)),
            writing: token(place),
        }
    }

    /// The token that is read with: who may write may read.
    pub(super) fn read_token(&self) -> Option<Redacted<String>> {
        self.reading.clone().or_else(|| self.writing.clone())
    }

    /// The token that is written with, where a flag says one.
    pub(super) fn write_token(&self) -> Option<Redacted<String>> {
        self.writing.clone()
    }

    /// Reads the list of keys.
    pub(super) fn trust(&self) -> Result<sign::Trust, BuildError> {
        let load = |path| TrustedKeys::load(path).map_err(|e| refuse("--cache-from: `trust`", &e));
        Ok(match &self.trust {
            Trust::Anyone => sign::Trust::off(),
            Trust::Prefer(path) => sign::Trust::prefer(load(path)?),
            Trust::Require(path) => sign::Trust::require(load(path)?),
        })
    }

    /// Reads the private key.
    pub(super) fn signer(&self) -> Result<Option<sign::SigningKey>, BuildError> {
        let refuse = |error: KeyError| refuse("--cache-to: `sign`", &error);
        let key = match &self.signer {
            None => return Ok(None),
            Some(SigningKey::Value(text)) => sign::SigningKey::parse(text.expose()),
            Some(SigningKey::File(path)) => sign::SigningKey::load(path).map(|(key, warning)| {
                if let Some(warning) = warning {
                    tracing::warn!("{warning}");
                }
                key
            }),
        };
        key.map(Some).map_err(refuse)
    }
}

/// Refuses keys where records have no place for signatures, and to sign what is built on results that
/// anybody may have made: a record holds the layers below a step, too, and a signature is about all of
/// them.
pub(super) fn check(request: &BuildRequest) -> Result<(), BuildError> {
    let signs_nowhere = |sign: &Option<SigningKey>, place| sign.is_some() && !is_signed(place);
    let mut exports = request.cache_to.iter();
    if exports.any(|export| signs_nowhere(&export.sign, &export.place)) {
        return Err(nobody_signs("--cache-to: `sign`"));
    }
    let mut imports = request.cache_from.iter();
    if imports.any(|import| import.trust != Trust::Anyone && !is_signed(&import.place)) {
        return Err(nobody_signs("--cache-from: `trust`"));
    }
    let signs = request.cache_to.iter().any(|export| export.sign.is_some());
    let is_open = |trust: &Trust| !matches!(trust, Trust::Require(_));
    if signs && request.cache_from.iter().any(|it| is_open(&it.trust)) {
        return Err(BuildError::request_with(
            "--cache-to: `sign` would vouch for layers that --cache-from takes unsigned",
            "give each --cache-from `trust=FILE`, and leave out those of directories and \
             registries, which nobody signs; or leave `sign` out",
        ));
    }
    Ok(())
}

/// True where records are kept with their signatures: one by one, as they were signed.
fn is_signed(place: &CachePlace) -> bool {
    match place {
        CachePlace::Http { .. } | CachePlace::Bucket { .. } => true,
        CachePlace::Layout { .. } | CachePlace::Inline | CachePlace::Registry { .. } => false,
    }
}

fn nobody_signs(what: &str) -> BuildError {
    BuildError::request_with(
        format!("{what} has no effect on directories, registries and images"),
        "share the records that have to be signed by a server or a bucket",
    )
}

/// The ids of the keys whose results alone are taken, also of those that are here already; none where
/// no cache requires a signature.
pub(super) fn required(request: &BuildRequest) -> Result<Option<BTreeSet<String>>, BuildError> {
    let trusts = request.cache_from.iter().map(|import| &import.trust);
    if !trusts
        .clone()
        .any(|trust| matches!(trust, Trust::Require(_)))
    {
        return Ok(None);
    }
    let mut ids = BTreeSet::new();
    for trust in trusts {
        if let Trust::Require(path) | Trust::Prefer(path) = trust {
            let keys = TrustedKeys::load(path).map_err(|e| refuse("--cache-from: `trust`", &e))?;
            ids.extend(keys.keys().iter().map(|trusted| trusted.key.id()));
        }
    }
    Ok(Some(ids))
}

fn token(place: &CachePlace) -> Option<Redacted<String>> {
    match place {
        CachePlace::Http { token, .. } => token.clone(),
        _ => None,
    }
}

fn name(place: &CachePlace) -> String {
    match place {
        // One server, whatever token is sent to it.
        CachePlace::Http { url, .. } => url.clone(),
        CachePlace::Layout {
            dir, tag, digest, ..
        } => format!("{}\0{tag}\0{digest:?}", dir.display()),
        // Buckets of one name at two services are two; the settings hold secrets, which stay unseen.
        CachePlace::Bucket { url, options } => {
            let settings = format!("{:?}", options.expose());
            format!("{url}\0{}", Digest::of(settings.as_bytes()))
        }
        // One flag is enough to say that it is insecure.
        CachePlace::Registry { reference, .. } => {
            let parsed = reference.parse::<Reference>();
            let name = parsed.map_or_else(|_| reference.clone(), |parsed| parsed.to_string());
            format!("registry\0{name}")
        }
        other @ CachePlace::Inline => format!("{other:?}"),
    }
}

fn refuse(what: &str, error: &KeyError) -> BuildError {
    let words = crate::error::words(error);
    BuildError::request_with(format!("{what}: {words}"), error.hint())
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
