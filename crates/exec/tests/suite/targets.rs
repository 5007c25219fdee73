//! Every kind of mount on every kind of target, with all that is left behind (S65).

use std::fs;
use std::os::unix::fs::symlink;

use acetate_exec::{MountKind, StepMount};
use acetate_snapshot::RootMount;

use crate::Test;
use crate::fixture::{Fixture, Step, names, tree};
use crate::layers::{AGED, age, mtime};
use crate::sources::{
    check_files, directory, files, mount, overlay, secret, snapshot, tmpfs, within,
};

pub(crate) const TESTS: &[Test] = &[
    ("s65_a_snapshot_directory", snapshot_directory),
    ("s65_a_snapshot_file", snapshot_file),
    ("s65_a_copied_snapshot", copied_snapshot),
    ("s65_a_cache_directory", cache_directory),
    ("s65_a_file_of_a_directory", directory_file),
    ("s65_memory", memory),
    ("s65_a_secret", secret_file),
];

/// Where something is mounted, and where that really is.
const TARGETS: [(&str, &str); 6] = [
    ("/missing", "/missing"),
    ("/no/such/place", "/no/such/place"),
    ("/old/there", "/old/there"),
    ("/old/absent", "/old/absent"),
    ("/old/link", "/old/there"),
    ("/old/dangling", "/gone/deep/x"),
];

/// A layer in which some of [`TARGETS`] exist.
fn old_layer(is_dir: bool) -> tempfile::TempDir {
    let layer = tempfile::tempdir().unwrap();
    let old = layer.path().join("old");
    fs::create_dir(&old).unwrap();
    if is_dir {
        fs::create_dir(old.join("there")).unwrap();
        fs::write(old.join("there/covered"), "").unwrap();
        age(&old.join("there"));
    } else {
        fs::write(old.join("there"), "covered").unwrap();
    }
    symlink("there", old.join("link")).unwrap();
    symlink("/gone/deep/x", old.join("dangling")).unwrap();
    age(&old);
    age(layer.path());
    layer
}

/// What one kind of mount shows and allows.
struct Expected<'a> {
    /// What reading `$T` or `$T/a.txt` gives.
    text: &'a str,
    is_dir: bool,
    /// Options that its mount must have.
    options: &'a [&'a str],
    /// Options that it must not have.
    not: &'a [&'a str],
}

/// Mounts one thing on every target, read-only and not, and looks at all that is left.
fn on_every_target(
    f: &Fixture,
    expected: &Expected<'_>,
    source: impl Fn(&Step) -> MountKind,
    after: impl Fn(&Step, bool),
) {
    let layer = old_layer(expected.is_dir);
    let before = tree(layer.path());
    let inside = if expected.is_dir { "/a.txt" } else { "" };
    for (target, real) in TARGETS {
        for (is_read_only, in_place) in [(false, false), (true, false), (true, true)] {
            let script = format!(
                "cat {target}{inside}; echo new > {target}{inside} && echo written; \
                 grep ' {real} ' /proc/mounts | cut -d' ' -f4; stat -c %y / /old"
            );
            let mut step = f.step_on(&[layer.path()], &["sh", "-c", &script]);
            age(&step.upper);
            let source = source(&step);
            step.request.mounts = vec![StepMount {
                read_only: is_read_only,
                ..mount(target, source)
            }];
            if in_place {
                step.request.mount_points = None;
            }
            let case = format!("{target} read_only={is_read_only} in_place={in_place}");
            let ran = f.run(&step);
            let mut lines: Vec<&str> = ran.stdout.lines().collect();
            if expected.text.is_empty() {
                lines.insert(0, "");
            }
            assert_eq!(lines[0], expected.text, "{case}: {ran:?}");
            assert_eq!(lines[1] == "written", !is_read_only, "{case}: {ran:?}");
            let rest = &lines[if is_read_only { 1 } else { 2 }..];
            let options: Vec<&str> = rest[0].split(',').collect();
            let access = if is_read_only { "ro" } else { "rw" };
            for option in expected.options.iter().chain(&[access, "nodev"]) {
                assert!(options.contains(option), "{case}: no {option}: {ran:?}");
            }
            for option in expected.not {
                assert!(!options.contains(option), "{case}: {option}: {ran:?}");
            }
            let aged = "2001-09-09 01:46:40.123456789 +0000";
            assert_eq!(rest[1..], [aged, aged], "{case}");
            assert_eq!(names(&step.upper), [""; 0], "{case}");
            assert_eq!(mtime(&step.upper), AGED, "{case}");
            assert_eq!(tree(layer.path()), before, "{case}");
            after(&step, is_read_only);
        }
    }
}

fn snapshot_directory(f: &Fixture) {
    let expected = Expected {
        text: "alpha",
        is_dir: true,
        options: &[],
        not: &["nosuid", "noexec"],
    };
    let source = |step: &Step| snapshot(&overlay(step, "snap"), "");
    on_every_target(f, &expected, source, |step, is_read_only| {
        check_files(&step.dir.path().join("snap"), false);
        let written = names(&step.dir.path().join("snap-upper"));
        let expected: &[&str] = if is_read_only { &[] } else { &["a.txt"] };
        assert_eq!(written, expected);
    });
}

fn snapshot_file(f: &Fixture) {
    let expected = Expected {
        text: "beta",
        is_dir: false,
        options: &[],
        not: &["nosuid", "noexec"],
    };
    let source = |step: &Step| snapshot(&overlay(step, "snap"), "link/b.txt");
    on_every_target(f, &expected, source, |step, _| {
        check_files(&step.dir.path().join("snap"), false);
    });
}

fn copied_snapshot(f: &Fixture) {
    let expected = Expected {
        text: "alpha",
        is_dir: true,
        options: &[],
        not: &["nosuid", "noexec"],
    };
    let source = |step: &Step| snapshot(&RootMount::Dir(files(step, "copy")), "");
    on_every_target(f, &expected, source, |step, is_read_only| {
        check_files(&step.dir.path().join("copy"), !is_read_only);
    });
}

fn cache_directory(f: &Fixture) {
    let expected = Expected {
        text: "alpha",
        is_dir: true,
        options: &[],
        not: &["nosuid", "noexec"],
    };
    on_every_target(
        f,
        &expected,
        |step| directory(&files(step, "cache")),
        |step, is_read_only| check_files(&step.dir.path().join("cache"), !is_read_only),
    );
}

fn directory_file(f: &Fixture) {
    let expected = Expected {
        text: "alpha",
        is_dir: false,
        options: &[],
        not: &["nosuid"],
    };
    on_every_target(
        f,
        &expected,
        |step| within(&files(step, "cache"), "a.txt"),
        |step, is_read_only| check_files(&step.dir.path().join("cache"), !is_read_only),
    );
}

fn memory(f: &Fixture) {
    let expected = Expected {
        text: "",
        is_dir: true,
        options: &["nosuid"],
        not: &["noexec"],
    };
    on_every_target(f, &expected, |_| tmpfs(), |_, _| {});
}

fn secret_file(f: &Fixture) {
    let expected = Expected {
        text: "hidden",
        is_dir: false,
        options: &["nosuid", "noexec"],
        not: &[],
    };
    on_every_target(f, &expected, |_| secret("hidden\n"), |_, _| {});
}
