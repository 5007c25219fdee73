//! What is read of a host's directory, and how large files arrive.

use super::{Case, NOW, listing};
use crate::{
    Content, CopyInput, FilesError, HostTree, Node, Selection, SelectionOptions, Staging, Tree,
};
use acetate_graph::{Archives, CopyAction, CopyOwner, CopySource};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A tree that notes which directories are listed and which files are opened.
struct Watched {
    tree: HostTree,
    listed: Mutex<BTreeSet<PathBuf>>,
    opened: Mutex<BTreeSet<PathBuf>>,
}

impl Tree for Watched {
    fn lookup(&self, path: &Path) -> Result<Option<Node>, FilesError> {
        self.tree.lookup(path)
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<Node>, FilesError> {
        self.listed.lock().unwrap().insert(path.to_owned());
        self.tree.read_dir(path)
    }

    fn open(&self, node: &Node) -> Result<Content, FilesError> {
        self.opened.lock().unwrap().insert(node.path.clone());
        self.tree.open(node)
    }

    fn read_small(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FilesError> {
        self.tree.read_small(path, limit)
    }

    fn hides(&self, path: &Path) -> bool {
        self.tree.hides(path)
    }
}

fn read(case: &Case, sources: &[&str], excludes: &[&str], parents: bool) -> (String, String) {
    let owned = |texts: &[&str]| -> Vec<String> { texts.iter().map(|t| (*t).to_owned()).collect() };
    let tree = Watched {
        tree: case.context(),
        listed: Mutex::default(),
        opened: Mutex::default(),
    };
    let options = SelectionOptions {
        sources: &owned(sources),
        excludes: &owned(excludes),
        parents,
    };
    let mut selection = Selection::find(&tree, &options).unwrap();
    selection.read(&tree).unwrap();
    let text = |paths: Mutex<BTreeSet<PathBuf>>| {
        let paths = paths.into_inner().unwrap();
        let paths = paths.iter().map(|path| format!("/{}", path.display()));
        paths.collect::<Vec<_>>().join(" ")
    };
    (text(tree.listed), text(tree.opened))
}

#[test]
fn s77_only_what_can_be_selected_is_read() {
    let case = Case::new("a/b/f\na/b/g\na/c/deep/h\nsecret/x\nother/y\nl -> a/b", "");
    for (sources, excludes, parents, listed, opened) in [
        (&["a/b/f"][..], &[][..], false, "", "/a/b/f"),
        (&["l/f"], &[], false, "", "/a/b/f"),
        (&["a/b"], &[], false, "/a/b", "/a/b/f /a/b/g"),
        (&["a/*/f"], &[], false, "/a /a/b /a/c", "/a/b/f"),
        (&["a"], &["c"], false, "/a /a/b", "/a/b/f /a/b/g"),
        (&["a"], &["*", "!b/f"], false, "/a /a/b", "/a/b/f"),
        (&["a/b/f"], &[], true, "", "/a/b/f"),
        (&["a/./b/f"], &[], true, "", "/a/b/f"),
        (&["a/b"], &[], true, "/a/b", "/a/b/f /a/b/g"),
        (&["a/b/*"], &[], true, "/ /a /a/b", "/a/b/f /a/b/g"),
        (&["a/./b/*"], &[], true, "/a /a/b", "/a/b/f /a/b/g"),
        (&["a/b/./f*"], &[], true, "/a/b", "/a/b/f"),
        (
            &["a/**/h"],
            &[],
            true,
            "/ /a /a/b /a/c /a/c/deep",
            "/a/c/deep/h",
        ),
        (
            &["a/**/h"],
            &["a/b"],
            true,
            "/ /a /a/c /a/c/deep",
            "/a/c/deep/h",
        ),
    ] {
        let found = read(&case, sources, excludes, parents);
        let expected = (listed.to_owned(), opened.to_owned());
        assert_eq!(found, expected, "{sources:?} {excludes:?} {parents}");
    }
}

#[test]
fn s77_what_an_ignore_file_hides_is_not_read() {
    let case = Case::new("a/f\nsecret/deep/x\nmixed/a/x\nmixed/b/y", "")
        .ignoring("secret\nmixed\n!mixed/b");
    let (listed, opened) = read(&case, &["."], &[], false);
    assert_eq!(listed, "/ /a /mixed /mixed/b");
    assert_eq!(opened, "/a/f /mixed/b/y");
}

/// Runs a test again as a user who may not read everything, since root may.
fn as_nobody(test: &str) -> Option<bool> {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let own = std::env::current_exe().unwrap();
    let reachable = own.ancestors().skip(1).all(|dir| {
        dir.metadata()
            .is_ok_and(|meta| meta.mode() & 0o005 == 0o005)
    });
    if !reachable {
        println!("skipped: needs a test program that other users reach");
        return Some(true);
    }
    let mut command = std::process::Command::new(own);
    command.args(["--exact", test]).uid(65534).gid(65534);
    Some(command.output().unwrap().status.success())
}

#[test]
fn s77_an_unreadable_sibling_does_not_matter() {
    use std::os::unix::fs::PermissionsExt;
    if let Some(success) = as_nobody("tests::host::s77_an_unreadable_sibling_does_not_matter") {
        assert!(success);
        return;
    }
    let case = Case::new("app/src/f\napp/private/x\nlocked/x\nsecret", "");
    for name in ["context/locked", "context/secret", "context/app/private"] {
        let mode = PermissionsExt::from_mode(0o000);
        std::fs::set_permissions(case.path(name), mode).unwrap();
    }
    for (sources, excludes, parents) in [
        (&["app/src"][..], &[][..], false),
        (&["app/src/f"], &[], true),
        (&["app/src/*"], &[], true),
        (&["app/s*"], &[], false),
        (&["app"], &["private"], false),
        (&["."], &["app/private", "locked", "secret"], false),
    ] {
        assert_eq!(
            read(&case, sources, excludes, parents).1,
            "/app/src/f",
            "{sources:?}"
        );
    }
    let error = case.copy(&["app"], "/x");
    assert!(error.starts_with("error: failed to list `"), "{error}");
    for name in ["context/locked", "context/app/private"] {
        let mode = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(case.path(name), mode).unwrap();
    }
}

#[test]
fn s53_a_sparse_file_takes_no_space_where_it_arrives() {
    const SIZE: u64 = 10 << 30;
    let case = Case::new("d/small", "");
    let file = std::fs::File::create(case.path("context/d/huge")).unwrap();
    if file.set_len(SIZE).is_err() {
        return println!("skipped: needs a file system with large files");
    }
    for at in [0, SIZE / 2, SIZE - 1] {
        rustix::io::pwrite(&file, b"x", at).unwrap();
    }
    if file.metadata().unwrap().blocks() > 1 << 20 {
        return println!("skipped: needs a file system with holes");
    }
    let base = HostTree::open(&case.path("base"), None).unwrap();
    let mut staging = Staging::new(&base, &case.path("layer"), NOW).unwrap();
    let action = CopyAction {
        input: 0,
        sources: vec![CopySource::Path("d".into())],
        dest: "/x".into(),
        owner: CopyOwner::Root,
        mode: None,
        archives: Archives::Copy,
        parents: false,
        excludes: Vec::new(),
    };
    let context = case.context();
    let input = CopyInput {
        tree: &context,
        pinned: None,
    };
    crate::copy(&mut staging, &action, input).unwrap();
    staging.finish().unwrap();
    let copied = std::fs::File::open(case.path("layer/x/huge")).unwrap();
    let meta = copied.metadata().unwrap();
    assert_eq!(meta.len(), SIZE);
    assert!(meta.blocks() * 512 < 1 << 20, "{}", meta.blocks());
    for (at, expected) in [(0, b'x'), (1, 0), (SIZE / 2, b'x'), (SIZE - 1, b'x')] {
        let mut byte = [9];
        rustix::io::pread(&copied, &mut byte, at).unwrap();
        assert_eq!(byte[0], expected, "{at}");
    }
}

#[test]
fn s53_a_pinned_sparse_file_takes_no_space_either() {
    const SIZE: u64 = 64 << 20;
    let case = Case::new("other", "");
    let file = std::fs::File::create(case.path("context/huge")).unwrap();
    file.set_len(SIZE).unwrap();
    rustix::io::pwrite(&file, b"x", SIZE / 2).unwrap();
    let text = case.copy(&["huge"], "/x");
    assert!(text.starts_with("- 0644 0:0 x ["), "{}", &text[..40]);
    let meta = case.path("layer/x").metadata().unwrap();
    assert_eq!(meta.len(), SIZE);
    assert!(meta.blocks() * 512 < 1 << 20, "{}", meta.blocks());
}

#[test]
fn s37_names_are_looked_up_where_accounts_are() {
    let case = Case::new("f\netc/passwd", "etc/passwd");
    let passwd = |dir: &str, text: &str| std::fs::write(case.path(dir), text).unwrap();
    passwd("base/etc/passwd", "app:x:1:1::/:\n");
    passwd("context/etc/passwd", "app:x:5:6::/:\n");
    let empty = tempfile::tempdir().unwrap();
    let base = HostTree::open(empty.path(), None).unwrap();
    let accounts = HostTree::open(&case.path("base"), None).unwrap();
    let staging = Staging::new(&base, &case.path("layer"), NOW).unwrap();
    let mut staging = staging.with_accounts(&accounts);
    let make = acetate_graph::MkdirAction {
        path: "/d".into(),
        mode: 0o700,
        owner: "app".into(),
        mtime: None,
    };
    crate::mkdir(&mut staging, &make).unwrap();
    staging.finish().unwrap();
    let expected = if rustix::process::geteuid().is_root() {
        "d 0700 1:1 d\n"
    } else {
        return;
    };
    assert_eq!(listing(&case.path("layer")), expected);
}
