//! The names of a root file system and what they stand for.

use std::collections::{BTreeMap, VecDeque};

use super::Content;
use super::scan::{Attributes, Device, Item, Names, Scanned};

/// How many symbolic links one path may lead through, as in the kernel.
const LINK_LIMIT: usize = 40;

/// Names that share an inode have equal ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InodeId(usize);

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Directory(Attributes),
    File(InodeId),
    Symlink(Attributes, Vec<u8>),
    Device(Attributes, Device),
    Fifo(Attributes),
}

/// A root file system.
///
/// Keys are names joined by zero bytes, which sort a directory right before all that is in it.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<Vec<u8>, Node>,
    inodes: Vec<(Attributes, Content)>,
}

/// What to do where a path leads through a name that does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Create,
    GiveUp,
}

impl Tree {
    /// All names in order, parents first, each as names joined by `/`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Vec<u8>, &Node)> {
        self.nodes.iter().map(|(key, node)| (shown(key), node))
    }

    /// What a file is.
    pub(crate) fn inode(&self, id: InodeId) -> (&Attributes, Content) {
        let (attributes, content) = &self.inodes[id.0];
        (attributes, *content)
    }

    /// Lays a layer over the tree; the error says why that is impossible.
    ///
    /// Whiteouts act on what lies below and never on the layer itself, wherever they stand in it.
    pub(crate) fn apply(&mut self, layer: Scanned) -> Result<(), String> {
        for names in &layer.opaques {
            if let Some(key) = self.locate(names)? {
                self.remove_below(&key);
            }
        }
        for names in &layer.whiteouts {
            if let Some(key) = self.locate(names)? {
                self.remove(&key);
            }
        }
        for (names, item, attributes) in layer.entries {
            self.insert(&names, item, attributes)?;
        }
        Ok(())
    }

    /// Adds a file to the root; false when something has its name already.
    pub(crate) fn add(&mut self, name: &[u8], attributes: Attributes, content: Content) -> bool {
        if self.nodes.contains_key(name) {
            return false;
        }
        self.inodes.push((attributes, content));
        let node = Node::File(InodeId(self.inodes.len() - 1));
        self.nodes.insert(name.to_vec(), node);
        true
    }

    fn insert(&mut self, names: &Names, item: Item, attributes: Attributes) -> Result<(), String> {
        let Some((last, parents)) = names.split_last() else {
            // The root itself belongs to whoever receives the tree.
            return Ok(());
        };
        let parent = self.resolve(parents, Missing::Create)?.unwrap_or_default();
        let key = join(&parent, last);
        let node = match item {
            Item::Directory => Node::Directory(attributes),
            Item::Symlink(target) => Node::Symlink(attributes, target),
            Item::Device(device) => Node::Device(attributes, device),
            Item::Fifo => Node::Fifo(attributes),
            Item::File(content) => {
                self.inodes.push((attributes, content));
                Node::File(InodeId(self.inodes.len() - 1))
            }
            Item::Hardlink(target) => self.linked(&target, names)?,
        };
        let both_directories = matches!(
            (self.nodes.get(&key), &node),
            (Some(Node::Directory(_)), Node::Directory(_))
        );
        if !both_directories {
            self.remove(&key);
        }
        self.nodes.insert(key, node);
        Ok(())
    }

    /// What a hard link stands for; its target may lie in a lower layer.
    fn linked(&mut self, target: &Names, link: &Names) -> Result<Node, String> {
        let key = self.locate(target)?;
        match key.and_then(|key| self.nodes.get(&key)) {
            Some(Node::Directory(_)) => {
                Err(format!("`{}` is a hard link to a directory", text(link)))
            }
            Some(node) => Ok(node.clone()),
            None => Err(format!(
                "`{}` is a hard link to the missing `{}`",
                text(link),
                text(target)
            )),
        }
    }

    /// The key of existing names, following links of all but the last.
    fn locate(&mut self, names: &Names) -> Result<Option<Vec<u8>>, String> {
        let Some((last, parents)) = names.split_last() else {
            return Ok(Some(Vec::new()));
        };
        let parent = self.resolve(parents, Missing::GiveUp)?;
        Ok(parent.map(|parent| join(&parent, last)))
    }

    /// The key of the directory that names lead to, within the root whatever links say.
    fn resolve(&mut self, names: &[Vec<u8>], missing: Missing) -> Result<Option<Vec<u8>>, String> {
        let mut rest: VecDeque<Vec<u8>> = names.iter().cloned().collect();
        let mut at = Vec::new();
        let mut n_links = 0;
        while let Some(name) = rest.pop_front() {
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    at.truncate(at.iter().rposition(|b| *b == 0).unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let key = join(&at, &name);
            match self.nodes.get(&key) {
                Some(Node::Directory(_)) => at = key,
                Some(Node::Symlink(_, target)) => {
                    n_links += 1;
                    if n_links > LINK_LIMIT {
                        return Err(format!(
                            "`{}` leads through too many links",
                            shown_text(&key)
                        ));
                    }
                    if target.starts_with(b"/") {
                        at = Vec::new();
                    }
                    for part in target.split(|b| *b == b'/').rev() {
                        rest.push_front(part.to_vec());
                    }
                }
                None if missing == Missing::Create => {
                    self.nodes
                        .insert(key.clone(), Node::Directory(Attributes::implied()));
                    at = key;
                }
                Some(_) if missing == Missing::Create => {
                    return Err(format!("`{}` is used as a directory", shown_text(&key)));
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    fn remove(&mut self, key: &[u8]) {
        self.remove_below(key);
        self.nodes.remove(key);
    }

    fn remove_below(&mut self, key: &[u8]) {
        if key.is_empty() {
            self.nodes.clear();
            return;
        }
        let start = [key, &[0]].concat();
        let below: Vec<_> = self
            .nodes
            .range(start.clone()..)
            .take_while(|(other, _)| other.starts_with(&start))
            .map(|(other, _)| other.clone())
            .collect();
        for other in below {
            self.nodes.remove(&other);
        }
    }
}

fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    if parent.is_empty() {
        return name.to_vec();
    }
    [parent, &[0], name].concat()
}

fn shown(key: &[u8]) -> Vec<u8> {
    key.iter()
        .map(|b| if *b == 0 { b'/' } else { *b })
        .collect()
}

fn shown_text(key: &[u8]) -> String {
    String::from_utf8_lossy(&shown(key)).into_owned()
}

fn text(names: &Names) -> String {
    String::from_utf8_lossy(&names.join(&b'/')).into_owned()
}
