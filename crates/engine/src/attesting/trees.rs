//! Trees as the built-in scanner reads them, and the files of a result as subjects.

use crate::BuildError;
use crate::images::{FinishError, lost_or};
use crate::runner::StepRunner;
use acetate_attest::Subject;
use acetate_attest::sbom::{Tree, TreeFile};
use acetate_files::{FilesError, HostTree, NodeKind, Tree as _};
use acetate_snapshot::{EntryKind, Snapshot, SnapshotError, View};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The files of a snapshot. Listings tell them; of a file that is read, its layer is unpacked.
pub(super) struct SnapshotTree(pub(super) View);

impl Tree for SnapshotTree {
    fn files(&self) -> io::Result<Vec<TreeFile>> {
        let mut files = Vec::new();
        self.0.walk(Path::new(""), &mut |found| {
            // A path that is no text is that of no list of packages.
            if let (Some(size), Some(path)) = (self.0.size(found), found.path().to_str()) {
                files.push(TreeFile {
                    path: path.to_owned(),
                    size,
                    executable: found.entry.mode & 0o111 != 0,
                });
            }
        });
        Ok(files)
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let found = self.0.lookup(Path::new(path));
        let found = found.ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = Vec::new();
        let file = self.0.open(found).map_err(of_snapshot)?;
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The files of a local context that its ignore file does not hide.
pub(super) struct ContextTree<'a>(pub(super) &'a HostTree);

impl Tree for ContextTree<'_> {
    fn files(&self) -> io::Result<Vec<TreeFile>> {
        let mut files = Vec::new();
        let mut dirs = vec![PathBuf::new()];
        while let Some(dir) = dirs.pop() {
            for node in self.0.read_dir(&dir).map_err(of_files)? {
                match (&node.kind, node.path.to_str()) {
                    (NodeKind::Dir, _) => dirs.push(node.path),
                    (NodeKind::File { size, .. }, Some(path)) if !self.0.hides(&node.path) => {
                        files.push(TreeFile {
                            path: path.to_owned(),
                            size: *size,
                            executable: node.mode & 0o111 != 0,
                        });
                    }
                    _ => {}
                }
            }
        }
        Ok(files)
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Vec<u8>> {
        let node = self.0.lookup(Path::new(path)).map_err(of_files)?;
        let node = node.ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = Vec::new();
        let content = self.0.open(&node).map_err(of_files)?;
        content.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Keeps the kind, by which the scanner tells one bad file from a bad disk.
fn of_snapshot(error: SnapshotError) -> io::Error {
    let kind = match &error {
        SnapshotError::Io { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

fn of_files(error: FilesError) -> io::Error {
    let kind = match &error {
        FilesError::Io { source, .. } => source.kind(),
        FilesError::NotFound { .. } => io::ErrorKind::NotFound,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// The regular files of a snapshot with their digests, which are what an export of files is about.
pub(super) async fn subjects(
    runner: &StepRunner,
    snapshot: &Snapshot,
    target: Option<usize>,
) -> Result<Vec<Subject>, FinishError> {
    let usable = runner.blobs.ensure_usable(snapshot).await;
    usable.map_err(|error| lost_or(error, target))?;
    let (snapshots, snapshot) = (runner.snapshots.clone(), snapshot.clone());
    let read = move || -> Result<Vec<Subject>, BuildError> {
        let view = snapshots.view(&snapshot)?;
        let mut found = Vec::new();
        view.walk(Path::new(""), &mut |one| found.push(one));
        let mut out = Vec::new();
        for one in found {
            let is_file = matches!(
                one.entry.kind,
                EntryKind::File { .. } | EntryKind::Hardlink(_)
            );
            if let (true, Some(digest)) = (is_file, view.digest(one)?) {
                out.push(Subject::file(&one.path().to_string_lossy(), digest));
            }
        }
        Ok(out)
    };
    Ok(acetate_stdx::blocking(read).await?)
}
