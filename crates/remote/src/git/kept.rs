//! The `.git` that stays with a checkout: enough for `git status`, `git log` and `git fetch`.

use super::mirror::{Fetched, Session};
use super::program::Call;
use super::submodules::Submodule;
use super::{is_full, redacted};
use crate::RemoteError;
use std::path::{Path, PathBuf};

const TAKEN: &str = "refs/acetate/taken";

/// Makes `.git` in `dir` with one commit, checked out by nobody yet. Returns its path.
pub(crate) fn make(
    session: &Session<'_>,
    fetched: &Fetched,
    commit: &str,
    origin: &str,
    dir: &Path,
) -> Result<PathBuf, RemoteError> {
    let git = session.git();
    let git_dir = dir.join(".git");
    let what = fetched.call(&[]).what;
    let place = dir.to_string_lossy();
    let mut args = vec!["init", "-q", "--template="];
    args.extend((commit.len() == 64).then_some("--object-format=sha256"));
    args.push(&place);
    git.run(&Call {
        what,
        args: &args,
        ..Call::default()
    })?;
    let run = |args: &[&str]| {
        git.run(&Call {
            what,
            args,
            git_dir: Some(&git_dir),
            ..Call::default()
        })
    };
    let mirror = fetched.dir.to_string_lossy();
    let refspec = format!("+refs/acetate/commits/{commit}:{TAKEN}");
    run(&["fetch", "-q", "--no-tags", "--depth=1", &mirror, &refspec])?;
    run(&["update-ref", "--no-deref", "HEAD", commit])?;
    run(&["update-ref", "-d", TAKEN])?;
    run(&["config", "remote.origin.url", &redacted(origin)])?;
    run(&[
        "config",
        "remote.origin.fetch",
        "+refs/heads/*:refs/remotes/origin/*",
    ])?;
    // It names the mirror, which is nobody's business.
    remove(&git_dir.join("FETCH_HEAD"), |path| {
        std::fs::remove_file(path)
    })?;
    remove(&git_dir.join("refs/acetate"), |path| {
        std::fs::remove_dir_all(path)
    })?;
    Ok(git_dir)
}

/// Writes down where submodules come from, as `git submodule init` would.
pub(crate) fn register(
    session: &Session<'_>,
    git_dir: &Path,
    submodules: &[Submodule],
) -> Result<(), RemoteError> {
    for submodule in submodules
        .iter()
        .filter(|submodule| is_full(&submodule.commit))
    {
        let url = redacted(&submodule.url);
        for (field, value) in [("active", "true"), ("url", &url)] {
            let key = format!("submodule.{}.{field}", submodule.name);
            session.git().run(&Call {
                what: ("note the submodules of", session.main()),
                args: &["config", &key, value],
                git_dir: Some(git_dir),
                ..Call::default()
            })?;
        }
    }
    Ok(())
}

fn remove(
    path: &Path,
    remove: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Result<(), RemoteError> {
    match remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(RemoteError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}
