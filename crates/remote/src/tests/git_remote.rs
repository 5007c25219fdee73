//! Repositories that are elsewhere: over HTTP and SSH.

use super::server::GitServer;
use super::support::{World, checkout, has_git, request, search_path, secrets};
use crate::{Access, Checkout, GitRequest, Programs, RemoteError, Remotes};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

#[tokio::test]
async fn a_commit_is_fetched_alone_where_the_server_can() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = world.repository("src/x.git");
    let first = repository.write("a", "one\n").commit("first");
    let second = repository.write("a", "two\n").commit("second");
    let server = GitServer::start(&world.dir.path().join("src"));
    let url = server.url("x.git");
    let remotes = world.remotes();
    let found = remotes.resolve(&request(&url, Some("main"))).await.unwrap();
    assert_eq!(found.id, second);
    // One commit by its name, which no reference leads to any more.
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let found = remotes.resolve(&request(&url, Some(&first))).await.unwrap();
    assert_eq!(found.id, first);
    let snapshot = remotes
        .checkout(&world.snapshots, &checkout(&url, &first))
        .await
        .unwrap();
    assert_eq!(world.files(&snapshot), ["a 0644 0:0 one"]);
    let n_before = server.log().len();
    let again = remotes
        .checkout(&world.snapshots, &checkout(&url, &second))
        .await
        .unwrap();
    assert_eq!(world.files(&again), ["a 0644 0:0 two"]);
    assert_eq!(server.log().len(), n_before);
}

#[tokio::test]
async fn a_server_that_only_has_files_gives_everything() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = world.repository("src");
    let first = repository.write("a", "one\n").commit("first");
    repository.write("a", "two\n").commit("second");
    repository.git(&["update-server-info"]);
    let server = GitServer::dumb(&world.dir.path().join("src/.git"));
    let url = server.url("");
    let remotes = world.remotes();
    for (reference, commit) in [("main", repository.head()), (first.as_str(), first.clone())] {
        let found = remotes
            .resolve(&request(&url, Some(reference)))
            .await
            .unwrap();
        assert_eq!(found.id, commit);
    }
    let none = "2".repeat(40);
    let error = remotes
        .resolve(&request(&url, Some(&none)))
        .await
        .unwrap_err();
    assert!(matches!(error, RemoteError::NoReference { .. }), "{error}");
}

#[tokio::test]
async fn a_token_reaches_the_server_and_no_error() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = world.repository("src/x.git");
    repository.write("a", "a\n").commit("first");
    let value = "basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==";
    let server = GitServer::with_authorization(&world.dir.path().join("src"), value);
    let url = server.url("x.git");
    for id in [
        "GIT_AUTH_TOKEN".to_owned(),
        format!("GIT_AUTH_TOKEN.{}", server.host()),
    ] {
        let remotes = world.remotes_with(secrets(&[(&id, "hunter2\n")]));
        let found = remotes.resolve(&request(&url, None)).await.unwrap();
        assert_eq!(found.id, repository.head());
    }
    let remotes = world.remotes_with(secrets(&[("GIT_AUTH_HEADER", value)]));
    remotes.resolve(&request(&url, None)).await.unwrap();
    let in_address = url.replace("http://", "http://x-access-token:hunter2@");
    world
        .remotes()
        .resolve(&request(&in_address, None))
        .await
        .unwrap();
    let wrong = world.remotes_with(secrets(&[("GIT_AUTH_TOKEN", "hunter3")]));
    let error = wrong
        .resolve(&request(&in_address, None))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with(&format!("list the references of `{url}`: ")),
        "{error}"
    );
    assert!(
        !error.contains("hunter") && !error.contains("aHVudGVy"),
        "{error}"
    );
    assert!(server.log().iter().any(|line| line.ends_with(value)));
}

