//! [`LayerTree`]: what the entries of a tar, one after the other, make of a layer.
//!
//! Parents that are links are resolved, and missing ones made, against the layers below; so the
//! result is right on that chain only. Nothing here touches a file.

use crate::entry::{Entry, EntryKind, bytes_path};
use crate::error::BadLayer;
use crate::layer_tar::{AUFS_PREFIX, OPAQUE_NAME, TarEntry, TarKind, WHITEOUT_PREFIX, entry_error};
use crate::listing::{InvalidListing, Listing};
use crate::merged::{Merged, node_of};
use crate::normal::{self, Entries};
use crate::paths::{self, PathKey};
use crate::resolve::{self, Follow, Node};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

/// Where the bytes of a regular file are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// In the tar: the number that whoever stored them gave.
    Own(usize),
    /// In a lower layer, under the path there: a hard link reached down to it.
    Below { layer: usize, path: PathBuf },
}

/// A layer as its tar describes it.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) listing: Listing,
    /// The content of every regular file by its path in the listing.
    pub(crate) contents: HashMap<PathBuf, Content>,
}

#[derive(Debug)]
enum Slot {
    Whiteout,
    Dir(Entry),
    /// An index into the inodes, so that links share one.
    Inode(usize),
}

#[derive(Debug)]
struct Inode {
    entry: Entry,
    content: Option<Content>,
}

pub(crate) struct LayerTree<'a> {
    base: &'a Merged,
    slots: BTreeMap<PathKey, Slot>,
    inodes: Vec<Inode>,
    /// The last parent as written and as resolved: entries come directory by directory.
    last_parent: Option<(Vec<u8>, Vec<u8>)>,
}

/// Where an entry of a tar goes.
pub(crate) enum Target {
    Path(Vec<u8>),
    Whiteout(Vec<u8>),
    Opaque(Vec<u8>),
    /// Bookkeeping of a storage driver of long ago.
    Ignored,
}

impl<'a> LayerTree<'a> {
    pub(crate) fn new(base: &'a Merged) -> Self {
        Self {
            base,
            slots: BTreeMap::new(),
            inodes: Vec::new(),
            last_parent: None,
        }
    }

    /// Takes one entry; `content` says where its bytes are when it is a file.
    pub(crate) fn add(
        &mut self,
        tar: TarEntry,
        file: Option<(acetate_oci::Digest, usize)>,
    ) -> Result<(), BadLayer> {
        let refuse = |reason: String| entry_error(&tar.name, reason);
        match self.target(&tar.name).map_err(refuse)? {
            Target::Ignored => Ok(()),
            Target::Whiteout(path) => {
                self.whiteout(path);
                Ok(())
            }
            Target::Opaque(dir) => {
                self.opaque(dir);
                Ok(())
            }
            Target::Path(path) => {
                let name = tar.name.clone();
                let placed = self.place(path, tar, file);
                placed.map_err(|reason| entry_error(&name, reason))
            }
        }
    }

    /// Puts the layer into normal form.
    pub(crate) fn finish(self) -> Result<Built, InvalidListing> {
        let mut entries = Entries::new();
        let mut first_names: HashMap<usize, PathBuf> = HashMap::new();
        let mut contents = HashMap::new();
        for (key, slot) in self.slots {
            let path = bytes_path(&key.0).to_owned();
            let entry = match slot {
                Slot::Whiteout => Entry::whiteout(path),
                Slot::Dir(entry) => Entry { path, ..entry },
                Slot::Inode(number) => {
                    let inode = &self.inodes[number];
                    let mut entry = inode.entry.clone();
                    let is_file = matches!(entry.kind, EntryKind::File { .. });
                    if let Some(first) = first_names.get(&number).filter(|_| is_file) {
                        entry.kind = EntryKind::Hardlink(first.clone());
                    } else {
                        first_names.insert(number, path.clone());
                        contents.extend(inode.content.clone().map(|at| (path.clone(), at)));
                    }
                    Entry { path, ..entry }
                }
            };
            entries.insert(key, entry);
        }
        normal::expand_opaque(&mut entries, self.base);
        normal::drop_useless_whiteouts(&mut entries, self.base);
        let listing = Listing::new(entries.into_values().collect())?;
        Ok(Built { listing, contents })
    }

