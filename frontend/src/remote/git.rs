//! The addresses of repositories.

use super::{RemoteError, boolean, error, query};
use crate::pins::GitNeed;

/// The address of a repository and what is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GitUrl {
    /// Where it is, without query and fragment: `https://host/x.git`, `git@host:x`.
    pub remote: String,
    /// A branch, a tag, a full reference or a commit; none is the default branch.
    pub reference: Option<String>,
    /// `checksum` or `commit` of the query: a commit or the beginning of one.
    pub checksum: Option<String>,
    /// The directory taken, relative to the top; empty is all of it.
    pub subdir: String,
    /// `keep-git-dir` of the query.
    pub keep_git_dir: Option<bool>,
    /// `submodules` of the query.
    pub submodules: Option<bool>,
    /// `mtime=commit` of the query: files carry the time of the commit.
    pub commit_times: bool,
    /// `fetch-by-commit` of the query: the reference is not asked for.
    pub fetch_by_commit: bool,
}

impl GitUrl {
    /// What is to be fetched. `keep_git_dir` counts where the address says nothing.
    pub fn need(&self, keep_git_dir: bool) -> GitNeed {
        GitNeed {
            remote: self.remote.clone(),
            reference: self.reference.clone(),
            checksum: self.checksum.clone(),
            subdir: self.subdir.clone(),
            keep_git_dir: self.keep_git_dir.unwrap_or(keep_git_dir),
            submodules: self.submodules.unwrap_or(true),
            commit_times: self.commit_times,
            fetch_by_commit: self.fetch_by_commit,
        }
    }
}

/// Whether the path behind `http` must end with `.git`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suffix {
    Required,
    Optional,
}

/// Reads the address of a repository; none when the text is something else.
pub(super) fn parse(text: &str, suffix: Suffix) -> Result<Option<GitUrl>, RemoteError> {
    let (rest, fragment) = split(text, '#');
    let (remote, query) = split(rest, '?');
    let Some(remote) = remote_of(remote, suffix) else {
        return Ok(None);
    };
    let Some(fragment) = query::decode(fragment) else {
        return Ok(None);
    };
    let Some(pairs) = query::pairs(query) else {
        return Ok(None);
    };
    let (reference, subdir) = fragment.split_once(':').unwrap_or((&fragment, ""));
    let mut draft = Draft {
        url: GitUrl {
            remote,
            reference: non_empty(reference),
            ..GitUrl::default()
        },
        subdir: non_empty(subdir),
        ..Draft::default()
    };
    for (idx, (key, value)) in pairs.iter().enumerate() {
        if pairs[..idx].iter().any(|(earlier, _)| earlier == key) {
            return Err(error(format!("query {key:?} has multiple values")));
        }
        draft.set(key, value)?;
    }
    draft.finish().map(Some)
}

/// The part that a repository is fetched from, if it is one.
fn remote_of(text: &str, suffix: Suffix) -> Option<String> {
    if text.starts_with("./") || text.starts_with("../") {
        return None;
    }
    let Some((scheme, rest)) = protocol(text) else {
        return is_scp(text).then(|| text.to_owned());
    };
    let scheme = scheme.to_ascii_lowercase();
    let is_git = match scheme.as_str() {
        "git" | "ssh" => true,
        "http" | "https" => {
            let path = rest.split_once('/').map_or("", |(_, path)| path);
            suffix == Suffix::Optional || path.strip_suffix(".git").is_some()
        }
        _ => false,
    };
    is_git.then(|| format!("{scheme}://{rest}"))
}

/// Splits off a scheme of letters and digits.
fn protocol(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric());
    is_scheme.then_some((scheme, rest))
}

/// `user@host:path`.
fn is_scp(text: &str) -> bool {
    let Some((user, rest)) = text.split_once('@') else {
        return false;
    };
    let Some((host, path)) = rest.split_once(':') else {
        return false;
    };
    let of = |text: &str, more: &[u8]| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    of(user, b"-_") && of(host, b"-.") && !path.contains('\n')
}

/// What was read so far.
#[derive(Default)]
struct Draft {
    url: GitUrl,
    subdir: Option<String>,
    tag: Option<String>,
    branch: Option<String>,
}

impl Draft {
    fn set(&mut self, key: &str, value: &str) -> Result<(), RemoteError> {
        let is_flag = matches!(key, "submodules" | "keep-git-dir" | "fetch-by-commit");
        if value.is_empty() && !is_flag && is_known(key) {
            return Err(error(format!("query {key:?} has no value")));
        }
        let url = &mut self.url;
        match key {
            "ref" => agree("ref", &mut url.reference, value)?,
            "subdir" => agree("subdir", &mut self.subdir, value)?,
            "checksum" | "commit" => agree("commit", &mut url.checksum, value)?,
            "tag" => self.tag = Some(full("refs/tags/", value)),
            "branch" => self.branch = Some(full("refs/heads/", value)),
            "keep-git-dir" => url.keep_git_dir = Some(flag(key, value)?),
            "submodules" => url.submodules = Some(flag(key, value)?),
            "fetch-by-commit" => url.fetch_by_commit = flag(key, value)?,
            "mtime" => {
                url.commit_times = match value {
                    "commit" => true,
                    "checkout" => false,
                    _ => return Err(error(format!("invalid mtime value: {value:?}"))),
                }
            }
            _ => return Err(error(format!("unexpected query {key:?}"))),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<GitUrl, RemoteError> {
        if self.tag.is_some() && self.branch.is_some() {
            return Err(error("branch conflicts with tag"));
        }
        for named in [&self.tag, &self.branch].into_iter().flatten() {
            agree("ref", &mut self.url.reference, named)?;
        }
        if self.url.reference.is_none() {
            self.url.reference.clone_from(&self.url.checksum);
        }
        let commit = self.url.checksum.as_ref().or(self.url.reference.as_ref());
        if self.url.fetch_by_commit && !commit.is_some_and(|commit| is_commit(commit)) {
            return Err(error("fetch-by-commit needs the full name of a commit"));
        }
        self.url.subdir = clean(self.subdir.as_deref().unwrap_or_default());
        Ok(self.url)
    }
}

fn is_known(key: &str) -> bool {
    [
        "ref", "tag", "branch", "subdir", "checksum", "commit", "mtime",
    ]
    .contains(&key)
}

/// Sets a value that must not differ from one given before.
fn agree(key: &str, slot: &mut Option<String>, value: &str) -> Result<(), RemoteError> {
    match slot {
        Some(earlier) if earlier != value => {
            Err(error(format!("{key} conflicts: {earlier:?} vs {value:?}")))
        }
        _ => {
            *slot = Some(value.to_owned());
            Ok(())
        }
    }
}

fn full(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) {
        name.to_owned()
    } else {
        format!("{prefix}{name}")
    }
}

/// A key without a value is set.
fn flag(key: &str, value: &str) -> Result<bool, RemoteError> {
    if value.is_empty() {
        return Ok(true);
    }
    boolean(value).ok_or_else(|| error(format!("invalid {key} value: {value:?}")))
}

fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Makes a directory relative to the top and keeps it inside.
fn clean(dir: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in dir.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn split(text: &str, at: char) -> (&str, &str) {
    text.split_once(at).unwrap_or((text, ""))
}

fn non_empty(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}
