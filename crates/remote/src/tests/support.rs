//! A store, and repositories made by the git program itself.

use crate::{Access, Checkout, GitRequest, Programs, Remotes};
use acetate_net::Limits;
use acetate_snapshot::{DriverChoice, Snapshot, Snapshots};
use acetate_stdx::Redacted;
use acetate_store::Store;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A store in a directory of its own.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) store: Arc<Store>,
    pub(super) snapshots: Snapshots,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("root")).unwrap();
        let snapshots = Snapshots::open(Arc::clone(&store), DriverChoice::Auto);
        Self {
            dir,
            store,
            snapshots,
        }
    }

    pub(super) fn remotes(&self) -> Remotes {
        self.remotes_with(Access::default())
    }

    pub(super) fn remotes_with(&self, access: Access) -> Remotes {
        let limits = Limits {
            n_retries: 2,
            first_backoff: Duration::from_millis(1),
            longest_backoff: Duration::from_millis(2),
            ..Limits::default()
        };
        Remotes::with_limits(Arc::clone(&self.store), programs(), access, limits)
    }

    pub(super) fn repository(&self, name: &str) -> Repository {
        Repository::new(self.dir.path().join(name), "sha1")
    }

    /// The files of a snapshot, as `listing` has them.
    pub(super) fn files(&self, snapshot: &Snapshot) -> Vec<String> {
        let [layer] = snapshot.layers() else {
            panic!("{} layers", snapshot.layers().len());
        };
        listing(&self.snapshots.dir(layer).unwrap())
    }

    pub(super) fn path(&self, snapshot: &Snapshot) -> PathBuf {
        self.snapshots.dir(&snapshot.layers()[0]).unwrap()
    }
}

pub(super) fn programs() -> Programs {
    Programs {
        search_path: search_path(),
        environment: Vec::new(),
    }
}

/// Tests find git where the user of this machine does.
pub(super) fn search_path() -> String {
    std::env::var_os("PATH").unwrap().into_string().unwrap()
}

pub(super) fn secrets(secrets: &[(&str, &str)]) -> Access {
    let secret =
        |(id, value): &(&str, &str)| ((*id).to_owned(), Redacted::new((*value).to_owned()));
    Access {
        secrets: secrets.iter().map(secret).collect(),
        ssh: Vec::new(),
    }
}

/// Each file as `MODE UID:GID PATH CONTENT`, without what is in a `.git`.
pub(super) fn listing(dir: &Path) -> Vec<String> {
    let mut out = Vec::new();
    list(dir, dir, &mut out);
    out.sort();
    out
}

fn list(top: &Path, dir: &Path, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(top).unwrap().display().to_string();
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.permissions().mode() & 0o7777;
        let owner = format!("{}:{}", metadata.uid(), metadata.gid());
        if metadata.is_symlink() {
            let target = std::fs::read_link(&path).unwrap();
            out.push(format!("{name} -> {} {owner}", target.display()));
        } else if metadata.is_dir() {
            out.push(format!("{name}/ {mode:04o} {owner}"));
            if !path.ends_with(".git") {
                list(top, &path, out);
            }
        } else {
            let text = std::fs::read_to_string(&path).unwrap_or_else(|_| "binary".to_owned());
            out.push(format!("{name} {mode:04o} {owner} {}", text.trim_end()));
        }
    }
}

/// A repository with a working tree.
pub(super) struct Repository {
    pub(super) path: PathBuf,
}

impl Repository {
    pub(super) fn new(path: PathBuf, format: &str) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let repository = Self { path };
        let format = format!("--object-format={format}");
        repository.git(&["init", "-q", "-b", "main", &format]);
        repository
    }

    /// Runs git in the repository and returns what it wrote.
    #[track_caller]
    pub(super) fn git(&self, args: &[&str]) -> String {
        git_in(&self.path, args)
    }

    pub(super) fn write(&self, path: &str, text: &str) -> &Self {
        let path = self.path.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    pub(super) fn mode(&self, path: &str, mode: u32) -> &Self {
        std::fs::set_permissions(self.path.join(path), PermissionsExt::from_mode(mode)).unwrap();
        self
    }

    pub(super) fn link(&self, path: &str, target: &str) -> &Self {
        std::os::unix::fs::symlink(target, self.path.join(path)).unwrap();
        self
    }

    /// Commits everything and returns the name of the commit.
    pub(super) fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.head()
    }

    pub(super) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    pub(super) fn submodule(&self, url: &str, path: &str) -> &Self {
        self.git(&[
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "add",
            "-q",
            url,
            path,
        ]);
        self
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.path.display())
    }

    pub(super) fn request(&self, reference: Option<&str>) -> GitRequest {
        request(&self.url(), reference)
    }
}

pub(super) fn request(remote: &str, reference: Option<&str>) -> GitRequest {
    GitRequest {
        remote: remote.to_owned(),
        reference: reference.map(str::to_owned),
        checksum: None,
        by_commit: false,
    }
}

/// All files of a commit, with submodules.
pub(super) fn checkout(remote: &str, commit: &str) -> Checkout {
    Checkout {
        remote: remote.to_owned(),
        commit: commit.to_owned(),
        reference: None,
        subdir: String::new(),
        git_dir: None,
        submodules: true,
        time: None,
    }
}

/// The time of every commit here.
pub(super) const TIME: i64 = 1_700_000_000;

#[track_caller]
pub(super) fn git_in(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command
        .current_dir(dir)
        .args(args)
        .env_clear()
        .env("PATH", search_path())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_DATE", format!("{TIME} +0000"))
        .env("GIT_COMMITTER_DATE", format!("{TIME} +0000"));
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "a")
            .env(format!("GIT_{who}_EMAIL"), "a@a.test");
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether a program is here; a test without it says so.
pub(super) fn has_git() -> bool {
    let found = Command::new("git").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: needs git");
    }
    found
}
