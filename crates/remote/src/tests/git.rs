//! Repositories of this machine, by `file:`.

use super::support::{Repository, TIME, World, checkout, git_in, has_git, request};
use crate::{Checkout, GitRequest, RemoteError, prune};
use std::os::unix::fs::MetadataExt;

fn filled(world: &World) -> Repository {
    let repository = world.repository("src");
    repository
        .write("a.txt", "one\n")
        .write("run.sh", "#!/bin/sh\n")
        .write("sub/inner/b", "b\n")
        .write("sub/c", "c\n")
        .link("link", "sub/c")
        .mode("run.sh", 0o700)
        .mode("a.txt", 0o600);
    repository.commit("first");
    repository
}

#[tokio::test]
async fn a_commit_becomes_a_layer_with_plain_modes_and_owners() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = filled(&world);
    let remotes = world.remotes();
    let commit = remotes.resolve(&repository.request(None)).await.unwrap();
    assert_eq!(commit.id, repository.head());
    assert_eq!(commit.time, TIME);
    let wanted = checkout(&repository.url(), &commit.id);
    let snapshot = remotes.checkout(&world.snapshots, &wanted).await.unwrap();
    assert_eq!(
        world.files(&snapshot),
        [
            "a.txt 0644 0:0 one",
            "link -> sub/c 0:0",
            "run.sh 0755 0:0 #!/bin/sh",
            "sub/ 0755 0:0",
            "sub/c 0644 0:0 c",
            "sub/inner/ 0755 0:0",
            "sub/inner/b 0644 0:0 b",
        ]
    );
}

#[tokio::test]
async fn a_directory_of_it_is_taken_alone() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = filled(&world);
    let wanted = Checkout {
        subdir: "/sub/".to_owned(),
        time: Some(TIME),
        ..checkout(&repository.url(), &repository.head())
    };
    let snapshot = world
        .remotes()
        .checkout(&world.snapshots, &wanted)
        .await
        .unwrap();
    let expected = ["c 0644 0:0 c", "inner/ 0755 0:0", "inner/b 0644 0:0 b"];
    assert_eq!(world.files(&snapshot), expected);
    for name in ["c", "inner", "inner/b"] {
        let metadata = world.path(&snapshot).join(name).metadata().unwrap();
        assert_eq!(
            (metadata.mtime(), metadata.mtime_nsec()),
            (TIME, 0),
            "{name}"
        );
    }
    for subdir in ["no", "link", "a.txt", "../src", "sub/../sub"] {
        let wanted = Checkout {
            subdir: subdir.to_owned(),
            ..wanted.clone()
        };
        let error = world
            .remotes()
            .checkout(&world.snapshots, &wanted)
            .await
            .unwrap_err();
        assert!(
            matches!(error, RemoteError::NoDirectory { .. }),
            "{subdir}: {error}"
        );
    }
}

#[tokio::test]
async fn every_kind_of_reference_is_found() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = filled(&world);
    let first = repository.head();
    repository.git(&["tag", "light"]);
    repository.git(&["tag", "-a", "-m", "x", "annotated"]);
    repository.git(&["branch", "both"]);
    let second = repository.write("a.txt", "two\n").commit("second");
    repository.git(&["tag", "both"]);
    repository.git(&["update-ref", "refs/pull/1/head", &first]);
    let remotes = world.remotes();
    for (reference, commit) in [
        ("main", &second),
        ("refs/heads/main", &second),
        ("light", &first),
        ("annotated", &first),
        ("tags/annotated", &first),
        ("both", &first),
        ("refs/tags/both", &second),
        ("pull/1/head", &first),
        (first.as_str(), &first),
        (second.to_uppercase().as_str(), &second),
    ] {
        let found = remotes
            .resolve(&repository.request(Some(reference)))
            .await
            .unwrap();
        assert_eq!(&found.id, commit, "{reference}");
    }
    let tag = repository.git(&["rev-parse", "annotated"]);
    let found = remotes
        .resolve(&repository.request(Some(&tag)))
        .await
        .unwrap();
    assert_eq!(found.id, first);
    for reference in [
        "none",
        &first[..10],
        "--upload-pack=x",
        "a b",
        &"1".repeat(40),
    ] {
        let error = remotes
            .resolve(&repository.request(Some(reference)))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "find `{reference}` in `{}`: there is no such branch, tag or commit",
                repository.url()
            )
        );
    }
}

