//! Reads `--output`, `--push`, `--load` and `--annotation`.

mod annotation;
mod attributes;
mod image;

use self::attributes::Attributes;
use acetate_engine::{Destination, OutputSpec, PlatformDirs, Stale, TreeOptions};
use anyhow::{Result, anyhow, bail};
use std::path::PathBuf;

/// What the flags that tell of outputs say.
#[derive(Debug, Default)]
pub(crate) struct OutputFlags<'a> {
    /// `--output`, each.
    pub(crate) outputs: &'a [String],
    /// `--push`.
    pub(crate) push: bool,
    /// `--load`.
    pub(crate) load: bool,
    /// `--annotation`, each.
    pub(crate) annotations: &'a [String],
}

/// All outputs, and the `source-date-epoch` that some of them ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outputs {
    /// The outputs, in order.
    pub(crate) specs: Vec<OutputSpec>,
    /// The time that they are to have, as the user wrote it.
    pub(crate) epoch: Option<String>,
}

/// Reads all of them.
pub(crate) fn parse_all(flags: &OutputFlags<'_>) -> Result<Outputs> {
    let mut found = Outputs::default();
    for text in flags.outputs {
        let (spec, epoch) = parse(text)?;
        found.specs.push(spec);
        match (&found.epoch, epoch) {
            (Some(old), Some(new)) if *old != new => bail!(
                "source-date-epoch={old} and source-date-epoch={new}: all outputs of a build \
                 have one time"
            ),
            (_, new) => found.epoch = new.or(found.epoch),
        }
    }
    if flags.push {
        image::push_all(&mut found.specs);
    }
    if flags.load
        && !found
            .specs
            .iter()
            .any(|it| matches!(it, OutputSpec::Load(..)))
    {
        found.specs.push(image::load());
    }
    annotation::add(&mut found.specs, flags.annotations)?;
    Ok(found)
}

/// Parses one `--output`: a path, `-`, or comma-separated attributes.
fn parse(text: &str) -> Result<(OutputSpec, Option<String>)> {
    if text == "-" {
        let spec = OutputSpec::Tar(Destination::Stdout, PlatformDirs::IfMany.into());
        return Ok((spec, None));
    }
    if !text.contains('=') {
        let spec = OutputSpec::Local(
            PathBuf::from(text),
            PlatformDirs::IfMany.into(),
            Stale::Keep,
        );
        return Ok((spec, None));
    }
    spec(text).map_err(|error| anyhow!("--output {text}: {error:#}"))
}

fn spec(text: &str) -> Result<(OutputSpec, Option<String>)> {
    let mut attributes = Attributes::parse(text)?;
    let Some(kind) = attributes.text("type")? else {
        bail!("type is required");
    };
    let spec = match kind.as_str() {
        "image" | "registry" => image::named(&mut attributes, &kind)?,
        "oci" => image::layout(&mut attributes)?,
        "docker" => image::docker(&mut attributes)?,
        "tar" => OutputSpec::Tar(stream(&mut attributes)?, tree(&mut attributes)?),
        "local" => local(&mut attributes)?,
        "cacheonly" => OutputSpec::CacheOnly,
        other => bail!(
            "unknown type `{other}`, expected image, registry, oci, docker, tar, local or cacheonly"
        ),
    };
    let epoch = match spec {
        OutputSpec::CacheOnly => None,
        _ => attributes.text("source-date-epoch")?,
    };
    attributes.finish(&kind)?;
    Ok((spec, epoch))
}

fn local(attributes: &mut Attributes) -> Result<OutputSpec> {
    let directory = directory(attributes)?;
    let stale = match attributes.text("mode")?.as_deref() {
        None | Some("copy") => Stale::Keep,
        Some("delete") => Stale::Delete,
        Some(other) => bail!("unknown mode `{other}`, expected copy or delete"),
    };
    if stale == Stale::Delete {
        refuse_to_empty(&directory)?;
    }
    Ok(OutputSpec::Local(directory, tree(attributes)?, stale))
}

/// What nobody means to lose is not emptied because of a slip.
fn refuse_to_empty(directory: &std::path::Path) -> Result<()> {
    let real = std::fs::canonicalize(directory);
    let here = std::env::current_dir();
    if let (Ok(real), Ok(here)) = (real, here)
        && here.starts_with(&real)
    {
        bail!(
            "mode=delete would remove everything else in `{}`, which holds the working directory; \
             name another directory",
            real.display()
        );
    }
    Ok(())
}

fn tree(attributes: &mut Attributes) -> Result<TreeOptions> {
    let prefix = attributes.text("attestation-prefix")?.unwrap_or_default();
    if prefix.contains(['/', '\0']) {
        bail!("attestation-prefix={prefix}: the names of files begin with it, so it has no slash");
    }
    Ok(TreeOptions {
        platform_dirs: platform_dirs(attributes)?,
        attestation_prefix: prefix,
    })
}

fn platform_dirs(attributes: &mut Attributes) -> Result<PlatformDirs> {
    Ok(match attributes.boolean("platform-split")? {
        None => PlatformDirs::IfMany,
        Some(true) => PlatformDirs::Always,
        Some(false) => PlatformDirs::Never,
    })
}

/// A stream that is standard output where nothing else is said.
fn stream(attributes: &mut Attributes) -> Result<Destination> {
    match attributes.text("dest")?.as_deref() {
        Some("") => bail!("dest is empty"),
        Some("-") | None => Ok(Destination::Stdout),
        Some(path) => Ok(Destination::Path(PathBuf::from(path))),
    }
}

fn directory(attributes: &mut Attributes) -> Result<PathBuf> {
    match attributes.text("dest")?.as_deref() {
        Some("-" | "") | None => bail!("dest=DIRECTORY is required"),
        Some(path) => Ok(PathBuf::from(path)),
    }
}

#[cfg(test)]
mod tests;
