use super::pattern::is_name;
use super::{Scope, ScopeError};
use acetate_cache_api::Namespace;
use std::collections::BTreeMap;
use std::str::FromStr;

/// A scope in which names in braces stand for what claims hold: `{repository}/pr-{number}:write`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Vec<Piece>>,
    /// The scope of the root namespace with the same access.
    access: Scope,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name(String),
}

impl Template {
    /// The scope for these values; none when one of them is missing or cannot be part of a
    /// namespace. A slash is taken only where a name is a whole segment.
    pub(super) fn fill(&self, values: &BTreeMap<String, String>) -> Option<Scope> {
        let mut path: Vec<String> = Vec::new();
        for segment in &self.segments {
            if let [Piece::Name(name)] = segment.as_slice() {
                path.extend(values.get(name)?.split('/').map(str::to_owned));
                continue;
            }
            let mut own = String::new();
            for piece in segment {
                match piece {
                    Piece::Text(text) => own += text,
                    // A slash in it makes the segment none.
                    Piece::Name(name) => own += values.get(name)?,
                }
            }
            path.push(own);
        }
        let namespace = Namespace::from_segments(path.iter().map(String::as_str)).ok()?;
        Some(self.access.at(namespace))
    }

    /// The names that it needs.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().flatten().filter_map(|piece| {
            let Piece::Name(name) = piece else {
                return None;
            };
            Some(name.as_str())
        })
    }
}

impl FromStr for Template {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let unknown = || ScopeError::Access(text.to_owned());
        let (path, access) = text.rsplit_once(':').ok_or_else(unknown)?;
        let access: Scope = format!(":{access}").parse().map_err(|_| unknown())?;
        let segments = path.split('/').filter(|_| !path.is_empty());
        let template = Self {
            segments: segments
                .map(|segment| pieces(segment).ok_or_else(unknown))
                .collect::<Result<_, _>>()?,
            access,
        };
        // Whatever the names stand for, the text around them must be possible.
        let any = template
            .names()
            .map(|name| (name.to_owned(), "x".to_owned()));
        template.fill(&any.collect()).ok_or_else(unknown)?;
        Ok(template)
    }
}

fn pieces(segment: &str) -> Option<Vec<Piece>> {
    let (mut found, mut rest) = (Vec::new(), segment);
    while let Some((before, inner)) = rest.split_once('{') {
        let (name, after) = inner.split_once('}')?;
        if !before.is_empty() {
            found.push(Piece::Text(before.to_owned()));
        }
        found.push(Piece::Name(is_name(name).then(|| name.to_owned())?));
        rest = after;
    }
    if !rest.is_empty() || found.is_empty() {
        found.push(Piece::Text(rest.to_owned()));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str, values: &[(&str, &str)]) -> Option<Scope> {
        let values = values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let template: Template = template.parse().unwrap();
        template.fill(&values.collect())
    }

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    #[test]
    fn values_become_segments() {
        let own = "{repository}/pr-{number}:write";
        for (repository, number, expected) in [
            ("org/repo", "17", Some("org/repo/pr-17:write")),
            ("org/repo", "1/../..", None),
            ("org/repo", "a b", None),
            ("org/repo", "%2e", None),
            ("org/..", "17", None),
            ("org//repo", "17", None),
            ("/etc", "17", None),
            ("", "17", None),
        ] {
            let filled = fill(own, &[("repository", repository), ("number", number)]);
            assert_eq!(filled, expected.map(scope), "{repository} {number}");
        }
        assert_eq!(fill("{a}:read", &[]), None);
        assert_eq!(fill("{a}:read", &[("a", "..")]), None);
        assert_eq!(fill("org:read", &[]), Some(scope("org:read")));
        assert_eq!(fill(":admin", &[]), Some(scope(":admin")));
        assert_eq!(
            fill("{a}-{b}:read", &[("a", "x"), ("b", "y")]),
            Some(scope("x-y:read"))
        );
    }

    #[test]
    fn what_can_never_be_a_scope_is_refused() {
        for text in [
            "{a",
            "{a}",
            "{a}:look",
            "a}:read",
            "{}:read",
            "a//{b}:read",
            "../{a}:read",
            "a b:read",
        ] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }
}
