//! Which file a step's program name means, and what is said when there is none.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, CWD, FileType, OFlags, statat};
use rustix::io::Errno;

use super::resolve;
use crate::request::DEFAULT_PATH;
use crate::spec::StepSpec;

/// The exit code of a shell for a program that does not exist.
const NOT_FOUND: i32 = 127;
/// The exit code of a shell for a program that cannot be run.
const NOT_RUNNABLE: i32 = 126;

/// Returns the paths to try, in order.
pub(super) fn candidates(spec: &StepSpec) -> Vec<String> {
    let Some(name) = spec.argv.first() else {
        return Vec::new();
    };
    if name.contains('/') {
        return vec![name.clone()];
    }
    search_path(spec)
        .split(':')
        .map(|dir| {
            if dir.is_empty() {
                format!("./{name}")
            } else {
                format!("{dir}/{name}")
            }
        })
        .collect()
}

fn search_path(spec: &StepSpec) -> &str {
    // The last one wins, as in a shell's environment.
    spec.env
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH)
}

/// Whether there is no such file; a file whose interpreter is missing is there.
pub(super) fn is_missing(path: &str) -> bool {
    statat(CWD, path, AtFlags::empty()).is_err()
}

/// Writes to the step's standard error why its program did not start, and returns its exit code.
pub(super) fn explain(spec: &StepSpec, denied: Option<(String, Errno)>) -> i32 {
    let name = spec.argv.first().map_or("", String::as_str);
    let (code, message) = match denied {
        Some((path, Errno::NOENT)) => (
            NOT_FOUND,
            format!("`{path}` needs an interpreter or loader that is not in the image"),
        ),
        Some((path, errno)) => (
            NOT_RUNNABLE,
            format!("`{path}` cannot be run: {}", std::io::Error::from(errno)),
        ),
        None if name.contains('/') => (NOT_FOUND, format!("`{name}` does not exist in the image")),
        None => (
            NOT_FOUND,
            format!("`{name}` was not found in PATH ({})", search_path(spec)),
        ),
    };
    // If nobody reads it, the exit code still says it.
    let _unread = rustix::io::write(rustix::stdio::stderr(), format!("{message}\n").as_bytes());
    code
}

/// Looks the program up from outside of the root, for a runtime that has no exit code for it.
pub(super) fn precheck(spec: &StepSpec, root: BorrowedFd<'_>) -> Result<(), i32> {
    let mut denied = None;
    for candidate in candidates(spec) {
        let path = if candidate.starts_with('/') {
            candidate
        } else {
            format!("{}/{candidate}", spec.cwd)
        };
        match runnable(root, &path) {
            Ok(()) => return Ok(()),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(errno) => {
                denied.get_or_insert((path, errno));
            }
        }
    }
    Err(explain(spec, denied))
}

fn runnable(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<()> {
    let file = resolve::open(root, path, OFlags::PATH)?;
    let stat = statat(file.as_fd(), "", AtFlags::EMPTY_PATH)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if is_file && stat.st_mode & 0o111 != 0 {
        Ok(())
    } else {
        Err(Errno::ACCESS)
    }
}
