//! Patterns of `COPY --parents`.

use crate::error::PatternError;
use crate::glob::Glob;

/// A pattern in which `**` crosses directories; else as in ignore files.
///
/// `a/**/b` matches `a/b` and `a/x/y/b`; `a/**` matches what is below `a`, not `a`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentsPattern {
    pattern: String,
    glob: Glob,
}

impl ParentsPattern {
    /// Compiles a pattern.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        Ok(Self {
            pattern: pattern.to_owned(),
            glob: Glob::new(pattern)?,
        })
    }

    /// Returns the pattern as given.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Says whether the whole path matches.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> bool {
        self.glob.matches(path.as_ref())
    }

    /// Says whether the path or one of its parents matches, so that the path is copied.
    pub fn matches_or_parent(&self, path: impl AsRef<[u8]>) -> bool {
        self.glob.matches_or_parent(path.as_ref())
    }

    /// Says whether something below `dir` could match; `""` is the root.
    pub fn may_match_below(&self, dir: impl AsRef<[u8]>) -> bool {
        self.glob.may_match_below(dir.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::ParentsPattern;
    use proptest::prelude::*;

    #[test]
    fn double_stars() {
        for (pattern, path, expected) in [
            ("**/*.go", "main.go", true),
            ("**/*.go", "a/b/main.go", true),
            ("**/*.go", "a/main.goo", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("a/**/b", "ab", false),
            ("a/**", "a", false),
            ("a/**", "a/b/c", true),
            ("**", "a/b", true),
            ("*", "a/b", false),
            ("a/*/c", "a/b/c", true),
            ("a/*/c", "a/b/x/c", false),
            ("**/src/**/*.rs", "src/a.rs", true),
            ("**/src/**/*.rs", "x/src/y/z/a.rs", true),
            ("**/src/**/*.rs", "x/srcs/a.rs", false),
        ] {
            let compiled = ParentsPattern::new(pattern).unwrap();
            assert_eq!(compiled.matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn parents_and_directories() {
        let pattern = ParentsPattern::new("a/*/c").unwrap();
        assert!(pattern.matches_or_parent("a/b/c/d/e"));
        assert!(!pattern.matches_or_parent("a/b"));
        assert!(pattern.may_match_below(""));
        assert!(pattern.may_match_below("a"));
        assert!(pattern.may_match_below("a/b"));
        assert!(!pattern.may_match_below("a/b/c"));
        assert!(!pattern.may_match_below("b"));
        assert_eq!(pattern.as_str(), "a/*/c");
        assert!(ParentsPattern::new("a/[").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(pattern in any::<String>(), path in proptest::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(compiled) = ParentsPattern::new(&pattern) {
                compiled.matches_or_parent(&path);
                compiled.may_match_below(&path);
            }
        }

        /// A walk that obeys both answers finds every path that is copied.
        #[test]
        fn entering_misses_nothing(pattern in "[ab*?/]{1,8}", path in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            let compiled = ParentsPattern::new(&pattern).unwrap();
            if compiled.matches_or_parent(&path) {
                for (at, _) in path.match_indices('/') {
                    let dir = &path[..at];
                    prop_assert!(compiled.matches_or_parent(dir) || compiled.may_match_below(dir));
                }
            }
        }
    }
}
