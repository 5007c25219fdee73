use crate::fingerprint::WORTH_REMEMBERING;
use crate::resolve::{self, Found};
use crate::{DigestMemory, FilesError, Fingerprint, LinkGroup, Node, NodeKind, Tree};
use acetate_graph::canonical::CanonicalHasher;
use acetate_oci::{Digest, DigestHasher};
use rayon::prelude::*;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What the sources of one COPY or ADD select, in order.
#[derive(Debug, Clone)]
pub struct Selection {
    /// One slot a source.
    pub slots: Vec<Slot>,
}

/// What one source selects: nothing, one thing, or all that a wildcard matches.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Sorted by path.
    pub picks: Vec<Pick>,
}

/// One selected thing.
#[derive(Debug, Clone)]
pub struct Pick {
    /// The name that a file keeps where it is copied to.
    pub name: OsString,
    /// The thing itself, with an empty relative path.
    pub root: Item,
    /// For a directory all that is below it, parents first.
    pub below: Vec<Item>,
}

/// A node and where it belongs below the thing that was selected.
#[derive(Debug, Clone)]
pub struct Item {
    /// Relative to the selected directory.
    pub rel: PathBuf,
    /// What it is and where it is read.
    pub node: Node,
    /// The digest of a regular file's bytes, once it was read.
    pub digest: Option<Digest>,
}

/// Which attributes a use depends on; what it overwrites anyway leaves the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The owner: not with `--chown`, and never for a context.
    pub owner: bool,
    /// The mode: not with an octal `--chmod`.
    pub mode: bool,
}

impl Selection {
    /// Finds what `sources` select, without reading any content.
    pub fn find(tree: &dyn Tree, sources: &[String]) -> Result<Self, FilesError> {
        let slots: Result<Vec<Slot>, FilesError> = sources
            .iter()
            .map(|source| {
                let found = resolve::sources(tree, source)?;
                let picks: Result<Vec<Pick>, FilesError> =
                    found.into_iter().map(|found| pick(tree, found)).collect();
                Ok(Slot { picks: picks? })
            })
            .collect();
        Ok(Self { slots: slots? })
    }

    /// Reads every regular file whose digest is not known yet.
    pub fn read(&mut self, tree: &dyn Tree) -> Result<(), FilesError> {
        let unread: Vec<&mut Item> = self.items_mut().filter(|item| item.is_unread()).collect();
        let read = |item: &mut Item| -> Result<(), FilesError> {
            item.digest = Some(digest_of(tree, &item.node)?);
            Ok(())
        };
        // Waking a pool costs more than hashing a handful of files.
        if unread.len() < 8 {
            return unread.into_iter().try_for_each(read);
        }
        unread.into_par_iter().try_for_each(read)
    }

    /// The same as [`Selection::read`], but large files that did not change since an earlier build are
    /// not read again. `now` is the time in seconds, which no file may be younger than.
    pub fn read_with(
        &mut self,
        tree: &dyn Tree,
        memory: &dyn DigestMemory,
        now: i64,
    ) -> Result<(), FilesError> {
        let is_large = |item: &Item| item.is_unread() && item.size() >= WORTH_REMEMBERING;
        let mut large: Vec<(&mut Item, Fingerprint)> = Vec::new();
        for item in self.items_mut().filter(|item| is_large(item)) {
            if let Some(print) = tree.fingerprint(&item.node, now)? {
                large.push((item, print));
            }
        }
        let prints: Vec<Fingerprint> = large.iter().map(|(_, print)| *print).collect();
        if prints.is_empty() {
            return self.read(tree);
        }
        let recalled = memory.recall(&prints);
        for ((item, _), digest) in large.iter_mut().zip(&recalled) {
            item.digest = *digest;
        }
        let new: Vec<(PathBuf, Fingerprint)> = large
            .iter()
            .filter(|(item, _)| item.digest.is_none())
            .map(|(item, print)| (item.node.path.clone(), *print))
            .collect();
        self.read(tree)?;
        self.remember(tree, memory, now, &new)
    }

    /// Keeps the digests of files that looked the same before and after they were read.
    fn remember(
        &mut self,
        tree: &dyn Tree,
        memory: &dyn DigestMemory,
        now: i64,
        new: &[(PathBuf, Fingerprint)],
    ) -> Result<(), FilesError> {
        let before: HashMap<&Path, Fingerprint> = new
            .iter()
            .map(|(path, print)| (path.as_path(), *print))
            .collect();
        let mut kept = Vec::new();
        for item in self.items_mut() {
            let (Some(print), Some(digest)) = (before.get(item.node.path.as_path()), item.digest)
            else {
                continue;
            };
            if tree.fingerprint(&item.node, now)? == Some(*print) {
                kept.push((*print, digest));
            }
        }
        memory.remember(kept);
        Ok(())
    }

    /// The digest of what is selected; every file must have been read.
    ///
    /// Names are relative to each selected thing and times do not count (S74, S75).
    pub fn digest(&self, attributes: Attributes) -> Digest {
        let mut hasher = CanonicalHasher::new("acetate/selection/v1");
        hasher.number(u64::from(attributes.owner) << 1 | u64::from(attributes.mode));
        hasher.number(self.slots.len() as u64);
        for slot in &self.slots {
            hasher.number(slot.picks.len() as u64);
            for pick in &slot.picks {
                pick.hash(&mut hasher, attributes);
            }
        }
        hasher.finish()
    }

