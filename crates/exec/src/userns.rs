//! User namespaces: which ids exist here, and how an ordinary user gets a namespace with its own root.

use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;
use std::sync::OnceLock;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{getgid, getpid, getuid};

use crate::outcome::ExitStatus;
use crate::sys::{self, Forked, Namespaces};

/// A run of ids: `inside` the namespace and `outside` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id as the namespace sees it.
    pub inside: u32,
    /// The first id as its parent sees it.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// The ids that exist in a user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdMap(Vec<IdRange>);

impl IdMap {
    /// Returns the map of these ranges.
    pub fn new(ranges: Vec<IdRange>) -> Self {
        Self(ranges)
    }

    fn parse(text: &str) -> Self {
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map(str::parse);
            let mut next = || numbers.next()?.ok();
            Some(IdRange {
                inside: next()?,
                outside: next()?,
                count: next()?,
            })
        };
        Self(text.lines().filter_map(range).collect())
    }

    /// Returns the ranges in the kernel's order.
    pub fn ranges(&self) -> &[IdRange] {
        &self.0
    }

    /// Whether `id`, as the namespace sees it, exists.
    pub fn contains(&self, id: u32) -> bool {
        self.0
            .iter()
            .any(|r| id >= r.inside && id - r.inside < r.count)
    }

    /// Whether every id of the machine is itself.
    pub fn is_identity(&self) -> bool {
        self.0
            == [IdRange {
                inside: 0,
                outside: 0,
                count: u32::MAX,
            }]
    }
}

static MAPS: OnceLock<(IdMap, IdMap)> = OnceLock::new();

/// Returns this process's user and group id maps; read once, as a process of ours never moves afterwards.
pub(crate) fn current_maps() -> &'static (IdMap, IdMap) {
    MAPS.get_or_init(|| {
        let read = |path| IdMap::parse(&fs::read_to_string(path).unwrap_or_default());
        (read("/proc/self/uid_map"), read("/proc/self/gid_map"))
    })
}

/// Returns the user and the group id map of this process.
///
/// They belong into what is recorded about a directory form: it is of no use under other maps.
pub fn id_maps() -> (IdMap, IdMap) {
    current_maps().clone()
}

/// Whether this is not the machine's own user namespace.
pub(crate) fn is_nested() -> bool {
    !current_maps().0.is_identity()
}

