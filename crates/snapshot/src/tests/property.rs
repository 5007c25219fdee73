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
    let tree = Tree(root);
    let touched = tree.act(action, moment).unwrap_or_default();
    for path in touched {
        let parent = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        for path in std::iter::once(path).chain(parent) {
            if tree.exists(path) {
                set_time(root.join(path), Timestamp::new(moment, 5));
            }
        }
    }
}

struct Tree<'a>(&'a Path);

impl Tree<'_> {
    fn at(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }

    fn kind(&self, path: &Path) -> Option<fs::FileType> {
        Some(self.at(path).symlink_metadata().ok()?.file_type())
    }

    fn exists(&self, path: &Path) -> bool {
        self.kind(path).is_some()
    }

    fn is_file(&self, path: &Path) -> bool {
        self.kind(path).is_some_and(|kind| kind.is_file())
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.kind(path).is_some_and(|kind| kind.is_dir())
    }

    /// A link on the way would lead out of the test's root.
    fn is_plain(&self, path: &Path) -> bool {
        let mut parents = path
            .ancestors()
            .skip(1)
            .filter(|dir| !dir.as_os_str().is_empty());
        parents.all(|dir| self.is_dir(dir))
    }

    fn remove(&self, path: &Path) {
        if self.is_dir(path) {
            fs::remove_dir_all(self.at(path)).unwrap();
        } else if self.exists(path) {
            fs::remove_file(self.at(path)).unwrap();
        }
    }

    fn node(&self, path: &Path, kind: FileType, device: u64) {
        self.remove(path);
        rustix::fs::mknodat(CWD, self.at(path), kind, Mode::RUSR, device).unwrap();
    }

    /// Returns what was touched, `None` when the action is not possible here.
    fn act<'b>(&self, action: &'b Action, moment: i64) -> Option<Vec<&'b Path>> {
        use Action::{Link, Move, Symlink};
        let (Symlink(path, to) | Link(path, to) | Move(path, to)) = action else {
            return self.act_on_one(action, moment);
        };
        if !self.is_plain(path) || !self.is_plain(to) || path == to {
            return None;
        }
        match action {
            Symlink(..) if !self.exists(path) => symlink(to, self.at(path)).unwrap(),
            Link(..) if self.is_file(path) && !self.exists(to) => {
                fs::hard_link(self.at(path), self.at(to)).unwrap();
            }
            Move(..) if self.is_file(path) && !self.is_dir(to) => {
                fs::rename(self.at(path), self.at(to)).unwrap();
            }
            _ => return None,
        }
        // The target of a symbolic link is only named.
        let to = (!matches!(action, Symlink(..))).then_some(to.as_path());
        Some(std::iter::once(path.as_path()).chain(to).collect())
    }

    fn act_on_one<'b>(&self, action: &'b Action, moment: i64) -> Option<Vec<&'b Path>> {
        use Action::*;
        let (Write(path, _)
        | Append(path)
        | MakeDir(path)
        | Remove(path)
        | Recreate(path)
        | Chmod(path, _)
        | Chown(path, _)
        | Attribute(path, _)
        | Fifo(path)
        | Device(path)
        | Touch(path, _)) = action
        else {
            return None;
        };
        if !self.is_plain(path) {
            return None;
        }
        let is_link = self.kind(path).is_some_and(|kind| kind.is_symlink());
        match action {
            Write(_, byte) if self.is_file(path) || !self.exists(path) => {
                write(self.at(path), [*byte; 3]);
            }
            Append(_) if self.is_file(path) => {
                let bytes = fs::read(self.at(path)).unwrap();
                write(self.at(path), [bytes, vec![7]].concat());
            }
            MakeDir(_) => {
                self.remove(path);
                fs::create_dir(self.at(path)).unwrap();
            }
            Remove(_) => self.remove(path),
            Recreate(_) if self.is_dir(path) => {
                self.remove(path);
                fs::create_dir(self.at(path)).unwrap();
                write(self.at(path).join("a"), "anew");
                set_time(self.at(path).join("a"), Timestamp::from_secs(moment));
            }
            Chmod(_, mode) if self.exists(path) && !is_link => {
                fs::set_permissions(self.at(path), fs::Permissions::from_mode(*mode)).unwrap();
            }
            Chown(_, id) if self.exists(path) => {
                let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                let (uid, gid) = (Some(Uid::from_raw(*id)), Some(Gid::from_raw(id / 2)));
                rustix::fs::chownat(CWD, self.at(path), uid, gid, flags).unwrap();
            }
            Attribute(_, byte) if self.is_file(path) || self.is_dir(path) => {
                let (path, value) = (self.at(path), [*byte; 4]);
                rustix::fs::setxattr(path, "user.test", &value, XattrFlags::empty()).unwrap();
            }
            Fifo(_) => self.node(path, FileType::Fifo, 0),
            Device(_) => {
                self.node(path, FileType::CharacterDevice, rustix::fs::makedev(1, 5));
            }
            Touch(_, secs) if self.exists(path) => {
                let time = Timestamp::new(i64::from(*secs), secs % 1_000_000_000);
                set_time(self.at(path), time);
                return None;
            }
            _ => return None,
        }
        Some(vec![path])
    }
}

/// Something in most places that random actions name.
fn seed(root: &Path) {
    for dir in ["a", "a/a", "a/b", "a/a/c", "b", "b/a-b", "a-b"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    for file in [
        "a/a/a", "a/a/c/x", "a/b/a", "a/c", "b/a", "b/a-b/c", "c", "a-b/a",
    ] {
        write(root.join(file), file);
        set_time(root.join(file), THEN);
    }
    fs::hard_link(root.join("c"), root.join("b/c")).unwrap();
    for dir in ["a/a/c", "a/a", "a/b", "a", "b/a-b", "b", "a-b"] {
        set_time(root.join(dir), THEN);
    }
}

fn run(world: &World, steps: &[Vec<Action>]) -> (Snapshot, String) {
    let mut snapshot = world.step(&Snapshot::scratch(), seed);
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
