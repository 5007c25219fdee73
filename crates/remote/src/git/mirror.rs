use super::address::Address;
use super::program::{Call, Git, failed};
use super::redacted;
use crate::RemoteError;
use crate::process::Cancel;
use crate::remotes::Inner;
use acetate_oci::Digest;
use acetate_stdx::lock::{FileLock, Sharing, Target};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One piece of work with a repository and what belongs to it.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    inner: &'a Inner,
    cancel: &'a Cancel,
    /// Where mirrors are.
    dir: PathBuf,
    home: PathBuf,
    main: String,
}

/// A mirror that holds a commit, shared with other readers.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) dir: PathBuf,
    /// The repository as it is shown.
    shown: String,
    _lock: FileLock,
}

/// The reference of what is being fetched.
const NEW: &str = "refs/acetate/new";
/// What is said to be done with a mirror that is not fetched into.
const READ: &str = "read";
const COMMITS: &str = "refs/acetate/commits";
/// Of indexes that lie in a mirror while a commit is checked out.
pub(crate) const INDEX: &str = "acetate-index-";

/// How long a lock is waited for before somebody looks whether the wait was cancelled.
const PATIENCE: Duration = Duration::from_millis(200);

impl<'a> Session<'a> {
    pub(crate) fn new(
        inner: &'a Inner,
        cancel: &'a Cancel,
        main: &Address,
    ) -> Result<Self, RemoteError> {
        let dir = super::dir(&inner.store);
        let home = dir.join("home");
        let mut builder = DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(&home);
        made.map_err(RemoteError::io("make", &home))?;
        Ok(Self {
            inner,
            cancel,
            dir,
            home,
            main: main.url.clone(),
        })
    }

    pub(crate) fn git(&self) -> Git<'_> {
        Git {
            programs: &self.inner.programs,
            access: &self.inner.access,
            cancel: self.cancel,
            home: &self.home,
            main: &self.main,
        }
    }

    /// The repository that the user named.
    pub(crate) fn main(&self) -> &str {
        &self.main
    }

    /// Sees to it that a commit is here, and keeps it from being removed.
    pub(crate) fn ensure(
        &self,
        address: &Address,
        commit: &str,
        name: Option<&str>,
    ) -> Result<Fetched, RemoteError> {
        let dir = self.mirror(address, commit);
        let lock_path = dir.with_extension("lock");
        let shown = redacted(&address.url);
        loop {
            let lock = self.lock(&lock_path, Sharing::Shared)?;
            if has(&dir, commit) {
                return Ok(Fetched {
                    dir,
                    shown,
                    _lock: lock,
                });
            }
            drop(lock);
            let lock = self.lock(&lock_path, Sharing::Exclusive)?;
            if !has(&dir, commit) {
                let mirror = Mirror {
                    session: self,
                    address,
                    dir: &dir,
                    shown: &shown,
                    lock: &lock,
                };
                mirror.open(commit.len() == 64)?;
                mirror.fetch(commit, name)?;
            }
            // Between the two locks a prune can take it away again.
        }
    }

    /// Does something that reads a mirror. One that cannot be read is damaged: it is made anew, once.
    pub(crate) fn whole<T>(
        &self,
        address: &Address,
        commit: &str,
        work: impl Fn() -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let first = work();
        let Err(RemoteError::Git { action: READ, .. }) = &first else {
            return first;
        };
        let dir = self.mirror(address, commit);
        tracing::warn!(dir = %dir.display(), "a mirror is damaged and made anew");
        let lock = self.lock(&dir.with_extension("lock"), Sharing::Exclusive)?;
        std::fs::remove_dir_all(&dir).map_err(RemoteError::io("remove", &dir))?;
        drop(lock);
        work()
    }

    /// The names of commits tell the two kinds of repositories apart, which have no common one.
    fn mirror(&self, address: &Address, commit: &str) -> PathBuf {
        let key = format!("{}\n{}", address.url, commit.len());
        self.dir.join(Digest::of(key.as_bytes()).hex())
    }

    fn lock(&self, path: &Path, sharing: Sharing) -> Result<FileLock, RemoteError> {
        loop {
            let lock = FileLock::acquire_within(path, Target::File, sharing, PATIENCE);
            if let Some(lock) = lock.map_err(RemoteError::io("lock", path))? {
                return Ok(lock);
            }
            if self.cancel.is_cancelled() {
                return Err(RemoteError::Cancelled);
            }
        }
    }
}

