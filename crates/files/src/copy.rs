use crate::fill::Check;
use crate::mode::ModeSpec;
use crate::selection::{Item, Part, Pick, Selection, SelectionOptions};
use crate::staging::{Attrs, Implied, Staging};
use crate::{FilesError, LinkGroup, Node, NodeKind, Owner, Tree, unpack};
use acetate_graph::{Archives, CopyAction, CopyOwner, CopySource};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

/// What a copy reads from, with what its sources select.
#[derive(Clone, Copy)]
pub struct CopyInput<'a> {
    /// The tree that the files are in.
    pub tree: &'a dyn Tree,
    /// For a context the pinned selection; its slots are what the action names.
    pub pinned: Option<&'a Selection>,
}

impl std::fmt::Debug for CopyInput<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CopyInput")
            .field("pinned", &self.pinned)
            .finish_non_exhaustive()
    }
}

/// Carries out one copy action.
///
/// Sources that are paths are found now, with the action's excludes and parents; a pinned
/// selection was found with them.
pub fn copy(
    staging: &mut Staging<'_>,
    action: &CopyAction,
    input: CopyInput<'_>,
) -> Result<(), FilesError> {
    let mut copy = Copy::new(staging, action, input)?;
    let selection = selected(action, input)?;
    let sources: Vec<&[Pick]> = selection.iter().map(Vec::as_slice).collect();
    if action.parents {
        // What comes along with its directories is put into a directory, even if it is nothing.
        copy.make_dir(&action.dest)?;
    } else if sources.len() > 1 && !copy.goes_into_dir(action)? {
        return Err(FilesError::SeveralSources {
            dest: action.dest.clone(),
        });
    }
    for picks in sources {
        for pick in picks {
            copy.pick(pick, &action.dest, action.archives)?;
        }
    }
    Ok(())
}

/// The things to copy, one list a source: out of the pin, or found now.
fn selected(action: &CopyAction, input: CopyInput<'_>) -> Result<Vec<Vec<Pick>>, FilesError> {
    let mut out = Vec::with_capacity(action.sources.len());
    for source in &action.sources {
        out.push(match (source, input.pinned) {
            (CopySource::Slot(n), Some(pinned)) => pinned
                .slots
                .get(*n as usize)
                .map(|slot| slot.picks.clone())
                .unwrap_or_default(),
            (CopySource::Slot(_), None) => Vec::new(),
            (CopySource::Path(path), _) => {
                let options = SelectionOptions {
                    sources: std::slice::from_ref(path),
                    excludes: &action.excludes,
                    parents: action.parents,
                };
                let mut found = Selection::find(input.tree, &options)?;
                found.slots.pop().map(|slot| slot.picks).unwrap_or_default()
            }
        });
    }
    Ok(out)
}

struct Copy<'c, 's, 'b> {
    staging: &'s mut Staging<'b>,
    tree: &'c dyn Tree,
    owner: Option<Owner>,
    /// The owner of what archives hold; none leaves them theirs, as a root file system needs (S57).
    unpacked: Option<Owner>,
    mode: Option<ModeSpec>,
    implied: Implied,
    links: Links,
}

impl<'c, 's, 'b> Copy<'c, 's, 'b> {
    fn new(
        staging: &'s mut Staging<'b>,
        action: &CopyAction,
        input: CopyInput<'c>,
    ) -> Result<Self, FilesError> {
        let owner = match &action.owner {
            CopyOwner::Keep => None,
            CopyOwner::Root => Some(Owner::default()),
            CopyOwner::Named(spec) => Some(Owner::resolve(spec, staging.accounts())?),
        };
        let mode = action.mode.as_deref().map(ModeSpec::parse).transpose()?;
        let implied = Implied {
            mode: mode.as_ref().map_or(0o755, ModeSpec::of_made_dirs),
            owner: owner.clone().unwrap_or_default(),
            mtime: staging.now(),
        };
        Ok(Self {
            staging,
            tree: input.tree,
            unpacked: owner
                .clone()
                .filter(|_| matches!(action.owner, CopyOwner::Named(_))),
            owner,
            mode,
            implied,
            links: Links::default(),
        })
    }

    /// True when the destination is a directory or said to be one.
    fn goes_into_dir(&self, action: &CopyAction) -> Result<bool, FilesError> {
        Ok(ends_as_dir(&action.dest) || self.existing_dir(&action.dest)?.is_some())
    }

    fn existing_dir(&self, dest: &str) -> Result<Option<PathBuf>, FilesError> {
        let place = self.staging.place(dest)?;
        Ok(self
            .staging
            .lookup(&place)?
            .filter(crate::Node::is_dir)
            .map(|node| node.path))
    }

    fn pick(&mut self, pick: &Pick, dest: &str, archives: Archives) -> Result<(), FilesError> {
        if pick.root.node.is_dir() {
            return self.directory(pick, dest);
        }
        if archives == Archives::Unpack && matches!(pick.root.node.kind, NodeKind::File { .. }) {
            let unpacked = self.unpack(&pick.root, dest)?;
            if unpacked {
                return Ok(());
            }
        }
        let place = match self.existing_dir(dest)? {
            Some(dir) => dir.join(&pick.name),
            None if ends_as_dir(dest) => self.staging.place(dest)?.join(&pick.name),
            None => self.staging.place(dest)?,
        };
        if let Some(parent) = place.parent() {
            self.staging.make_dirs(parent, &self.implied)?;
        }
        self.item(&pick.root, &place)
    }