    /// The bytes of all regular files.
    pub fn size(&self) -> u64 {
        let picks = self.slots.iter().flat_map(|slot| &slot.picks);
        picks
            .flat_map(|pick| std::iter::once(&pick.root).chain(&pick.below))
            .map(Item::size)
            .sum()
    }

    fn items_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        let picks = self.slots.iter_mut().flat_map(|slot| &mut slot.picks);
        picks.flat_map(|pick| std::iter::once(&mut pick.root).chain(&mut pick.below))
    }
}

impl Item {
    fn is_unread(&self) -> bool {
        matches!(self.node.kind, NodeKind::File { .. }) && self.digest.is_none()
    }

    fn size(&self) -> u64 {
        match self.node.kind {
            NodeKind::File { size, .. } => size,
            _ => 0,
        }
    }
}

/// Reads a file and hashes it.
fn digest_of(tree: &dyn Tree, node: &Node) -> Result<Digest, FilesError> {
    if let NodeKind::File {
        digest: Some(digest),
        ..
    } = node.kind
    {
        return Ok(digest);
    }
    let mut content = tree.open(node)?;
    let mut hasher = DigestHasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match io::Read::read(&mut content, &mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FilesError::io("read", &node.path)(error)),
        }
    }
}

fn pick(tree: &dyn Tree, found: Found) -> Result<Pick, FilesError> {
    let below = if found.node.is_dir() {
        below(tree, &found.node.path)?
    } else {
        Vec::new()
    };
    let digest = known_digest(&found.node);
    let root = Item {
        rel: PathBuf::new(),
        node: found.node,
        digest,
    };
    Ok(Pick {
        name: found.name,
        root,
        below,
    })
}

fn known_digest(node: &Node) -> Option<Digest> {
    match node.kind {
        NodeKind::File { digest, .. } => digest,
        _ => None,
    }
}

/// Lists all below a directory, parents first, without hidden directories that show nothing.
fn below(tree: &dyn Tree, root: &Path) -> Result<Vec<Item>, FilesError> {
    let mut items: Vec<Item> = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for node in tree.read_dir(&dir)? {
            if node.is_dir() {
                todo.push(node.path.clone());
            }
            let rel = node
                .path
                .strip_prefix(root)
                .unwrap_or(&node.path)
                .to_owned();
            items.push(Item {
                rel,
                digest: known_digest(&node),
                node,
            });
        }
    }
    items.sort_by(|a, b| a.rel.cmp(&b.rel));
    drop_empty_hidden(tree, &mut items);
    Ok(items)
}

/// Children sort behind their directory, so one pass from the back sees them first.
fn drop_empty_hidden(tree: &dyn Tree, items: &mut Vec<Item>) {
    let mut kept: Vec<Item> = Vec::with_capacity(items.len());
    for item in items.drain(..).rev() {
        let shown = !item.node.is_dir()
            || !tree.hides(&item.node.path)
            || kept
                .last()
                .is_some_and(|next| next.rel.starts_with(&item.rel));
        if shown {
            kept.push(item);
        }
    }
    kept.reverse();
    *items = kept;
}

impl Pick {
    fn hash(&self, hasher: &mut CanonicalHasher, attributes: Attributes) {
        let is_dir = self.root.node.is_dir();
        hasher.number(u64::from(is_dir));
        if is_dir {
            hasher.number(self.below.len() as u64);
            let mut first_names = HashMap::new();
            for item in &self.below {
                hasher.bytes(item.rel.as_os_str().as_bytes());
                let first = item
                    .node
                    .link
                    .as_ref()
                    .map(|link| first_name(&mut first_names, link, &item.rel));
                item.hash(hasher, attributes, first);
            }
        } else {
            hasher.bytes(self.name.as_bytes());
            self.root.hash(hasher, attributes, None);
        }
    }
}

/// The first name of a group of hard links; none for that name itself.
fn first_name(names: &mut HashMap<LinkGroup, PathBuf>, link: &LinkGroup, rel: &Path) -> PathBuf {
    let first = names.entry(link.clone()).or_insert_with(|| rel.to_owned());
    if first == rel {
        PathBuf::new()
    } else {
        first.clone()
    }
}

impl Item {
    fn hash(&self, hasher: &mut CanonicalHasher, attributes: Attributes, link: Option<PathBuf>) {
        let node = &self.node;
        if attributes.owner {
            hasher.number(u64::from(node.uid));
            hasher.number(u64::from(node.gid));
        }
        if attributes.mode && !matches!(node.kind, NodeKind::Symlink(_)) {
            hasher.number(u64::from(node.mode));
        }
        match &node.kind {
            NodeKind::File { .. } => {
                hasher.number(1);
                hasher.bytes(self.digest.as_ref().map_or(&[], |digest| digest.as_bytes()));
            }
            NodeKind::Dir => {
                hasher.number(2);
            }
            NodeKind::Symlink(target) => {
                hasher.number(3);
                hasher.bytes(target.as_os_str().as_bytes());
            }
            NodeKind::CharDevice(major, minor) => {
                hasher
                    .number(4)
                    .number(u64::from(*major))
                    .number(u64::from(*minor));
            }
            NodeKind::BlockDevice(major, minor) => {
                hasher
                    .number(5)
                    .number(u64::from(*major))
                    .number(u64::from(*minor));
            }
            NodeKind::Fifo => {
                hasher.number(6);
            }
        }
        hasher.bytes(
            link.as_deref()
                .map_or(&[], |link| link.as_os_str().as_bytes()),
        );
        hasher.number(node.xattrs.len() as u64);
        for (name, value) in &node.xattrs {
            hasher.bytes(name);
            hasher.bytes(value);
        }
    }
}
