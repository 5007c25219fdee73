//! Outputs that are images.

use super::attributes::Attributes;
use super::{annotation, directory, stream};
use acetate_engine::{
    CarryOptions, Dangling, Force, ImageOptions, LayoutPlace, OutputSpec, Packaging, Place, Push,
    Recipe, Style,
};
use acetate_oci::Compression;
use anyhow::{Context, Result, bail};

/// `type=image` and `type=registry`, which is the first with `push=true` and nothing kept.
pub(super) fn named(attributes: &mut Attributes, kind: &str) -> Result<OutputSpec> {
    let is_registry = kind == "registry";
    let wants_push = attributes.boolean("push")?.unwrap_or(is_registry);
    let by_digest = attributes.boolean("push-by-digest")?.unwrap_or(false);
    let insecure = attributes.boolean("registry.insecure")?.unwrap_or(false);
    if !wants_push && (by_digest || insecure) {
        bail!("`push-by-digest` and `registry.insecure` go with push=true");
    }
    // A store of ours is never unpacked into another.
    attributes.boolean("unpack")?;
    let place = Place {
        keep: attributes.boolean("store")?.unwrap_or(!is_registry),
        push: wants_push.then_some(Push {
            by_digest,
            insecure,
        }),
        dangling: dangling(attributes)?,
        canonical: attributes.boolean("name-canonical")?.unwrap_or(false),
    };
    let options = options(attributes, true)?;
    if by_digest {
        let tagged = |name: &&String| {
            let last = name.rsplit('/').next().unwrap_or_default();
            last.contains(':')
        };
        if let Some(name) = options.names.iter().find(tagged) {
            bail!("push-by-digest=true gives no tag, and name={name} has one");
        }
    }
    Ok(OutputSpec::Image(options, place))
}

/// The second key is misspelt in BuildKit, and so it is here; alone it has no meaning.
fn dangling(attributes: &mut Attributes) -> Result<Option<Dangling>> {
    let prefix = attributes.text("dangling-name-prefix")?;
    let only_nameless = attributes.boolean("danging-name-empty-only")?;
    Ok(prefix.map(|prefix| Dangling {
        prefix,
        only_nameless: only_nameless.unwrap_or(false),
    }))
}

/// `type=oci`.
pub(super) fn layout(attributes: &mut Attributes) -> Result<OutputSpec> {
    let place = match attributes.boolean("tar")? {
        Some(false) => LayoutPlace::Directory(directory(attributes)?),
        Some(true) | None => LayoutPlace::Archive(stream(attributes)?),
    };
    Ok(OutputSpec::Oci(options(attributes, false)?, place))
}

/// `type=docker`: a file, or without `dest` an engine.
pub(super) fn docker(attributes: &mut Attributes) -> Result<OutputSpec> {
    let context = attributes.text("context")?;
    let is_archive = attributes.has("dest");
    if let (Some(context), true) = (&context, is_archive) {
        bail!("context={context} names an engine, and `dest` a file; give one of them");
    }
    let dest = stream(attributes)?;
    let is_compressed = attributes.has("compression");
    let mut options = options(attributes, false)?;
    if is_archive {
        return Ok(OutputSpec::DockerArchive(options, dest));
    }
    if !is_compressed {
        options.recipe = Recipe::new(Compression::None);
    }
    Ok(OutputSpec::Load(options, context))
}

/// `--load`: what goes to this machine is not worth compressing.
pub(super) fn load() -> OutputSpec {
    let options = ImageOptions {
        recipe: Recipe::new(Compression::None),
        attestations: CarryOptions {
            inline: false,
            artifact: true,
        },
        ..ImageOptions::default()
    };
    OutputSpec::Load(options, None)
}