/// References are never packed here, so each is a file.
fn has(dir: &Path, commit: &str) -> bool {
    dir.join(COMMITS).join(commit).exists()
}

/// A mirror that is ours alone.
struct Mirror<'a> {
    session: &'a Session<'a>,
    address: &'a Address,
    dir: &'a Path,
    shown: &'a str,
    lock: &'a FileLock,
}

impl Mirror<'_> {
    /// Makes the repository when there is none, and removes what a killed process left.
    fn open(&self, is_sha256: bool) -> Result<(), RemoteError> {
        if self.dir.join("HEAD").exists() {
            return sweep(self.dir).map_err(RemoteError::io("tidy", self.dir));
        }
        let new = self.dir.with_extension("new");
        if new.exists() {
            std::fs::remove_dir_all(&new).map_err(RemoteError::io("remove", &new))?;
        }
        let place = new.to_string_lossy();
        let mut args = vec!["init", "-q", "--bare", "--template="];
        args.extend(is_sha256.then_some("--object-format=sha256"));
        args.push(&place);
        self.session.git().run(&Call {
            what: ("prepare to fetch", self.shown),
            args: &args,
            ..Call::default()
        })?;
        std::fs::rename(&new, self.dir).map_err(RemoteError::io("name", self.dir))
    }

    /// Fetches as little as the server allows: a reference alone, a commit by its name, or all.
    fn fetch(&self, commit: &str, name: Option<&str>) -> Result<(), RemoteError> {
        let shallow = [name, Some(commit)].into_iter().flatten();
        for source in shallow {
            let refspec = format!("+{source}:{NEW}");
            match self.attempt(&["--depth=1", &self.address.url, &refspec])? {
                // A reference may have moved since it was asked for.
                None if self.commit_of(commit)?.is_some() => return self.note(commit),
                Some(reason) if is_final(&reason) => return Err(self.failed(reason)),
                // Why it does not go in this way matters to nobody who gets it in another.
                None | Some(_) => {}
            }
        }
        let unshallow = self.dir.join("shallow").exists().then_some("--unshallow");
        let mut args: Vec<&str> = unshallow.into_iter().collect();
        args.push(&self.address.url);
        args.extend([
            "+refs/heads/*:refs/acetate/heads/*",
            "+refs/tags/*:refs/acetate/tags/*",
        ]);
        let named = name.map(|name| format!("+{name}:{NEW}"));
        args.extend(named.as_deref());
        if let Some(reason) = self.attempt(&args)? {
            return Err(self.failed(reason));
        }
        if self.commit_of(commit)?.is_none() {
            return Err(RemoteError::NoReference {
                reference: commit.to_owned(),
                remote: self.shown.to_owned(),
            });
        }
        self.note(commit)
    }

    fn call<'c>(&'c self, args: &'c [&'c str]) -> Call<'c> {
        Call {
            what: ("fetch from", self.shown),
            args,
            git_dir: Some(self.dir),
            ..Call::default()
        }
    }

    /// One fetch; why it failed, if it did.
    fn attempt(&self, args: &[&str]) -> Result<Option<String>, RemoteError> {
        let mut all = vec!["fetch", "-q", "--no-tags", "--force"];
        all.extend(args);
        let answer = self.session.git().ask(&Call {
            address: Some(self.address),
            lock: Some(self.lock.file()),
            ..self.call(&all)
        })?;
        Ok((!answer.is_ok).then_some(answer.reason))
    }

    /// The commit that an object is or stands for, if it is here.
    fn commit_of(&self, object: &str) -> Result<Option<String>, RemoteError> {
        let peeled = format!("{object}^{{commit}}");
        let answer =
            self.session
                .git()
                .ask(&self.call(&["rev-parse", "-q", "--verify", &peeled]))?;
        let name = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        Ok(answer.is_ok.then_some(name))
    }

    /// Writes that a commit is here with everything it needs.
    fn note(&self, object: &str) -> Result<(), RemoteError> {
        let git = self.session.git();
        let commit = self.commit_of(object)?.unwrap_or_else(|| object.to_owned());
        for name in [object, &commit] {
            let name = format!("{COMMITS}/{name}");
            git.run(&self.call(&["update-ref", &name, &commit]))?;
        }
        git.ask(&self.call(&["update-ref", "-d", NEW]))?;
        Ok(())
    }

    fn failed(&self, reason: String) -> RemoteError {
        failed(&self.call(&[]), reason)
    }
}

