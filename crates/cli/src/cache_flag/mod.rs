//! Reads `--cache-from` and `--cache-to`.

mod attributes;
mod bucket;
mod place;
mod value;

#[cfg(test)]
mod tests;

use crate::environment::Environment;
use acetate_engine::{CacheExport, CacheForm, CacheImport, CachePlace};
use acetate_oci::Compression;
use anyhow::{Result, anyhow, bail};
use attributes::{Attributes, Kind, Side, shown};
use std::time::Duration;

/// How long another machine is waited for where nobody says.
const LEASE: Duration = Duration::from_mins(10);

/// Reads both flags; tokens are those that the flags name.
pub(crate) fn parse_all(
    from: &[String],
    to: &[String],
    env: &Environment,
) -> Result<(Vec<CacheImport>, Vec<CacheExport>)> {
    let exports = all(Side::To, to, |given| export(given, env))?;
    let written: Vec<&CachePlace> = exports.iter().map(|export| &export.place).collect();
    let imports = all(Side::From, from, |given| import(given, &written, env))?;
    Ok((imports, exports))
}

/// What only builds have a use for.
const OF_BUILDS: &[&str] = &[
    "lease",
    "mode",
    "stages",
    "mounts",
    "sign",
    "forms",
    "wait",
    "ignore-error",
];

/// Reads the place of a flag that names one cache to be read or asked.
pub(crate) fn place_from(flag: &str, text: &str, env: &Environment) -> Result<CacheImport> {
    place_of(flag, Side::From, text, |given| import(given, &[], env))
}

/// Reads the place of a flag that names one cache to be written.
pub(crate) fn place_to(flag: &str, text: &str, env: &Environment) -> Result<CacheExport> {
    place_of(flag, Side::To, text, |given| {
        if given.kind == Kind::Inline {
            bail!("type=inline goes with builds only: it is a part of the image");
        }
        export(given, env)
    })
}

fn place_of<T>(
    flag: &str,
    side: Side,
    text: &str,
    read: impl Fn(&Attributes) -> Result<T>,
) -> Result<T> {
    let parsed = Attributes::parse(side, text).and_then(|given| {
        if let Some(key) = OF_BUILDS.iter().find(|key| given.get(key).is_some()) {
            bail!("`{key}` goes with builds only, leave it out");
        }
        read(&given)
    });
    parsed.map_err(|error| anyhow!("{flag} {}: {error:#}", shown(text)))
}

fn all<T>(side: Side, texts: &[String], read: impl Fn(&Attributes) -> Result<T>) -> Result<Vec<T>> {
    let read = |text: &String| {
        let parsed = Attributes::parse(side, text).and_then(|given| read(&given));
        parsed.map_err(|error| anyhow!("{} {}: {error:#}", side.flag(), shown(text)))
    };
    texts.iter().map(read).collect()
}

fn import(given: &Attributes, written: &[&CachePlace], env: &Environment) -> Result<CacheImport> {
    let place = place::read(given, env)?;
    let lease = match given.get("lease") {
        Some(text) => value::lease(text, LEASE)?,
        None => is_written(&place, written)?.then_some(LEASE),
    };
    let trust = given.get("trust").map(value::trust).transpose()?;
    Ok(CacheImport {
        place,
        trust: trust.unwrap_or_default(),
        lease,
    })
}

/// Who makes a step and shares it can let others wait for it; who only reads cannot.
fn is_written(place: &CachePlace, written: &[&CachePlace]) -> Result<bool> {
    let Some(address) = place.address()? else {
        return Ok(false);
    };
    for other in written {
        if other
            .address()?
            .is_some_and(|other| other.url == address.url)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn export(given: &Attributes, env: &Environment) -> Result<CacheExport> {
    let mut export = CacheExport::new(place::read(given, env)?);
    if let Some(text) = given.get("mode") {
        export.mode = value::mode(text, given.kind == Kind::Inline)?;
    }
    if let Some(text) = given.get("stages") {
        export.stages = value::list("stages", text)?;
    }
    if let Some(text) = given.get("min-cost") {
        export.min_cost = value::duration("min-cost", text)?;
    }
    if let Some(text) = given.get("mounts") {
        export.mounts = value::list("mounts", text)?;
    }
    if let Some(text) = given.get("mounts-max") {
        export.mounts_max = value::size("mounts-max", text)?;
    }
    if let Some(text) = given.get("sign") {
        export.sign = Some(value::signing_key(text, env)?);
    }
    if let Some(text) = given.get("forms") {
        export.forms = value::forms(text)?;
    }
    if let Some(text) = given.get("wait") {
        export.wait = value::duration("wait", text)?;
    }
    if let Some(text) = given.get("ignore-error") {
        export.ignore_error = value::boolean("ignore-error", text)?;
    }
    layout_options(given, &mut export)?;
    Ok(export)
}

fn layout_options(given: &Attributes, export: &mut CacheExport) -> Result<()> {
    if let Some(text) = given.get("compression") {
        export.compression = value::compression(text)?;
    }
    if let Some(text) = given.get("compression-level") {
        export.compression_level = Some(value::level(text, export.compression)?);
    }
    if let Some(text) = given.get("force-compression") {
        export.force_compression = value::boolean("force-compression", text)?;
    }
    if given.kind == Kind::Registry {
        export.form = form(given, export.compression)?;
        return Ok(());
    }
    for key in ["image-manifest", "oci-mediatypes"] {
        if let Some(text) = given.get(key) {
            value::only_true(key, text)?;
        }
    }
    Ok(())
}

/// What the tag of a registry leads to.
fn form(given: &Attributes, compression: Compression) -> Result<CacheForm> {
    let said = |key| {
        let text = given.get(key);
        text.map(|text| value::boolean(key, text)).transpose()
    };
    let is_manifest = said("image-manifest")?.unwrap_or(true);
    let is_oci = said("oci-mediatypes")?.unwrap_or(true);
    match (is_manifest, is_oci) {
        (true, true) => Ok(CacheForm::Manifest),
        (false, true) => Ok(CacheForm::Index),
        (true, false) => bail!(
            "`oci-mediatypes=false` goes with `image-manifest=false` only: an image manifest has \
             the types of OCI"
        ),
        (false, false) if compression == Compression::Zstd => bail!(
            "`compression=zstd` does not go with `oci-mediatypes=false`: Docker has no type for it"
        ),
        (false, false) => Ok(CacheForm::DockerList),
    }
}