/// `--push`: images that are kept are pushed, too; without any there is one more output.
pub(super) fn push_all(specs: &mut Vec<OutputSpec>) {
    let mut found = false;
    for spec in specs.iter_mut() {
        if let OutputSpec::Image(_, place) = spec {
            found = true;
            place.push.get_or_insert_default();
        }
    }
    if !found {
        let place = Place {
            keep: false,
            push: Some(Push::default()),
            dangling: None,
            canonical: false,
        };
        specs.push(OutputSpec::Image(ImageOptions::default(), place));
    }
}

/// `inline` is what `attestation-inline` is when nobody says.
fn options(attributes: &mut Attributes, inline: bool) -> Result<ImageOptions> {
    let mut annotations = Vec::new();
    for (rest, value) in attributes.beginning("annotation") {
        annotations.push(annotation::attribute(&rest, &value)?);
    }
    refuse_rewrite(attributes)?;
    ignored(attributes)?;
    let recipe = recipe(attributes)?;
    let artifact = attributes.boolean("oci-artifact")?;
    let needs_oci = [
        (!annotations.is_empty()).then_some("`annotation`"),
        (artifact == Some(true)).then_some("oci-artifact=true"),
    ];
    let needs_oci = needs_oci.into_iter().flatten().next();
    let style = style(attributes, recipe, needs_oci)?;
    let attestations = CarryOptions {
        inline: attributes.boolean("attestation-inline")?.unwrap_or(inline),
        artifact: artifact.unwrap_or(style == Style::Oci),
    };
    let names = attributes.text("name")?.unwrap_or_default();
    let names = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    let force = if attributes.boolean("force-compression")?.unwrap_or(false) {
        Force::Other
    } else {
        Force::Plain
    };
    let keep_nondistributable = attributes.boolean("prefer-nondist-layers")?;
    Ok(ImageOptions {
        names: names.map(str::to_owned).collect(),
        recipe,
        force,
        packaging: Packaging {
            style,
            keep_nondistributable: keep_nondistributable.unwrap_or(false),
        },
        annotations: acetate_engine::Annotations(annotations),
        attestations,
    })
}

/// Files of new layers are clamped to `SOURCE_DATE_EPOCH`, which is always done.
fn refuse_rewrite(attributes: &mut Attributes) -> Result<()> {
    if attributes.boolean("rewrite-timestamp")? == Some(false) {
        bail!("rewrite-timestamp=false is not supported, files are never newer than the epoch");
    }
    Ok(())
}

/// What other builders have dropped, too, or what has no other way here.
fn ignored(attributes: &mut Attributes) -> Result<()> {
    for key in ["buildinfo", "buildinfo-attrs"] {
        attributes.boolean(key)?;
    }
    Ok(())
}

fn recipe(attributes: &mut Attributes) -> Result<Recipe> {
    let name = attributes.text("compression")?;
    let name = name.as_deref().unwrap_or("gzip");
    let Some(recipe) = Recipe::named(name) else {
        bail!("unknown compression `{name}`, expected gzip, zstd, estargz or uncompressed");
    };
    match attributes.number("compression-level")? {
        Some(_) if recipe.compression() == Compression::None => {
            bail!("`compression-level` has no meaning with compression=uncompressed")
        }
        Some(level) => recipe.at_level(level).context("compression-level"),
        None => Ok(recipe),
    }
}

/// Docker's own types know neither all compressions, annotations nor artifacts.
fn style(
    attributes: &mut Attributes,
    recipe: Recipe,
    needs_oci: Option<&'static str>,
) -> Result<Style> {
    let option = "oci-mediatypes=false";
    let unknown = recipe.check_types(Style::Docker, option).err();
    match (attributes.boolean("oci-mediatypes")?, needs_oci) {
        (Some(false), Some(what)) => {
            bail!("{what} needs OCI media types, and {option} asks for Docker's")
        }
        (Some(false), None) => match unknown {
            Some(error) => Err(error.into()),
            None => Ok(Style::Docker),
        },
        (Some(true) | None, _) => Ok(Style::Oci),
    }
}
