use std::str::FromStr;

/// What a claim must look like: text by segments, in each of which one place may be open.
///
/// `*` stands for one character or more, `{name}` for the same with a name under which a scope can
/// use it, and `**` as the last segment for all further ones. Nothing but that one reaches over a
/// slash, so that how many segments a value has is decided by who writes the rules. With one open
/// place in a segment there is one way to match, and nobody can move a border by a clever value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
    has_rest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    before: String,
    open: Option<Open>,
    after: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Open {
    Any,
    Named(String),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Two places of one segment are open.
    #[error("`{0}` has two open places in one segment")]
    TwoOpen(String),
    /// `**` is not the whole of the last segment.
    #[error("`**` in `{0}` is not the last segment")]
    Rest(String),
    /// A brace has no partner, or what is between them is no name.
    #[error("`{0}` has braces without a name of letters, digits and `_` between them")]
    Braces(String),
}

impl Pattern {
    /// What the named places hold when a value matches.
    pub(super) fn matches(&self, value: &str) -> Option<Vec<(&str, String)>> {
        let values: Vec<&str> = value.split('/').collect();
        let n = self.segments.len();
        let fits = if self.has_rest {
            values.len() > n
        } else {
            values.len() == n
        };
        if !fits {
            return None;
        }
        let mut found = Vec::new();
        for (segment, value) in self.segments.iter().zip(values) {
            segment.matches(value, &mut found)?;
        }
        Some(found)
    }

    /// The names of its places.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| {
            let Some(Open::Named(name)) = &segment.open else {
                return None;
            };
            Some(name.as_str())
        })
    }
}

impl Segment {
    /// Adds what a named place holds; none when the value does not match.
    fn matches<'a>(&'a self, value: &str, found: &mut Vec<(&'a str, String)>) -> Option<()> {
        let Some(open) = &self.open else {
            return (value == self.before).then_some(());
        };
        let middle = value.strip_prefix(self.before.as_str())?;
        let middle = middle.strip_suffix(self.after.as_str())?;
        if middle.is_empty() {
            return None;
        }
        if let Open::Named(name) = open {
            found.push((name, middle.to_owned()));
        }
        Some(())
    }

    fn parse(text: &str) -> Result<Self, PatternError> {
        let braces = || PatternError::Braces(text.to_owned());
        let Some(at) = text.find(['*', '{', '}']) else {
            return Ok(Self {
                before: text.to_owned(),
                open: None,
                after: String::new(),
            });
        };
        let (before, rest) = text.split_at(at);
        let (open, after) = if let Some(after) = rest.strip_prefix('*') {
            (Open::Any, after)
        } else {
            let inner = rest.strip_prefix('{').ok_or_else(braces)?;
            let (name, after) = inner.split_once('}').ok_or_else(braces)?;
            if !is_name(name) {
                return Err(braces());
            }
            (Open::Named(name.to_owned()), after)
        };
        if after.contains(['*', '{', '}']) {
            return Err(PatternError::TwoOpen(text.to_owned()));
        }
        Ok(Self {
            before: before.to_owned(),
            open: Some(open),
            after: after.to_owned(),
        })
    }
}

pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (text_before, has_rest) = match text.strip_suffix("/**") {
            Some(before) => (before, true),
            None => (text, false),
        };
        if text_before.contains("**") {
            return Err(PatternError::Rest(text.to_owned()));
        }
        let segments = text_before.split('/').map(Segment::parse);
        Ok(Self {
            segments: segments.collect::<Result<_, _>>()?,
            has_rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_match_by_whole_segments() {
        for (pattern, value, found) in [
            ("refs/heads/main", "refs/heads/main", Some("")),
            ("refs/heads/main", "refs/heads/main2", None),
            ("refs/heads/main", "x/refs/heads/main", None),
            ("org/*", "org/repo", Some("")),
            ("org/*", "org/", None),
            ("org/*", "org/repo/more", None),
            ("org/*", "organ/repo", None),
            ("org/**", "org/a/b", Some("")),
            ("org/**", "org", None),
            ("*", "a/b", None),
            ("refs/pull/{n}/merge", "refs/pull/17/merge", Some("n=17")),
            ("refs/pull/{n}/merge", "refs/pull/1/7/merge", None),
            ("refs/pull/{n}/merge", "refs/pull//merge", None),
            ("pr-{n}.x/{m}", "pr-a-b.x/c", Some("n=a-b m=c")),
            ("", "", Some("")),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            let matched = parsed.matches(value).map(|all| {
                let all: Vec<String> = all.iter().map(|(k, v)| format!("{k}={v}")).collect();
                all.join(" ")
            });
            assert_eq!(matched.as_deref(), found, "{pattern} {value}");
        }
    }

    #[test]
    fn ambiguous_patterns_are_refused() {
        for text in [
            "{a}-{b}", "**/x", "a**", "{", "a}", "{}", "{a b}", "*{a}", "a/**/**",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
        let pattern: Pattern = "a-{x}/{y}".parse().unwrap();
        assert_eq!(pattern.names().collect::<Vec<_>>(), ["x", "y"]);
    }
}
