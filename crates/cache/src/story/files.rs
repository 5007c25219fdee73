//! The files that a step takes from a context, and how two lists of them differ.

use acetate_graph::canonical::CanonicalHasher;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The files of a selection, sorted by path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// Each of them.
    Files(Vec<FileStory>),
    /// A digest for each directory, where there are too many.
    Directories(BTreeMap<String, String>),
    /// Nothing but that they are there: even the directories are too many.
    Unknown,
}

/// One file, as far as it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStory {
    /// Its path, relative to what is copied.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// Its permission bits, where they count.
    pub mode: Option<u32>,
    /// Its owner and group, where they count.
    pub owner: Option<(u32, u32)>,
    /// A digest of its extended attributes, and what it is a hard link to.
    pub extra: Option<String>,
}

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file: its size, and the first half of its digest.
    File(u64, String),
    /// A directory.
    Directory,
    /// A symbolic link, and where it points.
    Link(String),
    /// Something else, in words.
    Other(String),
}

/// How one path differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileDifference {
    /// The path.
    pub path: String,
    /// What about it.
    pub change: FileChange,
}

/// What about a path differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileChange {
    /// It was not there.
    Added,
    /// It is not there any more.
    Removed,
    /// It was something else: what it was, and what it is.
    Kind(&'static str, &'static str),
    /// Its permission bits: those before, and those now.
    Mode(u32, u32),
    /// Its owner and group: those before, and those now.
    Owner((u32, u32), (u32, u32)),
    /// Its bytes.
    Content,
    /// Where a link points: to what it did, and to what it does.
    Target(String, String),
    /// Its extended attributes, or what it is a hard link to.
    Extra,
    /// Something in a directory, which is all that is known of it.
    Below,
}

impl Listing {
    /// The same with a digest for each directory.
    pub fn coarse(&self) -> Self {
        let Self::Files(files) = self else {
            return self.clone();
        };
        let mut hashers: BTreeMap<&str, CanonicalHasher> = BTreeMap::new();
        for file in files {
            let (dir, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
            let hasher = hashers
                .entry(dir)
                .or_insert_with(|| CanonicalHasher::new("acetate/story-directory/v1"));
            hasher.text(name);
            file.write(hasher);
        }
        let digest = |(dir, hasher): (&str, CanonicalHasher)| {
            let hex = hasher.finish().hex();
            (dir.to_owned(), hex[..32].to_owned())
        };
        Self::Directories(hashers.into_iter().map(digest).collect())
    }

    /// What differs, sorted by path.
    pub(super) fn differences(&self, now: &Self) -> Vec<FileDifference> {
        match (self, now) {
            (Self::Files(then), Self::Files(now)) => files(then, now),
            (Self::Directories(then), Self::Directories(now)) => directories(then, now),
            (Self::Unknown, _) | (_, Self::Unknown) => Vec::new(),
            _ => self.coarse().differences(&now.coarse()),
        }
    }
}

impl FileStory {
    fn write(&self, hasher: &mut CanonicalHasher) {
        match &self.kind {
            FileKind::File(size, content) => hasher.tag(0).number(*size).text(content),
            FileKind::Directory => hasher.tag(1),
            FileKind::Link(target) => hasher.tag(2).text(target),
            FileKind::Other(other) => hasher.tag(3).text(other),
        };
        hasher.option(self.mode, |h, mode| _ = h.number(u64::from(mode)));
        hasher.option(self.owner, |h, (uid, gid)| {
            h.number(u64::from(uid)).number(u64::from(gid));
        });
        hasher.option(self.extra.as_ref(), |h, extra| _ = h.text(extra));
    }

    /// The first thing that differs from the same path now.
    fn change(&self, now: &Self) -> Option<FileChange> {
        match (&self.kind, &now.kind) {
            (FileKind::File(..), FileKind::File(..))
            | (FileKind::Directory, FileKind::Directory) => {}
            (FileKind::Link(then), FileKind::Link(now)) if then != now => {
                return Some(FileChange::Target(then.clone(), now.clone()));
            }
            (then, now) if then != now => return Some(FileChange::Kind(then.word(), now.word())),
            _ => {}
        }
        if let (Some(then), Some(now)) = (self.mode, now.mode)
            && then != now
        {
            return Some(FileChange::Mode(then, now));
        }
        if let (Some(then), Some(now)) = (self.owner, now.owner)
            && then != now
        {
            return Some(FileChange::Owner(then, now));
        }
        if self.kind != now.kind {
            return Some(FileChange::Content);
        }
        (self.extra != now.extra).then_some(FileChange::Extra)
    }
}

impl FileKind {
    fn word(&self) -> &'static str {
        match self {
            Self::File(..) => "a file",
            Self::Directory => "a directory",
            Self::Link(_) => "a link",
            Self::Other(_) => "a special file",
        }
    }
}

fn files(then: &[FileStory], now: &[FileStory]) -> Vec<FileDifference> {
    compare(&by_path(then), &by_path(now), |old, new| old.change(new))
}

fn by_path(list: &[FileStory]) -> BTreeMap<&str, &FileStory> {
    list.iter().map(|file| (file.path.as_str(), file)).collect()
}

fn directories(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<FileDifference> {
    compare(then, now, |then, now| {
        (then != now).then_some(FileChange::Below)
    })
}

fn compare<P: Ord + ToString, T>(
    then: &BTreeMap<P, T>,
    now: &BTreeMap<P, T>,
    change: impl Fn(&T, &T) -> Option<FileChange>,
) -> Vec<FileDifference> {
    let removed = then.iter().map(|(path, old)| match now.get(path) {
        Some(new) => (path, change(old, new)),
        None => (path, Some(FileChange::Removed)),
    });
    let added = now.keys().filter(|path| !then.contains_key(*path));
    let added = added.map(|path| (path, Some(FileChange::Added)));
    let mut all: Vec<FileDifference> = removed
        .chain(added)
        .filter_map(|(path, change)| {
            Some(FileDifference {
                path: path.to_string(),
                change: change?,
            })
        })
        .collect();
    all.sort();
    all
}
