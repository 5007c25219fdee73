//! What a step leaves in its layer: its own changes, and nothing of the sandbox.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use acetate_snapshot::RootMount;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::Test;
use crate::fixture::{Fixture, Step, make_base, names, request, tree};

pub(crate) const TESTS: &[Test] = &[
    ("a_step_that_does_nothing", a_step_that_does_nothing),
    ("times_of_etc", times_of_etc),
    ("own_changes_stay", own_changes_stay),
    ("hidden_mount_points", hidden_mount_points),
    ("a_dangling_resolver_link", a_dangling_resolver_link),
    ("a_plain_directory", a_plain_directory),
    ("many_layers", many_layers),
];

pub(crate) const NATIVE: &[Test] = &[("whiteouts_and_renames", whiteouts_and_renames)];

/// Puts the times of a directory into the past, where a change is seen.
pub(crate) fn age(path: &Path) {
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let times = fs::FileTimes::new().set_accessed(then).set_modified(then);
    fs::File::open(path).unwrap().set_times(times).unwrap();
}

fn etc_layer() -> tempfile::TempDir {
    let layer = tempfile::tempdir().unwrap();
    fs::create_dir(layer.path().join("etc")).unwrap();
    fs::write(layer.path().join("etc/os-release"), "ID=test\n").unwrap();
    age(&layer.path().join("etc"));
    age(layer.path());
    layer
}

pub(crate) fn mtime(path: &Path) -> (i64, i64) {
    let meta = fs::symlink_metadata(path).unwrap();
    (meta.mtime(), meta.mtime_nsec())
}

pub(crate) const AGED: (i64, i64) = (1_000_000_000, 123_456_789);

fn a_step_that_does_nothing(f: &Fixture) {
    let layer = etc_layer();
    let mut steps = [
        f.step(&["true"]),
        f.step_on(&[layer.path()], &["true"]),
        f.step(&["true"]),
        f.step_on(&[layer.path()], &["true"]),
    ];
    // Both ways: with the layer of mount points, and with mount points made in place.
    steps
        .iter_mut()
        .skip(2)
        .for_each(|step| step.request.mount_points = None);
    for step in steps {
        age(&step.upper);
        assert!(f.run(&step).outcome.status.success());
        assert_eq!(names(&step.upper), [""; 0]);
        assert_eq!(mtime(&step.upper), AGED);
    }
    assert_eq!(names(layer.path()), ["etc", "etc/os-release"]);
}

fn times_of_etc(f: &Fixture) {
    let layer = etc_layer();
    for in_place in [false, true] {
        let run = |script: &str| {
            let mut step = f.step_on(&[layer.path()], &["sh", "-c", script]);
            if in_place {
                step.request.mount_points = None;
            }
            (f.run(&step).stdout, step)
        };
        assert_eq!(run("stat -c %Y /etc").0, "1000000000\n");
        let (_, step) = run("chmod 700 /etc");
        assert_eq!(names(&step.upper), ["etc"]);
        assert_eq!(
            mtime(&step.upper.join("etc")),
            AGED,
            "copied up with its own time"
        );
    }
}

fn own_changes_stay(f: &Fixture) {
    let layer = etc_layer();
    let script = "echo new > /etc/new; rm /etc/os-release; touch -d @5 /etc; mkdir /proc2";
    let step = f.step_on(&[layer.path()], &["sh", "-c", script]);
    assert!(f.run(&step).outcome.status.success());
    assert_eq!(
        names(&step.upper),
        ["etc", "etc/new", "etc/os-release", "proc2"]
    );
    assert_eq!(mtime(&step.upper.join("etc")), (5, 0));
    let gone = fs::symlink_metadata(step.upper.join("etc/os-release")).unwrap();
    assert_eq!(gone.rdev(), 0, "a whiteout");
}

/// Layers that hide the bottom one: a deleted `/etc`, an opaque one, a deleted `/dev`.
fn hidden_mount_points(f: &Fixture) {
    let full = etc_layer();
    let hiding = tempfile::tempdir().unwrap();
    for name in ["etc", "dev"] {
        let path = hiding.path().join(name);
        mknodat(
            CWD,
            &path,
            FileType::CharacterDevice,
            Mode::empty(),
            makedev(0, 0),
        )
        .unwrap();
    }
    let opaque = tempfile::tempdir().unwrap();
    let etc = opaque.path().join("etc");
    fs::create_dir(&etc).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&etc, "trusted.overlay.opaque", b"y", flags).unwrap();
    fs::write(etc.join("only"), "x").unwrap();
    age(&etc);
    for hide in [hiding.path(), opaque.path()] {
        let step = f.step_on(
            &[full.path(), hide],
            &["sh", "-c", "cat /etc/hosts | head -n 1"],
        );
        age(&step.upper);
        assert_eq!(
            f.run(&step).stdout,
            "127.0.0.1\tlocalhost buildkitsandbox\n"
        );
        assert_eq!(names(&step.upper), [""; 0], "{}", hide.display());
        assert_eq!(mtime(&step.upper), AGED);
    }
    // What the step itself does there stays.
    let step = f.step_on(
        &[full.path(), opaque.path()],
        &["sh", "-c", "echo y > /etc/mine"],
    );
    f.run(&step);
    assert_eq!(names(&step.upper), ["etc", "etc/mine"]);
    let step = f.step_on(&[full.path(), opaque.path()], &["stat", "-c", "%Y", "/etc"]);
    assert_eq!(f.run(&step).stdout, "1000000000\n");
    let step = f.step_on(&[full.path(), opaque.path()], &["chown", "7", "/etc"]);
    f.run(&step);
    assert_eq!(names(&step.upper), ["etc"]);
    assert_eq!(mtime(&step.upper.join("etc")), AGED);
}

