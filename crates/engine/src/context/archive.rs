//! Archives as contexts: what is in one, before anything is unpacked.

use crate::BuildError;
use acetate_files::{Content, FilesError, Node, NodeKind, Tree, resolve, tar_of};
use acetate_oci::Digest;
use acetate_remote::RemoteError;
use acetate_snapshot::{TarEntry, TarKind, TarReader, TarRules};
use acetate_store::Store;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The names in an archive.
#[derive(Debug, Default)]
pub(super) struct ArchiveTree {
    nodes: BTreeMap<PathBuf, Node>,
    /// Names of one file: the other name and the one that has the content.
    links: BTreeMap<PathBuf, PathBuf>,
    /// The time of the newest entry, in seconds.
    pub(super) newest: Option<i64>,
}

/// Whether bytes begin like an archive: compressed in a way that can be read here, or a tar.
pub(super) fn looks_like_one(head: &[u8]) -> bool {
    const COMPRESSED: [&[u8]; 4] = [
        &[0x1f, 0x8b, 0x08],
        b"BZh",
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        &[0x28, 0xb5, 0x2f, 0xfd],
    ];
    COMPRESSED.iter().any(|magic| head.starts_with(magic)) || acetate_snapshot::is_tar(head)
}

/// Reads which names a blob has if it is an archive; `None` when it is none.
pub(super) fn scan(store: &Store, content: &Digest) -> Result<Option<ArchiveTree>, BuildError> {
    let mut tree = ArchiveTree::default();
    let read = each(store, content, &mut |entry, _| {
        tree.add(entry);
        Ok(true)
    })?;
    Ok(read.then_some(tree))
}

/// Reads a short file of an archive, through links inside of it; `None` when there is none.
pub(super) fn read(
    store: &Store,
    content: &Digest,
    path: &Path,
    limit: u64,
) -> Result<Option<Vec<u8>>, BuildError> {
    let Some(tree) = scan(store, content)? else {
        return Ok(None);
    };
    let Some(node) = resolve::follow(&tree, path)? else {
        return Ok(None);
    };
    if !matches!(node.kind, NodeKind::File { .. }) {
        return Ok(None);
    }
    let wanted = tree.links.get(&node.path).unwrap_or(&node.path).clone();
    let mut found = None;
    each(store, content, &mut |entry, tar| {
        if matches!(entry.kind, TarKind::File { .. }) && name(&entry.name) == wanted {
            // One more than allowed tells that there are too many.
            let mut bytes = Vec::new();
            let read = tar.take(limit + 1).read_to_end(&mut bytes);
            read.map_err(|error| broken(error.to_string()))?;
            found = Some(bytes);
        }
        Ok(true)
    })?;
    if found
        .as_ref()
        .is_some_and(|bytes| bytes.len() as u64 > limit)
    {
        return Err(BuildError::request(format!(
            "`{}` of the context is larger than {limit} bytes",
            path.display()
        )));
    }
    Ok(found)
}

type Visit<'v> = dyn FnMut(&TarEntry, &mut dyn Read) -> Result<bool, BuildError> + 'v;

/// Shows every entry of an archive; false when it is none.
fn each(store: &Store, content: &Digest, visit: &mut Visit<'_>) -> Result<bool, BuildError> {
    let opened = store.blobs().open(content)?;
    let blob = opened.ok_or(RemoteError::Lost(*content))?;
    let path = Path::new("the context");
    let Some(tar) = tar_of(path, Content::Stream(Box::new(blob)))? else {
        return Ok(false);
    };
    let mut tar = TarReader::new(BufReader::new(tar), TarRules::Archive);
    while let Some(entry) = tar.next_entry().map_err(|bad| broken(bad.to_string()))? {
        if !visit(&entry, &mut tar)? {
            break;
        }
    }
    Ok(true)
}

fn broken(reason: String) -> BuildError {
    FilesError::Archive {
        path: "the context".into(),
        reason,
    }
    .into()
}

fn name(bytes: &[u8]) -> PathBuf {
    resolve::clean(Path::new(OsStr::from_bytes(bytes)))
}

