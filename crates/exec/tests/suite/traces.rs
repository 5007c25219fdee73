//! What mounts leave behind where their mount points were missing: nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use acetate_exec::{CancelToken, ExitStatus, MountKind, Stream};
use acetate_snapshot::RootMount;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::Test;
use crate::fixture::{Fixture, Step, make_base, names, request, tree};
use crate::layers::{AGED, age, mtime};
use crate::sources::{directory, files, mount, overlay, read_only, secret, snapshot, tmpfs};

pub(crate) const TESTS: &[Test] = &[
    ("s65_writes_beside_a_mount_stay", writes_beside_a_mount),
    ("s65_writes_above_a_mount_stay", writes_above_a_mount),
    (
        "s65_deletions_beside_a_mount_stay",
        deletions_beside_a_mount,
    ),
    ("s65_a_failed_step_leaves_no_stub", a_failed_step),
    ("s65_parents_that_were_deleted_below", parents_deleted_below),
    ("s65_a_plain_directory_stays_as_it_is", plain_directory),
    ("s65_stubs_below_every_kind", stubs_below_every_kind),
    ("s65_a_mode_of_a_made_parent", mode_of_a_made_parent),
    ("s65_times_are_those_the_step_sets", times_the_step_sets),
    ("s65_a_moved_parent", a_moved_parent),
    ("s67_nested_cache_mounts_at_once", nested_caches_at_once),
    (
        "s67_a_nested_cache_mount_is_no_trace",
        nested_cache_no_trace,
    ),
    ("s67_a_cache_persists", a_cache_persists),
    ("s67_two_steps_write_to_one_cache", two_steps_one_cache),
    (
        "s67_an_empty_directory_of_a_cache",
        empty_directory_of_a_cache,
    ),
    ("s67_many_steps_share_a_stub", many_steps_share_a_stub),
    ("a_cancelled_step_leaves_no_stub", a_cancelled_step),
    ("a_refused_mount_leaves_no_stub", a_refused_mount),
    ("default_places_of_secrets", default_places_of_secrets),
];

fn writes_beside_a_mount(f: &Fixture) {
    let layer = tempfile::tempdir().unwrap();
    fs::create_dir(layer.path().join("dir")).unwrap();
    age(&layer.path().join("dir"));
    for in_place in [false, true] {
        let script = "echo x > /dir/beside; touch -d @7 /dir/beside; touch -d @9 /dir; cat /dir/s";
        let mut step = f.step_on(&[layer.path()], &["sh", "-c", script]);
        age(&step.upper);
        step.request.mounts = vec![
            read_only("/dir/s", secret("hidden\n")),
            mount("/dir/more/t", tmpfs()),
        ];
        if in_place {
            step.request.mount_points = None;
        }
        assert_eq!(f.run(&step).stdout, "hidden\n");
        assert_eq!(names(&step.upper), ["dir", "dir/beside"]);
        assert_eq!(mtime(&step.upper.join("dir")), (9, 0));
        assert_eq!(mtime(&step.upper.join("dir/beside")), (7, 0));
        assert_eq!(mtime(&step.upper), AGED);
    }
}

fn writes_above_a_mount(f: &Fixture) {
    let mut step =
        f.sh("echo x > /run/lock; mkdir /run/a/mine; touch -d @5 /run/a /run; ls /run/a");
    age(&step.upper);
    step.request.mounts = vec![
        read_only("/run/secrets/one", secret("1")),
        mount("/run/a/b/c", tmpfs()),
    ];
    assert_eq!(f.run(&step).stdout, "b\nmine\n");
    assert_eq!(
        names(&step.upper),
        ["run", "run/a", "run/a/mine", "run/lock"]
    );
    assert_eq!(mtime(&step.upper.join("run")), (5, 0));
    assert_eq!(mtime(&step.upper.join("run/a")), (5, 0));
    let meta = fs::metadata(step.upper.join("run")).unwrap();
    assert_eq!((meta.mode(), meta.uid(), meta.gid()), (0o40755, 0, 0));
}

