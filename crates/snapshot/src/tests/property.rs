//! Random steps with both drivers: equal tars, and `apply(diff(S)) == S`.

use super::support::*;
use crate::{DriverChoice, Snapshot};
use acetate_oci::Timestamp;
use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Gid, Mode, Uid, XattrFlags};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const NAMES: [&str; 4] = ["a", "b", "c", "a-b"];

#[derive(Clone, Debug)]
enum Action {
    Write(PathBuf, u8),
    Append(PathBuf),
    MakeDir(PathBuf),
    Remove(PathBuf),
    Recreate(PathBuf),
    Symlink(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    Move(PathBuf, PathBuf),
    Chmod(PathBuf, u32),
    Chown(PathBuf, u32),
    Attribute(PathBuf, u8),
    Fifo(PathBuf),
    Device(PathBuf),
    Touch(PathBuf, u32),
}

fn path() -> impl Strategy<Value = PathBuf> {
    prop::collection::vec(0..NAMES.len(), 1..4)
        .prop_map(|parts| parts.into_iter().map(|at| NAMES[at]).collect())
}

fn action() -> impl Strategy<Value = Action> {
    use Action::*;
    prop_oneof![
        4 => (path(), any::<u8>()).prop_map(|(path, byte)| Write(path, byte % 3)),
        1 => path().prop_map(Append),
        4 => path().prop_map(MakeDir),
        3 => path().prop_map(Remove),
        2 => path().prop_map(Recreate),
        1 => (path(), path()).prop_map(|(path, to)| Symlink(path, to)),
        2 => (path(), path()).prop_map(|(path, to)| Link(path, to)),
        1 => (path(), path()).prop_map(|(path, to)| Move(path, to)),
        1 => (path(), 0_u32..0o7777).prop_map(|(path, mode)| Chmod(path, mode | 0o700)),
        1 => (path(), 0_u32..4_000_000).prop_map(|(path, id)| Chown(path, id)),
        1 => (path(), any::<u8>()).prop_map(|(path, byte)| Attribute(path, byte)),
        1 => path().prop_map(Fifo),
        1 => path().prop_map(Device),
        1 => (path(), any::<u32>()).prop_map(|(path, secs)| Touch(path, secs)),
    ]
}

/// Does what is possible and leaves the rest; the times of everything touched are set, since the
/// two drivers run at different moments.
fn act(root: &Path, action: &Action, moment: i64) {
    use Action::*;
    let at = |path: &Path| root.join(path);
    let mut touched: Vec<&PathBuf> = Vec::new();
    // A link on the way would lead out of the test's root.
    let plain = |path: &Path| {
        let parents = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
        parents.into_iter().all(|dir| at(dir).symlink_metadata().is_ok_and(|m| m.is_dir()))
    };
    let is_link = |path: &Path| at(path).symlink_metadata().is_ok_and(|m| m.is_symlink());
    let is_file = |path: &Path| at(path).symlink_metadata().is_ok_and(|m| m.is_file());
    let is_dir = |path: &Path| at(path).symlink_metadata().is_ok_and(|m| m.is_dir());
    let exists = |path: &Path| at(path).symlink_metadata().is_ok();
    let (path, other) = match action {
        Symlink(path, other) | Link(path, other) | Move(path, other) => (path, Some(other)),
        Write(path, _) | Append(path) | MakeDir(path) | Remove(path) | Recreate(path)
        | Chmod(path, _) | Chown(path, _) | Attribute(path, _) | Fifo(path) | Device(path)
        | Touch(path, _) => (path, None),
    };
    if !plain(path) || other.is_some_and(|other| !plain(other)) {
        return;
    }
    let remove = |path: &Path| {
        if is_dir(path) {
            fs::remove_dir_all(at(path)).unwrap();
        } else if exists(path) {
            fs::remove_file(at(path)).unwrap();
        }
    };
    let node = |kind, device| {
        remove(path);
        rustix::fs::mknodat(CWD, at(path), kind, Mode::RUSR, device).unwrap();
    };
    match action {
        Write(_, byte) if is_file(path) || !exists(path) => write(at(path), [*byte; 3]),
        Append(_) if is_file(path) => {
            let bytes = fs::read(at(path)).unwrap();
            write(at(path), [bytes, vec![7]].concat());
        }
        MakeDir(_) => {
            remove(path);
            fs::create_dir(at(path)).unwrap();
        }
        Remove(_) => remove(path),
        Recreate(_) if is_dir(path) => {
            fs::remove_dir_all(at(path)).unwrap();
            fs::create_dir(at(path)).unwrap();
            write(at(path).join("a"), "anew");
            set_time(at(path).join("a"), Timestamp::from_secs(moment));
        }
        Symlink(_, to) if !exists(path) => symlink(to, at(path)).unwrap(),
        Link(_, to) if is_file(path) && !exists(to) => {
            fs::hard_link(at(path), at(to)).unwrap();
            touched.push(to);
        }
        Move(_, to) if is_file(path) && !is_dir(to) && path != to => {
            fs::rename(at(path), at(to)).unwrap();
            touched.push(to);
        }
        Chmod(_, mode) if exists(path) && !is_link(path) => {
            fs::set_permissions(at(path), fs::Permissions::from_mode(*mode)).unwrap();
        }
        Chown(_, id) if exists(path) => {
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            let (uid, gid) = (Some(Uid::from_raw(*id)), Some(Gid::from_raw(id / 2)));
            rustix::fs::chownat(CWD, at(path), uid, gid, flags).unwrap();
        }
        Attribute(_, byte) if is_file(path) || is_dir(path) => {
            let value = [*byte; 4];
            rustix::fs::setxattr(at(path), "user.test", &value, XattrFlags::empty()).unwrap();
        }
        Fifo(_) => node(FileType::Fifo, 0),
        Device(_) => node(FileType::CharacterDevice, rustix::fs::makedev(1, 5)),
        Touch(_, secs) if exists(path) => {
            set_time(at(path), Timestamp::new(i64::from(*secs), secs % 1_000_000_000));
            return;
        }
        _ => return,
    }
    touched.push(path);
    for path in touched {
        let parents = path.ancestors().skip(1).take(1).filter(|dir| !dir.as_os_str().is_empty());
        for path in std::iter::once(path.as_path()).chain(parents) {
            if exists(path) {
                set_time(at(path), Timestamp::new(moment, 5));
            }
        }
    }
}

fn run(world: &World, steps: &[Vec<Action>]) -> (Snapshot, String) {
    let mut snapshot = Snapshot::scratch();
    let mut left = String::new();
    for (n_step, actions) in steps.iter().enumerate() {
        snapshot = world.step(&snapshot, |root| {
            for (at, action) in actions.iter().enumerate() {
                let moment = 1_000_000 + i64::try_from(n_step * 1000 + at).unwrap();
                act(root, action, moment);
            }
            left = describe_tree(root);
        });
    }
    (snapshot, left)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn applying_the_diff_of_a_tree_gives_the_tree(
        steps in prop::collection::vec(prop::collection::vec(action(), 1..14), 1..4),
    ) {
        let mut all = Vec::new();
        for world in worlds() {
            let (snapshot, left) = run(&world, &steps);
            prop_assert_eq!(&world.observe(&snapshot), &left);
            let other = World::new(DriverChoice::Overlay);
            let copy = world.transfer(&snapshot, &other);
            prop_assert_eq!(&other.observe(&copy), &left);
            for (layer, copied) in snapshot.layers().iter().zip(copy.layers()) {
                let listing = world.snapshots.listing(layer).unwrap();
                prop_assert_eq!(listing, other.snapshots.listing(copied).unwrap());
            }
            all.push((left, snapshot.diff_ids()));
        }
        prop_assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{:#?}", all);
    }
}
