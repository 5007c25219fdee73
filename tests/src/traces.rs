//! What a build must not leave behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Mounts of this mount namespace that have to do with a directory.
///
/// # Panics
/// When the kernel does not list mounts.
pub fn mounts_of(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let dir = dir.to_string_lossy();
    text.lines()
        .filter(|line| line.contains(dir.as_ref()))
        .map(str::to_owned)
        .collect()
}

/// Ids and command lines of processes that have to do with a marker, such as a path: by their arguments, their
/// environment, their working directory or their mounts. The process that asks is left out.
///
/// # Panics
/// When `/proc` cannot be read.
pub fn processes_of(marker: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").expect("proc");
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        let id = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_process = id.bytes().all(|byte| byte.is_ascii_digit());
        if !is_process || id == own || !concerns(&path, marker) {
            continue;
        }
        let words = std::fs::read(path.join("cmdline")).unwrap_or_default();
        found.insert(format!(
            "{id} {}",
            String::from_utf8_lossy(&words).replace('\0', " ")
        ));
    }
    found
}

fn concerns(process: &Path, marker: &str) -> bool {
    let has = |name: &str| {
        let bytes = std::fs::read(process.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(marker)
    };
    let cwd = std::fs::read_link(process.join("cwd")).unwrap_or_default();
    has("cmdline") || has("environ") || has("mountinfo") || cwd.to_string_lossy().contains(marker)
}

/// Everything below a directory but directories, relative and sorted; nothing where it is missing.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

fn walk(root: &Path, dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(root, &path, found);
        } else {
            found.push(path.strip_prefix(root).unwrap_or(&path).to_owned());
        }
    }
}
