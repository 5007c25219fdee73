use crate::{Digest, DigestParseError};
use std::fmt;
use std::str::FromStr;

/// Names an image in a registry, by docker's rules: `debian` is `docker.io/library/debian:latest`.
///
/// The grammar is that of the distribution project's reference package; a name without a domain
/// belongs to docker.io.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

const DEFAULT_DOMAIN: &str = "docker.io";
const OFFICIAL: &str = "library/";
const MAX_NAME: usize = 255;

impl Reference {
    /// The registry, with its port.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; none when only a digest was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if the reference pins one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same repository at a digest, keeping the tag.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// The short name that people type: without `docker.io/library/`, with its tag.
    pub fn familiar(&self) -> String {
        let full = self.to_string();
        let Some(rest) = full.strip_prefix("docker.io/") else {
            return full;
        };
        match rest.strip_prefix(OFFICIAL) {
            Some(short) if !self.path[OFFICIAL.len()..].contains('/') => short.to_owned(),
            _ => rest.to_owned(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl FromStr for Reference {
    type Err = ReferenceParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason| ReferenceParseError {
            reference: text.to_owned(),
            reason,
        };
        if Digest::from_hex(text).is_ok() {
            return Err(fail(Reason::Hex));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (
                rest,
                Some(
                    digest
                        .parse()
                        .map_err(|error| fail(Reason::Digest(error)))?,
                ),
            ),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        let tag = match tag {
            Some(tag) if !is_tag(tag) => return Err(fail(Reason::Tag)),
            None if digest.is_none() => Some("latest"),
            tag => tag,
        };
        let (domain, path) = split_domain(name);
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(fail(Reason::Upper));
        }
        if !is_domain(domain) || !path.split('/').all(is_component) {
            return Err(fail(Reason::Name));
        }
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') {
            format!("{OFFICIAL}{path}")
        } else {
            path.to_owned()
        };
        if domain.len() + 1 + path.len() > MAX_NAME {
            return Err(fail(Reason::Long));
        }
        Ok(Self {
            domain: domain.to_owned(),
            path,
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

/// A text that is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference `{reference}`: {reason}")]
pub struct ReferenceParseError {
    reference: String,
    reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("the repository name must be lower case")]
    Upper,
    #[error("the name must be `[registry/]repository` of letters, digits and single separators")]
    Name,
    #[error("the tag must be up to 128 letters, digits, `_`, `.` or `-`")]
    Tag,
    #[error("the name is longer than {MAX_NAME} characters")]
    Long,
    #[error("64 hex digits are an image id, not a name")]
    Hex,
    #[error("{0}")]
    Digest(DigestParseError),
}

/// A colon after the last slash parts the tag; one before it belongs to a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// The first component is a registry if it could not be one of a path.
fn split_domain(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some(("index.docker.io", rest)) => (DEFAULT_DOMAIN, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    }
}

fn is_tag(tag: &str) -> bool {
    let mut bytes = tag.bytes();
    tag.len() <= 128
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_domain(domain: &str) -> bool {
    if let Some(rest) = domain.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match domain.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (domain, None),
    };
    port.is_none_or(is_port) && host.split('.').all(is_host_label)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Lower-case words joined by one `.`, one or two `_`, or any number of `-`.
fn is_component(component: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends_in_words =
        bytes.first().is_some_and(|b| word(*b)) && bytes.last().is_some_and(|b| word(*b));
    ends_in_words
        && bytes.iter().all(|b| word(*b) || b"._-".contains(b))
        && component
            .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            .all(|separator| {
                matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_short_names() {
        for (text, full, familiar) in [
            ("debian", "docker.io/library/debian:latest", "debian:latest"),
            ("a/b:1", "docker.io/a/b:1", "a/b:1"),
            (
                "index.docker.io/debian",
                "docker.io/library/debian:latest",
                "debian:latest",
            ),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            (
                "localhost:5000/x:y",
                "localhost:5000/x:y",
                "localhost:5000/x:y",
            ),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            (
                "r.example/a/b_c/d__e.f--g",
                "r.example/a/b_c/d__e.f--g:latest",
                "r.example/a/b_c/d__e.f--g:latest",
            ),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(full.parse(), Ok(reference));
        }
    }

    #[test]
    fn a_digest_needs_no_tag() {
        let digest = Digest::of(b"x");
        let reference: Reference = format!("debian@{digest}").parse().unwrap();
        assert_eq!((reference.tag(), reference.digest()), (None, Some(digest)));
        let both: Reference = format!("debian:12@{digest}").parse().unwrap();
        assert_eq!((both.tag(), both.digest()), (Some("12"), Some(digest)));
    }

    #[test]
    fn refuses_bad_names_with_the_reason() {
        for (text, reason) in [
            ("Debian", "lower case"),
            ("a//b", "single separators"),
            ("", "single separators"),
            ("a..b", "single separators"),
            ("a___b", "single separators"),
            ("a:", "the tag"),
            ("a:b c", "the tag"),
            ("a@sha512:00", "sha512"),
            ("-a", "single separators"),
            (&"a".repeat(64), "image id"),
        ] {
            let error = text.parse::<Reference>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
