//! Files and repositories that ADD fetches.

use crate::diagnostic::Diagnostic;
use crate::pins::RemoteNeed;
use crate::remote::{GitUrl, RemoteError, RemoteUrl};
use crate::span::{Span, Spanned};
use acetate_oci::Digest;

/// What is behind an address.
pub(super) enum Remote {
    /// A file.
    File(String),
    /// A repository.
    Repository(GitUrl),
}

/// Reads a source; none is a path. `--keep-git-dir` says that an address is one of a repository.
pub(super) fn find(
    text: &str,
    keep_git_dir: Option<bool>,
    span: Span,
) -> Result<Option<Remote>, Diagnostic> {
    let found = match keep_git_dir {
        Some(_) => RemoteUrl::parse_git(text),
        None => RemoteUrl::parse(text),
    };
    let found = found.map_err(|error| invalid(&error, span))?;
    Ok(found.map(|url| match url {
        RemoteUrl::Http(url) => Remote::File(url),
        RemoteUrl::Git(url) => Remote::Repository(url),
    }))
}

fn invalid(error: &RemoteError, span: Span) -> Diagnostic {
    Diagnostic::error("invalid-git-url", error.message.clone()).at(span)
}

/// The need for a file.
pub(super) fn file(
    url: String,
    checksum: Option<&Spanned<String>>,
) -> Result<RemoteNeed, Diagnostic> {
    let digest = |text: &Spanned<String>| {
        text.value
            .parse::<Digest>()
            .map_err(|error| Diagnostic::error("invalid-checksum", error.to_string()).at(text.span))
    };
    let checksum = checksum.map(digest).transpose()?;
    Ok(RemoteNeed::Http { url, checksum })
}

/// The need for a repository; what the flags say must agree with the address.
pub(super) fn repository(
    url: &GitUrl,
    keep_git_dir: Option<bool>,
    checksum: Option<&Spanned<String>>,
    span: Span,
) -> Result<RemoteNeed, Diagnostic> {
    if let (Some(flag), Some(query)) = (keep_git_dir, url.keep_git_dir)
        && flag != query
    {
        let message = "inconsistent keep-git-dir configuration";
        return Err(Diagnostic::error("invalid-git-url", message).at(span));
    }
    let mut need = url.need(keep_git_dir.unwrap_or(false));
    if let Some(flag) = checksum {
        let is_commit = flag.value.len() <= 64 && flag.value.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_commit {
            let message = format!(
                "invalid checksum {:?}: expected a commit or the beginning of one",
                flag.value
            );
            return Err(Diagnostic::error("invalid-checksum", message).at(flag.span));
        }
        if let Some(query) = need.checksum.filter(|query| *query != flag.value) {
            let message = format!("checksum mismatch {:?} != {query:?}", flag.value);
            return Err(Diagnostic::error("invalid-checksum", message).at(flag.span));
        }
        need.checksum = Some(flag.value.to_ascii_lowercase());
    }
    Ok(RemoteNeed::Git(need))
}