    fn unpack(&mut self, item: &Item, dest: &str) -> Result<bool, FilesError> {
        let content = self.tree.open(&item.node)?;
        let Some(archive) = unpack::detect(&item.node.path, content)? else {
            return Ok(false);
        };
        let place = self.staging.place(dest)?;
        // A mode is for what is copied as it is, not for what is unpacked.
        let implied = Implied {
            mode: 0o755,
            ..self.implied.clone()
        };
        self.staging.make_dirs(&place, &implied)?;
        unpack::unpack(self.staging, archive, &place, self.unpacked.as_ref(), item)?;
        // Entries may have replaced any of the first names.
        self.links = Links::default();
        Ok(true)
    }

    /// Copies what a directory holds; of the directory itself only the place is made (S32, S33),
    /// and has its time then. The root of a tree has no time that means anything.
    fn directory(&mut self, pick: &Pick, dest: &str) -> Result<(), FilesError> {
        let place = self.make_dir(dest)?;
        for item in &pick.below {
            self.item(item, &place.join(&item.rel))?;
        }
        // Names that were made in a directory moved its time; one that leads to them keeps that.
        let whole = |item: &&Item| item.node.is_dir() && item.part == Part::Whole;
        for item in pick.below.iter().filter(whole) {
            let dir = place.join(&item.rel);
            self.staging.set_dir_time(&dir, item.node.mtime);
        }
        let source = &pick.root.node;
        let is_root = source.path.as_os_str().is_empty();
        let time = if is_root {
            self.staging.now()
        } else {
            source.mtime
        };
        self.staging.set_dir_time(&place, time);
        Ok(())
    }

    fn make_dir(&mut self, dest: &str) -> Result<PathBuf, FilesError> {
        let place = self.staging.place(dest)?;
        self.staging.make_dirs(&place, &self.implied)?;
        Ok(place)
    }

    fn item(&mut self, item: &Item, place: &Path) -> Result<(), FilesError> {
        let node = &item.node;
        let is_dir = node.is_dir();
        let mode = self
            .mode
            .as_ref()
            .map_or(node.mode, |mode| mode.apply(node.mode, is_dir));
        let owner = self.owner.clone().unwrap_or(Owner {
            uid: node.uid,
            gid: node.gid,
        });
        let attrs = Attrs {
            mode,
            owner,
            mtime: node.mtime,
            xattrs: &node.xattrs,
        };
        let is_new = match (&node.kind, item.part) {
            (NodeKind::Dir, Part::Way) => self.staging.put_way(place, &attrs)?,
            (NodeKind::Dir, Part::Whole) => self.staging.put_dir(place, &attrs)?,
            _ => {
                self.leaf(item, place, &attrs)?;
                true
            }
        };
        if is_new {
            self.staging.touch_parent(place);
        }
        Ok(())
    }

    fn leaf(&mut self, item: &Item, place: &Path, attrs: &Attrs<'_>) -> Result<(), FilesError> {
        match &item.node.kind {
            NodeKind::File { .. } => self.file(item, place, attrs),
            NodeKind::Symlink(target) => {
                self.links.forget(place);
                self.staging.put_symlink(place, target, attrs)
            }
            kind => {
                self.links.forget(place);
                self.staging.put_node(place, kind, attrs)
            }
        }
    }

    fn file(&mut self, item: &Item, place: &Path, attrs: &Attrs<'_>) -> Result<(), FilesError> {
        if let Some(first) = self.links.first(&item.node) {
            // Two names of one file that meet in one place.
            if first == place {
                return Ok(());
            }
            let first = first.to_owned();
            self.links.forget(place);
            return self.staging.put_link(place, &first);
        }
        self.links.forget(place);
        self.links.put(&item.node, place);
        let content = self.tree.open(&item.node)?;
        let check = if item.digest.is_some() && !is_immutable(item) {
            Check::Hash
        } else {
            Check::Trust
        };
        let digest = self.staging.put_file(place, content, attrs, check)?;
        if digest.is_some() && item.digest.is_some() && digest != item.digest {
            return Err(FilesError::Changed {
                path: item.node.path.clone(),
            });
        }
        Ok(())
    }
}

/// Where the first name of each file with several names was put (S52).
#[derive(Debug, Default)]
struct Links {
    /// By group: which name it was, and where it is now.
    first: HashMap<LinkGroup, (PathBuf, PathBuf)>,
    /// The groups by the places of their first names.
    places: HashMap<PathBuf, LinkGroup>,
}

impl Links {
    /// Where another name of this file is. The same name once more is no link, but a second copy.
    fn first(&self, node: &Node) -> Option<&Path> {
        let (source, place) = self.first.get(node.link.as_ref()?)?;
        (*source != node.path).then_some(place)
    }

    fn put(&mut self, node: &Node, place: &Path) {
        let Some(group) = &node.link else { return };
        if let Entry::Vacant(entry) = self.first.entry(group.clone()) {
            entry.insert((node.path.clone(), place.to_owned()));
            self.places.insert(place.to_owned(), group.clone());
        }
    }

    /// Something else is put there.
    fn forget(&mut self, place: &Path) {
        if let Some(group) = self.places.remove(place) {
            self.first.remove(&group);
        }
    }
}

/// A digest that the tree itself knew needs no second look: snapshots do not change.
fn is_immutable(item: &Item) -> bool {
    matches!(
        item.node.kind,
        NodeKind::File {
            digest: Some(_),
            ..
        }
    )
}

/// `/x/`, `/x/.`, `.` and nothing name directories, whether or not they exist.
pub(crate) fn ends_as_dir(dest: &str) -> bool {
    dest.is_empty() || dest.ends_with('/') || dest.ends_with("/.") || dest == "."
}