#[tokio::test]
async fn a_checksum_is_a_commit_a_tag_or_the_beginning_of_one() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = filled(&world);
    let commit = repository.head();
    repository.git(&["tag", "-a", "-m", "x", "v1"]);
    let tag = repository.git(&["rev-parse", "v1"]);
    let remotes = world.remotes();
    let request = |reference: Option<&str>, checksum: &str, by_commit| GitRequest {
        checksum: Some(checksum.to_owned()),
        by_commit,
        ..repository.request(reference)
    };
    for good in [&commit, &commit[..7], &tag, &tag[..9]] {
        let found = remotes
            .resolve(&request(Some("v1"), good, false))
            .await
            .unwrap();
        assert_eq!(found.id, commit, "{good}");
    }
    let found = remotes
        .resolve(&request(Some("gone"), &commit, true))
        .await
        .unwrap();
    assert_eq!(found.id, commit);
    let error = remotes
        .resolve(&request(Some("v1"), "abc", false))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "check `v1` of `{}`: expected the commit `abc`, found `{commit}`",
            repository.url()
        )
    );
}

#[tokio::test]
async fn repositories_by_sha256_are_like_others() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = Repository::new(world.dir.path().join("src"), "sha256");
    let commit = repository.write("a", "a\n").commit("first");
    assert_eq!(commit.len(), 64);
    let remotes = world.remotes();
    let found = remotes.resolve(&repository.request(None)).await.unwrap();
    assert_eq!(found.id, commit);
    let wanted = Checkout {
        git_dir: Some("https://h.test/x.git".to_owned()),
        ..checkout(&repository.url(), &commit)
    };
    let snapshot = remotes.checkout(&world.snapshots, &wanted).await.unwrap();
    assert_eq!(world.files(&snapshot), [".git/ 0755 0:0", "a 0644 0:0 a"]);
    assert_eq!(
        git_in(&world.path(&snapshot), &["rev-parse", "HEAD"]),
        commit
    );
}

#[tokio::test]
async fn s58_a_kept_git_directory_is_clean_and_names_its_remote_without_credentials() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let inner = world.repository("inner");
    inner.write("i", "i\n").commit("inner");
    let repository = filled(&world);
    repository
        .submodule(&inner.url(), "mod")
        .commit("with a submodule");
    let wanted = Checkout {
        git_dir: Some("https://u:secret@h.test/x.git?token=secret".to_owned()),
        time: Some(TIME),
        ..checkout(&repository.url(), &repository.head())
    };
    let snapshot = world
        .remotes()
        .checkout(&world.snapshots, &wanted)
        .await
        .unwrap();
    let path = world.path(&snapshot);
    let git = |args: &[&str]| {
        let args: Vec<&str> = ["-c", "safe.directory=*"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        git_in(&path, &args)
    };
    assert_eq!(git(&["status", "--porcelain", "--ignored"]), "");
    assert_eq!(git(&["log", "--format=%s"]), "with a submodule");
    assert_eq!(
        git(&["remote", "get-url", "origin"]),
        "https://h.test/x.git"
    );
    let state = git(&["submodule", "status"]);
    assert_eq!(state.split(' ').nth(1), Some("mod"), "{state}");
    assert_eq!(git(&["for-each-ref"]), "");
}

