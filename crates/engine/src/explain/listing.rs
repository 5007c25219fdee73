//! The files that a step takes from a context, for its story.

use acetate_cache::story::{FileKind, FileStory, Listing};
use acetate_files::{Item, LinkGroup, NodeKind, Pick, Selection};
use acetate_frontend::Flavour;
use acetate_graph::canonical::CanonicalHasher;
use std::collections::HashMap;
use std::path::Path;

/// More files than this are told by their directories.
const MAX_FILES: usize = 20_000;

/// Lists a selection, as far as its digest sees it.
pub(super) fn of(selected: Option<(Flavour, &Selection)>) -> Listing {
    let Some((flavour, selection)) = selected else {
        return Listing::Unknown;
    };
    let mut lister = Lister {
        flavour,
        links: HashMap::new(),
        files: Vec::new(),
    };
    let picks: Vec<&Pick> = selection
        .slots
        .iter()
        .flat_map(|slot| &slot.picks)
        .collect();
    for pick in &picks {
        lister.pick(pick, picks.len() == 1);
    }
    let mut files = lister.files;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if files.len() > MAX_FILES {
        Listing::Files(files).coarse()
    } else {
        Listing::Files(files)
    }
}

struct Lister<'s> {
    flavour: Flavour,
    /// The first name of each group of hard links.
    links: HashMap<&'s LinkGroup, String>,
    files: Vec<FileStory>,
}

impl<'s> Lister<'s> {
    /// A directory alone is listed by what is below it, everything else by its place in the context.
    fn pick(&mut self, pick: &'s Pick, is_alone: bool) {
        if !pick.root.node.is_dir() {
            let path = if is_alone {
                pick.name.to_string_lossy().into_owned()
            } else {
                text(&pick.root.node.path)
            };
            self.item(path, &pick.root);
        }
        for item in &pick.below {
            let path = if is_alone {
                text(&item.rel)
            } else {
                text(&item.node.path)
            };
            self.item(path, item);
        }
    }

    fn item(&mut self, path: String, item: &'s Item) {
        let node = &item.node;
        let kind = match &node.kind {
            NodeKind::File { size, .. } => {
                let digest = item.digest.map(|digest| digest.hex()).unwrap_or_default();
                FileKind::File(*size, digest.chars().take(32).collect())
            }
            NodeKind::Dir => FileKind::Directory,
            NodeKind::Symlink(target) => FileKind::Link(text(target)),
            NodeKind::CharDevice(major, minor) => FileKind::Other(format!("char {major}:{minor}")),
            NodeKind::BlockDevice(major, minor) => {
                FileKind::Other(format!("block {major}:{minor}"))
            }
            NodeKind::Fifo => FileKind::Other("fifo".to_owned()),
        };
        let has_mode = self.flavour.keep_mode && !matches!(node.kind, NodeKind::Symlink(_));
        let extra = self.extra(&path, item);
        self.files.push(FileStory {
            path,
            kind,
            mode: has_mode.then_some(node.mode),
            owner: self.flavour.keep_owner.then_some((node.uid, node.gid)),
            extra,
        });
    }

    /// What else of a file counts, as a digest: attributes, and which earlier name it is a link to.
    fn extra(&mut self, path: &str, item: &'s Item) -> Option<String> {
        let node = &item.node;
        let link = node.link.as_ref().and_then(|group| {
            let first = self.links.entry(group).or_insert_with(|| path.to_owned());
            (first != path).then(|| first.clone())
        });
        if link.is_none() && node.xattrs.is_empty() {
            return None;
        }
        let mut hasher = CanonicalHasher::new("acetate/story-extra/v1");
        hasher.option(link, |hasher, link| _ = hasher.text(&link));
        for (name, value) in &node.xattrs {
            hasher.bytes(name).bytes(value);
        }
        Some(hasher.finish().hex().chars().take(32).collect())
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
