use crate::resolve::{self, Found};
use crate::selection_hasher::SelectionHasher;
use crate::walk::{self, Filter};
use crate::{FilesError, Node, NodeKind, Tree, parents};
use acetate_oci::{Digest, DigestHasher};
use acetate_pattern::IgnoreMatcher;
use rayon::prelude::*;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What is selected out of a tree, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct SelectionOptions<'a> {
    /// Plain paths, which must exist, and wildcards, which need not match.
    pub sources: &'a [String],
    /// Patterns of what is left out, in the syntax of ignore files. They are relative to each
    /// directory that is copied; of a file they meet the name.
    pub excludes: &'a [String],
    /// The directories that lead to a source come along, from its first `/./` on.
    pub parents: bool,
}

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
    /// Why it is here.
    pub part: Part,
}

/// The part that something has in a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It is copied.
    Whole,
    /// It is a directory that leads to something copied. Where it exists already it keeps its owner
    /// and time, and takes the mode.
    Way,
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
    /// Finds what the sources select, without reading any content, and without looking into
    /// directories that can hold nothing of it.
    pub fn find(tree: &dyn Tree, options: &SelectionOptions<'_>) -> Result<Self, FilesError> {
        let excludes = options.excludes.iter().map(String::as_str);
        let excludes = IgnoreMatcher::from_patterns(excludes).map_err(FilesError::exclude)?;
        let slot = |source: &String| -> Result<Slot, FilesError> {
            let picks = if options.parents {
                parents::picks(tree, source, &excludes)?
            } else {
                picks(tree, source, &excludes)?
            };
            Ok(Slot { picks })
        };
        let slots: Result<Vec<Slot>, FilesError> = options.sources.iter().map(slot).collect();
        Ok(Self { slots: slots? })
    }

    /// Reads every regular file whose digest is not known yet.
    pub fn read(&mut self, tree: &dyn Tree) -> Result<(), FilesError> {
        read_all(tree, self.items_mut())
    }

    /// The digest of what is selected; every file must have been read.
    ///
    /// Names are relative to each selected thing and times do not count (S74, S75).
    pub fn digest(&self, attributes: Attributes) -> Digest {
        let mut hasher = SelectionHasher::new(attributes);
        hasher.canonical.number(self.slots.len() as u64);
        for slot in &self.slots {
            hasher.canonical.number(slot.picks.len() as u64);
            for pick in &slot.picks {
                hasher.pick(pick);
            }
        }
        hasher.canonical.finish()
    }

    /// The bytes of all regular files.
    pub fn size(&self) -> u64 {
        let picks = self.slots.iter().flat_map(|slot| &slot.picks);
        picks
            .flat_map(|pick| std::iter::once(&pick.root).chain(&pick.below))
            .map(Item::size)
            .sum()
    }

    pub(crate) fn items_mut(&mut self) -> impl Iterator<Item = &mut Item> {
        let picks = self.slots.iter_mut().flat_map(|slot| &mut slot.picks);
        picks.flat_map(|pick| std::iter::once(&mut pick.root).chain(&mut pick.below))
    }
}

impl Item {
    /// Makes an item whose digest is what the tree knows.
    pub(crate) fn new(rel: PathBuf, node: Node, part: Part) -> Self {
        let digest = match node.kind {
            NodeKind::File { digest, .. } => digest,
            _ => None,
        };
        Self {
            rel,
            node,
            digest,
            part,
        }
    }

    pub(crate) fn is_unread(&self) -> bool {
        matches!(self.node.kind, NodeKind::File { .. }) && self.digest.is_none()
    }

    pub(crate) fn size(&self) -> u64 {
        match self.node.kind {
            NodeKind::File { size, .. } => size,
            _ => 0,
        }
    }
}

/// Reads every regular file whose digest is not known yet.
pub(crate) fn read_all<'a>(
    tree: &dyn Tree,
    items: impl Iterator<Item = &'a mut Item>,
) -> Result<(), FilesError> {
    let unread: Vec<&mut Item> = items.filter(|item| item.is_unread()).collect();
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

/// Reads a file and hashes it.
fn digest_of(tree: &dyn Tree, node: &Node) -> Result<Digest, FilesError> {
    let size = match node.kind {
        NodeKind::File {
            digest: Some(digest),
            ..
        } => return Ok(digest),
        NodeKind::File { size, .. } => usize::try_from(size).unwrap_or(usize::MAX),
        _ => 0,
    };
    let mut content = tree.open(node)?;
    let mut hasher = DigestHasher::new();
    // Most files are small, and filling a large buffer with zeros takes longer than reading them.
    let mut buffer = vec![0; size.clamp(512, 64 * 1024)];
    loop {
        match io::Read::read(&mut content, &mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FilesError::io("read", &node.path)(error)),
        }
    }
}

/// Finds what one source selects without the directories that lead to it.
fn picks(tree: &dyn Tree, source: &str, excludes: &IgnoreMatcher) -> Result<Vec<Pick>, FilesError> {
    let is_plain = !acetate_pattern::has_meta(source);
    let mut picks = Vec::new();
    let is_left_out = |name: &OsStr| excludes.matches(name.as_bytes());
    for found in resolve::sources(tree, source, is_left_out)? {
        match pick(tree, found, excludes)? {
            Picked::Pick(pick) => picks.push(pick),
            Picked::Hidden if is_plain => {
                let path = resolve::clean(Path::new(source));
                return Err(FilesError::NotFound { path });
            }
            Picked::Hidden | Picked::Excluded => {}
        }
    }
    Ok(picks)
}

enum Picked {
    Pick(Pick),
    /// A directory of which an ignore file leaves nothing.
    Hidden,
    /// A file that `--exclude` names.
    Excluded,
}

fn pick(tree: &dyn Tree, found: Found, excludes: &IgnoreMatcher) -> Result<Picked, FilesError> {
    let Found { name, node } = found;
    if !node.is_dir() && excludes.matches(name.as_bytes()) {
        return Ok(Picked::Excluded);
    }
    let mut below = Vec::new();
    if node.is_dir() {
        let filter = Filter {
            include: None,
            excludes,
        };
        below = walk::below(tree, &node.path, Path::new(""), filter)?;
        if below.is_empty() && walk::is_hidden_dir(tree, &node) {
            return Ok(Picked::Hidden);
        }
    }
    let root = Item::new(PathBuf::new(), node, Part::Whole);
    Ok(Picked::Pick(Pick { name, root, below }))
}
