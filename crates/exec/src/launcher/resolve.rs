//! Paths inside the root: looked up, and made where they are missing, without ever leaving it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, mkdirat, openat, openat2,
};
use rustix::io::Errno;

use crate::request::UserIds;

/// Links and missing parents on the way; far above what the kernel follows and any image has.
const MAX_DEPTH: usize = 255;

/// What to make where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Dir,
    File,
}

/// Something that was made: a name in a directory, both given from the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// The directory's real path from the root, without a leading slash.
    pub(super) parent: String,
    pub(super) name: String,
}

/// Opens `path` as the step will see it, symbolic links included, but no `/proc` magic ones.
pub(super) fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let relative = if path.is_empty() { "." } else { path };
    loop {
        // EAGAIN: a rename or mount elsewhere raced with the check that we stay inside.
        match openat2(
            root,
            relative,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        ) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
}

/// Hears of everything that [`ensure`] makes.
pub(super) trait Journal {
    /// Called for each thing before it is made, so that its parent's times can still be noted.
    fn before(&mut self, made: &Made) -> rustix::io::Result<()>;

    /// Called when the last thing was not made after all, because somebody else was faster.
    fn not_made(&mut self);
}

/// What was made and stays, in order.
#[derive(Debug, Default)]
pub(super) struct Stays(Vec<Made>);

impl Stays {
    /// Gives all of it to a user.
    pub(super) fn give_to(&self, root: BorrowedFd<'_>, user: &UserIds) -> rustix::io::Result<()> {
        let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
        for made in &self.0 {
            let parent = open(root, &made.parent, OFlags::PATH | OFlags::DIRECTORY)?;
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(&parent, &made.name, Some(uid), Some(gid), flags)?;
        }
        Ok(())
    }
}

impl Journal for Stays {
    fn before(&mut self, made: &Made) -> rustix::io::Result<()> {
        self.0.push(made.clone());
        Ok(())
    }

    fn not_made(&mut self) {
        self.0.pop();
    }
}

/// Opens `path`, and makes it and its missing parents (0755, 0644 for the file).
pub(super) fn ensure(
    root: BorrowedFd<'_>,
    path: &str,
    kind: Kind,
    journal: &mut dyn Journal,
) -> rustix::io::Result<OwnedFd> {
    ensure_within(root, path, kind, journal, MAX_DEPTH)
}