    /// Decides where an entry goes by its name alone.
    fn target(&mut self, name: &[u8]) -> Result<Target, String> {
        let clean = clean(name)?;
        let last = paths::file_name(&clean).to_vec();
        let parent = paths::parent(&clean).unwrap_or_default();
        let marked = |part: &[u8]| part.starts_with(WHITEOUT_PREFIX);
        if parent.split(|byte| *byte == b'/').any(marked) {
            return Err("lies below a whiteout".to_owned());
        }
        let parent = self.parent(parent)?;
        if last == OPAQUE_NAME {
            return Ok(Target::Opaque(parent));
        }
        if last.starts_with(AUFS_PREFIX) {
            return Ok(Target::Ignored);
        }
        match last.strip_prefix(WHITEOUT_PREFIX) {
            None => Ok(Target::Path(paths::join(&parent, &last))),
            Some(b"" | b"." | b"..") => Err("is a whiteout of nothing".to_owned()),
            Some(deleted) => Ok(Target::Whiteout(paths::join(&parent, deleted))),
        }
    }

    /// Resolves a directory written in a tar, which may lead through links.
    fn parent(&mut self, parent: &[u8]) -> Result<Vec<u8>, String> {
        if let Some((raw, resolved)) = &self.last_parent
            && raw == parent
        {
            return Ok(resolved.clone());
        }
        let path = bytes_path(parent);
        let resolved = resolve::resolve(path, Follow::All, &mut |path| self.node(path))
            .map_err(|error| format!("has no usable parent: {error}"))?;
        if self.node(&resolved) == Some(Node::Other) {
            return Err("has a parent that is no directory".to_owned());
        }
        self.last_parent = Some((parent.to_vec(), resolved.clone()));
        Ok(resolved)
    }

    fn node(&self, path: &[u8]) -> Option<Node> {
        match self.slots.get(&PathKey(path.to_vec())) {
            Some(Slot::Whiteout) => None,
            Some(Slot::Dir(_)) => Some(Node::Dir),
            Some(Slot::Inode(number)) => Some(node_of(&self.inodes[*number].entry)),
            None if self.hides(path) => None,
            None => self.base.node(path),
        }
    }

    /// Returns whether an ancestor in this layer hides what lower layers have at `path`.
    fn hides(&self, path: &[u8]) -> bool {
        let ancestors = paths::prefixes(paths::parent(path).unwrap_or_default());
        let mut slots = ancestors.map(|prefix| self.slots.get(&PathKey(prefix.to_vec())));
        slots.any(|slot| match slot {
            Some(Slot::Dir(entry)) => entry.hides_below(),
            Some(_) => true,
            None => false,
        })
    }

    fn place(
        &mut self,
        path: Vec<u8>,
        tar: TarEntry,
        file: Option<(acetate_oci::Digest, usize)>,
    ) -> Result<(), String> {
        let (digest, content) = file.unzip();
        let kind = match tar.kind.clone() {
            TarKind::Hardlink(target) => return self.link(path, &target),
            TarKind::File { size } => EntryKind::File { size, digest },
            TarKind::Dir => EntryKind::Dir { opaque: false },
            TarKind::Symlink(target) => EntryKind::Symlink(bytes_path(&target).to_owned()),
            TarKind::CharDevice { major, minor } => EntryKind::CharDevice { major, minor },
            TarKind::BlockDevice { major, minor } => EntryKind::BlockDevice { major, minor },
            TarKind::Fifo => EntryKind::Fifo,
        };
        let is_symlink = matches!(kind, EntryKind::Symlink(_));
        let entry = Entry {
            path: PathBuf::new(),
            kind,
            // The permissions of a link are always the same, whatever a tar says.
            mode: if is_symlink { 0o777 } else { tar.mode },
            uid: tar.uid,
            gid: tar.gid,
            mtime: tar.mtime,
            xattrs: tar.xattrs,
        };
        if entry.is_dir() {
            self.put_dir(path, entry);
            return Ok(());
        }
        let content = content.map(Content::Own);
        self.inodes.push(Inode { entry, content });
        self.put_inode(path, self.inodes.len() - 1)
    }

    fn link(&mut self, path: Vec<u8>, target: &[u8]) -> Result<(), String> {
        let clean = clean(target).map_err(|reason| format!("links to a name that {reason}"))?;
        let parent = self.parent(paths::parent(&clean).unwrap_or_default())?;
        let target = paths::join(&parent, paths::file_name(&clean));
        if target == path {
            return Err("is a hard link to itself".to_owned());
        }
        let inode = self.inode_at(target)?;
        self.put_inode(path, inode)
    }

    /// Returns the inode at `path`, copying it up from the layers below when it is only there.
    fn inode_at(&mut self, path: Vec<u8>) -> Result<usize, String> {
        let missing = || "is a hard link to a file that does not exist".to_owned();
        match self.slots.get(&PathKey(path.clone())) {
            Some(Slot::Inode(number)) => return Ok(*number),
            Some(Slot::Dir(_)) => return Err("is a hard link to a directory".to_owned()),
            Some(Slot::Whiteout) => return Err(missing()),
            None if self.hides(&path) => return Err(missing()),
            None => {}
        }
        let found = self.base.lookup(&path).ok_or_else(missing)?;
        if found.entry.is_dir() {
            return Err("is a hard link to a directory".to_owned());
        }
        let file = self.base.file_of(found);
        let content = file.map(|file| Content::Below {
            layer: found.layer,
            path: file.path.clone(),
        });
        let entry = file.unwrap_or(found.entry).clone();
        self.inodes.push(Inode { entry, content });
        self.put_inode(path, self.inodes.len() - 1)?;
        Ok(self.inodes.len() - 1)
    }