/// Whether asking in another way would end in the same.
fn is_final(reason: &str) -> bool {
    [
        "unable to access",
        "Could not read from remote repository",
        "Authentication failed",
        "could not read Username",
        "unable to look up",
        "unable to connect",
        "does not appear to be a git repository",
        "not found",
        "not allowed",
    ]
    .iter()
    .any(|mark| reason.contains(mark))
}

/// Removes locks and half-written packs of processes that are dead: the caller is alone here.
fn sweep(dir: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if name == "objects" || name.starts_with("tmp_objdir") {
                sweep_objects(&path)?;
            } else if name == "refs" || path.to_string_lossy().contains("/refs/") {
                sweep(&path)?;
            }
        } else if name.ends_with(".lock") || name.starts_with(INDEX) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn sweep_objects(objects: &Path) -> std::io::Result<()> {
    let mut dirs = vec![objects.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            // What came by plain HTTP ends with `.temp`, and git would go on where it ends.
            let is_half = name.starts_with("tmp_") || name.ends_with(".temp");
            match (is_half, entry.file_type()?.is_dir()) {
                (true, true) => std::fs::remove_dir_all(entry.path())?,
                (true, false) => std::fs::remove_file(entry.path())?,
                (false, true) => dirs.push(entry.path()),
                (false, false) => {}
            }
        }
    }
    Ok(())
}

impl Fetched {
    /// A call in the mirror.
    pub(crate) fn call<'c>(&'c self, args: &'c [&'c str]) -> Call<'c> {
        Call {
            what: (READ, &self.shown),
            args,
            git_dir: Some(&self.dir),
            ..Call::default()
        }
    }

    /// The commit that an object is or stands for.
    pub(crate) fn commit_id(
        &self,
        session: &Session<'_>,
        object: &str,
    ) -> Result<String, RemoteError> {
        let peeled = format!("{object}^{{commit}}");
        let out = session
            .git()
            .run(&self.call(&["rev-parse", "--verify", &peeled]))?;
        Ok(String::from_utf8_lossy(&out).trim().to_owned())
    }

    /// When a commit was made, in seconds.
    pub(crate) fn commit_time(
        &self,
        session: &Session<'_>,
        commit: &str,
    ) -> Result<i64, RemoteError> {
        let args = ["show", "-s", "--no-show-signature", "--format=%ct", commit];
        let call = self.call(&args);
        let out = session.git().run(&call)?;
        let text = String::from_utf8_lossy(&out);
        let bad = || failed(&call, format!("`{}` is no time of a commit", text.trim()));
        text.trim().parse().map_err(|_| bad())
    }

    /// Reads a short file below `subdir`, following links inside of it.
    pub(crate) fn read(
        &self,
        session: &Session<'_>,
        commit: &str,
        subdir: &str,
        path: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, RemoteError> {
        if path.contains(['\n', '\0']) {
            return Ok(None);
        }
        let tree = format!("{commit}:{subdir}");
        let tree = session
            .git()
            .ask(&self.call(&["rev-parse", "-q", "--verify", &tree]))?;
        if !tree.is_ok {
            return Ok(None);
        }
        let tree = String::from_utf8_lossy(&tree.stdout).trim().to_owned();
        let query = format!("{tree}:{path}\n");
        let out = session.git().run(&Call {
            input: Some(query.as_bytes()),
            ..self.call(&["cat-file", "--batch", "--follow-symlinks"])
        })?;
        let Some(end) = out.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&out[..end]).into_owned();
        let words: Vec<&str> = head.split(' ').collect();
        let size = match words[..] {
            [_, "blob", size] => size.parse::<usize>().unwrap_or(usize::MAX),
            _ => return Ok(None),
        };
        if size as u64 > limit {
            return Err(RemoteError::TooLarge {
                url: format!("{}:{path}", self.shown),
                limit,
            });
        }
        Ok(out.get(end + 1..end + 1 + size).map(<[u8]>::to_vec))
    }
}
