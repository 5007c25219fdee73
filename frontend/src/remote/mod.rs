//! Addresses of files and repositories: which texts are addresses, and what they ask for.
//!
//! ```text
//! https://host/org/x.git#ref:dir      a repository: the path ends with `.git`
//! https://host/org/x.git?tag=v1       the same with a query
//! git://host/x  ssh://git@host/x      repositories, whatever the path is
//! git@host:org/x                      a repository, as scp writes it
//! https://host/x.tar.gz               a file
//! github.com/org/x                    a repository, but only where a context is meant
//! ```
//! Everything else is a path. Nothing here looks at a disk or a network.

mod git;
mod query;
mod redacted;
#[cfg(test)]
mod tests;

pub use git::GitUrl;
pub use redacted::redacted;

use std::collections::BTreeMap;
use thiserror::Error;

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteUrl {
    /// A file behind `http://` or `https://`, as the user wrote it.
    Http(String),
    /// A repository.
    Git(GitUrl),
}

/// Why the address of a repository cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct RemoteError {
    /// The finding, in the words that other builders use.
    pub message: String,
}

impl RemoteUrl {
    /// Reads a source of ADD or the value of a named context; none is a path.
    pub fn parse(text: &str) -> Result<Option<Self>, RemoteError> {
        match git::parse(text, git::Suffix::Required)? {
            Some(git) => Ok(Some(Self::Git(git))),
            None => Ok(http(text)),
        }
    }

    /// Reads what is known to be a repository if it is an address at all: `--keep-git-dir` says so.
    pub fn parse_git(text: &str) -> Result<Option<Self>, RemoteError> {
        Ok(git::parse(text, git::Suffix::Optional)?.map(Self::Git))
    }

    /// Reads the main context, which may also be written as `github.com/org/repo`.
    pub fn parse_context(text: &str) -> Result<Option<Self>, RemoteError> {
        if !text.starts_with("github.com/") {
            return Self::parse(text);
        }
        Self::parse_git(&format!("https://{text}"))
    }
}

fn http(text: &str) -> Option<RemoteUrl> {
    let is_http = text.starts_with("http://") || text.starts_with("https://");
    is_http.then(|| RemoteUrl::Http(text.to_owned()))
}

/// The name of the file behind an address: the last part of its path, else `__unnamed__` (S54).
pub fn file_name(url: &str) -> String {
    let unnamed = || "__unnamed__".to_owned();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let Some((_, path)) = rest.split_once('/') else {
        return unnamed();
    };
    let Some(path) = query::decode(path) else {
        return unnamed();
    };
    match path.trim_end_matches('/').rsplit('/').next() {
        None | Some("" | "." | "..") => unnamed(),
        // No file can have such a name, and no message should hold it.
        Some(name) if name.contains('\0') => unnamed(),
        Some(name) => name.to_owned(),
    }
}

/// What `BUILDKIT_CONTEXT_KEEP_GIT_DIR` says about the main context.
pub fn keeps_git_dir(build_args: &BTreeMap<String, String>) -> bool {
    let given = build_args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    given.and_then(|text| boolean(text)).unwrap_or(false)
}

/// Reads a boolean in the spellings of Go's `strconv`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn error(message: impl Into<String>) -> RemoteError {
    RemoteError {
        message: message.into(),
    }
}
