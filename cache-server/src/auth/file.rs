use super::token::TokenError;
use super::{Policy, Scope, Token};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The file that tokens are in.
#[derive(Debug, Clone)]
pub struct TokenFile {
    /// Where it is.
    pub path: PathBuf,
    /// What requests without a token may do.
    pub anonymous: Vec<Scope>,
}

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Why a file of tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("failed to read `{path}`: {source}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it is no token.
    #[error("{path}: {source}")]
    Form {
        /// Which one.
        path: PathBuf,
        /// Which line, and what is wrong with it.
        source: TokenError,
    },
}

impl TokenFile {
    /// Reads the file.
    pub fn read(&self) -> Result<Policy, TokenFileError> {
        let path = || self.path.clone();
        let text = std::fs::read_to_string(&self.path);
        let text = text.map_err(|source| TokenFileError::Read {
            path: path(),
            source,
        })?;
        let tokens = Token::parse_all(&text).map_err(|source| TokenFileError::Form {
            path: path(),
            source,
        })?;
        let anonymous = self.anonymous.clone();
        Ok(Policy::Tokens { tokens, anonymous })
    }

    /// The state that it is in; none when it cannot be looked at. Links are followed.
    pub fn stamp(&self) -> Option<Stamp> {
        let seen = std::fs::metadata(&self.path).ok()?;
        Some(Stamp {
            device: seen.dev(),
            inode: seen.ino(),
            size: seen.size(),
            modified: (seen.mtime(), seen.mtime_nsec()),
            changed: (seen.ctime(), seen.ctime_nsec()),
        })
    }
}
