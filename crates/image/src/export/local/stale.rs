//! `mode=delete`: what a directory holds and no tree has goes.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use acetate_stdx::fs::open_dir;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::super::ExportError;
use crate::flatten::{Flat, Node};

/// The names that are to be there, and whether each is a directory.
type Names = BTreeMap<Vec<u8>, bool>;

/// Removes from `directory` what none of the trees has, each of which lies in its `dirs`.
pub(super) fn remove(directory: &Path, dirs: &[String], trees: &[Flat]) -> Result<(), ExportError> {
    let failed = || ExportError::io("clear", directory);
    let fd = match open_dir(directory) {
        Ok(fd) => fd,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed()(error)),
    };
    clear(fd.as_fd(), b"", &names(dirs, trees)).map_err(failed())
}

fn names(dirs: &[String], trees: &[Flat]) -> Names {
    let mut names = Names::new();
    for (dir, flat) in dirs.iter().zip(trees) {
        let prefix = if dir.is_empty() {
            Vec::new()
        } else {
            names.insert(dir.clone().into_bytes(), true);
            format!("{dir}/").into_bytes()
        };
        for (path, node) in flat.tree.iter() {
            let is_directory = matches!(node, Node::Directory(_));
            names.insert([prefix.as_slice(), &path].concat(), is_directory);
        }
    }
    names
}

/// Goes down where a directory is to stay one; never through links.
fn clear(dir: BorrowedFd<'_>, path: &[u8], names: &Names) -> io::Result<()> {
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let inner = match path {
            b"" => name.to_bytes().to_vec(),
            path => [path, b"/", name.to_bytes()].concat(),
        };
        let is_directory = is_directory(dir, name)?;
        match names.get(&inner) {
            Some(true) if is_directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(dir, name, flags, Mode::empty())?;
                clear(fd.as_fd(), &inner, names)?;
            }
            Some(_) if !is_directory => {}
            Some(_) | None => remove_entry(dir, name, is_directory)?,
        }
    }
    Ok(())
}

fn is_directory(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn remove_entry(dir: BorrowedFd<'_>, name: &CStr, is_directory: bool) -> io::Result<()> {
    if is_directory {
        return acetate_stdx::remove_tree_at(dir, name);
    }
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
