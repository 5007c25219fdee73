//! `type=local`: the root file system as files of the caller.

mod stale;
mod writer;

use std::path::PathBuf;

use acetate_oci::Timestamp;
use acetate_registry::Progress;
use acetate_store::Store;

use self::writer::TreeWriter;
use super::{
    ExportError, ExportReport, Exporter, ExtraFile, PlatformDirs, apart, directories, extra,
};
use crate::assemble::Image;
use crate::flatten::{Flat, Node};

/// Writes the flattened root file system into a directory.
///
/// Modes and times are kept, owners and extended attributes are not: all belongs to the caller.
/// Whether files stay that are there already and not in the image is a choice. Device nodes are
/// left out with a warning. Nothing is written through a symbolic link that the directory holds.
#[derive(Debug)]
pub struct LocalExporter {
    /// The directory; made when missing.
    pub directory: PathBuf,
    /// Whether trees lie in directories of their platforms.
    pub platform_dirs: PlatformDirs,
    /// What becomes of files that the directory holds and no image has.
    pub stale: Stale,
    /// The time of every file instead of its own (`SOURCE_DATE_EPOCH`).
    pub times: Option<Timestamp>,
    /// Files beside those of each image, in the order of the images.
    pub extra: Vec<Vec<ExtraFile>>,
}

/// What becomes of files that a directory holds and no image has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stale {
    /// They stay (`mode=copy`).
    #[default]
    Keep,
    /// They are removed once all images are known to be whole (`mode=delete`).
    Delete,
}

impl Exporter for LocalExporter {
    fn export_telling(
        &self,
        images: &[Image],
        store: &Store,
        // Files are written here, and no blobs as they are.
        _: &dyn Progress,
    ) -> Result<ExportReport, ExportError> {
        let mut report = ExportReport::default();
        let dirs = directories(images, self.platform_dirs)?;
        let trees = extra::trees(images, &self.extra, store)?;
        apart::check(images, &dirs, &trees)?;
        if self.stale == Stale::Delete {
            stale::remove(&self.directory, &dirs, &trees)?;
        }
        for (flat, dir) in trees.iter().zip(dirs) {
            let place = self.directory.join(&dir);
            std::fs::create_dir_all(&place)
                .map_err(ExportError::io("make the directory", &place))?;
            let mut writer = TreeWriter::open(&place, self.times)?;
            if !dir.is_empty() {
                // It is part of what is written, as the caller's own directory is not.
                writer.stamp_root();
            }
            let skipped = write_tree(writer, flat)?;
            if let Some(first) = skipped.first() {
                let n = skipped.len();
                let place = place.display();
                report.warnings.push(format!(
                    "{n} device nodes are left out of `{place}`, first `{first}`; use `type=tar`"
                ));
            }
        }
        Ok(report)
    }
}

/// Writes all nodes; gives the names of those that were left out.
fn write_tree(mut writer: TreeWriter, flat: &Flat) -> Result<Vec<String>, ExportError> {
    let mut skipped = Vec::new();
    for (path, node) in flat.tree.iter() {
        match node {
            Node::Directory(attributes) => writer.directory(&path, attributes)?,
            Node::Symlink(attributes, target) => writer.symlink(&path, attributes, target)?,
            Node::Fifo(attributes) => writer.fifo(&path, attributes)?,
            Node::Device(..) => skipped.push(String::from_utf8_lossy(&path).into_owned()),
            Node::File(id) => {
                let (attributes, content) = flat.tree.inode(*id);
                writer.file(&path, attributes, *id, || flat.open(content))?;
            }
        }
    }
    writer.finish()?;
    Ok(skipped)
}