impl ArchiveTree {
    fn add(&mut self, entry: &TarEntry) {
        let path = name(&entry.name);
        let secs = entry.mtime.secs;
        self.newest = Some(self.newest.map_or(secs, |newest| newest.max(secs)));
        let kind = match &entry.kind {
            TarKind::File { size } => NodeKind::File {
                size: *size,
                digest: None,
            },
            TarKind::Symlink(target) => NodeKind::Symlink(PathBuf::from(OsStr::from_bytes(target))),
            TarKind::Hardlink(target) => {
                let target = name(target);
                let first = self.links.get(&target).cloned().unwrap_or(target);
                self.links.insert(path.clone(), first);
                NodeKind::File {
                    size: 0,
                    digest: None,
                }
            }
            TarKind::Dir => NodeKind::Dir,
            // Nothing of a context is read from these.
            TarKind::CharDevice { .. } | TarKind::BlockDevice { .. } | TarKind::Fifo => {
                NodeKind::Fifo
            }
        };
        for parent in path.ancestors().skip(1) {
            let dir = || node(parent.to_owned(), NodeKind::Dir, entry);
            self.nodes.entry(parent.to_owned()).or_insert_with(dir);
        }
        if !matches!(entry.kind, TarKind::Hardlink(_)) {
            self.links.remove(&path);
        }
        self.nodes.insert(path.clone(), node(path, kind, entry));
    }
}

fn node(path: PathBuf, kind: NodeKind, entry: &TarEntry) -> Node {
    Node {
        path,
        kind,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: BTreeMap::new(),
        link: None,
        fingerprint: None,
    }
}

impl Tree for ArchiveTree {
    fn lookup(&self, path: &Path) -> Result<Option<Node>, FilesError> {
        Ok(self.nodes.get(path).cloned())
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<Node>, FilesError> {
        let nodes = self.nodes.values();
        Ok(nodes
            .filter(|node| node.path.parent() == Some(path))
            .cloned()
            .collect())
    }

    fn open(&self, _node: &Node) -> Result<Content, FilesError> {
        // Names only: the content is read in a second pass.
        Ok(Content::Stream(Box::new(std::io::empty())))
    }

    fn read_small(&self, _path: &Path, _limit: u64) -> Result<Option<Vec<u8>>, FilesError> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stdin::{Spooled, spool};
    use super::*;
    use std::sync::Arc;
    use tar::{EntryType, Header};

    fn store() -> (tempfile::TempDir, Arc<Store>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("root")).unwrap();
        (dir, store)
    }

    /// A tar; each entry is a type, a name, and its text or where it leads.
    fn tar(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (n, (kind, name, text)) in entries.iter().enumerate() {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_mtime(1000 - n as u64);
            if matches!(kind, EntryType::Regular) {
                header.set_size(text.len() as u64);
                tar.append_data(&mut header, name, text.as_bytes()).unwrap();
            } else {
                header.set_size(0);
                tar.append_link(&mut header, name, text).unwrap();
            }
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn a_file_is_found_by_every_name_that_leads_to_it() {
        let (_dir, store) = store();
        let bytes = tar(&[
            (EntryType::Regular, "./real/Dockerfile", "old"),
            (EntryType::Regular, "real/Dockerfile", "text"),
            (EntryType::Link, "hard", "real/Dockerfile"),
            (EntryType::Link, "harder", "./hard"),
            (EntryType::Symlink, "soft", "real/../hard"),
            (EntryType::Symlink, "dir", "/real"),
            (EntryType::Symlink, "out", "../../etc/passwd"),
            (EntryType::Symlink, "loop", "loop"),
        ]);
        let content = store.blobs().put(&bytes).unwrap().digest;
        let read = |path: &str| read(&store, &content, Path::new(path), 4).map_err(|_| ());
        for path in [
            "real/Dockerfile",
            "hard",
            "harder",
            "soft",
            "dir/Dockerfile",
        ] {
            assert_eq!(read(path), Ok(Some(b"text".to_vec())), "{path}");
        }
        for path in ["real", "none", "out"] {
            assert_eq!(read(path), Ok(None), "{path}");
        }
        assert_eq!(read("loop"), Err(()));
        assert_eq!(scan(&store, &content).unwrap().unwrap().newest, Some(1000));
        let error = super::read(&store, &content, Path::new("hard"), 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`hard` of the context is larger than 3 bytes"
        );
    }

    #[test]
    fn what_comes_is_an_archive_or_a_text() {
        let (_dir, store) = store();
        let archive = tar(&[(EntryType::Regular, "a", "a")]);
        let digest = Digest::of(&archive);
        assert_eq!(
            spool(&store, &archive[..]).unwrap(),
            Spooled::Archive(digest)
        );
        for text in ["", "FROM scratch\n", &"# long\n".repeat(1000)] {
            let spooled = spool(&store, text.as_bytes()).unwrap();
            assert_eq!(spooled, Spooled::Text(text.as_bytes().to_vec()));
        }
        // Nothing but the archive was put into the store.
        assert_eq!(store.usage().unwrap().blobs.n, 1);
        let text = store.blobs().put(b"FROM scratch\n").unwrap().digest;
        assert!(scan(&store, &text).unwrap().is_none());
        let cut = store.blobs().put(&archive[..600]).unwrap().digest;
        assert!(scan(&store, &cut).is_err());
    }
}