fn deletions_beside_a_mount(f: &Fixture) {
    let layer = tempfile::tempdir().unwrap();
    let dir = layer.path().join("dir");
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("old"), "").unwrap();
    age(&dir);
    let script = "rm /dir/old; rmdir /dir/sub; rm -r /dir/s /dir/t 2>/dev/null; ls /dir";
    let mut step = f.step_on(&[layer.path()], &["sh", "-c", script]);
    age(&step.upper);
    step.request.mounts = vec![read_only("/dir/s", secret("1")), mount("/dir/t/u", tmpfs())];
    assert_eq!(f.run(&step).stdout, "s\nt\n");
    assert_eq!(names(&step.upper), ["dir", "dir/old", "dir/sub"]);
    for gone in ["dir/old", "dir/sub"] {
        let meta = fs::symlink_metadata(step.upper.join(gone)).unwrap();
        assert_eq!(
            (meta.mode() & 0o170_000, meta.rdev()),
            (0o20000, 0),
            "a whiteout"
        );
    }
    assert_eq!(mtime(&step.upper), AGED);
}

fn a_failed_step(f: &Fixture) {
    for argv in [["sh", "-c", "exit 3"], ["/nosuch", "-c", "x"]] {
        let mut step = f.step(&argv);
        age(&step.upper);
        step.request.mounts = vec![read_only("/run/secrets/one", secret("1"))];
        assert!(!f.run(&step).outcome.status.success());
        assert_eq!(names(&step.upper), [""; 0]);
        assert_eq!(mtime(&step.upper), AGED);
    }
}

/// Layers in which the parents of a mount point exist below, and are deleted or opaque above.
fn parents_deleted_below(f: &Fixture) {
    let below = tempfile::tempdir().unwrap();
    fs::create_dir_all(below.path().join("run/secrets/old")).unwrap();
    let deleted = tempfile::tempdir().unwrap();
    let whiteout = deleted.path().join("run");
    let kind = FileType::CharacterDevice;
    mknodat(CWD, &whiteout, kind, Mode::empty(), makedev(0, 0)).unwrap();
    let opaque = tempfile::tempdir().unwrap();
    let run = opaque.path().join("run");
    fs::create_dir(&run).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&run, "trusted.overlay.opaque", b"y", flags).unwrap();
    age(&run);
    for above in [deleted.path(), opaque.path()] {
        let argv = ["sh", "-c", "ls /run /run/secrets"];
        let mut step = f.step_on(&[below.path(), above], &argv);
        age(&step.upper);
        step.request.mounts = vec![read_only("/run/secrets/one", secret("1"))];
        assert_eq!(
            f.run(&step).stdout,
            "/run:\nsecrets\n\n/run/secrets:\none\n"
        );
        assert_eq!(names(&step.upper), [""; 0], "{}", above.display());
        assert_eq!(mtime(&step.upper), AGED);
    }
}

/// A step whose root is one directory, as the copying driver gives it.
fn in_directory(root: &Path, script: &str) -> Step {
    Step {
        request: request(RootMount::Dir(root.into()), &["sh", "-c", script]),
        upper: root.into(),
        dir: tempfile::tempdir().unwrap(),
    }
}

fn plain_directory(f: &Fixture) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    make_base(&root);
    fs::create_dir(root.join("old")).unwrap();
    for aged in ["old", "tmp", ""] {
        age(&root.join(aged));
    }
    let before = tree(&root);
    let mut step = in_directory(&root, "cat /old/s /run/secrets/one /old/deep/m/a.txt");
    step.request.mounts = vec![
        read_only("/old/s", secret("1\n")),
        read_only("/run/secrets/one", secret("2\n")),
        mount("/old/deep/m", snapshot(&overlay(&step, "snap"), "")),
        mount("/tmp", tmpfs()),
    ];
    assert_eq!(f.run(&step).stdout, "1\n2\nalpha\n");
    assert_eq!(tree(&root), before);
    let mut step = in_directory(&root, "echo x > /run/mine; echo y > /old/mine");
    step.request.mounts = vec![
        read_only("/old/s", secret("1\n")),
        read_only("/run/secrets/one", secret("2\n")),
    ];
    assert!(f.run(&step).outcome.status.success());
    let left: Vec<String> = names(&root)
        .into_iter()
        .filter(|name| !name.starts_with("bin") && !name.starts_with("test"))
        .collect();
    assert_eq!(left, ["old", "old/mine", "root", "run", "run/mine", "tmp"]);
}