fn a_dangling_resolver_link(f: &Fixture) {
    let layer = etc_layer();
    let link = layer.path().join("etc/resolv.conf");
    symlink("../run/systemd/resolve/stub-resolv.conf", &link).unwrap();
    age(&layer.path().join("etc"));
    let script =
        "cmp /etc/resolv.conf /run/systemd/resolve/stub-resolv.conf && readlink /etc/resolv.conf";
    let step = f.step_on(&[layer.path()], &["sh", "-c", script]);
    age(&step.upper);
    let ran = f.run(&step);
    assert_eq!(
        ran.stdout, "../run/systemd/resolve/stub-resolv.conf\n",
        "{ran:?}"
    );
    assert_eq!(names(&step.upper), [""; 0]);
    assert_eq!(mtime(&step.upper), AGED);
}

fn a_plain_directory(f: &Fixture) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    make_base(&root);
    age(&root);
    let before = tree(&root);
    let step = |argv: &[&str]| Step {
        request: request(RootMount::Dir(root.clone()), argv),
        upper: root.clone(),
        dir: tempfile::tempdir().unwrap(),
    };
    let ran = f.run(&step(&[
        "sh",
        "-c",
        "head -n 1 /etc/hosts; ls /proc/self/fd | wc -l",
    ]));
    assert!(ran.stdout.starts_with("127.0.0.1\t"), "{ran:?}");
    assert_eq!(tree(&root), before);
    f.run(&step(&["sh", "-c", "echo x > /etc/x; echo y > /y"]));
    assert_eq!(fs::read_to_string(root.join("etc/x")).unwrap(), "x\n");
    let left: Vec<String> = names(&root)
        .into_iter()
        .filter(|n| !n.starts_with("bin") && !n.starts_with("test"))
        .collect();
    assert_eq!(left, ["etc", "etc/x", "root", "tmp", "y"]);
    let ran = f.run(&step(&["sh", "-c", "mknod /n c 1 3; cat /n"]));
    assert!(ran.stderr.contains("can't open '/n'"), "nodev: {ran:?}");
}

fn many_layers(f: &Fixture) {
    let dir = tempfile::tempdir().unwrap();
    let layers: Vec<_> = (0..499)
        .map(|number| {
            let layer = dir
                .path()
                .join(format!("a-rather-long-name-of-a-layer-{number:04}"));
            fs::create_dir(&layer).unwrap();
            fs::write(layer.join(format!("file{number}")), "").unwrap();
            layer
        })
        .collect();
    let paths: Vec<&Path> = layers.iter().map(std::path::PathBuf::as_path).collect();
    let script = "ls / | grep -c file; head -n 1 /etc/hosts | cut -f1";
    for count in [0, 100, 498, 499] {
        let step = f.step_on(&paths[..count], &["sh", "-c", script]);
        assert_eq!(f.run(&step).stdout, format!("{count}\n127.0.0.1\n"));
        assert_eq!(names(&step.upper), [""; 0], "{count}");
    }
}

fn whiteouts_and_renames(f: &Fixture) {
    let layer = tempfile::tempdir().unwrap();
    fs::create_dir_all(layer.path().join("d/e")).unwrap();
    fs::write(layer.path().join("d/e/f"), "x").unwrap();
    let step = f.step_on(
        &[layer.path()],
        &["sh", "-c", "mv /d/e /g; ls /d; cat /g/f"],
    );
    let ran = f.run(&step);
    assert_eq!(ran.stdout, "x", "{ran:?}");
    // Without redirects a renamed directory is copied, never a reference into a lower layer.
    assert_eq!(names(&step.upper), ["d", "d/e", "g", "g/f"]);
    let mut list = [0_u8; 256];
    let size = rustix::fs::listxattr(step.upper.join("g"), &mut list[..]).unwrap();
    assert!(!String::from_utf8_lossy(&list[..size]).contains("redirect"));
    let _used = &step.dir;
}
