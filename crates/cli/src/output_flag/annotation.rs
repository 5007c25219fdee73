//! Annotations, as a flag of their own and as attributes of an output.

use acetate_engine::{Annotation, AnnotationLevel, OutputSpec};
use anyhow::{Context, Result, anyhow, bail};

/// Adds `--annotation` to every output that is an image.
pub(super) fn add(specs: &mut [OutputSpec], texts: &[String]) -> Result<()> {
    let mut found = Vec::new();
    for text in texts {
        let parsed = parse(text);
        found.extend(parsed.map_err(|error| anyhow!("--annotation {text}: {error:#}"))?);
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut images = specs
        .iter_mut()
        .filter_map(OutputSpec::image_mut)
        .peekable();
    if images.peek().is_none() {
        bail!(
            "--annotation goes with an image; add an output such as --push, type=image or type=oci"
        );
    }
    for image in images {
        image.annotations.0.extend(found.iter().cloned());
    }
    Ok(())
}

/// `[TYPE[,TYPE]:]KEY=VALUE`, where a type may name a platform in brackets.
fn parse(text: &str) -> Result<Vec<Annotation>> {
    let Some((left, value)) = text.split_once('=') else {
        bail!("expected [TYPE[,TYPE]:]KEY=VALUE");
    };
    let (places, key) = left.split_once(':').unwrap_or(("manifest", left));
    let places = places.split(',').map(|place| annotation(place, key, value));
    places.collect()
}

/// An attribute such as `annotation-manifest[linux/arm64].KEY`, without its first word. Without a
/// type, `annotation[linux/arm64].KEY`, it is one of the manifest.
pub(super) fn attribute(rest: &str, value: &str) -> Result<Annotation> {
    let Some((place, key)) = split(rest) else {
        bail!("`annotation{rest}` names no key, expected `annotation.KEY=VALUE`");
    };
    match place.strip_prefix('-') {
        Some(place) => annotation(place, key, value),
        None if place.is_empty() || place.starts_with('[') => {
            annotation(&format!("manifest{place}"), key, value)
        }
        // Such as `annotations.KEY`, which looks like a slip.
        None => {
            bail!("unknown attribute `annotation{rest}`, expected `annotation[-TYPE].KEY=VALUE`")
        }
    }
}

/// Cuts at the first dot outside of brackets: platforms hold dots, too.
fn split(rest: &str) -> Option<(&str, &str)> {
    let from = match (rest.find('['), rest.find('.')) {
        (Some(open), Some(dot)) if open < dot => rest.find(']')?,
        _ => 0,
    };
    let dot = from + rest[from..].find('.')?;
    Some((&rest[..dot], &rest[dot + 1..]))
}

fn annotation(place: &str, key: &str, value: &str) -> Result<Annotation> {
    let (name, platform) = match place.split_once('[') {
        Some((name, rest)) => {
            let platform = rest
                .strip_suffix(']')
                .ok_or_else(|| anyhow!("`{place}` has an open bracket"))?;
            (name, Some(platform.parse().context("the platform")?))
        }
        None => (place, None),
    };
    let Some((_, level)) = AnnotationLevel::NAMES
        .iter()
        .find(|(known, _)| *known == name)
    else {
        let known = AnnotationLevel::NAMES.map(|(name, _)| name).join(", ");
        bail!("unknown annotation type `{name}`, expected {known}");
    };
    if level.needs_index() && platform.is_some() {
        bail!("`{place}`: the {name} is one for all platforms");
    }
    if key.is_empty() {
        bail!("the key is empty");
    }
    Ok(Annotation {
        level: *level,
        platform,
        key: key.to_owned(),
        value: value.to_owned(),
    })
}