fn stubs_below_every_kind(f: &Fixture) {
    for is_read_only in [false, true] {
        let script = "cat /dir/sub/s /snap/sub/s /copy/sub/s /mem/sub/s; ls /dir/new /copy/new";
        let mut step = f.sh(script);
        age(&step.upper);
        let [dir, copy] = ["cache", "copy"].map(|name| files(&step, name));
        let before = [tree(&dir), tree(&copy)];
        let above = [
            mount("/dir", directory(&dir)),
            mount("/snap", snapshot(&overlay(&step, "snap"), "")),
            mount("/copy", snapshot(&RootMount::Dir(copy.clone()), "")),
            mount("/mem", tmpfs()),
        ];
        let below = ["/dir", "/snap", "/copy", "/mem"].map(|top| {
            [
                read_only(&format!("{top}/sub/s"), secret("1\n")),
                mount(&format!("{top}/new/deep"), tmpfs()),
            ]
        });
        step.request.mounts = below.into_iter().flatten().chain(above).collect();
        for mount in &mut step.request.mounts {
            mount.read_only |= is_read_only;
        }
        let ran = f.run(&step);
        assert_eq!(
            ran.stdout, "1\n1\n1\n1\n/copy/new:\ndeep\n\n/dir/new:\ndeep\n",
            "{ran:?}"
        );
        assert_eq!([tree(&dir), tree(&copy)], before);
        assert_eq!(names(&step.upper), [""; 0]);
        assert_eq!(mtime(&step.upper), AGED);
    }
}

/// A mode alone, of a directory that is otherwise empty, is nothing that a layer keeps.
fn mode_of_a_made_parent(f: &Fixture) {
    let mut step = f.sh("chmod 700 /run; chown 7 /run/secrets");
    age(&step.upper);
    step.request.mounts = vec![read_only("/run/secrets/one", secret("1"))];
    assert!(f.run(&step).outcome.status.success());
    assert_eq!(names(&step.upper), [""; 0]);
    assert_eq!(mtime(&step.upper), AGED);
}

fn times_the_step_sets(f: &Fixture) {
    let mut step = f.sh("touch -d @11 / /tmp");
    step.request.mounts = vec![
        read_only("/one", secret("1")),
        read_only("/tmp/two", secret("2")),
    ];
    assert!(f.run(&step).outcome.status.success());
    assert_eq!(names(&step.upper), ["tmp"]);
    assert_eq!(mtime(&step.upper), (11, 0));
    assert_eq!(mtime(&step.upper.join("tmp")), (11, 0));
}

/// The kernel lets a step rename what a mount lies in; nothing fails then.
fn a_moved_parent(f: &Fixture) {
    let mut step = f.sh("mv /run /moved && cat /moved/secrets/one");
    step.request.mounts = vec![read_only("/run/secrets/one", secret("1\n"))];
    assert_eq!(f.run(&step).stdout, "1\n");
    let left = names(&step.upper);
    assert!(
        left.iter().all(|name| name.starts_with("moved")),
        "{left:?}"
    );
    let kept = left.iter().map(|name| step.upper.join(name));
    assert_eq!(
        kept.filter(|path| path.is_file())
            .map(|p| p.metadata().unwrap().len())
            .sum::<u64>(),
        0
    );
}

