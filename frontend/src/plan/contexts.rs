//! Looking up named contexts.

use crate::pins::{ImageNeed, ImageSource};
use crate::request::{NamedContext, PlanRequest};
use acetate_oci::{Platform, Reference, ReferenceParseError};
use std::collections::BTreeMap;

/// The named contexts by the names that FROM and `--from` use.
#[derive(Debug)]
pub(super) struct Contexts<'a> {
    /// `name` or `name::os/arch` in familiar form, to the key in the request and its value.
    by_name: BTreeMap<String, (&'a str, &'a NamedContext)>,
}

/// What a name outside of the Dockerfile stands for.
#[expect(
    clippy::large_enum_variant,
    reason = "one a stage, and images are the common case: a box would save nothing"
)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outside {
    /// The empty image.
    Scratch,
    /// An image.
    Image(ImageNeed),
    /// A local directory, by its key in the request.
    Local(String),
    /// An archive or a repository, by its key in the request.
    Remote(String),
}

impl<'a> Contexts<'a> {
    /// Takes the contexts of a request.
    pub(super) fn new(request: &'a PlanRequest) -> Self {
        let named = request.contexts.iter();
        let by_name = named
            .map(|(key, context)| (normal_key(key), (key.as_str(), context)))
            .collect();
        Self { by_name }
    }

    /// The context called `name`, the one for this platform first.
    pub(super) fn find(
        &self,
        name: &str,
        platform: &Platform,
    ) -> Result<Option<Outside>, ReferenceParseError> {
        // These two mean the same everywhere.
        let is_reserved = ["scratch", "context"]
            .iter()
            .any(|reserved| name.eq_ignore_ascii_case(reserved));
        if self.by_name.is_empty() || is_reserved {
            return Ok(None);
        }
        let name = familiar(name);
        let exact = self.by_name.get(&format!("{name}::{platform}"));
        let Some((key, context)) = exact.or_else(|| self.by_name.get(&name)) else {
            return Ok(None);
        };
        let image = |source| {
            Outside::Image(ImageNeed {
                source,
                platform: platform.clone(),
            })
        };
        Ok(Some(match context {
            NamedContext::Image(text) if text == "scratch" => Outside::Scratch,
            NamedContext::Image(text) => image(ImageSource::Registry(text.parse()?)),
            NamedContext::Layout => image(ImageSource::Context((*key).to_owned())),
            NamedContext::Remote => Outside::Remote((*key).to_owned()),
            NamedContext::Local => Outside::Local((*key).to_owned()),
        }))
    }

    /// What a name that is no stage stands for: a context, `scratch`, or an image of a registry.
    pub(super) fn outside(
        &self,
        name: &str,
        platform: &Platform,
    ) -> Result<Outside, ReferenceParseError> {
        if name == "scratch" {
            return Ok(Outside::Scratch);
        }
        if let Some(found) = self.find(name, platform)? {
            return Ok(found);
        }
        let source = ImageSource::Registry(name.parse::<Reference>()?);
        Ok(Outside::Image(ImageNeed {
            source,
            platform: platform.clone(),
        }))
    }
}

/// `docker.io/library/debian:latest::linux/x86_64` and `debian::linux/amd64` are one key.
fn normal_key(key: &str) -> String {
    let Some((name, platform)) = key.split_once("::") else {
        return familiar(key);
    };
    let normal = platform
        .parse::<Platform>()
        .map(|platform| platform.to_string());
    format!(
        "{}::{}",
        familiar(name),
        normal.unwrap_or_else(|_| platform.to_owned())
    )
}

/// The short form of a name without `:latest`; stage names, which need not be references, are
/// compared without regard to case.
fn familiar(name: &str) -> String {
    let Ok(reference) = name.parse::<Reference>() else {
        return name.to_lowercase();
    };
    let familiar = reference.familiar();
    familiar
        .strip_suffix(":latest")
        .unwrap_or(&familiar)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::normal_key;

    #[test]
    fn context_names_have_one_spelling() {
        for (key, normal) in [
            ("debian", "debian"),
            ("docker.io/library/debian:latest", "debian"),
            ("debian:12", "debian:12"),
            ("Base", "base"),
            ("debian::linux/x86_64", "debian::linux/amd64"),
            ("r.example/x::linux/arm64/v8", "r.example/x::linux/arm64"),
        ] {
            assert_eq!(normal_key(key), normal, "{key}");
        }
    }
}