#[tokio::test]
async fn a_submodule_elsewhere_does_not_get_the_token_of_its_repository() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let inner = world.repository("inner/i.git");
    inner.write("i", "i\n").commit("inner");
    let other = GitServer::start(&world.dir.path().join("inner"));
    let repository = world.repository("src/x.git");
    repository.write("a", "a\n");
    repository
        .submodule(&other.url("i.git"), "mod")
        .commit("first");
    let before = other.log().len();
    let value = "basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==";
    let server = GitServer::with_authorization(&world.dir.path().join("src"), value);
    let remotes = world.remotes_with(secrets(&[("GIT_AUTH_TOKEN", "hunter2")]));
    let wanted = checkout(&server.url("x.git"), &repository.head());
    let snapshot = remotes.checkout(&world.snapshots, &wanted).await.unwrap();
    assert!(
        world
            .files(&snapshot)
            .contains(&"mod/i 0644 0:0 i".to_owned())
    );
    let seen = other.log().split_off(before);
    assert!(
        !seen.is_empty() && !seen.iter().any(|line| line.contains("basic")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn keys_of_ssh_come_from_the_flag_and_hosts_are_checked() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = world.repository("src/x.git");
    let commit = repository.write("a", "a\n").commit("first");
    let bin = world.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let log = world.dir.path().join("log");
    // Stands for ssh: notes how it was called, and runs the command here.
    let script = format!(
        "#!/bin/sh\nprintf '%s|' \"$SSH_AUTH_SOCK\" \"$@\" >>{}\nfor last; do :; done\nexec sh -c \"$last\"\n",
        log.display()
    );
    std::fs::write(bin.join("ssh"), script).unwrap();
    std::fs::set_permissions(bin.join("ssh"), PermissionsExt::from_mode(0o755)).unwrap();
    let socket = world.dir.path().join("agent");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let key = world.dir.path().join("my key");
    std::fs::write(&key, "").unwrap();
    let remotes = |ssh: &[&Path]| {
        let programs = Programs {
            search_path: format!("{}:{}", bin.display(), search_path()),
            environment: Vec::new(),
        };
        let access = Access {
            ssh: ssh.iter().map(|path| path.to_path_buf()).collect(),
            ..Access::default()
        };
        Remotes::new(Arc::clone(&world.store), programs, access)
    };
    let url = format!("git@h.test:{}", repository.path.display());
    let last = |remotes: Remotes| {
        let (url, log) = (url.clone(), log.clone());
        async move {
            let found = remotes.resolve(&request(&url, None)).await.unwrap();
            let text = std::fs::read_to_string(&log).unwrap();
            std::fs::remove_file(&log).unwrap();
            (found.id, text)
        }
    };
    let (id, text) = last(remotes(&[&socket])).await;
    assert_eq!(id, commit);
    assert!(
        text.starts_with(&format!("{}|-F|none|", socket.display())),
        "{text}"
    );
    for part in [
        "|StrictHostKeyChecking=accept-new|",
        "|BatchMode=yes|",
        "|IdentityFile=none|",
        "|git@h.test|",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (_, text) = last(remotes(&[&key])).await;
    assert!(text.starts_with("|-F|none|"), "{text}");
    assert!(text.contains(&format!("|-i|{}|", key.display())), "{text}");
}

#[tokio::test]
async fn without_git_the_error_names_the_package() {
    let world = World::new();
    let programs = Programs {
        search_path: "/nonexistent".to_owned(),
        environment: Vec::new(),
    };
    let remotes = Remotes::new(Arc::clone(&world.store), programs, Access::default());
    let error = remotes
        .resolve(&request("https://h.test/x.git", None))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "run `git`, which brings in repositories: it is not in PATH; install the package `git`"
    );
}

#[tokio::test]
async fn a_fetch_that_nobody_waits_for_is_killed_and_leaves_a_mirror_that_works() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = world.repository("src/x.git");
    let commit = repository.write("a", "a\n").commit("first");
    let bin = world.dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let (started, go) = (
        world.dir.path().join("started"),
        world.dir.path().join("go"),
    );
    // Hangs in the middle of a fetch, with a lock of git's own held, until it may go on.
    let real = which("git");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *fetch*) if ! [ -e {go} ]; then : >\"$GIT_DIR/shallow.lock\"; \
         echo $$ >{started}.new; mv {started}.new {started}; sleep 1000; fi;; esac\nexec {real} \"$@\"\n",
        go = go.display(),
        started = started.display(),
    );
    std::fs::write(bin.join("git"), script).unwrap();
    std::fs::set_permissions(bin.join("git"), PermissionsExt::from_mode(0o755)).unwrap();
    let programs = Programs {
        search_path: format!("{}:{}", bin.display(), search_path()),
        environment: Vec::new(),
    };
    let remotes = Remotes::new(Arc::clone(&world.store), programs, Access::default());
    let wanted = GitRequest {
        checksum: Some(commit.clone()),
        ..repository.request(Some("main"))
    };
    let task = tokio::spawn({
        let (remotes, wanted) = (remotes.clone(), wanted.clone());
        async move { remotes.resolve(&wanted).await }
    });
    let pid = loop {
        if let Ok(text) = std::fs::read_to_string(&started) {
            break text.trim().to_owned();
        }
        tokio::task::yield_now().await;
    };
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    // Whoever killed it also reaps it.
    while Path::new(&format!("/proc/{pid}")).exists() {
        tokio::task::yield_now().await;
    }
    std::fs::write(&go, "").unwrap();
    assert_eq!(remotes.resolve(&wanted).await.unwrap().id, commit);
    let whole = Checkout {
        reference: Some("refs/heads/main".to_owned()),
        ..checkout(&repository.url(), &commit)
    };
    remotes.checkout(&world.snapshots, &whole).await.unwrap();
}

fn which(name: &str) -> String {
    let path = search_path();
    let mut found = path.split(':').map(|dir| format!("{dir}/{name}"));
    found.find(|path| Path::new(path).exists()).unwrap()
}