fn nested_cache_no_trace(f: &Fixture) {
    let (above, below) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    age(above.path());
    let before = tree(above.path());
    let mut step = f.sh("echo x > /foo/bar/baz/x; ls /foo/bar");
    step.request.mounts = vec![
        mount("/foo/bar/baz", directory(below.path())),
        mount("/foo/bar", directory(above.path())),
    ];
    assert_eq!(f.run(&step).stdout, "baz\n");
    assert_eq!(tree(above.path()), before);
    assert_eq!(names(below.path()), ["x"]);
    assert_eq!(names(&step.upper), [""; 0]);
}

/// The first step to end must not take the mount point away from the other.
fn nested_caches_at_once(f: &Fixture) {
    let (above, below) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    age(above.path());
    let before = tree(above.path());
    let nested = |script: &str| {
        let mut step = f.sh(script);
        step.request.mounts = vec![
            mount("/foo/bar", directory(above.path())),
            mount("/foo/bar/baz", directory(below.path())),
        ];
        step
    };
    for long_is_first in [true, false] {
        let go = below.path().join("go");
        let long = nested(
            "echo ready; until [ -e /foo/bar/baz/go ]; do sleep 0.02; done; \
                           grep -c /foo/bar/baz /proc/mounts",
        );
        let short = nested("echo here > /foo/bar/baz/short");
        let mut said = Vec::new();
        if !long_is_first {
            // A third one made it, and is still there.
            let mut log = |_: Stream, _: &[u8]| {};
            let run = || {
                f.executor
                    .run(&short.request, &mut log, &CancelToken::new().unwrap())
            };
            let mut run = run;
            assert!(run().unwrap().status.success());
        }
        let mut log = |_: Stream, bytes: &[u8]| {
            said.extend_from_slice(bytes);
            if said == b"ready\n" {
                let inner = nested("echo here > /foo/bar/baz/short; echo $(ls /foo/bar)");
                assert_eq!(f.run(&inner).stdout, "baz\n");
                assert_eq!(names(above.path()), ["baz"], "it is still in use");
                fs::write(&go, "").unwrap();
            }
        };
        let token = CancelToken::new().unwrap();
        let outcome = f.executor.run(&long.request, &mut log, &token).unwrap();
        assert!(outcome.status.success());
        assert_eq!(String::from_utf8(said).unwrap(), "ready\n1\n");
        assert_eq!(tree(above.path()), before, "the last one removes it");
        assert_eq!(names(below.path()), ["go", "short"]);
        fs::remove_file(go).unwrap();
    }
}

fn a_cache_persists(f: &Fixture) {
    let cache = tempfile::tempdir().unwrap();
    for (target, expected) in [("/a", "1\n"), ("/a", "2\n"), ("/other/place", "3\n")] {
        let script = format!("echo x >> {target}/log; wc -l < {target}/log");
        let mut step = f.sh(&script);
        age(&step.upper);
        step.request.mounts = vec![mount(target, directory(cache.path()))];
        assert_eq!(f.run(&step).stdout, expected);
        assert_eq!(names(&step.upper), [""; 0]);
        assert_eq!(mtime(&step.upper), AGED);
    }
    assert_eq!(
        fs::read_to_string(cache.path().join("log")).unwrap(),
        "x\nx\nx\n"
    );
}

fn two_steps_one_cache(f: &Fixture) {
    let cache = tempfile::tempdir().unwrap();
    let meet = |me: &str, other: &str| {
        let script = format!(
            "echo {me} > /c/{me}; until [ -s /c/{other} ]; do sleep 0.02; done; cat /c/{other}"
        );
        let mut step = f.sh(&script);
        step.request.mounts = vec![mount("/c", directory(cache.path()))];
        f.run(&step).stdout
    };
    std::thread::scope(|scope| {
        let one = scope.spawn(|| meet("one", "two"));
        assert_eq!(meet("two", "one"), "one\n");
        assert_eq!(one.join().unwrap(), "two\n");
    });
    assert_eq!(names(cache.path()), ["one", "two"]);
}

