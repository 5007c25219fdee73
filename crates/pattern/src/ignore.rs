//! Ignore files and `--exclude`.

use crate::clean::clean;
use crate::error::IgnoreError;
use crate::glob::Glob;

/// An ordered list of rules that says which paths are left out.
///
/// A rule matches a path when it matches the path or one of its parents. The last rule that matches decides;
/// a rule behind `!` brings the path back. Without a match the path stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreMatcher {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    glob: Glob,
    is_exception: bool,
}

impl IgnoreMatcher {
    /// Reads the text of an ignore file.
    ///
    /// A line with `#` in the first column is a comment; blanks around a rule, a leading slash and
    /// a byte order mark are dropped, and paths are cleaned lexically.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text
            .split('\n')
            .enumerate()
            .filter(|(_, line)| !line.starts_with('#'));
        Self::from_numbered(lines)
    }

    /// Takes rules one by one, as `--exclude` gives them; there are no comments.
    pub fn from_patterns<'p>(
        patterns: impl IntoIterator<Item = &'p str>,
    ) -> Result<Self, IgnoreError> {
        Self::from_numbered(patterns.into_iter().enumerate())
    }

    fn from_numbered<'p>(
        lines: impl Iterator<Item = (usize, &'p str)>,
    ) -> Result<Self, IgnoreError> {
        let rules = lines.filter_map(|(idx, line)| rule(line, idx + 1).transpose());
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// Says whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Says whether the path is left out.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        self.deciding(path.as_ref())
            .is_some_and(|idx| !self.rules[idx].is_exception)
    }

    /// Says whether a rule may bring back something below `dir`, so that a walk must enter it although it is left out.
    ///
    /// May say yes too often, never no too often. Rules in front of the one that left `dir` out do not count.
    pub fn may_contain_exceptions_below(&self, dir: impl AsRef<[u8]>) -> bool {
        let dir = dir.as_ref();
        let from = self.deciding(dir).map_or(0, |idx| idx + 1);
        let mut later = self.rules[from..].iter().filter(|rule| rule.is_exception);
        later.any(|rule| rule.glob.may_match_below(dir))
    }

    /// Returns the index of the last rule that matches.
    fn deciding(&self, path: &[u8]) -> Option<usize> {
        self.rules
            .iter()
            .rposition(|rule| rule.glob.matches_or_parent(path))
    }
}

/// Reads one rule; blank lines are none.
fn rule(line: &str, number: usize) -> Result<Option<Rule>, IgnoreError> {
    let line = line.trim();
    let (is_exception, pattern) = match line.strip_prefix('!') {
        Some(rest) => (true, rest.trim()),
        None => (false, line),
    };
    if pattern.is_empty() {
        return none_left(is_exception, number);
    }
    let cleaned = clean(pattern);
    // Blanks are taken off once more, now that slashes around them are gone.
    let relative = match cleaned.strip_prefix('/') {
        Some("") if is_exception => "",
        Some("") => "/",
        Some(rest) => rest.trim(),
        None => cleaned.trim(),
    };
    if relative.is_empty() {
        return none_left(is_exception, number);
    }
    match Glob::new(relative) {
        Ok(glob) => Ok(Some(Rule { glob, is_exception })),
        Err(source) => Err(IgnoreError::Pattern {
            line: number,
            source,
        }),
    }
}

/// What a rule is of which nothing is left.
fn none_left(is_exception: bool, number: usize) -> Result<Option<Rule>, IgnoreError> {
    if is_exception {
        Err(IgnoreError::LoneExclamation { line: number })
    } else {
        Ok(None)
    }
}

#[cfg(test)]
#[path = "ignore/tests.rs"]
mod tests;
