//! Repositories that want to decide something on this machine.

use super::server::GitServer;
use super::support::{World, checkout, git_in, has_git};
use crate::Checkout;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a tree that git itself would not make, and returns its name.
fn tree(dir: &Path, entries: &[(&str, &str, &str)]) -> String {
    let mut bytes = Vec::new();
    for (mode, name, object) in entries {
        bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        let digits: Vec<u8> = (0..object.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&object[at..at + 2], 16).unwrap())
            .collect();
        bytes.extend_from_slice(&digits);
    }
    object(dir, "tree", &bytes)
}

fn object(dir: &Path, kind: &str, bytes: &[u8]) -> String {
    let mut child = Command::new("git")
        .current_dir(dir)
        .args(["hash-object", "-w", "--literally", "--stdin", "-t", kind])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_tree_that_leads_out_is_refused_or_stays_inside() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = world.repository("src");
    repository.write("a", "a\n").commit("first");
    let dir = &repository.path;
    let blob = object(dir, "blob", b"owned\n");
    let link = object(
        dir,
        "blob",
        world.dir.path().join("victim").to_string_lossy().as_bytes(),
    );
    std::fs::create_dir(world.dir.path().join("victim")).unwrap();
    let inner = tree(dir, &[("100644", "x", &blob)]);
    for entries in [
        vec![("40000", "..", inner.as_str())],
        vec![("100644", "../x", &blob)],
        vec![("40000", ".git", &inner)],
        vec![("120000", "l", &link), ("40000", "l", &inner)],
        vec![("100644", "/x", &blob)],
    ] {
        let name = format!("{entries:?}");
        let tree = tree(dir, &entries);
        let commit = git_in(dir, &["commit-tree", "-m", "x", &tree]);
        repository.git(&["update-ref", "refs/heads/main", &commit]);
        let wanted = checkout(&repository.url(), &commit);
        let result = world.remotes().checkout(&world.snapshots, &wanted).await;
        if let Ok(snapshot) = result {
            let files = world.files(&snapshot);
            assert!(
                !files.iter().any(|file| file.contains("..")),
                "{name}: {files:?}"
            );
        }
        let victim = std::fs::read_dir(world.dir.path().join("victim")).unwrap();
        assert_eq!(victim.count(), 0, "{name}");
        assert!(!world.dir.path().join("x").exists(), "{name}");
    }
}

#[tokio::test]
async fn hooks_filters_and_the_user_s_configuration_do_nothing() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = world.repository("src");
    let proof = world.dir.path().join("proof");
    let hook = format!("#!/bin/sh\ntouch {}\n", proof.display());
    repository
        .write("a", "a\n")
        .write(".gitattributes", "a filter=evil diff=evil\n")
        .write(
            ".gitconfig",
            &format!("[filter \"evil\"]\n\tsmudge = touch {}\n", proof.display()),
        );
    let commit = repository.commit("first");
    for name in [
        "post-checkout",
        "post-index-change",
        "reference-transaction",
    ] {
        let path = repository.path.join(".git/hooks").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &hook).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let wanted = Checkout {
        git_dir: Some(repository.url()),
        ..checkout(&repository.url(), &commit)
    };
    let snapshot = world
        .remotes()
        .checkout(&world.snapshots, &wanted)
        .await
        .unwrap();
    assert!(!proof.exists());
    let kept = world.path(&snapshot).join(".git");
    assert!(!kept.join("hooks").exists());
    // Nothing in what is kept names the store.
    let store = world.dir.path().join("root").display().to_string();
    for path in below(&kept) {
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&store), "{} names the store", path.display());
    }
}

#[tokio::test]
async fn submodules_cannot_name_programs_or_files_of_this_machine() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let secret = world.repository("secret");
    let commit = secret.write("s", "s\n").commit("secret");
    let proof = world.dir.path().join("proof");
    let repository = world.repository("src/x.git");
    let program = format!("ext::touch {}", proof.display());
    let local = secret.path.display().to_string();
    let file = secret.url();
    for (url, words) in [
        (program.as_str(), "it is no address of a repository"),
        ("--upload-pack=touch", "it is no address"),
        ("ssh://-oProxyCommand=x/y", "it has no host"),
        (&local, "its URL is a path of this machine"),
        (&file, "its URL is a path of this machine"),
        ("../../../../x", "its URL leads out of the server"),
    ] {
        let modules = format!(
            "[submodule \"m\"]\n\tpath = mod\n\turl = \"{url}\"\n\tupdate = !touch {}\n",
            proof.display()
        );
        repository.write(".gitmodules", &modules);
        repository.git(&["add", "-A"]);
        repository.git(&[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{commit},mod"),
        ]);
        repository.git(&["commit", "-q", "--allow-empty", "-m", "x"]);
        let server = GitServer::start(&world.dir.path().join("src"));
        let wanted = checkout(&server.url("x.git"), &repository.head());
        let error = world.remotes().checkout(&world.snapshots, &wanted).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(words), "{url}: {error}");
        assert!(!proof.exists(), "{url}");
    }
}

fn below(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(below(&path));
        } else {
            out.push(path);
        }
    }
    out
}
