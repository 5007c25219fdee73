//! Things to mount, and what is left of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use acetate_exec::{MountKind, StepMount};
use acetate_snapshot::RootMount;

use crate::fixture::{Step, names};
use crate::layers::{AGED, age, mtime};

/// The bytes of secrets; no file on a disk holds them.
pub(crate) const SECRET: &str = "a-secret-that-nobody-may-find";

pub(crate) fn mount(target: &str, source: MountKind) -> StepMount {
    StepMount {
        target: target.into(),
        source,
        read_only: false,
    }
}

pub(crate) fn read_only(target: &str, source: MountKind) -> StepMount {
    StepMount {
        read_only: true,
        ..mount(target, source)
    }
}

pub(crate) fn tmpfs() -> MountKind {
    MountKind::Tmpfs { size: None }
}

pub(crate) fn directory(dir: &Path) -> MountKind {
    within(dir, "")
}

pub(crate) fn within(dir: &Path, path: &str) -> MountKind {
    MountKind::Directory {
        dir: dir.into(),
        path: path.into(),
    }
}

pub(crate) fn secret(bytes: impl AsRef<[u8]>) -> MountKind {
    owned_secret(bytes, 0o400, 0, 0)
}

pub(crate) fn owned_secret(bytes: impl AsRef<[u8]>, mode: u32, uid: u32, gid: u32) -> MountKind {
    MountKind::File {
        bytes: bytes.as_ref().to_vec().into(),
        mode,
        uid,
        gid,
    }
}

pub(crate) fn snapshot(root: &RootMount, path: &str) -> MountKind {
    MountKind::Snapshot {
        root: root.clone(),
        path: path.into(),
    }
}

/// A directory with a few files and links, every directory of it aged.
pub(crate) fn files(step: &Step, name: &str) -> PathBuf {
    let dir = step.dir.path().join(name);
    fs::create_dir_all(dir.join("sub/deep")).unwrap();
    fs::write(dir.join("a.txt"), "alpha\n").unwrap();
    fs::write(dir.join("sub/b.txt"), "beta\n").unwrap();
    symlink("sub", dir.join("link")).unwrap();
    symlink("/sub/b.txt", dir.join("absolute")).unwrap();
    symlink("../../../../sub", dir.join("out")).unwrap();
    for aged in ["sub/deep", "sub", ""] {
        age(&dir.join(aged));
    }
    dir
}

/// A snapshot of [`files`] as the step's driver would give it.
pub(crate) fn overlay(step: &Step, name: &str) -> RootMount {
    let lower = files(step, name);
    let [upper, work] = ["upper", "work"].map(|kind| {
        let dir = step.dir.path().join(format!("{name}-{kind}"));
        fs::create_dir(&dir).unwrap();
        dir
    });
    age(&upper);
    RootMount::Overlay {
        lower: vec![lower],
        upper,
        work,
    }
}

/// Checks that the directory made by [`files`] has its times still, and only what was written is new.
pub(crate) fn check_files(dir: &Path, is_changed: bool) {
    assert_eq!(
        names(dir),
        [
            "a.txt",
            "absolute",
            "link",
            "out",
            "sub",
            "sub/b.txt",
            "sub/deep"
        ]
    );
    assert_eq!(mtime(dir), AGED);
    let text = if is_changed { "new\n" } else { "alpha\n" };
    assert_eq!(fs::read_to_string(dir.join("a.txt")).unwrap(), text);
}