#[tokio::test]
async fn submodules_of_submodules_come_along_with_relative_addresses() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let deep = world.repository("deep");
    deep.write("d", "d\n").commit("deep");
    let inner = world.repository("inner");
    inner
        .write("i", "i\n")
        .submodule("../deep", "deep")
        .commit("inner");
    let repository = filled(&world);
    repository
        .submodule("../inner", "lib/inner")
        .commit("outer");
    let remotes = world.remotes();
    let whole = checkout(&repository.url(), &repository.head());
    let files = |wanted: Checkout| {
        let (remotes, world) = (remotes.clone(), &world);
        async move {
            let snapshot = remotes.checkout(&world.snapshots, &wanted).await.unwrap();
            let files = world.files(&snapshot);
            files
                .into_iter()
                .map(|line| line.split(' ').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    let names = files(whole.clone()).await;
    for name in [
        "lib/inner/i",
        "lib/inner/deep/d",
        "lib/inner/.gitmodules",
        ".gitmodules",
    ] {
        assert!(names.contains(&name.to_owned()), "{name} in {names:?}");
    }
    let below = Checkout {
        subdir: "lib/inner/deep".to_owned(),
        ..whole.clone()
    };
    assert_eq!(files(below).await, ["d"]);
    let other = Checkout {
        subdir: "sub".to_owned(),
        ..whole.clone()
    };
    assert_eq!(files(other).await, ["c", "inner/", "inner/b"]);
    let without = Checkout {
        submodules: false,
        ..whole
    };
    let names = files(without).await;
    assert!(!names.contains(&"lib/inner/i".to_owned()), "{names:?}");
}

#[tokio::test]
async fn what_is_known_of_a_commit_is_not_asked_again() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = filled(&world);
    let url = repository.url();
    let commit = world
        .remotes()
        .resolve(&repository.request(None))
        .await
        .unwrap()
        .id;
    std::fs::remove_dir_all(&repository.path).unwrap();
    let remotes = world.remotes();
    let found = remotes
        .resolve(&request(&url, Some(&commit)))
        .await
        .unwrap();
    assert_eq!((found.id.as_str(), found.time), (commit.as_str(), TIME));
    let snapshot = remotes
        .checkout(&world.snapshots, &checkout(&url, &commit))
        .await
        .unwrap();
    assert_eq!(world.files(&snapshot).len(), 7);
    let error = remotes
        .resolve(&request(&url, None))
        .await
        .unwrap_err()
        .to_string();
    let expected = format!("list the references of `{url}`: ");
    assert!(error.starts_with(&expected), "{error}");
}

#[tokio::test]
async fn a_file_is_read_through_links_that_stay_inside() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = filled(&world);
    repository
        .link("sub/up", "../a.txt")
        .link("out", "/etc/passwd")
        .link("sub/near", "inner/b")
        .commit("links");
    let wanted = checkout(&repository.url(), &repository.head());
    let remotes = world.remotes();
    let read = |subdir: &str, path: &str| {
        let wanted = Checkout {
            subdir: subdir.to_owned(),
            ..wanted.clone()
        };
        let (remotes, path) = (remotes.clone(), path.to_owned());
        async move {
            let bytes = remotes.read_git(&wanted, &path, 100).await.unwrap();
            bytes.map(|bytes| String::from_utf8(bytes).unwrap())
        }
    };
    assert_eq!(read("", "link").await.as_deref(), Some("c\n"));
    assert_eq!(read("", "sub/up").await.as_deref(), Some("one\n"));
    assert_eq!(read("sub", "near").await.as_deref(), Some("b\n"));
    for (subdir, path) in [
        ("sub", "up"),
        ("", "out"),
        ("", "sub"),
        ("", "none"),
        ("no", "a"),
    ] {
        assert_eq!(read(subdir, path).await, None, "{subdir} {path}");
    }
    let error = remotes.read_git(&wanted, "a.txt", 3).await.unwrap_err();
    assert!(matches!(error, RemoteError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn many_at_once_share_one_mirror() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = filled(&world);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        // As many stores as there would be processes.
        let store = acetate_store::Store::open(&world.dir.path().join("root")).unwrap();
        let remotes =
            crate::Remotes::new(store, super::support::programs(), crate::Access::default());
        let (request, snapshots) = (repository.request(None), world.snapshots.clone());
        let url = repository.url();
        tasks.spawn(async move {
            let commit = remotes.resolve(&request).await.unwrap();
            remotes
                .checkout(&snapshots, &checkout(&url, &commit.id))
                .await
                .unwrap()
        });
    }
    for snapshot in tasks.join_all().await {
        assert_eq!(world.files(&snapshot).len(), 7);
    }
    let mirrors = std::fs::read_dir(world.dir.path().join("root/git")).unwrap();
    let mirrors = mirrors.filter(|entry| entry.as_ref().unwrap().path().join("HEAD").exists());
    assert_eq!(mirrors.count(), 1);
    let freed = prune(&world.store).unwrap();
    assert_eq!(freed.n, 1);
    assert_eq!(prune(&world.store).unwrap().n, 0);
}

#[tokio::test]
async fn a_damaged_mirror_is_made_anew() {
    if !has_git() {
        return;
    }
    let world = World::new();
    let repository = filled(&world);
    let remotes = world.remotes();
    let commit = remotes.resolve(&repository.request(None)).await.unwrap();
    let mirrors = std::fs::read_dir(world.dir.path().join("root/git")).unwrap();
    let mut mirrors = mirrors.map(|entry| entry.unwrap().path());
    let mirror = mirrors.find(|path| path.join("HEAD").exists()).unwrap();
    for pack in std::fs::read_dir(mirror.join("objects/pack")).unwrap() {
        std::fs::remove_file(pack.unwrap().path()).unwrap();
    }
    let wanted = checkout(&repository.url(), &commit.id);
    let snapshot = remotes.checkout(&world.snapshots, &wanted).await.unwrap();
    assert_eq!(world.files(&snapshot).len(), 7);
}
