use crate::listing::Item;
use acetate_oci::Digest;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Times before 2020 came from an input; later ones are those of the build, and say nothing.
const INPUTS_END: u64 = 1_577_836_800;
/// Shorter texts are shown, longer ones by their digest.
const MOST_SHOWN: usize = 400;

/// What layers make together: each path with its entry and the number of its file.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<String, (usize, Item)>,
    n_files: usize,
}

impl Tree {
    pub(super) fn of(layers: &[Vec<Item>]) -> Self {
        let mut tree = Self::default();
        for layer in layers {
            tree.lay(layer);
        }
        tree
    }

    fn lay(&mut self, layer: &[Item]) {
        // Whiteouts are about the layers below only, wherever they stand.
        for item in layer {
            let path = clean(&item.path);
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == ".wh..wh..opq" {
                self.clear(parent);
            } else if let Some(name) = name.strip_prefix(".wh.") {
                let path = [parent, name].join("/");
                self.remove(path.trim_start_matches('/'));
            }
        }
        for item in layer.iter().filter(|item| !is_whiteout(item)) {
            self.add(item);
        }
    }

    fn add(&mut self, item: &Item) {
        let path = clean(&item.path);
        if item.kind == 'h' {
            let target = clean(item.target.as_deref().unwrap_or_default());
            let node = self.nodes.get(&target).cloned();
            let node = node.unwrap_or_else(|| panic!("`{path}` links to nothing: `{target}`"));
            self.nodes.insert(path, node);
            return;
        }
        if item.kind != 'd' {
            self.clear(&path);
        }
        self.n_files += 1;
        self.nodes.insert(path, (self.n_files, item.clone()));
    }

    fn clear(&mut self, dir: &str) {
        let inside = format!("{dir}/");
        self.nodes
            .retain(|path, _| !(dir.is_empty() || path.starts_with(&inside)));
    }

    fn remove(&mut self, path: &str) {
        self.clear(path);
        self.nodes.remove(path);
    }

    /// One line for each path, and for a file of several names the first of them.
    pub(super) fn lines(&self) -> BTreeMap<String, String> {
        let mut first: BTreeMap<usize, &str> = BTreeMap::new();
        let mut lines = BTreeMap::new();
        for (path, (number, item)) in &self.nodes {
            if path.is_empty() {
                continue;
            }
            let known = *first.entry(*number).or_insert(path);
            let mut line = line(path, item);
            if known != path {
                let _ = write!(line, " same file as {known}");
            }
            lines.insert(path.clone(), line);
        }
        lines
    }
}

/// Kinds and paths of a layer's entries, in the order of paths.
pub(super) fn entries(layer: &[Item]) -> String {
    let mut lines: Vec<(String, char)> = layer
        .iter()
        .map(|item| (clean(&item.path), item.kind))
        .filter(|(path, _)| !path.is_empty())
        .collect();
    lines.sort();
    lines
        .iter()
        .map(|(path, kind)| format!("  {} {path}\n", if *kind == 'h' { '-' } else { *kind }))
        .collect()
}

pub(super) fn line(path: &str, item: &Item) -> String {
    let mut line = format!(
        "{}{:04o} {}:{} {path}",
        item.kind, item.mode, item.uid, item.gid
    );
    if let Some(target) = &item.target {
        let _ = write!(line, " -> {target}");
    }
    if matches!(item.kind, 'c' | 'b') {
        let _ = write!(line, " device={}:{}", item.device.0, item.device.1);
    }
    if (1..INPUTS_END).contains(&item.mtime) {
        let _ = write!(line, " mtime={}", item.mtime);
    }
    for (name, value) in &item.pax {
        if let Some(name) = name.strip_prefix("SCHILY.xattr.") {
            let _ = write!(line, " {name}={:?}", String::from_utf8_lossy(value));
        }
    }
    if item.kind == '-' {
        let _ = write!(line, " {}", content(&item.content));
    }
    line
}

fn content(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).ok();
    let text = text.filter(|text| text.len() <= MOST_SHOWN && !text.contains('\0'));
    match text {
        Some(text) => format!("{text:?}"),
        None => format!("{} bytes {}", bytes.len(), &Digest::of(bytes).hex()[..16]),
    }
}

fn is_whiteout(item: &Item) -> bool {
    let path = clean(&item.path);
    let name = path.rsplit('/').next().unwrap_or_default();
    name.starts_with(".wh.")
}

/// A path without the dot and the slashes around it; the root is empty.
fn clean(path: &str) -> String {
    let path = path.trim_start_matches("./").trim_matches('/');
    if path == "." { "" } else { path }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: char, path: &str, target: Option<&str>) -> Item {
        Item {
            kind,
            path: path.to_owned(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 1,
            target: target.map(str::to_owned),
            device: (0, 0),
            pax: BTreeMap::new(),
            content: Vec::new(),
        }
    }

    #[test]
    fn later_layers_take_away_and_add() {
        let below = vec![
            item('d', "d/", None),
            item('-', "d/a", None),
            item('-', "e", None),
        ];
        let above = vec![
            item('-', "d/b", None),
            item('-', "d/.wh..wh..opq", None),
            item('-', ".wh.e", None),
            item('h', "h", Some("d/b")),
        ];
        let lines = Tree::of(&[below, above]).lines();
        let paths: Vec<&str> = lines.keys().map(String::as_str).collect();
        assert_eq!(paths, ["d", "d/b", "h"]);
        assert_eq!(lines["h"], "-0644 0:0 h mtime=1 \"\" same file as d/b");
    }

    #[test]
    fn the_root_is_an_empty_path() {
        assert_eq!(
            ["/", "./", ".", "./a/", ".b"].map(clean),
            ["", "", "", "a", ".b"]
        );
    }
}
