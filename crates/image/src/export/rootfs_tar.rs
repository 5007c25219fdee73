//! `type=tar`: the root file system as a tar.

use std::collections::BTreeMap;
use std::io::Write;

use acetate_oci::Timestamp;
use acetate_registry::Progress;
use acetate_store::Store;

use super::{
    Destination, ExportError, ExportReport, Exporter, ExtraFile, PlatformDirs, apart, directories,
    extra,
};
use crate::assemble::Image;
use crate::flatten::{Attributes, Device, Flat, InodeId, Node};
use crate::tarball::{Member, MemberKind, TarWriter};

/// Writes the flattened root file system, sorted by name, owners and attributes kept.
#[derive(Debug)]
pub struct TarExporter {
    /// Where to.
    pub destination: Destination,
    /// Whether trees lie in directories of their platforms.
    pub platform_dirs: PlatformDirs,
    /// The time of every entry instead of its own (`SOURCE_DATE_EPOCH`).
    pub times: Option<Timestamp>,
    /// Files beside those of each image, in the order of the images.
    pub extra: Vec<Vec<ExtraFile>>,
}

impl Exporter for TarExporter {
    fn export_telling(
        &self,
        images: &[Image],
        store: &Store,
        // Files are written here, and no blobs as they are.
        _: &dyn Progress,
    ) -> Result<ExportReport, ExportError> {
        let dirs = directories(images, self.platform_dirs)?;
        let trees = extra::trees(images, &self.extra, store)?;
        apart::check(images, &dirs, &trees)?;
        let mut trees: Vec<(&str, Flat)> = dirs.iter().map(String::as_str).zip(trees).collect();
        // Sorted like everything else, whatever order the platforms were asked for in.
        trees.sort_by_key(|(dir, _)| *dir);
        self.destination.write(|out| {
            let mut tar = TarWriter::new(out);
            for (dir, flat) in &trees {
                self.write_tree(&mut tar, dir, flat)?;
            }
            tar.finish()
                .map_err(ExportError::io("write", super::ARCHIVE))?;
            Ok(())
        })?;
        Ok(ExportReport::default())
    }
}

impl TarExporter {
    fn write_tree(
        &self,
        tar: &mut TarWriter<&mut dyn Write>,
        dir: &str,
        flat: &Flat,
    ) -> Result<(), ExportError> {
        let failed = || ExportError::io("write", super::ARCHIVE);
        let prefix = if dir.is_empty() {
            Vec::new()
        } else {
            format!("{dir}/").into_bytes()
        };
        if !dir.is_empty() {
            let implied = Attributes::implied();
            let root = self.member(dir.as_bytes(), MemberKind::Directory, &implied);
            tar.entry(&root).map_err(failed())?;
        }
        let mut written: BTreeMap<InodeId, Vec<u8>> = BTreeMap::new();
        for (path, node) in flat.tree.iter() {
            let path = [prefix.as_slice(), &path].concat();
            let (kind, attributes) = match node {
                Node::Directory(attributes) => (MemberKind::Directory, attributes),
                Node::Symlink(attributes, target) => (MemberKind::Symlink(target), attributes),
                Node::Fifo(attributes) => (MemberKind::Fifo, attributes),
                Node::Device(attributes, Device::Char(major, minor)) => {
                    (MemberKind::CharDevice(*major, *minor), attributes)
                }
                Node::Device(attributes, Device::Block(major, minor)) => {
                    (MemberKind::BlockDevice(*major, *minor), attributes)
                }
                Node::File(id) => {
                    let (attributes, content) = flat.tree.inode(*id);
                    if let Some(first) = written.get(id) {
                        let kind = MemberKind::Hardlink(first);
                        tar.entry(&self.member(&path, kind, attributes))
                            .map_err(failed())?;
                    } else {
                        let kind = MemberKind::File(content.size);
                        let member = self.member(&path, kind, attributes);
                        tar.file(&member, flat.open(content)).map_err(failed())?;
                        written.insert(*id, path);
                    }
                    continue;
                }
            };
            tar.entry(&self.member(&path, kind, attributes))
                .map_err(failed())?;
        }
        Ok(())
    }

    fn member<'a>(
        &self,
        path: &'a [u8],
        kind: MemberKind<'a>,
        attributes: &'a Attributes,
    ) -> Member<'a> {
        Member {
            path,
            kind,
            mode: attributes.mode,
            uid: attributes.uid,
            gid: attributes.gid,
            mtime: self.times.unwrap_or(attributes.mtime),
            xattrs: &attributes.xattrs,
        }
    }
}
