//! Which submodules a commit has. They are fetched as repositories of their own: git's command for
//! it would take orders from the repository.

use super::address::relative;
use super::mirror::{Fetched, Session};
use crate::RemoteError;
use std::collections::BTreeMap;

/// A file of a commit, as its index lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) mode: String,
    pub(crate) object: String,
    pub(crate) path: String,
}

impl Listed {
    /// True for a commit of another repository.
    pub(crate) fn is_submodule(&self) -> bool {
        self.mode == "160000"
    }
}

/// A submodule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submodule {
    /// What `.gitmodules` calls it.
    pub(crate) name: String,
    /// Where it is in the repository.
    pub(crate) path: String,
    /// Its commit.
    pub(crate) commit: String,
    /// Its repository.
    pub(crate) url: String,
}

/// Reads `ls-files -s -z`. Names that are no UTF-8 are those of no submodule.
pub(crate) fn listed(output: &[u8]) -> Vec<Listed> {
    let entries = output
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty());
    let entry = |entry: &[u8]| {
        let text = String::from_utf8_lossy(entry);
        let (head, path) = text.split_once('\t')?;
        let mut words = head.split(' ');
        Some(Listed {
            mode: words.next()?.to_owned(),
            object: words.next()?.to_owned(),
            path: path.to_owned(),
        })
    };
    entries.filter_map(entry).collect()
}

/// Finds the repositories of the submodules among the files of `parent`'s commit.
pub(crate) fn find(
    session: &Session<'_>,
    fetched: &Fetched,
    commit: &str,
    parent: &str,
    files: &[Listed],
) -> Result<Vec<Submodule>, RemoteError> {
    let mut links = files.iter().filter(|file| file.is_submodule()).peekable();
    if links.peek().is_none() {
        return Ok(Vec::new());
    }
    let blob = format!("{commit}:.gitmodules");
    let pattern = r"^submodule\..*\.(path|url)$";
    let args = ["config", "-z", "--blob", &blob, "--get-regexp", pattern];
    let answer = session.git().ask(&fetched.call(&args))?;
    let known = if answer.is_ok {
        modules(&answer.stdout)
    } else {
        BTreeMap::new()
    };
    links.map(|link| submodule(link, &known, parent)).collect()
}

fn submodule(
    link: &Listed,
    known: &BTreeMap<String, Module>,
    parent: &str,
) -> Result<Submodule, RemoteError> {
    let bad = |reason: &str| RemoteError::Submodule {
        path: link.path.clone(),
        reason: reason.to_owned(),
    };
    let mut modules = known.iter();
    let found = modules.find(|(_, module)| module.path.as_deref() == Some(link.path.as_str()));
    let url = found.and_then(|(_, module)| module.url.as_deref());
    let (Some((name, _)), Some(url)) = (found, url) else {
        return Err(bad("`.gitmodules` gives no URL for it"));
    };
    let url = relative(parent, url).ok_or_else(|| bad("its URL leads out of the server"))?;
    Ok(Submodule {
        name: name.clone(),
        path: link.path.clone(),
        commit: link.object.clone(),
        url,
    })
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Module {
    path: Option<String>,
    url: Option<String>,
}

/// Reads `config -z --get-regexp`: keys and values with a line break between them.
fn modules(output: &[u8]) -> BTreeMap<String, Module> {
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    for entry in output.split(|byte| *byte == 0) {
        let text = String::from_utf8_lossy(entry);
        let Some((key, value)) = text.split_once('\n') else {
            continue;
        };
        let Some((name, field)) = key
            .strip_prefix("submodule.")
            .and_then(|k| k.rsplit_once('.'))
        else {
            continue;
        };
        let module = modules.entry(name.to_owned()).or_default();
        let value = Some(value.to_owned());
        match field {
            "path" => module.path = value,
            _ => module.url = value,
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submodules_are_found_by_their_path() {
        let files = listed(b"100644 aaa 0\ta b\xff\x00160000 bbb 0\tlib/x\x00160000 ccc 0\ty\x00");
        assert_eq!(files.len(), 3);
        assert!(!files[0].is_submodule() && files[1].is_submodule());
        let known = modules(
            b"submodule.a.b.path\nlib/x\0submodule.a.b.url\n../x.git\0submodule.q.path\ny\0",
        );
        let found = submodule(&files[1], &known, "https://h/o/p.git").unwrap();
        let expected = Submodule {
            name: "a.b".to_owned(),
            path: "lib/x".to_owned(),
            commit: "bbb".to_owned(),
            url: "https://h/o/x.git".to_owned(),
        };
        assert_eq!(found, expected);
        let error = submodule(&files[2], &known, "https://h/o/p.git")
            .unwrap_err()
            .to_string();
        let expected = "bring in the submodule `y`: `.gitmodules` gives no URL for it";
        assert_eq!(error, expected);
    }
}
