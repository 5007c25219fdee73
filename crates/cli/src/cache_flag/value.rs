//! The values of attributes.

use crate::duration;
use crate::environment::Environment;
use crate::size;
use acetate_engine::{CacheForms, CacheMode, SigningKey, Trust};
use acetate_oci::Compression;
use anyhow::{Result, anyhow, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(super) fn boolean(key: &str, text: &str) -> Result<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => bail!("`{key}` is true or false, not `{other}`"),
    }
}

/// What other builders can turn off and this one always does.
pub(super) fn only_true(key: &str, text: &str) -> Result<()> {
    if boolean(key, text)? {
        return Ok(());
    }
    bail!("`{key}=false` is not supported, caches are OCI image manifests")
}

/// Something, separated by semicolons, or by commas where the value is quoted.
pub(super) fn list(key: &str, text: &str) -> Result<Vec<String>> {
    let parts: Vec<String> = text
        .split([';', ','])
        .map(|part| part.trim().to_owned())
        .collect();
    if parts.iter().any(String::is_empty) {
        bail!("`{key}` has an empty part, expected names separated by semicolons");
    }
    Ok(parts)
}

pub(super) fn duration(key: &str, text: &str) -> Result<Duration> {
    let found = duration::parse(text);
    found.ok_or_else(|| anyhow!("`{key}` is a duration such as 5s or 1m30s, not `{text}`"))
}

/// How many bytes something may have.
pub(super) fn size(key: &str, text: &str) -> Result<u64> {
    let found = size::bytes(text);
    found.ok_or_else(|| anyhow!("`{key}` is a size such as 500m or 8g, not `{text}`"))
}

pub(super) fn lease(text: &str, usual: Duration) -> Result<Option<Duration>> {
    match text {
        "off" => Ok(None),
        "on" => Ok(Some(usual)),
        other => match duration::parse(other) {
            Some(wait) if !wait.is_zero() => Ok(Some(wait)),
            _ => bail!("`lease` is on, off or a duration such as 10m, not `{other}`"),
        },
    }
}

pub(super) fn mode(text: &str, is_inline: bool) -> Result<CacheMode> {
    match text {
        "max" if is_inline => bail!(
            "mode=max does not go with type=inline, which keeps the steps whose layers are in the \
             image; use another type beside it"
        ),
        "min" => Ok(CacheMode::Min),
        "max" => Ok(CacheMode::Max),
        other => bail!("`mode` is min or max, not `{other}`"),
    }
}

pub(super) fn forms(text: &str) -> Result<CacheForms> {
    match text {
        "none" => Ok(CacheForms::None),
        "names" => Ok(CacheForms::Names),
        "blobs" => Ok(CacheForms::Blobs),
        other => bail!("`forms` is none, names or blobs, not `{other}`"),
    }
}

pub(super) fn compression(text: &str) -> Result<Compression> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "uncompressed" => Ok(Compression::None),
        "estargz" => bail!("compression=estargz is not supported, use gzip, zstd or uncompressed"),
        other => bail!("`compression` is gzip, zstd or uncompressed, not `{other}`"),
    }
}

pub(super) fn level(text: &str, compression: Compression) -> Result<i32> {
    let (name, most) = match compression {
        Compression::None => bail!("`compression-level` goes with compression=gzip or zstd only"),
        Compression::Gzip => ("gzip", 9),
        Compression::Zstd => ("zstd", 22),
    };
    match text.parse() {
        Ok(level) if (0..=most).contains(&level) => Ok(level),
        _ => bail!("`compression-level` of {name} is a number from 0 to {most}, not `{text}`"),
    }
}

pub(super) fn trust(text: &str) -> Result<Trust> {
    if text == "off" {
        return Ok(Trust::Anyone);
    }
    if let Some(path) = text.strip_prefix("prefer:") {
        return Ok(Trust::Prefer(file("trust", path)?));
    }
    let path = text.strip_prefix("require:").unwrap_or(text);
    Ok(Trust::Require(file("trust", path)?))
}

pub(super) fn signing_key(text: &str, env: &Environment) -> Result<SigningKey> {
    let Some(name) = text.strip_prefix("env:") else {
        return Ok(SigningKey::File(file("sign", text)?));
    };
    match env.get(name) {
        None => bail!("`sign`: the variable `{name}` is not set"),
        Some(key) if key.trim().is_empty() => {
            bail!("`sign`: the variable `{name}` is empty; leave `sign` out where there is no key")
        }
        Some(key) => Ok(SigningKey::Value(key.into())),
    }
}

/// The file is read later, but a slip is told now.
pub(super) fn file(key: &str, path: &str) -> Result<PathBuf> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => bail!("`{key}`: `{path}` is a directory, expected a file"),
        Ok(_) => Ok(Path::new(path).to_owned()),
        Err(error) => bail!("`{key}`: `{path}` cannot be used: {error}"),
    }
}
