//! A cache on a disk without space, and on one that is not to be written.

use std::io::Write;
use std::path::Path;

use acetate_cache::SharedCache;
use acetate_cache::remote::{Cause, Published, Skip};
use acetate_store::Store;
use rustix::mount::{MountFlags, mount, mount_remount};

use crate::common::{found, noise, result, wait, writer};

/// Starts the victim in a mount namespace of its own, so that no mount outlives it.
pub(crate) fn test() {
    if !rustix::process::geteuid().is_root() {
        drop(writeln!(std::io::stdout(), "skipped: needs root"));
        return;
    }
    let temp = tempfile::tempdir().expect("a temporary directory");
    let exe = std::env::current_exe().expect("a program knows its path");
    let status = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(exe)
        .arg("disks")
        .arg(temp.path())
        .status()
        .expect("unshare is part of every Linux system");
    assert!(status.success(), "{status}");
}

/// The victim.
pub(crate) fn victim(temp: &Path) {
    let disk = temp.join("disk");
    std::fs::create_dir(&disk).expect("a mount point");
    let options = Some(c"size=3m,mode=0700");
    mount("none", &disk, "tmpfs", MountFlags::empty(), options)
        .expect("root mounts a tmpfs in its own namespace");
    let store = Store::open(&temp.join("store")).expect("a store opens");
    let dir = disk.join("cache");
    let small = result("small", noise("small", 100_000));
    let published = wait(async {
        let cache = writer(&dir, &store);
        let published = cache.publish(&small).await;
        assert_eq!(cache.close().await.warnings, []);
        published
    });
    assert!(matches!(published, Published::Done(_)), "{published:?}");

    full(&dir, &store);
    mount_remount(&disk, MountFlags::RDONLY, c"").expect("root remounts its tmpfs");
    read_only(&dir, &store);
}

fn full(dir: &Path, store: &std::sync::Arc<Store>) {
    let report = wait(async {
        let cache = writer(dir, store);
        for n in 0..10 {
            let name = format!("large {n}");
            let published = cache.publish(&result(&name, noise(&name, 1 << 20))).await;
            let full = Published::Skipped(Skip::Cache(Cause::Full));
            assert_eq!(published == full, n >= 2, "{n}: {published:?}");
        }
        cache.close().await
    });
    check(&report.warnings, Cause::Full, "No space left on device");
    let left = std::fs::read_dir(dir.join("ingest")).expect("the directory is there");
    assert_eq!(left.count(), 0, "half a blob is left");
    let names = ["small", "large 0", "large 1", "large 2"].map(str::to_owned);
    assert_eq!(found(dir, &names), names[..3]);
}

fn read_only(dir: &Path, store: &std::sync::Arc<Store>) {
    let report = wait(async {
        let cache = writer(dir, store);
        for n in 0..3 {
            let name = format!("late {n}");
            let published = cache.publish(&result(&name, noise(&name, 5000))).await;
            let forbidden = Published::Skipped(Skip::Cache(Cause::Forbidden));
            assert_eq!(published, forbidden);
        }
        cache.close().await
    });
    check(&report.warnings, Cause::Forbidden, "Read-only file system");
    let names = ["small".to_owned()];
    assert_eq!(found(dir, &names), names);
    // Nor can one be made there.
    let report = wait(async {
        let cache = writer(&dir.with_file_name("other"), store);
        cache.publish(&result("x", noise("x", 5000))).await;
        cache.close().await
    });
    check(&report.warnings, Cause::Forbidden, "Read-only file system");
}

fn check(warnings: &[acetate_cache::remote::Warning], cause: Cause, words: &str) {
    let [warning] = warnings else {
        panic!("one warning is enough: {warnings:?}");
    };
    assert_eq!(warning.cause, cause);
    assert!(warning.text.contains(words), "{warning}");
}
