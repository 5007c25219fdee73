//! Copies, directories and archives on real files: a host tree as context, another as base, and
//! the listing of the layer that comes out.

mod archive;
mod copy;
mod digest_memory;
mod host;
mod mutated;
mod owner;
mod select;

use crate::{CopyInput, FilesError, HostTree, Selection, SelectionOptions, Staging};
use acetate_graph::{Archives, CopyAction, CopyOwner, CopySource};
use acetate_oci::Timestamp;
use acetate_pattern::IgnoreMatcher;
use std::fmt::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The time of what nobody dated.
const NOW: Timestamp = Timestamp::from_secs(2_000_000_000);

/// A context, a base and a layer, gone with this value.
struct Case {
    dir: tempfile::TempDir,
    ignore: String,
}

impl Case {
    /// Trees are lines of `PATH [mode=N] [-> TARGET]`; a path that ends with `/` is a directory,
    /// any other file holds its own name.
    fn new(context: &str, base: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, lines) in [("context", context), ("base", base), ("layer", "")] {
            let root = dir.path().join(name);
            std::fs::create_dir(&root).unwrap();
            make_tree(&root, lines);
        }
        Self {
            dir,
            ignore: String::new(),
        }
    }

    fn ignoring(mut self, text: &str) -> Self {
        text.clone_into(&mut self.ignore);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn context(&self) -> HostTree {
        let ignore = IgnoreMatcher::parse(&self.ignore).unwrap();
        HostTree::open(&self.path("context"), Some(ignore)).unwrap()
    }

    fn select(&self, sources: &[&str]) -> Result<Selection, FilesError> {
        let sources: Vec<String> = sources.iter().map(|s| (*s).to_owned()).collect();
        let context = self.context();
        let options = SelectionOptions {
            sources: &sources,
            ..SelectionOptions::default()
        };
        let mut selection = Selection::find(&context, &options)?;
        selection.read(&context)?;
        Ok(selection)
    }

    /// Copies as `COPY sources dest` and lists the layer, or shows the error.
    fn copy(&self, sources: &[&str], dest: &str) -> String {
        self.copy_with(sources, dest, |_| {})
    }

    fn copy_with(&self, sources: &[&str], dest: &str, change: impl Fn(&mut CopyAction)) -> String {
        let mut action = CopyAction {
            input: 1,
            sources: (0..u32::try_from(sources.len()).unwrap())
                .map(CopySource::Slot)
                .collect(),
            dest: dest.to_owned(),
            owner: CopyOwner::Root,
            mode: None,
            archives: Archives::Copy,
            parents: false,
            excludes: Vec::new(),
        };
        change(&mut action);
        match self.try_copy(sources, &action) {
            Ok(()) => listing(&self.path("layer")),
            Err(error) => format!("error: {error}\n"),
        }
    }

    fn try_copy(&self, sources: &[&str], action: &CopyAction) -> Result<(), FilesError> {
        let selection = self.select(sources)?;
        let base = HostTree::open(&self.path("base"), None)?;
        let mut staging = Staging::new(&base, &self.path("layer"), NOW)?;
        let context = self.context();
        crate::copy(
            &mut staging,
            action,
            CopyInput {
                tree: &context,
                pinned: Some(&selection),
            },
        )?;
        staging.finish()
    }
}

fn make_tree(root: &Path, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (line, target) = match line.split_once(" -> ") {
            Some((line, target)) => (line, Some(target)),
            None => (line, None),
        };
        let mut words = line.split_whitespace();
        let name = words.next().unwrap();
        let mode = words
            .find_map(|word| word.strip_prefix("mode="))
            .unwrap_or("");
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match target {
            Some(target) => symlink(target, &path).unwrap(),
            None if name.ends_with('/') => std::fs::create_dir_all(&path).unwrap(),
            None => std::fs::write(&path, name).unwrap(),
        }
        if target.is_none() {
            let default = if name.ends_with('/') { 0o755 } else { 0o644 };
            let mode = u32::from_str_radix(mode, 8).unwrap_or(default);
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        }
    }
}

/// One line a name below `root`: kind, mode, owner, path, and what a file or link holds.
fn listing(root: &Path) -> String {
    let mut text = String::new();
    let mut todo = vec![root.to_owned()];
    let mut paths = Vec::new();
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.symlink_metadata().unwrap().is_dir() {
                todo.push(path.clone());
            }
            paths.push(path);
        }
    }
    paths.sort();
    for path in paths {
        let meta = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let (mode, uid, gid) = (meta.mode() & 0o7777, meta.uid(), meta.gid());
        let links = if meta.is_file() && meta.nlink() > 1 {
            " linked"
        } else {
            ""
        };
        let (kind, content) = if meta.is_dir() {
            ('d', String::new())
        } else if meta.is_symlink() {
            (
                'l',
                format!(" -> {}", std::fs::read_link(&path).unwrap().display()),
            )
        } else if !meta.is_file() {
            // Reading a pipe would wait for a writer.
            ('s', String::new())
        } else {
            (
                '-',
                format!(
                    " [{}]",
                    String::from_utf8_lossy(&std::fs::read(&path).unwrap())
                ),
            )
        };
        let mode = if meta.is_symlink() {
            String::new()
        } else {
            format!("{mode:04o} ")
        };
        writeln!(text, "{kind} {mode}{uid}:{gid} {name}{content}{links}").unwrap();
    }
    text
}
