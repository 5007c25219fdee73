use crate::selection::{Attributes, Item, Part, Pick};
use crate::{LinkGroup, NodeKind};
use acetate_graph::canonical::CanonicalHasher;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Hashes what is selected, item by item.
pub(crate) struct SelectionHasher<'s> {
    pub(crate) canonical: CanonicalHasher,
    attributes: Attributes,
    /// The first name of each group of hard links, and the number of its item.
    links: HashMap<&'s LinkGroup, (&'s Path, u64)>,
    n_items: u64,
}

impl<'s> SelectionHasher<'s> {
    pub(crate) fn new(attributes: Attributes) -> Self {
        let mut canonical = CanonicalHasher::new("acetate/selection/v2");
        canonical.number(u64::from(attributes.owner) << 1 | u64::from(attributes.mode));
        Self {
            canonical,
            attributes,
            links: HashMap::new(),
            n_items: 0,
        }
    }

    pub(crate) fn pick(&mut self, pick: &'s Pick) {
        let is_dir = pick.root.node.is_dir();
        self.canonical.number(u64::from(is_dir));
        if is_dir {
            self.canonical.number(pick.below.len() as u64);
            for item in &pick.below {
                self.canonical.bytes(item.rel.as_os_str().as_bytes());
                self.item(item);
            }
        } else {
            self.canonical.bytes(pick.name.as_bytes());
            self.item(&pick.root);
        }
    }

    fn item(&mut self, item: &'s Item) {
        let node = &item.node;
        self.canonical.number(match item.part {
            Part::Whole => 0,
            Part::Way => 1,
        });
        if self.attributes.owner {
            self.canonical.number(u64::from(node.uid));
            self.canonical.number(u64::from(node.gid));
        }
        if self.attributes.mode && !matches!(node.kind, NodeKind::Symlink(_)) {
            self.canonical.number(u64::from(node.mode));
        }
        self.kind(item);
        let linked = self.linked(item);
        self.canonical.number(linked);
        self.canonical.number(node.xattrs.len() as u64);
        for (name, value) in &node.xattrs {
            self.canonical.bytes(name);
            self.canonical.bytes(value);
        }
    }

    fn kind(&mut self, item: &Item) {
        let hasher = &mut self.canonical;
        match &item.node.kind {
            NodeKind::File { .. } => {
                hasher.number(1);
                hasher.bytes(item.digest.as_ref().map_or(&[], |digest| digest.as_bytes()));
            }
            NodeKind::Dir => {
                hasher.number(2);
            }
            NodeKind::Symlink(target) => {
                hasher.number(3);
                hasher.bytes(target.as_os_str().as_bytes());
            }
            NodeKind::CharDevice(major, minor) => {
                let (major, minor) = (u64::from(*major), u64::from(*minor));
                hasher.number(4).number(major).number(minor);
            }
            NodeKind::BlockDevice(major, minor) => {
                let (major, minor) = (u64::from(*major), u64::from(*minor));
                hasher.number(5).number(major).number(minor);
            }
            NodeKind::Fifo => {
                hasher.number(6);
            }
        }
    }

    /// The number of the item that is an earlier name of the same file, or zero. The same name
    /// selected twice is no link, but two copies.
    fn linked(&mut self, item: &'s Item) -> u64 {
        self.n_items += 1;
        let Some(group) = &item.node.link else {
            return 0;
        };
        let own = (item.node.path.as_path(), self.n_items);
        let (first, number) = *self.links.entry(group).or_insert(own);
        if first == own.0 { 0 } else { number }
    }
}
