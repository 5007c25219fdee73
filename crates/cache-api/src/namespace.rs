use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest namespace in bytes.
const MAX_LEN: usize = 512;

/// A name that records are kept under: segments such as `org`, `repo`, joined by slashes.
///
/// The empty one is the root, which is above all others. Copies share their text: every request
/// makes some.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Namespace(Arc<str>);

/// Why a text is no namespace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// A segment holds something else than letters, digits, `.`, `_` and `-`, or is `.` or `..`.
    #[error("`{0}` cannot be part of a namespace")]
    Segment(String),
    /// It is longer than any that is meant.
    #[error("a namespace of more than {MAX_LEN} bytes")]
    TooLong,
}

impl Namespace {
    /// The namespace above all others.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes segments that were separated, and percent-decoded at most once, before.
    ///
    /// # Errors
    /// When a segment could mean something else to a file system or to another decoder.
    pub fn from_segments<'a>(
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, NamespaceError> {
        let mut own = String::new();
        for segment in segments {
            if !is_segment(segment) {
                return Err(NamespaceError::Segment(segment.to_owned()));
            }
            if !own.is_empty() {
                own.push('/');
            }
            own.push_str(segment);
        }
        if own.len() >= MAX_LEN {
            return Err(NamespaceError::TooLong);
        }
        Ok(Self(own.into()))
    }

    /// The segments, outermost first.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// The segments joined by slashes, as they are written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// True when this one is `other` or below it, compared by whole segments: `org/repo-evil` is
    /// not below `org/repo`.
    pub fn is_within(&self, other: &Self) -> bool {
        other.is_root()
            || self
                .0
                .strip_prefix(&*other.0)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The one above; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let above = self.0.rsplit_once('/').map_or("", |(above, _)| above);
        Some(Self(above.into()))
    }

    /// This one and those above it, own first, the root last: where a look-up looks.
    pub fn lineage(&self) -> impl Iterator<Item = Self> + '_ {
        std::iter::successors(Some(self.clone()), Self::parent)
    }
}

fn is_segment(text: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(is_plain)
}

impl FromStr for Namespace {
    type Err = NamespaceError;

    /// Reads `org/repo`; the empty text is the root.
    fn from_str(text: &str) -> Result<Self, NamespaceError> {
        if text.is_empty() {
            return Ok(Self::root());
        }
        Self::from_segments(text.split('/'))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(text: &str) -> Namespace {
        text.parse().unwrap()
    }

    #[test]
    fn segments_that_could_mean_something_else_are_refused() {
        for text in [
            "a//b", "/a", "a/", ".", "a/..", "a b", "a%2fb", "a\\b", "é", "a\0",
        ] {
            assert!(text.parse::<Namespace>().is_err(), "{text:?}");
        }
        assert_eq!(
            "x".repeat(600).parse::<Namespace>(),
            Err(NamespaceError::TooLong)
        );
        assert_eq!(namespace("").to_string(), "");
        assert_eq!(namespace("org/re.po_1-x").to_string(), "org/re.po_1-x");
    }

    #[test]
    fn within_means_whole_segments() {
        assert!(namespace("org/repo/pr-1").is_within(&namespace("org/repo")));
        assert!(namespace("org/repo").is_within(&namespace("org/repo")));
        assert!(!namespace("org/repo-evil").is_within(&namespace("org/repo")));
        assert!(!namespace("org").is_within(&namespace("org/repo")));
        assert!(namespace("org").is_within(&Namespace::root()));
    }

    #[test]
    fn the_lineage_goes_up_to_the_root() {
        let names: Vec<String> = namespace("a/b").lineage().map(|n| n.to_string()).collect();
        assert_eq!(names, ["a/b", "a", ""]);
    }
}