fn ensure_within(
    root: BorrowedFd<'_>,
    path: &str,
    kind: Kind,
    journal: &mut dyn Journal,
    depth: usize,
) -> rustix::io::Result<OwnedFd> {
    let flags = match kind {
        Kind::Dir => OFlags::PATH | OFlags::DIRECTORY,
        Kind::File => OFlags::PATH,
    };
    match open(root, path, flags) {
        Err(Errno::NOENT) if depth > 0 => {}
        opened => return opened,
    }
    let (parent_path, name) = split_last(path);
    let parent = ensure_within(root, parent_path, Kind::Dir, journal, depth - 1)?;
    if matches!(name, "" | "." | "..") {
        // The parent was missing and exists now.
        return open(root, path, flags);
    }
    // A link to something missing: that is what has to be made.
    match link_target(parent.as_fd(), name) {
        Ok(Some(target)) => {
            let next = follow(parent_path, &target);
            return ensure_within(root, &next, kind, journal, depth - 1);
        }
        Ok(None) => {}
        // It appeared meanwhile.
        Err(Errno::EXIST) => return ensure_within(root, path, kind, journal, depth - 1),
        Err(errno) => return Err(errno),
    }
    journal.before(&Made {
        parent: real_path(root, parent.as_fd())?,
        name: name.to_owned(),
    })?;
    let made = match kind {
        Kind::Dir => mkdirat(&parent, name, Mode::from_raw_mode(0o755)),
        Kind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(&parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    match made {
        Ok(()) => {}
        // Another step makes the same, or took the parent away that it had made.
        Err(Errno::EXIST | Errno::NOENT) => {
            journal.not_made();
            return ensure_within(root, path, kind, journal, depth - 1);
        }
        Err(errno) => {
            journal.not_made();
            return Err(errno);
        }
    }
    openat(
        &parent,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Returns where `path` leads: the real path of what [`ensure`] opens or would make.
pub(super) fn locate(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<String> {
    locate_within(root, path, MAX_DEPTH)
}

fn locate_within(root: BorrowedFd<'_>, path: &str, depth: usize) -> rustix::io::Result<String> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) if depth > 0 => {}
        opened => return real_path(root, opened?.as_fd()),
    }
    let (parent_path, name) = split_last(path);
    if let Ok(parent) = open(root, parent_path, OFlags::PATH | OFlags::DIRECTORY)
        && let Ok(Some(target)) = link_target(parent.as_fd(), name)
    {
        return locate_within(root, &follow(parent_path, &target), depth - 1);
    }
    let parent = locate_within(root, parent_path, depth - 1)?;
    Ok(match name {
        "" | "." => parent,
        ".." => parent
            .rsplit_once('/')
            .map_or("", |(above, _)| above)
            .to_owned(),
        _ if parent.is_empty() => name.to_owned(),
        _ => format!("{parent}/{name}"),
    })
}

fn split_last(path: &str) -> (&str, &str) {
    let trimmed = path.trim_end_matches('/');
    trimmed.rsplit_once('/').unwrap_or(("", trimmed))
}

fn follow(parent: &str, target: &str) -> String {
    if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("{parent}/{target}")
    }
}

fn link_target(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Option<String>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {}
        Ok(_) => return Err(Errno::EXIST),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno),
    }
    let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
    target.into_string().map(Some).map_err(|_| Errno::ILSEQ)
}

/// Returns where `dir` really is below `root`.
pub(super) fn real_path(root: BorrowedFd<'_>, dir: BorrowedFd<'_>) -> rustix::io::Result<String> {
    let path = |fd: BorrowedFd<'_>| {
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
        rustix::fs::readlink(link, Vec::new())?
            .into_string()
            .map_err(|_| Errno::ILSEQ)
    };
    let (root, dir) = (path(root)?, path(dir)?);
    let below = dir
        .strip_prefix(root.trim_end_matches('/'))
        .ok_or(Errno::XDEV)?;
    Ok(below.trim_start_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[derive(Debug, Default)]
    struct Names(Vec<String>);

    impl Journal for Names {
        fn before(&mut self, one: &Made) -> rustix::io::Result<()> {
            self.0.push(format!("{}|{}", one.parent, one.name));
            Ok(())
        }

        fn not_made(&mut self) {
            self.0.pop();
        }
    }

    fn open_root(dir: &std::path::Path) -> OwnedFd {
        rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn missing_parents_and_dangling_links_are_made_inside() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        symlink("../run/x/resolv.conf", dir.path().join("etc/resolv.conf")).unwrap();
        symlink("/elsewhere", dir.path().join("out")).unwrap();
        let root = open_root(dir.path());
        for (path, real) in [
            ("/etc/resolv.conf", "run/x/resolv.conf"),
            ("/out/../a//b/", "a/b"),
            ("/out/c", "elsewhere/c"),
            ("/no/./where/../here", "no/here"),
            ("/", ""),
        ] {
            assert_eq!(locate(root.as_fd(), path).unwrap(), real, "{path}");
        }
        let mut made = Names::default();
        ensure(root.as_fd(), "/etc/resolv.conf", Kind::File, &mut made).unwrap();
        ensure(root.as_fd(), "/out/../a//b/", Kind::Dir, &mut made).unwrap();
        assert_eq!(
            made.0,
            [
                "|run",
                "run|x",
                "run/x|resolv.conf",
                "|elsewhere",
                "|a",
                "a|b"
            ]
        );
        assert!(dir.path().join("run/x/resolv.conf").is_file());
        assert!(dir.path().join("a/b").is_dir());
        assert!(!std::path::Path::new("/elsewhere").exists());
    }

    #[test]
    fn loops_and_files_in_the_way_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let root = open_root(dir.path());
        let mut nothing = Names::default();
        assert_eq!(
            ensure(root.as_fd(), "/loop/x", Kind::Dir, &mut nothing).unwrap_err(),
            Errno::LOOP
        );
        assert_eq!(
            ensure(root.as_fd(), "/file/x", Kind::Dir, &mut nothing).unwrap_err(),
            Errno::NOTDIR
        );
        assert!(nothing.0.is_empty(), "{nothing:?}");
        assert_eq!(locate(root.as_fd(), "/loop/x"), Err(Errno::LOOP));
        assert_eq!(locate(root.as_fd(), "/file/x"), Err(Errno::NOTDIR));
    }
}
