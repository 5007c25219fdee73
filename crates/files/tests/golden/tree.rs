use crate::archive;
use crate::case::unescape;
use rustix::fs::{AtFlags, FileType, Mode, Timespec, Timestamps, XattrFlags};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// One line of a tree: `NAME [MODE] [UID:GID] [WORD...] [-> TARGET] [=> FIRST NAME]`.
///
/// A name that ends with `/` is a directory; a file holds its own name unless `=TEXT` says else.
/// Words: `fifo`, `socket`, `char=1:3`, `block=1:3`, `user.x=VALUE`, `size=N` for a hole of N bytes,
/// `data@N` for a byte in it, `archive=FORM` with the entries on the lines `| ...` that follow,
/// `deleted`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Line {
    pub(crate) name: Vec<u8>,
    pub(crate) mode: Option<u32>,
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) hard_link: Option<Vec<u8>>,
    pub(crate) words: Vec<(String, Vec<u8>)>,
}

impl Line {
    pub(crate) fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace();
        let mut out = Self {
            name: unescape(words.next().unwrap()),
            ..Self::default()
        };
        while let Some(word) = words.next() {
            let is_number =
                |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            match word.split_once(':') {
                _ if word == "->" => out.link = words.next().map(unescape),
                _ if word == "=>" => out.hard_link = words.next().map(unescape),
                _ if is_number(word) => out.mode = u32::from_str_radix(word, 8).ok(),
                Some((uid, gid)) if is_number(uid) && is_number(gid) => {
                    out.owner = uid.parse().ok().zip(gid.parse().ok());
                }
                _ => {
                    let (key, value) = word.split_once('=').unwrap_or((word, ""));
                    out.words.push((key.to_owned(), unescape(value)));
                }
            }
        }
        out
    }

    pub(crate) fn word(&self, key: &str) -> Option<&[u8]> {
        let word = self.words.iter().find(|(word, _)| word == key);
        word.map(|(_, value)| value.as_slice())
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.word(key)
            .map(|value| std::str::from_utf8(value).unwrap())
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.name.ends_with(b"/")
    }

    /// What a file holds.
    pub(crate) fn content(&self) -> Vec<u8> {
        self.word("")
            .map_or_else(|| self.name.clone(), <[u8]>::to_vec)
    }

    /// The numbers of a device.
    pub(crate) fn device(&self, key: &str) -> Option<(u32, u32)> {
        let (major, minor) = self.text(key)?.split_once(':')?;
        major.parse().ok().zip(minor.parse().ok())
    }
}

/// Makes the lines of a tree below a directory, all with one time; returns the names deleted.
pub(crate) fn make(root: &Path, text: &str, time: i64) -> Vec<PathBuf> {
    let mut deleted = Vec::new();
    let mut made = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (n, line) in lines.iter().enumerate() {
        if line.starts_with('|') {
            continue;
        }
        let line = Line::parse(line);
        let name = Path::new(OsStr::from_bytes(&line.name));
        if line.word("deleted").is_some() {
            deleted.push(name.to_owned());
            continue;
        }
        let entries = lines[n + 1..]
            .iter()
            .map_while(|line| line.strip_prefix('|'));
        let entries: Vec<Line> = entries.map(Line::parse).collect();
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        put(root, &path, &line, &entries);
        attributes(&path, &line);
        made.push(path);
    }
    set_times(root, time);
    deleted
}

fn put(root: &Path, path: &Path, line: &Line, entries: &[Line]) {
    let node = |kind, device| {
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::RUSR, device).unwrap();
    };
    let device = |(major, minor)| rustix::fs::makedev(major, minor);
    if let Some(target) = &line.link {
        symlink(OsStr::from_bytes(target), path).unwrap();
    } else if let Some(first) = &line.hard_link {
        std::fs::hard_link(root.join(OsStr::from_bytes(first)), path).unwrap();
    } else if line.is_dir() {
        std::fs::create_dir_all(path).unwrap();
    } else if line.word("fifo").is_some() {
        node(FileType::Fifo, 0);
    } else if line.word("socket").is_some() {
        node(FileType::Socket, 0);
    } else if let Some(numbers) = line.device("char") {
        node(FileType::CharacterDevice, device(numbers));
    } else if let Some(numbers) = line.device("block") {
        node(FileType::BlockDevice, device(numbers));
    } else if let Some(form) = line.text("archive") {
        std::fs::write(path, archive::pack(form, entries)).unwrap();
    } else if let Some(size) = line.text("size") {
        let file = std::fs::File::create(path).unwrap();
        file.set_len(size.parse().unwrap()).unwrap();
        if let Some(at) = line.text("data") {
            rustix::io::pwrite(&file, b"x", at.parse().unwrap()).unwrap();
        }
    } else {
        std::fs::write(path, line.content()).unwrap();
    }
}

fn attributes(path: &Path, line: &Line) {
    if line.hard_link.is_some() {
        return;
    }
    if let Some((uid, gid)) = line.owner {
        std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
    }
    if line.link.is_none() {
        let default = if line.is_dir() { 0o755 } else { 0o644 };
        let mode = PermissionsExt::from_mode(line.mode.unwrap_or(default));
        std::fs::set_permissions(path, mode).unwrap();
    }
    for (name, value) in line.words.iter().filter(|(name, _)| name.contains('.')) {
        rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty()).unwrap();
    }
}

/// Gives everything below a directory one time.
fn set_times(dir: &Path, time: i64) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            set_times(&path, time);
        }
        let time = Timespec {
            tv_sec: time,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, flags).unwrap();
    }
}

/// Opens the directory that holds a name.
pub(crate) fn open_parent(root: &Path, name: &Path) -> impl AsFd {
    std::fs::File::open(root.join(name.parent().unwrap())).unwrap()
}