/// Why an ordinary user could not get a namespace.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsernsError {
    /// The kernel or its configuration forbids it.
    #[error("this machine does not let an ordinary user make a user namespace")]
    Refused(#[source] io::Error),
    /// Ids could not be mapped.
    #[error("mapping ids into the new user namespace failed")]
    Mapping(#[source] io::Error),
    /// The program could not be started again.
    #[error("starting again in the new user namespace failed")]
    Exec(#[source] io::Error),
}

/// Makes this process root of its own user and mount namespace, by starting the program again there.
///
/// Does nothing for root. For others it does not return when it works: the program starts again with
/// the same arguments and environment, as user 0. What it must still know of the user it was, such
/// as a directory, goes with it in `env`. Ids come from `/etc/subuid` and `/etc/subgid` through
/// `newuidmap` and `newgidmap`; without a range only the user's own id exists, as 0, and files of all
/// others cannot be made ([`id_maps`] tells). Call it in `main` before any thread exists.
///
/// # Errors
/// When there can be no namespace.
pub fn enter_if_needed(env: &[(&str, OsString)]) -> Result<(), UsernsError> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let helper = Helper::start(uid, gid).map_err(UsernsError::Mapping)?;
    sys::unshare(Namespaces::USER.and(Namespaces::MOUNT))
        .map_err(|errno| UsernsError::Refused(errno.into()))?;
    if !helper.map().map_err(UsernsError::Mapping)? {
        map_single(uid, gid).map_err(UsernsError::Mapping)?;
    }
    become_root().map_err(|errno| UsernsError::Mapping(errno.into()))?;
    Err(UsernsError::Exec(start_again(env)))
}

/// A child left in the old namespace, where the set-id mapping programs work.
struct Helper {
    child: i32,
    go: std::os::fd::OwnedFd,
}

impl Helper {
    fn start(uid: u32, gid: u32) -> io::Result<Self> {
        let (wait, go) = pipe_with(PipeFlags::CLOEXEC)?;
        let target = getpid();
        match sys::fork_into(Namespaces(0))? {
            Forked::Parent { child } => Ok(Self { child, go }),
            Forked::Child => {
                drop(go);
                let mut byte = [0];
                // End of file: the parent could not get a namespace.
                let told = rustix::io::read(&wait, &mut byte).is_ok_and(|n| n == 1);
                let mapped = told && map_ranges(target.as_raw_nonzero().get(), uid, gid);
                sys::exit_now(i32::from(!mapped))
            }
        }
    }

    /// Lets the child map ids; false when there are none to map.
    fn map(self) -> io::Result<bool> {
        rustix::io::write(&self.go, &[1])?;
        let ended = sys::wait(self.child, 0)?;
        Ok(matches!(ended, Some((_, ExitStatus::Exited(0), _))))
    }
}

fn map_ranges(pid: i32, uid: u32, gid: u32) -> bool {
    let names = names_of(uid, &fs::read_to_string("/etc/passwd").unwrap_or_default());
    let map = |tool: &str, file: &str, own: u32| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let ranges = subordinate(&text, &names);
        if ranges.is_empty() {
            return false;
        }
        let mut command = Command::new(tool);
        command
            .arg(pid.to_string())
            .args(["0", &own.to_string(), "1"]);
        let mut inside = 1;
        for (start, count) in ranges {
            command.args([inside, start, count].map(|n: u32| n.to_string()));
            inside = inside.saturating_add(count);
        }
        command
            .stdin(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    map("newuidmap", "/etc/subuid", uid) && map("newgidmap", "/etc/subgid", gid)
}

/// Returns what a user may be called in a file of ranges: its number and its names.
fn names_of(uid: u32, passwd: &str) -> Vec<String> {
    let number = uid.to_string();
    let mut names = vec![number.clone()];
    for line in passwd.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(id)) = (fields.next(), fields.nth(1))
            && id == number
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// Returns the (start, count) ranges that a `/etc/subuid` gives to one of `names`.
fn subordinate(text: &str, names: &[String]) -> Vec<(u32, u32)> {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let start = fields.next()?.parse().ok()?;
        let count = fields.next()?.parse().ok()?;
        (count > 0 && names.iter().any(|known| known == name)).then_some((start, count))
    };
    text.lines().filter_map(range).collect()
}

fn map_single(uid: u32, gid: u32) -> io::Result<()> {
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

fn become_root() -> rustix::io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::ROOT, rustix::fs::Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

fn start_again(more: &[(&str, OsString)]) -> io::Error {
    let argv: Vec<CString> = std::env::args_os()
        .filter_map(|word| CString::new(word.into_vec()).ok())
        .collect();
    let kept = std::env::vars_os().filter(|(name, _)| !more.iter().any(|(n, _)| name == *n));
    let added = more
        .iter()
        .map(|(name, value)| (OsString::from(*name), value.clone()));
    let env: Vec<CString> = kept
        .chain(added)
        .filter_map(|(name, value)| {
            let mut entry = name.into_vec();
            entry.push(b'=');
            entry.extend(value.into_vec());
            CString::new(entry).ok()
        })
        .collect();
    // By its path, so that the program's file is one of the new mount namespace.
    let link = c"/proc/self/exe";
    if let Ok(path) = rustix::fs::readlink(link, Vec::new()) {
        sys::exec(&path, &argv, &env);
    }
    sys::exec(&link.to_owned(), &argv, &env).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_know_their_ids() {
        let map =
            IdMap::parse("         0       1000          1\n         1     100000      65536\n");
        assert!(map.contains(0) && map.contains(1) && map.contains(65536));
        assert!(!map.contains(65537) && !map.contains(u32::MAX));
        assert!(!map.is_identity());
        assert!(IdMap::parse("0 0 4294967295\n").is_identity());
        assert!(!IdMap::parse("").contains(0));
    }

    #[test]
    fn ranges_are_found_by_name_and_number() {
        let passwd = "root:x:0:0:::\nann:x:1000:1000:Ann:/home/ann:/bin/sh\n";
        let names = names_of(1000, passwd);
        assert_eq!(names, ["1000", "ann"]);
        let text = "bob:100000:65536\nann:165536:65536\n1000:5:0\nann:bad:1\n1000:300000:10\n";
        assert_eq!(subordinate(text, &names), [(165_536, 65536), (300_000, 10)]);
        assert!(subordinate(text, &names_of(7, passwd)).is_empty());
    }
}