    fn put_dir(&mut self, path: Vec<u8>, mut entry: Entry) {
        self.make_parents(&path);
        let key = PathKey(path);
        let opaque = match self.slots.get(&key) {
            Some(Slot::Dir(old)) => old.hides_below(),
            // Something that is gone now had replaced what lower layers have.
            Some(_) => true,
            None => false,
        };
        if !matches!(self.slots.get(&key), None | Some(Slot::Dir(_))) {
            self.last_parent = None;
        }
        entry.kind = EntryKind::Dir { opaque };
        self.slots.insert(key, Slot::Dir(entry));
    }

    fn put_inode(&mut self, path: Vec<u8>, inode: usize) -> Result<(), String> {
        if path.is_empty() {
            return Err("replaces the root by something that is no directory".to_owned());
        }
        self.make_parents(&path);
        let key = PathKey(path);
        // A link may have been put in the place of a resolved parent.
        self.last_parent = None;
        if let Some(Slot::Dir(_)) = self.slots.insert(key.clone(), Slot::Inode(inode)) {
            let below = self.slots.range(key.clone()..).skip(1);
            let below: Vec<PathKey> = below
                .map(|(path, _)| path.clone())
                .take_while(|path| paths::is_below(&path.0, &key.0))
                .collect();
            for path in below {
                self.slots.remove(&path);
            }
        }
        Ok(())
    }

    fn whiteout(&mut self, path: Vec<u8>) {
        let is_visible = !self.hides(&path) && self.base.lookup(&path).is_some();
        match self.slots.get_mut(&PathKey(path.clone())) {
            // What this layer itself has at that name stays, in whichever order they come.
            Some(Slot::Dir(entry)) => entry.kind = EntryKind::Dir { opaque: true },
            None if is_visible => {
                self.make_parents(&path);
                self.slots.insert(PathKey(path), Slot::Whiteout);
                self.last_parent = None;
            }
            Some(_) | None => {}
        }
    }

    fn opaque(&mut self, dir: Vec<u8>) {
        // A child that is made only to make its parents.
        self.make_parents(&paths::join(&dir, b"x"));
        if dir.is_empty() {
            let root = self.base.lookup(b"").map(|found| found.entry.clone());
            let root = root.unwrap_or_else(|| Entry::implied_dir(""));
            let slot = self.slots.entry(PathKey(dir.clone()));
            slot.or_insert(Slot::Dir(root));
        }
        if let Some(Slot::Dir(entry)) = self.slots.get_mut(&PathKey(dir)) {
            entry.kind = EntryKind::Dir { opaque: true };
        }
    }

    /// Lists every directory above `path`, with the attributes it has in lower layers.
    fn make_parents(&mut self, path: &[u8]) {
        let parent = paths::parent(path).unwrap_or_default().to_vec();
        if parent.is_empty()
            || matches!(self.slots.get(&PathKey(parent.clone())), Some(Slot::Dir(_)))
        {
            return;
        }
        for prefix in paths::prefixes(&parent) {
            let key = PathKey(prefix.to_vec());
            let slot = match self.slots.get(&key) {
                Some(Slot::Dir(_)) => continue,
                Some(_) => {
                    let mut entry = Entry::implied_dir("");
                    entry.kind = EntryKind::Dir { opaque: true };
                    Slot::Dir(entry)
                }
                None => {
                    let below = self.base.lookup(prefix).filter(|_| !self.hides(prefix));
                    let mut entry = below
                        .filter(|found| found.entry.is_dir())
                        .map_or_else(|| Entry::implied_dir(""), |found| found.entry.clone());
                    entry.kind = EntryKind::Dir { opaque: false };
                    Slot::Dir(entry)
                }
            };
            self.slots.insert(key, slot);
        }
    }
}

/// Checks a name or link target of a tar: it may begin with `/` or `./`, and never climbs.
fn clean(name: &[u8]) -> Result<Vec<u8>, String> {
    if name.is_empty() {
        return Err("has no name".to_owned());
    }
    let mut clean = Vec::with_capacity(name.len());
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("climbs out with `..`".to_owned()),
            part if part.len() > 255 => {
                return Err("has a component of more than 255 bytes".to_owned());
            }
            part => clean = paths::join(&clean, part),
        }
    }
    Ok(clean)
}
