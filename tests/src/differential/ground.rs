use super::address::Places;
use super::case::{Case, Fixture};
use super::serve::{Git, Http};
use acetate_oci::Digest;
use rustix::fs::{AtFlags, Timespec, Timestamps, XattrFlags};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The time of every file that no case gives another: 2004-11-09.
const TIME: i64 = 1_100_000_000;

/// Names and times of those who commit, so that commits have the same digests everywhere.
const GIT: &[(&str, &str)] = &[
    ("GIT_AUTHOR_NAME", "a"),
    ("GIT_AUTHOR_EMAIL", "a@localhost"),
    ("GIT_AUTHOR_DATE", "1100000000 +0000"),
    ("GIT_COMMITTER_NAME", "a"),
    ("GIT_COMMITTER_EMAIL", "a@localhost"),
    ("GIT_COMMITTER_DATE", "1100000000 +0000"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_CONFIG_SYSTEM", "/dev/null"),
];

/// The files of one case, and the servers that it needs, gone with this value.
#[derive(Debug)]
pub(super) struct Ground {
    dir: TempDir,
    pub(super) places: Places,
    _servers: (Option<Http>, Option<Git>),
}

impl Ground {
    /// Makes the files; servers are started for those cases that name them.
    pub(super) fn new(case: &Case) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let here = |name: &str| dir.path().join(name);
        let id = id(case);
        let context = format!("context-{id}");
        for name in [&context, "home", "out"] {
            std::fs::create_dir(here(name)).expect("a directory is made");
        }
        let http = names(case, "{http}").then(|| Http::serve(&here("www")));
        let git = names(case, "{git}").then(|| Git::serve(&here("git")));
        let places = Places {
            dir: dir.path().display().to_string(),
            id,
            http: http.as_ref().map(|server| server.address.clone()),
            git: git.as_ref().map(|server| server.address.clone()),
        };
        let ground = Self {
            dir,
            places,
            _servers: (http, git),
        };
        for file in &case.files {
            ground.make(file);
        }
        for file in &case.files {
            ground.finish(file);
        }
        ground.set_times(case);
        ground
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn context(&self) -> PathBuf {
        self.path(&format!("context-{}", self.places.id))
    }

    /// Where a file of a case lies.
    fn place(&self, path: &str) -> PathBuf {
        let path = self.places.filled(path);
        match path.strip_prefix('@') {
            Some(beside) => self.path(beside),
            None => self.context().join(path),
        }
    }

    fn make(&self, file: &Fixture) {
        let path = self.place(&file.path);
        let parent = path.parent().expect("files are below the ground");
        std::fs::create_dir_all(parent).expect("directories are made");
        let has = |name: &str| file.attributes.contains_key(name);
        let text = self.places.filled(&file.text);
        if has("dir") {
            std::fs::create_dir_all(&path).expect("a directory is made");
        } else if let Some(target) = file.attributes.get("link") {
            symlink(target, &path).expect("a link is made");
        } else if let Some(other) = file.attributes.get("hard") {
            std::fs::hard_link(self.place(other), &path).expect("a hard link is made");
        } else if has("fifo") {
            let mode = rustix::fs::Mode::from_raw_mode(0o644);
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).expect("a fifo is made");
        } else if has("socket") {
            drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket is made"));
        } else if has("script") {
            self.script(parent, &text);
        } else {
            std::fs::write(&path, text).expect("a file is written");
        }
    }

    /// Runs the text of a file where the file would be.
    fn script(&self, dir: &Path, text: &str) {
        let mut shell = Command::new("sh");
        shell.args(["-ec", text]).current_dir(dir);
        shell
            .env("TZ", "UTC")
            .env("HOME", self.path("home"))
            .envs(GIT.to_vec());
        let output = shell.stdin(Stdio::null()).output().expect("sh starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    fn finish(&self, file: &Fixture) {
        let path = self.place(&file.path);
        let get = |name: &str| file.attributes.get(name).map(String::as_str);
        let number = |text: &str| text.parse::<u32>().expect("a number");
        if let Some((uid, gid)) = get("owner").and_then(|owner| owner.split_once(':')) {
            std::os::unix::fs::lchown(&path, Some(number(uid)), Some(number(gid)))
                .expect("an owner is set");
        }
        if get("script").is_none() && get("link").is_none() && get("hard").is_none() {
            let default = if path.is_dir() { "755" } else { "644" };
            let mode = u32::from_str_radix(get("mode").unwrap_or(default), 8).expect("octal");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("a mode");
        }
        if let Some((name, value)) = get("xattr").and_then(|xattr| xattr.split_once(':')) {
            rustix::fs::lsetxattr(&path, name, &bytes(value), XattrFlags::empty())
                .expect("an attribute is set");
        }
    }

    fn set_times(&self, case: &Case) {
        touch_all(self.dir.path());
        for file in &case.files {
            if let Some(time) = file.attributes.get("mtime") {
                touch(&self.place(&file.path), time.parse().expect("seconds"));
            }
        }
    }
}

/// A word that no other case has, nor this one once it is changed. It is in the name of the context:
/// of two contexts of one name BuildKit takes files for equal whose sizes and times are.
fn id(case: &Case) -> String {
    Digest::of(format!("{case:?}").as_bytes()).hex()[..12].to_owned()
}

/// Whether a case needs a server.
fn names(case: &Case, place: &str) -> bool {
    let in_files = case.files.iter().any(|file| file.text.contains(place));
    in_files || case.args.iter().any(|arg| arg.contains(place))
}

/// The bytes of a value, in hexadecimal digits behind `0x`.
fn bytes(value: &str) -> Vec<u8> {
    let Some(digits) = value.strip_prefix("0x") else {
        return value.as_bytes().to_owned();
    };
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("digits");
            u8::from_str_radix(pair, 16).expect("hexadecimal digits")
        })
        .collect()
}

fn touch_all(path: &Path) {
    let is_dir = path
        .symlink_metadata()
        .is_ok_and(|metadata| metadata.is_dir());
    if is_dir {
        for entry in std::fs::read_dir(path).expect("a directory is listed") {
            touch_all(&entry.expect("an entry").path());
        }
    }
    touch(path, TIME);
}

fn touch(path: &Path, seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .expect("a time is set");
}
