//! Trees as text, one line a name.

use crate::world::time_mark;
use acetate_snapshot::{
    Entry, EntryKind, Follow, OverlayXattrs, RootEntry, TarEntry, TarKind, TarReader, TarRules,
    View, WalkOptions, walk,
};
use std::io::Read;
use std::path::Path;

/// The entries of a layer's tar, in their order.
pub(crate) fn of_tar(bytes: &[u8]) -> String {
    let mut tar = TarReader::new(bytes, TarRules::Layer);
    let mut out = String::new();
    while let Some(entry) = tar.next_entry().unwrap() {
        let mut content = Vec::new();
        tar.read_to_end(&mut content).unwrap();
        out += &tar_line(&entry, &content);
    }
    out
}

fn tar_line(entry: &TarEntry, content: &[u8]) -> String {
    let name = entry.name.escape_ascii();
    let (kind, tail) = match &entry.kind {
        TarKind::File { size } => ('-', format!("{name} {}", shown(*size, content))),
        TarKind::Dir => ('d', format!("{name}")),
        TarKind::Symlink(target) => ('l', format!("{name} -> {}", target.escape_ascii())),
        TarKind::Hardlink(target) => ('h', format!("{name} => {}", target.escape_ascii())),
        TarKind::CharDevice { major, minor } => ('c', format!("{name} {major}:{minor}")),
        TarKind::BlockDevice { major, minor } => ('b', format!("{name} {major}:{minor}")),
        TarKind::Fifo => ('p', format!("{name}")),
    };
    let xattrs: Vec<String> = entry
        .xattrs
        .iter()
        .map(|(key, value)| xattr(key, value))
        .collect();
    let (mode, uid, gid, time) = (entry.mode, entry.uid, entry.gid, time_mark(entry.mtime));
    format!(
        "{kind} {mode:04o} {uid}:{gid} {time} {tail}{}\n",
        xattrs.concat()
    )
}

fn xattr(key: &[u8], value: &[u8]) -> String {
    format!(" {}={}", key.escape_ascii(), value.escape_ascii())
}

/// The length of a file, and its bytes if they are few.
fn shown(size: u64, content: &[u8]) -> String {
    let text = content.escape_ascii().to_string();
    if text.len() > 40 {
        format!("{size}")
    } else {
        format!("{size} [{text}]")
    }
}

/// What a directory holds that a driver made.
pub(crate) fn of_dir(root: &Path) -> String {
    let options = WalkOptions {
        overlay: OverlayXattrs::Trusted,
        root: RootEntry::Own,
    };
    let listing = walk(root, options).unwrap();
    let line = |entry: &Entry| {
        let read = || std::fs::read(root.join(&entry.path)).unwrap();
        root_line(entry, &read)
    };
    listing.entries().iter().map(line).collect()
}

/// What a view says is there.
pub(crate) fn of_view(view: &View) -> String {
    let mut out = String::new();
    view.walk(Path::new(""), &mut |found| {
        let path = Path::new("/").join(&found.entry.path);
        let read = || {
            let resolved = view.resolve(&path, Follow::Parents).unwrap();
            let mut bytes = Vec::new();
            let mut file = view.open(resolved.found.unwrap()).unwrap();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        };
        out += &root_line(found.entry, &read);
    });
    out
}

/// Hard links are shown as files of their own, for the copying driver makes none.
fn root_line(entry: &Entry, read: &dyn Fn() -> Vec<u8>) -> String {
    let path = entry.path.as_os_str().as_encoded_bytes();
    if path.is_empty() {
        return String::new();
    }
    let (slash, tail) = match &entry.kind {
        EntryKind::Dir { .. } => ("/", String::new()),
        EntryKind::Symlink(target) => {
            let target = target.as_os_str().as_encoded_bytes();
            ("", format!(" -> {}", target.escape_ascii()))
        }
        EntryKind::File { .. } | EntryKind::Hardlink(_) => {
            let content = read();
            ("", format!(" {}", shown(content.len() as u64, &content)))
        }
        EntryKind::CharDevice { major, minor } => ("", format!(" c{major}:{minor}")),
        EntryKind::BlockDevice { major, minor } => ("", format!(" b{major}:{minor}")),
        EntryKind::Fifo => ("", " fifo".to_owned()),
        EntryKind::Whiteout => ("", " deleted".to_owned()),
    };
    let (mode, uid, gid, time) = (entry.mode, entry.uid, entry.gid, time_mark(entry.mtime));
    let xattrs: Vec<String> = entry
        .xattrs
        .iter()
        .map(|(key, value)| xattr(key, value))
        .collect();
    let name = path.escape_ascii();
    format!(
        "{mode:04o} {uid}:{gid} {time} {name}{slash}{tail}{}\n",
        xattrs.concat()
    )
}
