//! Plain directories go through a tar and come out the same.

use super::support::{THEN, World, is_root};
use crate::{BadLayer, DriverChoice, LayerInput, SnapshotError, Snapshots, Top};
use acetate_oci::{Compression, Digest};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, chownat, mknodat, utimensat,
};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

fn world() -> (World, tempfile::TempDir) {
    (World::new(DriverChoice::Copy), tempfile::tempdir().unwrap())
}

fn set_time(path: &Path) {
    let time = Timespec {
        tv_sec: THEN.secs,
        tv_nsec: THEN.nanos.into(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A directory with one of everything that outlives a process.
fn fill(dir: &Path) {
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/file"), "content").unwrap();
    fs::set_permissions(dir.join("sub/file"), fs::Permissions::from_mode(0o6751)).unwrap();
    fs::hard_link(dir.join("sub/file"), dir.join("another")).unwrap();
    symlink("nowhere", dir.join("link")).unwrap();
    fs::write(dir.join("large"), vec![7; 300_000]).unwrap();
    for name in ["sub/file", "link", "large", "sub"] {
        set_time(&dir.join(name));
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(0o2770)).unwrap();
    set_time(dir);
}

fn pack(snapshots: &Snapshots, dir: &Path) -> Vec<u8> {
    let survey = snapshots.survey(dir).unwrap();
    let size = survey.tar_size();
    let tar = snapshots.pack(dir, survey, Vec::new()).unwrap();
    assert_eq!(tar.len() as u64, size);
    tar
}

fn input(tar: &[u8]) -> LayerInput<&[u8]> {
    LayerInput {
        reader: tar,
        compression: Compression::None,
        diff_id: Digest::of(tar),
    }
}

fn empty(temp: &tempfile::TempDir, name: &str) -> PathBuf {
    let dir = temp.path().join(name);
    fs::create_dir(&dir).unwrap();
    dir
}

#[test]
fn a_directory_comes_out_as_it_went_in() {
    if !is_root() {
        return;
    }
    let (world, temp) = world();
    let snapshots = &world.snapshots;
    let (from, to) = (empty(&temp, "from"), empty(&temp, "to"));
    fill(&from);
    let (user, group) = (Uid::from_raw(1234), Gid::from_raw(4321));
    chownat(
        CWD,
        from.join("large"),
        Some(user),
        Some(group),
        AtFlags::empty(),
    )
    .unwrap();
    let tar = pack(snapshots, &from);
    let top = snapshots.unpack(input(&tar), &to, &temp.path().join("aside"));
    assert_eq!(top.unwrap(), Top::Described);
    assert!(!temp.path().join("aside").exists());
    assert_eq!(pack(snapshots, &to), tar, "times and all");
    let large = fs::metadata(to.join("large")).unwrap();
    assert_eq!(
        (large.uid(), large.gid(), large.mtime()),
        (1234, 4321, THEN.secs)
    );
    assert_eq!(large.mtime_nsec(), i64::from(THEN.nanos));
    let ino = |name: &str| fs::metadata(to.join(name)).unwrap().ino();
    assert_eq!(ino("another"), ino("sub/file"));
    assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o2770);
}

#[test]
fn sockets_and_devices_stay_behind() {
    if !is_root() {
        return;
    }
    let (world, temp) = world();
    let (from, to) = (empty(&temp, "from"), empty(&temp, "to"));
    fs::write(from.join("file"), "").unwrap();
    let _socket = UnixListener::bind(from.join("socket")).unwrap();
    for (name, kind, device) in [
        ("null", FileType::CharacterDevice, (1, 3)),
        ("gone", FileType::CharacterDevice, (0, 0)),
        ("disk", FileType::BlockDevice, (7, 0)),
    ] {
        let device = rustix::fs::makedev(device.0, device.1);
        mknodat(CWD, from.join(name), kind, Mode::RUSR, device).unwrap();
    }
    let tar = pack(&world.snapshots, &from);
    let top = world
        .snapshots
        .unpack(input(&tar), &to, &temp.path().join("aside"));
    top.unwrap();
    let names = fs::read_dir(&to)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["file"]);
}

#[test]
fn devices_and_deletions_of_a_tar_are_not_made() {
    let (world, temp) = world();
    let to = empty(&temp, "to");
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind) in [
        ("null", tar::EntryType::Char),
        ("disk", tar::EntryType::Block),
        (".wh.gone", tar::EntryType::Regular),
        ("sub/.wh..wh..opq", tar::EntryType::Regular),
        ("sub/file", tar::EntryType::Regular),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        header.set_mode(0o600);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        header.set_uid(uid.as_raw().into());
        header.set_gid(gid.as_raw().into());
        tar.append_data(&mut header, name, &[][..]).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let top = world
        .snapshots
        .unpack(input(&tar), &to, &temp.path().join("aside"));
    if is_root() {
        assert_eq!(top.unwrap(), Top::Untold);
        let names = fs::read_dir(&to)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["sub"]);
    }
}

#[test]
fn what_was_not_promised_makes_nothing() {
    let (world, temp) = world();
    let (from, to) = (empty(&temp, "from"), empty(&temp, "to"));
    fs::write(from.join("file"), "content").unwrap();
    let mut tar = pack(&world.snapshots, &from);
    let promised = Digest::of(&tar);
    let place = tar
        .windows(7)
        .position(|bytes| bytes == b"content")
        .unwrap();
    tar[place] = b'C';
    let input = LayerInput {
        diff_id: promised,
        ..input(&tar)
    };
    let error = world
        .snapshots
        .unpack(input, &to, &temp.path().join("aside"));
    let error = error.unwrap_err();
    assert!(
        matches!(
            &error,
            SnapshotError::Bad {
                source: BadLayer::Mismatch { .. },
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
}

#[test]
fn every_change_changes_the_fingerprint() {
    let (world, temp) = world();
    let dir = empty(&temp, "dir");
    fill(&dir);
    let look = || world.snapshots.survey(&dir).unwrap().fingerprint();
    let mut seen = vec![look()];
    assert_eq!(look(), seen[0], "looking changes nothing");
    let changes: [&dyn Fn(); 6] = [
        &|| fs::write(dir.join("new"), "").unwrap(),
        &|| fs::rename(dir.join("new"), dir.join("renamed")).unwrap(),
        &|| fs::write(dir.join("sub/file"), "CONTENT").unwrap(),
        // As an archiver does it: the same size, and the old time.
        &|| {
            fs::write(dir.join("large"), vec![8; 300_000]).unwrap();
            set_time(&dir.join("large"));
        },
        &|| fs::set_permissions(dir.join("sub"), fs::Permissions::from_mode(0o700)).unwrap(),
        &|| fs::remove_file(dir.join("another")).unwrap(),
    ];
    for (n, change) in changes.iter().enumerate() {
        // The clock of the file system is coarse, and nothing else tells the fourth.
        wait_for_tick(&temp.path().join("tick"));
        change();
        let now = look();
        assert!(!seen.contains(&now), "change {n}");
        seen.push(now);
    }
}

/// Waits until the file system gives another time than before.
fn wait_for_tick(path: &Path) {
    let time = || {
        fs::write(path, "").unwrap();
        let stat = fs::metadata(path).unwrap();
        (stat.ctime(), stat.ctime_nsec())
    };
    let first = time();
    while time() == first {}
}
