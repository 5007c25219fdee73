//! Where an image comes from, as users write it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use acetate_oci::{Digest, Reference, ReferenceParseError};

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageSource {
    /// A registry.
    Registry(Reference),
    /// An OCI layout: a directory, or a tar archive of one.
    Layout(LayoutSource),
}

/// An image in an OCI layout: `PATH[:tag][@digest]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayoutSource {
    /// The directory or archive file.
    pub path: PathBuf,
    /// The name within the layout: a tag, or a whole reference.
    pub tag: Option<String>,
    /// The digest of the wanted manifest or index; it goes before the tag.
    pub digest: Option<Digest>,
}

/// A text that names no image source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The reference behind `docker-image://`, or the bare text, is malformed.
    #[error(transparent)]
    Reference(#[from] ReferenceParseError),
    /// The text behind `oci-layout://` is malformed.
    #[error("`{text}` names no layout: {reason}")]
    Layout {
        /// The text.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// Another scheme.
    #[error("`{text}` has an unknown scheme, expected `docker-image://` or `oci-layout://`")]
    Scheme {
        /// The text.
        text: String,
    },
}

impl ImageSource {
    /// An image in the layout at `path`, which holds one image or one named `latest`.
    pub fn layout(path: impl Into<PathBuf>) -> Self {
        Self::Layout(LayoutSource {
            path: path.into(),
            tag: None,
            digest: None,
        })
    }

    /// Reads a relative layout path as relative to `base`.
    #[must_use]
    pub fn rooted(self, base: &Path) -> Self {
        match self {
            Self::Layout(source) => Self::Layout(LayoutSource {
                path: base.join(source.path),
                ..source
            }),
            registry @ Self::Registry(_) => registry,
        }
    }
}

impl FromStr for ImageSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        match text.split_once("://") {
            Some(("oci-layout", rest)) => parse_layout(rest).map(Self::Layout),
            Some(("docker-image", rest)) => Ok(Self::Registry(rest.parse()?)),
            Some(_) => Err(SourceError::Scheme {
                text: text.to_owned(),
            }),
            None => Ok(Self::Registry(text.parse()?)),
        }
    }
}

fn parse_layout(text: &str) -> Result<LayoutSource, SourceError> {
    let fail = |reason: String| SourceError::Layout {
        text: text.to_owned(),
        reason,
    };
    // An `@` or `:` within a directory's name is not followed by a digest or a tag.
    let (rest, digest) = match text.rsplit_once('@') {
        Some((rest, digest)) if !digest.contains('/') => {
            let digest = digest
                .parse::<Digest>()
                .map_err(|error| fail(error.to_string()))?;
            (rest, Some(digest))
        }
        _ => (text, None),
    };
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    if path.is_empty() {
        return Err(fail("the path is empty".to_owned()));
    }
    if tag.is_some_and(str::is_empty) {
        return Err(fail("the tag is empty".to_owned()));
    }
    Ok(LayoutSource {
        path: path.into(),
        tag: tag.map(str::to_owned),
        digest,
    })
}

impl fmt::Display for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout(source) => source.fmt(f),
        }
    }
}

impl fmt::Display for LayoutSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci-layout://{}", self.path.display())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(text: &str) -> (String, Option<String>, Option<Digest>) {
        match text.parse().unwrap() {
            ImageSource::Layout(source) => {
                assert_eq!(source.to_string(), text);
                (source.path.display().to_string(), source.tag, source.digest)
            }
            ImageSource::Registry(reference) => panic!("{reference}"),
        }
    }

    #[test]
    fn layouts_have_tags_and_digests() {
        let digest = Digest::of(b"x");
        let own = |text: &str| text.to_owned();
        assert_eq!(layout("oci-layout://dir"), (own("dir"), None, None));
        assert_eq!(
            layout("oci-layout:///a/b:v1.2"),
            (own("/a/b"), Some(own("v1.2")), None)
        );
        assert_eq!(
            layout(&format!("oci-layout://a@{digest}")),
            (own("a"), None, Some(digest))
        );
        assert_eq!(
            layout(&format!("oci-layout://a:t@{digest}")),
            (own("a"), Some(own("t")), Some(digest))
        );
        assert_eq!(
            layout("oci-layout:///a:b/c@d/e"),
            (own("/a:b/c@d/e"), None, None)
        );
    }

    #[test]
    fn the_rest_are_references() {
        let source: ImageSource = "docker-image://busybox".parse().unwrap();
        assert_eq!(source.to_string(), "docker.io/library/busybox:latest");
        assert_eq!("busybox".parse::<ImageSource>().unwrap(), source);
    }

    #[test]
    fn bad_texts_say_why() {
        for (text, words) in [
            ("oci-layout://", "the path is empty"),
            ("oci-layout://:tag", "the path is empty"),
            ("oci-layout://a:", "the tag is empty"),
            ("oci-layout://a@sha256:12", "expected 64"),
            ("ftp://x", "unknown scheme"),
            ("docker-image://UPPER", "lower case"),
        ] {
            let error = text.parse::<ImageSource>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn relative_layouts_can_be_rooted() {
        let source = "oci-layout://dir:t".parse::<ImageSource>().unwrap();
        assert_eq!(
            source.rooted(Path::new("/base")).to_string(),
            "oci-layout:///base/dir:t"
        );
    }
}
