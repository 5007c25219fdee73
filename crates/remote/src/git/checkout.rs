//! The files of a commit, written into a layer.

use super::address::{Address, Transport};
use super::mirror::{Fetched, INDEX, Session};
use super::program::Call;
use super::submodules::{self, Listed, Submodule};
use super::{Checkout, is_full, kept, redacted};
use crate::RemoteError;
use crate::remotes::{own, set_time, settle};
use acetate_oci::Timestamp;
use acetate_snapshot::{Snapshot, Snapshots};
use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Submodules of submodules go no deeper than this.
const MAX_DEPTH: u32 = 16;
/// More submodules than this are an attack.
const MAX_SUBMODULES: u32 = 2048;

/// Writes a commit as a layer on nothing.
pub(crate) fn write(
    session: &Session<'_>,
    snapshots: &Snapshots,
    address: &Address,
    checkout: &Checkout,
) -> Result<Snapshot, RemoteError> {
    let layer = snapshots.prepare_layer(&Snapshot::scratch())?;
    let subdir = clean(&checkout.subdir).ok_or_else(|| no_directory(checkout))?;
    let run = Run {
        session,
        checkout,
        id: layer.id().to_string(),
        n_submodules: Cell::new(0),
    };
    let repository = Repository {
        address: address.clone(),
        commit: checkout.commit.clone(),
        reference: checkout.reference.clone(),
        depth: 0,
    };
    if subdir.as_os_str().is_empty() {
        run.write(&repository, layer.path(), &subdir)?;
    } else {
        // Nothing else is called like the layer.
        let top = layer.path().join(&run.id);
        std::fs::create_dir(&top).map_err(RemoteError::io("make", &top))?;
        run.write(&repository, &top, &subdir)?;
        let taken = plain_dir(&top, &subdir).ok_or_else(|| no_directory(checkout))?;
        move_entries(&taken, layer.path()).map_err(RemoteError::io("move", &taken))?;
        std::fs::remove_dir_all(&top).map_err(RemoteError::io("remove", &top))?;
    }
    normalise(layer.path(), checkout.time.map(Timestamp::from_secs))?;
    Ok(layer.commit()?)
}

struct Run<'a> {
    session: &'a Session<'a>,
    checkout: &'a Checkout,
    /// A word for the names of temporary files.
    id: String,
    n_submodules: Cell<u32>,
}

/// A repository of which one commit is written.
struct Repository {
    address: Address,
    commit: String,
    reference: Option<String>,
    depth: u32,
}

impl Run<'_> {
    /// Writes what is below `subdir` of a repository into `dir`, under its full path.
    fn write(&self, repository: &Repository, dir: &Path, subdir: &Path) -> Result<(), RemoteError> {
        let Repository {
            address,
            commit,
            reference,
            ..
        } = repository;
        let submodules = {
            // The mirror is let go before others are fetched: a submodule may have the same one.
            let fetched = self.session.ensure(address, commit, reference.as_deref())?;
            self.write_files(&fetched, repository, dir, subdir)?
        };
        for submodule in submodules {
            let inner = Path::new(&submodule.path);
            let rest = if let Ok(rest) = subdir.strip_prefix(inner) {
                rest
            } else if inner.starts_with(subdir) {
                Path::new("")
            } else {
                continue;
            };
            self.write_submodule(repository, &submodule, dir, rest)?;
        }
        Ok(())
    }

    fn write_submodule(
        &self,
        parent: &Repository,
        submodule: &Submodule,
        dir: &Path,
        subdir: &Path,
    ) -> Result<(), RemoteError> {
        let bad = |reason: &str| RemoteError::Submodule {
            path: submodule.path.clone(),
            reason: reason.to_owned(),
        };
        self.n_submodules.set(self.n_submodules.get() + 1);
        if parent.depth >= MAX_DEPTH || self.n_submodules.get() > MAX_SUBMODULES {
            return Err(bad("there are too many submodules"));
        }
        if !is_full(&submodule.commit) {
            return Err(bad("it has no commit"));
        }
        let address = Address::parse(&submodule.url)?;
        let main = Address::parse(self.session.main())?;
        if address.transport == Transport::File && main.transport != Transport::File {
            return Err(bad("its URL is a path of this machine"));
        }
        let place = plain_dir(dir, Path::new(&submodule.path))
            .ok_or_else(|| bad("its place is no directory"))?;
        let repository = Repository {
            address,
            commit: submodule.commit.clone(),
            reference: None,
            depth: parent.depth + 1,
        };
        self.write(&repository, &place, subdir)
            .map_err(|error| match error {
                error @ (RemoteError::Cancelled | RemoteError::NoGit) => error,
                error => bad(&error.to_string()),
            })
    }

    /// Writes the files of one repository, and says which submodules it has.
    fn write_files(
        &self,
        fetched: &Fetched,
        repository: &Repository,
        dir: &Path,
        subdir: &Path,
    ) -> Result<Vec<Submodule>, RemoteError> {
        let Repository {
            address,
            commit,
            depth,
            ..
        } = repository;
        let keeps = self
            .checkout
            .git_dir
            .as_ref()
            .filter(|_| self.checkout.subdir.is_empty());
        let origin = keeps.map(|main| {
            if *depth == 0 {
                main.clone()
            } else {
                redacted(&address.url)
            }
        });
        let place = match &origin {
            Some(origin) => {
                let git_dir = kept::make(self.session, fetched, commit, origin, dir)?;
                Place {
                    index: git_dir.join("index"),
                    git_dir,
                    is_kept: true,
                }
            }
            None => Place {
                index: fetched
                    .dir
                    .join(format!("{INDEX}{}-{}", self.id, self.n_submodules.get())),
                git_dir: fetched.dir.clone(),
                is_kept: false,
            },
        };
        let git = self.session.git();
        let run = |args: &[&str]| {
            git.run(&Call {
                git_dir: Some(&place.git_dir),
                index: Some(&place.index),
                work_tree: Some(dir),
                ..fetched.call(args)
            })
        };
        run(&["read-tree", commit])?;
        let files = submodules::listed(&run(&["ls-files", "-s", "-z"])?);
        let shown = subdir.to_string_lossy();
        let wanted = if subdir.as_os_str().is_empty() {
            "."
        } else {
            &*shown
        };
        if files.iter().any(|file| is_below(file, subdir)) {
            run(&["checkout", "-q", "-f", "--", wanted])?;
        }
        if !self.checkout.submodules {
            return Ok(Vec::new());
        }
        let found = submodules::find(self.session, fetched, commit, &address.url, &files)?;
        for submodule in &found {
            let place = dir.join(&submodule.path);
            if Path::new(&submodule.path).starts_with(subdir) || subdir.starts_with(&submodule.path)
            {
                std::fs::create_dir_all(&place).map_err(RemoteError::io("make", &place))?;
            }
        }
        if place.is_kept {
            kept::register(self.session, &place.git_dir, &found)?;
        }
        Ok(found)
    }
}