/// What a cache really holds is nobody's mount point to remove.
fn empty_directory_of_a_cache(f: &Fixture) {
    let cache = tempfile::tempdir().unwrap();
    fs::create_dir(cache.path().join("empty")).unwrap();
    fs::write(cache.path().join("file"), "").unwrap();
    age(&cache.path().join("empty"));
    age(cache.path());
    let before = tree(cache.path());
    let mut step = f.sh("echo x > /c/empty/x; cat /c/file");
    step.request.mounts = vec![
        mount("/c", directory(cache.path())),
        mount("/c/empty", tmpfs()),
        read_only("/c/file", secret("1\n")),
    ];
    assert_eq!(f.run(&step).stdout, "1\n");
    assert_eq!(tree(cache.path()), before);
}

fn many_steps_share_a_stub(f: &Fixture) {
    let (above, below) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    age(above.path());
    std::thread::scope(|scope| {
        let run = |number: u32| {
            let script = format!(
                "echo {number} > /c/a/b/{number}; sleep 0.0{}; cat /c/a/b/{number}",
                number % 5
            );
            let mut step = f.sh(&script);
            step.request.mounts = vec![
                mount("/c", directory(above.path())),
                mount("/c/a/b", directory(below.path())),
            ];
            f.run(&step).stdout
        };
        let runs: Vec<_> = (0..24)
            .map(|number| scope.spawn(move || run(number)))
            .collect();
        for (number, run) in runs.into_iter().enumerate() {
            assert_eq!(run.join().unwrap(), format!("{number}\n"));
        }
    });
    assert_eq!(names(below.path()).len(), 24);
    // Two that miss each other by a moment may leave the directory, but never a mount or a file.
    let left = names(above.path());
    assert!(
        left.iter().all(|name| name == "a" || name == "a/b"),
        "{left:?}"
    );
}

fn a_cancelled_step(f: &Fixture) {
    let cache = tempfile::tempdir().unwrap();
    age(cache.path());
    let before = tree(cache.path());
    let mut step = f.sh("echo go; sleep 1000");
    step.request.mounts = vec![
        mount("/c", directory(cache.path())),
        read_only("/c/run/token", secret("1")),
    ];
    let token = CancelToken::new().unwrap();
    let canceller = token.clone();
    let mut log = |_: Stream, _: &[u8]| canceller.cancel();
    let outcome = f.executor.run(&step.request, &mut log, &token).unwrap();
    assert_eq!(outcome.status, ExitStatus::Cancelled);
    assert_eq!(tree(cache.path()), before);
}

fn a_refused_mount(f: &Fixture) {
    let cache = tempfile::tempdir().unwrap();
    age(cache.path());
    let before = tree(cache.path());
    let mut step = f.step(&["true"]);
    step.request.mounts = vec![
        mount("/c", directory(cache.path())),
        read_only("/c/run/token", secret("1")),
        mount(
            "/c/run/deep/in/it",
            MountKind::Directory {
                dir: cache.path().into(),
                path: "no".into(),
            },
        ),
    ];
    let error = f.try_run(&step).unwrap_err().to_string();
    assert_eq!(
        error,
        "mounting `/c/run/deep/in/it` failed: `no` does not exist in its source"
    );
    assert_eq!(tree(cache.path()), before);
}

fn default_places_of_secrets(f: &Fixture) {
    let mut step = f.sh("find /run | sort | xargs; cat /run/secrets/one");
    age(&step.upper);
    step.request.mounts = vec![
        read_only("/run/secrets/two", secret("2\n")),
        read_only("/run/secrets/one", secret("1\n")),
    ];
    assert_eq!(
        f.run(&step).stdout,
        "/run /run/secrets /run/secrets/one /run/secrets/two\n1\n"
    );
    assert_eq!(names(&step.upper), [""; 0]);
    assert_eq!(mtime(&step.upper), AGED);
}
