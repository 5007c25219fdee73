use super::{Scope, ScopeError};
use acetate_oci::Digest;
use std::fmt;

/// A token that was given out: its name, the hash of its secret, and what it allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What people call it.
    pub name: String,
    /// The hash of its secret.
    pub hash: TokenHash,
    /// What it allows.
    pub scopes: Vec<Scope>,
}

/// The SHA-256 of a secret. Secrets are random and long, so that a plain hash hides them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(Digest);

/// Why a file of tokens cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A line does not have the form of one.
    #[error("line {0}: expected NAME sha256:HASH SCOPE...")]
    Form(usize),
    /// A scope says nothing.
    #[error("line {line}: {source}")]
    Scope {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        source: ScopeError,
    },
}

impl TokenHash {
    /// Hashes a secret.
    pub fn of(secret: &str) -> Self {
        Self(Digest::of(secret.as_bytes()))
    }

    /// Compares without telling by its duration where two hashes differ.
    pub fn is(&self, other: &Self) -> bool {
        let pairs = self.0.as_bytes().iter().zip(other.0.as_bytes());
        pairs.fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Token {
    /// Reads a file of tokens: one a line, `NAME sha256:HASH SCOPE...`; `#` begins a comment.
    ///
    /// # Errors
    /// When a line is no token; the error names it.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, TokenError> {
        let lines = text
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line.trim()));
        lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(n, line)| Self::parse(n, line))
            .collect()
    }

    fn parse(n: usize, line: &str) -> Result<Self, TokenError> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(hash)) = (words.next(), words.next()) else {
            return Err(TokenError::Form(n));
        };
        let hash = hash.parse().map_err(|_| TokenError::Form(n))?;
        let scopes: Result<Vec<Scope>, ScopeError> = words.map(str::parse).collect();
        let scopes = scopes.map_err(|source| TokenError::Scope { line: n, source })?;
        if scopes.is_empty() {
            return Err(TokenError::Form(n));
        }
        Ok(Self {
            name: name.to_owned(),
            hash: TokenHash(hash),
            scopes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named() {
        let hash = TokenHash::of("x");
        for (text, error) in [
            (
                "ci".to_owned(),
                "line 1: expected NAME sha256:HASH SCOPE...",
            ),
            (
                format!("# c\nci {hash}"),
                "line 2: expected NAME sha256:HASH SCOPE...",
            ),
            (
                "ci md5:1 a:read".to_owned(),
                "line 1: expected NAME sha256:HASH SCOPE...",
            ),
            (
                format!("ci {hash} a:look"),
                "line 1: `a:look` is no scope: expected NAMESPACE:read, :write or :admin",
            ),
            (
                format!("ci {hash} a/../b:read"),
                "line 1: `..` cannot be part of a namespace",
            ),
        ] {
            assert_eq!(Token::parse_all(&text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn hashes_are_compared_whole() {
        assert!(TokenHash::of("a").is(&TokenHash::of("a")));
        assert!(!TokenHash::of("a").is(&TokenHash::of("b")));
    }
}
