use crate::{Namespace, NamespaceError};
use acetate_oci::Digest;

/// Which of the two collections a path is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `ac`: records by the key of what they are the result of.
    Action,
    /// `cas`: bytes by their own digest.
    Content,
}

impl Kind {
    /// The segment of the path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "ac",
            Self::Content => "cas",
        }
    }
}

/// One object of a cache: `/{namespace...}/{ac|cas}/{64 hexadecimal digits}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Route {
    /// Under which name.
    pub namespace: Namespace,
    /// In which collection.
    pub kind: Kind,
    /// Which one.
    pub key: Digest,
}

/// Why a path names no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// It does not end in a collection and a key.
    #[error("the path is not of the form `/NAMESPACE/ac/KEY` or `/NAMESPACE/cas/DIGEST`")]
    Form,
    /// Its last segment is no digest.
    #[error("`{0}` is not 64 lower-case hexadecimal digits")]
    Key(String),
    /// What is before the collection is no namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
}

impl Route {
    /// Takes a path apart.
    ///
    /// The path must not have been decoded: a percent sign is in no valid one.
    ///
    /// # Errors
    /// When it names no object.
    pub fn parse(path: &str) -> Result<Self, RouteError> {
        let mut segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let key = segments.pop().ok_or(RouteError::Form)?;
        let kind = match segments.pop() {
            Some("ac") => Kind::Action,
            Some("cas") => Kind::Content,
            _ => return Err(RouteError::Form),
        };
        Ok(Self {
            key: Digest::from_hex(key).map_err(|_| RouteError::Key(key.to_owned()))?,
            namespace: Namespace::from_segments(segments)?,
            kind,
        })
    }

    /// The path, with a slash in front.
    pub fn path(&self) -> String {
        let slash = if self.namespace.is_root() { "" } else { "/" };
        let namespace = self.namespace.as_str();
        format!(
            "{slash}{namespace}/{}/{}",
            self.kind.as_str(),
            self.key.hex()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip() {
        let key = Digest::of(b"x");
        for namespace in ["", "a", "org/repo/pr-17"] {
            for kind in [Kind::Action, Kind::Content] {
                let namespace = namespace.parse().unwrap();
                let route = Route {
                    namespace,
                    kind,
                    key,
                };
                assert_eq!(Route::parse(&route.path()), Ok(route));
            }
        }
    }

    #[test]
    fn other_paths_are_refused() {
        let key = Digest::of(b"x").hex();
        for (path, error) in [
            ("/", RouteError::Form),
            ("/ac", RouteError::Form),
            (&format!("/a/b/{key}"), RouteError::Form),
            ("/ac/xyz", RouteError::Key("xyz".into())),
            (
                &format!("/ac/{}", key.to_uppercase()),
                RouteError::Key(key.to_uppercase()),
            ),
            (
                &format!("/a/../ac/{key}"),
                RouteError::Namespace(NamespaceError::Segment("..".into())),
            ),
            (
                &format!("//ac/{key}"),
                RouteError::Namespace(NamespaceError::Segment(String::new())),
            ),
            (
                &format!("/a%2f/ac/{key}"),
                RouteError::Namespace(NamespaceError::Segment("a%2f".into())),
            ),
        ] {
            assert_eq!(Route::parse(path), Err(error), "{path}");
        }
    }
}
