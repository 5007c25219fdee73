//! Paths inside the root: looked up, and made where they are missing, without ever leaving it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;

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

/// Opens `path`, and makes it and its missing parents (0755, 0644 for the file).
///
/// `before` is called for each thing before it is made, so that its parent's times can still be noted.
pub(super) fn ensure(
    root: BorrowedFd<'_>,
    path: &str,
    kind: Kind,
    before: &mut dyn FnMut(&Made) -> rustix::io::Result<()>,
) -> rustix::io::Result<OwnedFd> {
    ensure_within(root, path, kind, before, MAX_DEPTH)
}

fn ensure_within(
    root: BorrowedFd<'_>,
    path: &str,
    kind: Kind,
    before: &mut dyn FnMut(&Made) -> rustix::io::Result<()>,
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
    let trimmed = path.trim_end_matches('/');
    let (parent_path, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
    let parent = ensure_within(root, parent_path, Kind::Dir, before, depth - 1)?;
    if matches!(name, "" | "." | "..") {
        // The parent was missing and exists now.
        return open(root, path, flags);
    }
    // A link to something missing: that is what has to be made.
    if let Some(target) = link_target(parent.as_fd(), name)? {
        let next = if target.starts_with('/') {
            target
        } else {
            format!("{parent_path}/{target}")
        };
        return ensure_within(root, &next, kind, before, depth - 1);
    }
    let made = Made {
        parent: real_path(root, parent.as_fd())?,
        name: name.to_owned(),
    };
    before(&made)?;
    match kind {
        Kind::Dir => mkdirat(&parent, name, Mode::from_raw_mode(0o755))?,
        Kind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            drop(openat(&parent, name, flags, Mode::from_raw_mode(0o644))?);
        }
    }
    openat(
        &parent,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

fn link_target(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Option<String>> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {}
        Ok(_) => return Err(Errno::NOENT),
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
        let mut made = Vec::new();
        let mut note = |one: &Made| {
            made.push(format!("{}|{}", one.parent, one.name));
            Ok(())
        };
        ensure(root.as_fd(), "/etc/resolv.conf", Kind::File, &mut note).unwrap();
        ensure(root.as_fd(), "/out/../a//b/", Kind::Dir, &mut note).unwrap();
        assert_eq!(
            made,
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
        let mut nothing = |_: &Made| panic!("nothing is made");
        assert_eq!(
            ensure(root.as_fd(), "/loop/x", Kind::Dir, &mut nothing).unwrap_err(),
            Errno::LOOP
        );
        assert_eq!(
            ensure(root.as_fd(), "/file/x", Kind::Dir, &mut nothing).unwrap_err(),
            Errno::NOTDIR
        );
    }
}
