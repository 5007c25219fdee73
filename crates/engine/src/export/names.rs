//! The names that an image gets.

use crate::{BuildError, BuildRequest, Dangling, ImageOptions, OutputSpec, Place};
use acetate_oci::{Digest, Reference};

/// The names of an output: its own, else those of `--tag`.
pub(crate) fn names(options: &ImageOptions, tags: &[String]) -> Result<Vec<Reference>, BuildError> {
    if options.names.is_empty() {
        return references(tags);
    }
    let mut found = Vec::new();
    for name in &options.names {
        // All names that the build was given, as other builders have it.
        if name == "*" {
            found.extend(references(tags)?);
            continue;
        }
        let parsed = name.parse::<Reference>();
        found.push(parsed.map_err(|error| BuildError::request(format!("name={name}: {error}")))?);
    }
    Ok(found)
}

/// All names that the image gets, here and elsewhere.
pub(crate) fn given(request: &BuildRequest) -> Result<Vec<Reference>, BuildError> {
    let mut found = kept(request)?;
    for options in request.outputs.iter().filter_map(OutputSpec::image) {
        let own = names(options, &request.tags)?;
        let new = own.into_iter().filter(|name| !found.contains(name));
        found.extend(new.collect::<Vec<_>>());
    }
    Ok(found)
}

/// Further names that hold the digest of the image.
#[derive(Debug, Default)]
pub(crate) struct DigestNames {
    /// Each name once more (`name-canonical`).
    pub(crate) canonical: Vec<Reference>,
    /// What is kept beside the names, or for want of one (`dangling-name-prefix`).
    pub(crate) dangling: Vec<Reference>,
}

/// The names with the digest that outputs ask for.
pub(crate) fn with_digest(
    request: &BuildRequest,
    digest: Digest,
) -> Result<DigestNames, BuildError> {
    let mut found = DigestNames::default();
    for output in &request.outputs {
        let OutputSpec::Image(options, place) = output else {
            continue;
        };
        let names = names(options, &request.tags)?;
        if !place.keep {
            continue;
        }
        if place.canonical {
            for name in &names {
                found.canonical.push(digested(name, digest)?);
            }
        }
        if let Some(name) = dangling(place, &names)? {
            found.dangling.push(digested(&name, digest)?);
        }
    }
    Ok(found)
}

/// What stands before the digest in the further name of an output that asks for one.
pub(crate) fn dangling(
    place: &Place,
    names: &[Reference],
) -> Result<Option<Reference>, BuildError> {
    let wanted = place.dangling.as_ref();
    let wanted = wanted.filter(|wanted| names.is_empty() || !wanted.only_nameless);
    let parse = |wanted: &Dangling| {
        let Dangling { prefix, .. } = wanted;
        let name = prefix.parse::<Reference>();
        name.map_err(|error| BuildError::request(format!("dangling-name-prefix={prefix}: {error}")))
    };
    wanted.map(parse).transpose()
}

/// The name without its tag, which moves, and with a digest, which does not.
fn digested(name: &Reference, digest: Digest) -> Result<Reference, BuildError> {
    let text = format!("{}/{}@{digest}", name.domain(), name.path());
    let parsed = text.parse::<Reference>();
    parsed.map_err(|error| BuildError::request(format!("{text}: {error}")))
}

/// Whether the image is kept here under any name.
pub(crate) fn keeps(request: &BuildRequest, kept: &[Reference]) -> bool {
    let is_dangling = |output: &OutputSpec| {
        matches!(
            output,
            OutputSpec::Image(
                _,
                Place {
                    keep: true,
                    dangling: Some(_),
                    ..
                }
            )
        )
    };
    !kept.is_empty() || request.outputs.iter().any(is_dangling)
}

/// The names under which the image is kept on this machine.
pub(crate) fn kept(request: &BuildRequest) -> Result<Vec<Reference>, BuildError> {
    let mut is_placed = false;
    let mut found = Vec::new();
    for output in &request.outputs {
        if let OutputSpec::Image(options, place) = output {
            is_placed = true;
            if place.keep {
                found.extend(names(options, &request.tags)?);
            }
        }
    }
    if !is_placed {
        return references(&request.tags);
    }
    found.sort_by_key(ToString::to_string);
    found.dedup();
    Ok(found)
}

/// The names given, in full.
pub(crate) fn references(tags: &[String]) -> Result<Vec<Reference>, BuildError> {
    let parse = |tag: &String| {
        tag.parse::<Reference>()
            .map_err(|error| BuildError::request(format!("--tag: {error}")))
    };
    tags.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::testing::{kept_here, request};

    #[test]
    fn an_image_is_kept_under_the_names_of_the_outputs_that_keep_it() {
        let kept_of = |outputs| {
            let mut request = request(outputs);
            request.tags = vec!["tag".to_owned()];
            let names = kept(&request).unwrap();
            names.iter().map(Reference::familiar).collect::<Vec<_>>()
        };
        let tag = ["tag:latest"];
        assert_eq!(kept_of(Vec::new()), tag);
        assert_eq!(kept_of(vec![OutputSpec::CacheOnly]), tag);
        assert_eq!(kept_of(vec![kept_here(&[], true)]), tag);
        assert_eq!(kept_of(vec![kept_here(&[], false)]), [""; 0]);
        let both = vec![kept_here(&["b", "a:1"], true), kept_here(&["*"], true)];
        assert_eq!(kept_of(both), ["a:1", "b:latest", "tag:latest"]);
    }
}