/// Where git keeps what it knows while it writes files.
struct Place {
    git_dir: PathBuf,
    index: PathBuf,
    is_kept: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = std::fs::remove_file(&self.index)
        {
            tracing::debug!(%error, "an index stays behind");
        }
    }
}

fn is_below(file: &Listed, subdir: &Path) -> bool {
    Path::new(&file.path).starts_with(subdir)
}

/// The path without anything but names; none when it leads out.
fn clean(subdir: &str) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in Path::new(subdir).components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

/// A directory below `top` on a way that has no links.
fn plain_dir(top: &Path, path: &Path) -> Option<PathBuf> {
    let mut place = top.to_owned();
    for part in path.components() {
        let Component::Normal(name) = part else {
            return None;
        };
        place.push(name);
        if !place.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            return None;
        }
    }
    Some(place)
}

fn no_directory(checkout: &Checkout) -> RemoteError {
    RemoteError::NoDirectory {
        subdir: checkout.subdir.clone(),
        remote: redacted(&checkout.remote),
        commit: checkout.commit.clone(),
    }
}

fn move_entries(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::rename(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Modes are 0644 and 0755 and root owns everything, whatever the umask of this process made of it.
fn normalise(dir: &Path, time: Option<Timestamp>) -> Result<(), RemoteError> {
    for entry in std::fs::read_dir(dir).map_err(RemoteError::io("list", dir))? {
        let entry = entry.map_err(RemoteError::io("list", dir))?;
        let (path, kind) = (entry.path(), entry.file_type());
        let kind = kind.map_err(RemoteError::io("look at", entry.path()))?;
        if kind.is_symlink() {
            own(&path)?;
            set_time(&path, time)?;
        } else if kind.is_dir() {
            normalise(&path, time)?;
        } else {
            let metadata = entry
                .metadata()
                .map_err(RemoteError::io("look at", &path))?;
            let is_program = metadata.permissions().mode() & 0o111 != 0;
            settle(&path, if is_program { 0o755 } else { 0o644 }, time)?;
        }
    }
    settle(dir, 0o755, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_names_only() {
        assert_eq!(clean("/a/./b/"), Some(PathBuf::from("a/b")));
        assert_eq!(clean(""), Some(PathBuf::new()));
        assert_eq!(clean("."), Some(PathBuf::new()));
        assert_eq!(clean("a/../b"), None);
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("l")).unwrap();
        assert!(plain_dir(dir.path(), Path::new("a/b")).is_some());
        assert!(plain_dir(dir.path(), Path::new("l/b")).is_none());
        assert!(plain_dir(dir.path(), Path::new("../x")).is_none());
    }
}
