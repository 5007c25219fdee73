//! Where a cache is.

use super::attributes::{Attributes, Kind, Side};
use super::{bucket, value};
use crate::cache_token;
use crate::environment::Environment;
use acetate_engine::CachePlace;
use acetate_oci::{Digest, Reference};
use anyhow::{Context, Result, anyhow, bail};
use std::path::PathBuf;

pub(super) fn read(given: &Attributes, env: &Environment) -> Result<CachePlace> {
    match given.kind {
        Kind::Http => http(given, env),
        Kind::Local => layout(given),
        Kind::Inline => Ok(CachePlace::Inline),
        Kind::Registry => registry(given),
        Kind::S3 => bucket::s3(given, env),
        Kind::Gcs => bucket::gcs(given, env),
        Kind::Azblob => bucket::azblob(given, env),
    }
}

fn http(given: &Attributes, env: &Environment) -> Result<CachePlace> {
    let token = match (given.get("token-env"), given.get("token-file")) {
        (Some(_), Some(_)) => bail!("`token-env` and `token-file` are both given, expected one"),
        (Some(name), None) => cache_token::of_variable(name, env)?,
        (None, Some(path)) => Some(cache_token::of_file(path)?),
        (None, None) => None,
    };
    let url = given.need("url", "https://HOST/NAMESPACE")?.to_owned();
    let place = CachePlace::Http { url, token };
    place.address()?;
    Ok(place)
}

fn layout(given: &Attributes) -> Result<CachePlace> {
    let key = match given.side {
        Side::From => "src",
        Side::To => "dest",
    };
    let tag = given.get("tag").unwrap_or("latest");
    let digest = given.get("digest").map(str::parse::<Digest>).transpose();
    let reset = given.get("reset").map(|text| value::boolean("reset", text));
    Ok(CachePlace::Layout {
        dir: PathBuf::from(given.need(key, "DIRECTORY")?),
        tag: tag.to_owned(),
        digest: digest.context("`digest`")?,
        reset: reset.transpose()?.unwrap_or_default(),
    })
}

fn registry(given: &Attributes) -> Result<CachePlace> {
    let what = match given.side {
        Side::From => "IMAGE",
        Side::To => "HOST/NAME:TAG",
    };
    let reference = given.need("ref", what)?;
    let parsed = reference.parse::<Reference>();
    let parsed =
        parsed.map_err(|error| anyhow!("`{reference}` is no name of an image: {error}"))?;
    if given.side == Side::To && parsed.digest().is_some() {
        bail!("`ref` has a digest, which cannot be written; name a tag");
    }
    let insecure = given.get("registry.insecure");
    let insecure = insecure.map(|text| value::boolean("registry.insecure", text));
    Ok(CachePlace::Registry {
        reference: reference.to_owned(),
        insecure: insecure.transpose()?.unwrap_or_default(),
    })
}
