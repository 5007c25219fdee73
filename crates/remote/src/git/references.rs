//! From what the user calls a commit to its name.

use super::address::Address;
use super::mirror::Session;
use super::program::Call;
use super::{GitRequest, is_full, redacted};
use crate::RemoteError;

/// What a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) commit: String,
    /// The full name of the reference.
    pub(crate) name: Option<String>,
    /// The object of an annotated tag, which a checksum may mean as well.
    pub(crate) tag: Option<String>,
}

/// Finds the commit. One that is named in full needs no network for that.
pub(crate) fn find(
    session: &Session<'_>,
    address: &Address,
    request: &GitRequest,
) -> Result<Found, RemoteError> {
    if let Some(commit) = named(request) {
        let name = request
            .reference
            .clone()
            .filter(|name| name.starts_with("refs/"));
        let found = Found {
            commit: commit.to_ascii_lowercase(),
            name: name.filter(|name| is_valid(name)),
            tag: None,
        };
        check(request, &found.commit, None)?;
        return Ok(found);
    }
    let reference = request.reference.as_deref().unwrap_or("HEAD");
    let missing = || RemoteError::NoReference {
        reference: reference.to_owned(),
        remote: redacted(&request.remote),
    };
    if !is_valid(reference) {
        return Err(missing());
    }
    let peeled = format!("{reference}^{{}}");
    let shown = redacted(&request.remote);
    let listed = session.git().run(&Call {
        what: ("list the references of", &shown),
        args: &["ls-remote", "-q", &address.url, reference, &peeled],
        address: Some(address),
        ..Call::default()
    })?;
    let listed = String::from_utf8_lossy(&listed);
    let found = choose(reference, &listed).ok_or_else(missing)?;
    check(request, &found.commit, found.tag.as_deref())?;
    Ok(found)
}

/// The commit, if it is named in full and nobody wants a reference checked against it.
fn named(request: &GitRequest) -> Option<&str> {
    let reference = request.reference.as_deref();
    let checksum = request.checksum.as_deref().filter(|sum| is_full(sum));
    match reference {
        Some(reference) if is_full(reference) => Some(reference),
        Some(_) => checksum.filter(|_| request.by_commit),
        None => checksum,
    }
}

/// Compares a commit with the checksum of a request; the object of a tag will do as well.
pub(crate) fn check(
    request: &GitRequest,
    commit: &str,
    tag: Option<&str>,
) -> Result<(), RemoteError> {
    let Some(expected) = &request.checksum else {
        return Ok(());
    };
    let wanted = expected.to_ascii_lowercase();
    if commit.starts_with(&wanted) || tag.is_some_and(|tag| tag.starts_with(&wanted)) {
        return Ok(());
    }
    Err(RemoteError::Commit {
        reference: request
            .reference
            .clone()
            .unwrap_or_else(|| "HEAD".to_owned()),
        remote: redacted(&request.remote),
        expected: expected.clone(),
        found: commit.to_owned(),
    })
}

/// What git allows as the name of a reference; anything else would be an option or a pattern.
fn is_valid(reference: &str) -> bool {
    !reference.is_empty()
        && !reference.starts_with(['-', '/'])
        && !reference.contains("..")
        && !reference.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c))
}

/// Picks the line that is meant: a branch goes before a tag of the same name, as in a checkout.
fn choose(reference: &str, listed: &str) -> Option<Found> {
    let line = |name: &str| {
        listed.lines().find_map(|line| {
            let (object, found) = line.split_once('\t')?;
            (found == name && is_full(object)).then(|| object.to_owned())
        })
    };
    let names = if reference == "HEAD" || reference.starts_with("refs/") {
        vec![reference.to_owned()]
    } else {
        let under = |prefix: &str| format!("{prefix}{reference}");
        vec![under("refs/heads/"), under("refs/tags/"), under("refs/")]
    };
    names.into_iter().find_map(|name| {
        let object = line(&name)?;
        let peeled = line(&format!("{name}^{{}}"));
        let tag = peeled.is_some().then(|| object.clone());
        Some(Found {
            commit: peeled.unwrap_or(object),
            name: Some(name),
            tag,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const C: &str = "cccccccccccccccccccccccccccccccccccccccc";

    fn chosen(reference: &str, lines: &[(&str, &str)]) -> Option<Chosen> {
        let text: String = lines
            .iter()
            .map(|(id, name)| format!("{id}\t{name}\n"))
            .collect();
        let found = choose(reference, &text)?;
        Some((found.commit, found.name?, found.tag))
    }

    type Chosen = (String, String, Option<String>);

    fn of(commit: &str, name: &str, tag: Option<&str>) -> Chosen {
        (commit.to_owned(), name.to_owned(), tag.map(str::to_owned))
    }

    #[test]
    fn a_branch_goes_before_a_tag_and_a_tag_means_its_commit() {
        let lines = [
            (A, "HEAD"),
            (A, "refs/heads/x"),
            (B, "refs/tags/x"),
            (B, "refs/tags/t"),
            (C, "refs/tags/t^{}"),
            (B, "refs/tags/light"),
            (C, "refs/pull/1/head"),
            (C, "refs/remotes/o/y"),
            ("nonsense", "refs/heads/bad"),
        ];
        assert_eq!(chosen("HEAD", &lines), Some(of(A, "HEAD", None)));
        assert_eq!(chosen("x", &lines), Some(of(A, "refs/heads/x", None)));
        assert_eq!(
            chosen("refs/tags/x", &lines),
            Some(of(B, "refs/tags/x", None))
        );
        assert_eq!(chosen("tags/x", &lines), Some(of(B, "refs/tags/x", None)));
        assert_eq!(chosen("t", &lines), Some(of(C, "refs/tags/t", Some(B))));
        assert_eq!(
            chosen("light", &lines),
            Some(of(B, "refs/tags/light", None))
        );
        assert_eq!(
            chosen("pull/1/head", &lines),
            Some(of(C, "refs/pull/1/head", None))
        );
        assert_eq!(chosen("y", &lines), None);
        assert_eq!(chosen("bad", &lines), None);
    }

    #[test]
    fn names_that_git_could_misread_are_no_references() {
        for name in ["main", "v1.0", "a/b", "refs/heads/ü"] {
            assert!(is_valid(name), "{name}");
        }
        for name in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            "a*",
            "a:b",
            "a^",
            "a\n",
            "/x",
        ] {
            assert!(!is_valid(name), "{name}");
        }
    }

    #[test]
    fn a_commit_in_full_is_taken_without_asking() {
        let request = |reference: Option<&str>, checksum: Option<&str>, by_commit| GitRequest {
            remote: "https://h/r".to_owned(),
            reference: reference.map(str::to_owned),
            checksum: checksum.map(str::to_owned),
            by_commit,
        };
        assert_eq!(named(&request(Some(A), None, false)), Some(A));
        assert_eq!(named(&request(None, Some(A), false)), Some(A));
        assert_eq!(named(&request(Some("main"), Some(A), false)), None);
        assert_eq!(named(&request(Some("main"), Some(A), true)), Some(A));
        assert_eq!(named(&request(None, Some("aaaa"), true)), None);
        let wrong = check(&request(Some("v1"), Some("abc"), false), A, Some(B)).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            format!("check `v1` of `https://h/r`: expected the commit `abc`, found `{A}`")
        );
        check(&request(Some("v1"), Some("BBB"), false), A, Some(B)).unwrap();
        check(&request(Some("v1"), Some("aa"), false), A, Some(B)).unwrap();
    }
}
