//! [`Group`]: the control group of one step, made by the launcher before it forks.
//!
//! The launcher proper outlives everything of the step and removes the group again, also when the caller
//! or the supervisor was killed.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use rustix::event::{Timespec, poll};
use rustix::fs::Access;
use rustix::io::Errno;

use crate::cgroup::{self, Controller, Setting, Version};
use crate::request::CgroupLimits;
use crate::spec::{Doing, Failure, StepSpec};
use crate::sys::{self, Namespaces};

/// The kernel takes a moment to let go of a group whose last process has ended.
const REMOVALS: u32 = 200;
const BETWEEN_REMOVALS: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

/// The directories of a step's control group, one in each hierarchy that is needed.
#[derive(Debug)]
pub(super) struct Group {
    /// Each with the limit to name when something goes wrong.
    dirs: Vec<(PathBuf, &'static str)>,
}

/// A mounted hierarchy of control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    top: PathBuf,
    version: Version,
    controllers: Vec<String>,
}

/// A hierarchy with what it is needed for; the second list is what has limits.
#[derive(Debug)]
struct Place {
    hierarchy: Hierarchy,
    limited: Vec<(Controller, &'static str)>,
}

impl Group {
    /// Makes and limits the group of a step; none when the step needs none.
    pub(super) fn make(spec: &StepSpec) -> Result<Option<Self>, Failure> {
        if spec.limits.is_none() {
            return Ok(None);
        }
        let mut group = Self { dirs: Vec::new() };
        for place in places(&spec.limits)? {
            if let Err(failure) = group.make_in(&place, spec) {
                group.remove();
                return Err(failure);
            }
        }
        Ok(Some(group))
    }

    /// Fails where an OCI runtime could not make the group either: it knows no remedy.
    pub(super) fn check(spec: &StepSpec) -> Result<(), Failure> {
        if spec.limits.is_none() {
            return Ok(());
        }
        for place in places(&spec.limits)? {
            let parent = place.parent(&spec.limits);
            let existing = parent.ancestors().find(|dir| dir.is_dir());
            let dir = existing.unwrap_or(&place.hierarchy.top);
            rustix::fs::access(dir, Access::WRITE_OK)
                .map_err(|errno| refused(place.limit(), dir, &errno.into()))?;
        }
        Ok(())
    }

    fn make_in(&mut self, place: &Place, spec: &StepSpec) -> Result<(), Failure> {
        let hierarchy = &place.hierarchy;
        let mut dir = hierarchy.top.clone();
        place.enable(&dir)?;
        let parents = spec.limits.parent.as_deref().unwrap_or_default();
        for part in parents.split('/').filter(|part| !part.is_empty()) {
            dir.push(part);
            match fs::create_dir(&dir) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => made.map_err(|error| refused("cgroup-parent", &dir, &error))?,
            }
            hierarchy.fill_cpuset(&dir, place.limit())?;
            place.enable(&dir)?;
        }
        dir.push(&spec.id);
        fs::create_dir(&dir).map_err(|error| refused(place.limit(), &dir, &error))?;
        self.dirs.push((dir.clone(), place.limit()));
        hierarchy.fill_cpuset(&dir, place.limit())?;
        for (controller, _) in &place.limited {
            for setting in cgroup::settings(&spec.limits, *controller, hierarchy.version) {
                set(&dir, &setting)?;
            }
        }
        Ok(())
    }

    /// Moves this process in, and makes the group the top of what it sees of control groups.
    pub(super) fn join(&self) -> Result<(), Failure> {
        for (dir, limit) in &self.dirs {
            write(&dir.join("cgroup.procs"), "0").map_err(|error| refused(limit, dir, &error))?;
        }
        match sys::unshare(Namespaces::CGROUP) {
            // A kernel without such namespaces.
            Err(Errno::INVAL) => Ok(()),
            result => result.doing(|| "hide the other control groups".into()),
        }
    }

    fn remove(&self) {
        self.dirs.iter().for_each(|(dir, _)| remove(dir));
    }
}

/// Removes every control group of a step of which no process is left: of this program or of a runtime
/// that was killed.
pub(super) fn remove_left(spec: &StepSpec) {
    let parent = spec.limits.parent.as_deref().unwrap_or_default();
    for hierarchy in hierarchies() {
        // Most hierarchies have none.
        remove(&hierarchy.top.join(parent).join(&spec.id));
    }
}

fn remove(dir: &Path) {
    for _ in 0..REMOVALS {
        match rustix::fs::rmdir(dir) {
            Err(Errno::BUSY) => {
                let _interrupted = poll(&mut [], Some(&BETWEEN_REMOVALS));
            }
            // Nobody could do more about a failure than the name of the group tells.
            _ => return,
        }
    }
}

impl Place {
    /// The limit to name when something goes wrong.
    fn limit(&self) -> &'static str {
        self.limited
            .first()
            .map_or("cgroup-parent", |(_, limit)| limit)
    }

    fn parent(&self, limits: &CgroupLimits) -> PathBuf {
        let parent = limits.parent.as_deref().unwrap_or_default();
        self.hierarchy.top.join(parent)
    }

    /// Lets groups below `dir` be limited.
    fn enable(&self, dir: &Path) -> Result<(), Failure> {
        if self.hierarchy.version == Version::One {
            return Ok(());
        }
        let file = dir.join("cgroup.subtree_control");
        let enabled = fs::read_to_string(&file).unwrap_or_default();
        for (controller, limit) in &self.limited {
            let name = controller.name();
            if !enabled.split_whitespace().any(|known| known == name) {
                write(&file, &format!("+{name}")).map_err(|error| refused(limit, dir, &error))?;
            }
        }
        Ok(())
    }
}

impl Hierarchy {
    /// In version 1 nothing can join a group before it has processors and memory nodes.
    fn fill_cpuset(&self, dir: &Path, limit: &'static str) -> Result<(), Failure> {
        let is_cpuset = self.controllers.iter().any(|name| name == "cpuset");
        if self.version == Version::Two || !is_cpuset {
            return Ok(());
        }
        for name in ["cpuset.cpus", "cpuset.mems"] {
            let read = |dir: &Path| fs::read_to_string(dir.join(name)).unwrap_or_default();
            if !read(dir).trim().is_empty() {
                continue;
            }
            let above = dir.parent().map(read).unwrap_or_default();
            write(&dir.join(name), above.trim()).map_err(|error| refused(limit, dir, &error))?;
        }
        Ok(())
    }
}

/// Returns the hierarchies that a step with these limits has a group in.
fn places(limits: &CgroupLimits) -> Result<Vec<Place>, Failure> {
    let known = hierarchies();
    let mut places: Vec<Place> = Vec::new();
    let mut add = |controller: Controller, limit: Option<&'static str>| {
        let Some(hierarchy) = known.iter().find(|one| one.has(controller)) else {
            return limit.map_or(Ok(()), |limit| Err(missing(limit, controller)));
        };
        let limited = limit.map(|limit| (controller, limit));
        match places.iter_mut().find(|one| one.hierarchy == *hierarchy) {
            Some(place) => place.limited.extend(limited),
            None => places.push(Place {
                hierarchy: hierarchy.clone(),
                limited: limited.into_iter().collect(),
            }),
        }
        Ok(())
    };
    for (controller, limit) in Controller::needed(limits) {
        add(controller, Some(limit))?;
    }
    if limits.parent.is_some() {
        // Whatever limits the parent has, they are for the step as well.
        for controller in Controller::ALL {
            add(controller, None)?;
        }
        if places.is_empty() {
            // The one of version 2 has groups even where it limits nothing.
            let unified = known.into_iter().find(|one| one.version == Version::Two);
            places.push(Place {
                hierarchy: unified.ok_or_else(|| missing("cgroup-parent", Controller::Memory))?,
                limited: Vec::new(),
            });
        }
    }
    Ok(places)
}

impl Hierarchy {
    fn has(&self, controller: Controller) -> bool {
        self.controllers
            .iter()
            .any(|name| name == controller.name())
    }
}

/// Returns the mounted hierarchies, those of version 1 first: they have what they have for themselves.
fn hierarchies() -> Vec<Hierarchy> {
    let mut found = parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    for hierarchy in found.iter_mut().filter(|one| one.version == Version::Two) {
        let list = fs::read_to_string(hierarchy.top.join("cgroup.controllers"));
        let list = list.unwrap_or_default();
        hierarchy.controllers = list.split_whitespace().map(str::to_owned).collect();
    }
    found.sort_by_key(|hierarchy| hierarchy.version == Version::Two);
    found
}

fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let parse_line = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        let top = PathBuf::from(mount.split(' ').nth(4)?);
        let mut kind = kind.split(' ');
        let version = match kind.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        let controllers = match version {
            Version::One => kind.nth(1)?.split(',').map(str::to_owned).collect(),
            Version::Two => Vec::new(),
        };
        Some(Hierarchy {
            top,
            version,
            controllers,
        })
    };
    mountinfo.lines().filter_map(parse_line).collect()
}

fn set(dir: &Path, setting: &Setting) -> Result<(), Failure> {
    let path = dir.join(setting.file);
    let Err(error) = write(&path, &setting.value) else {
        return Ok(());
    };
    let limit = setting.limit;
    let is_out_of_range = error.raw_os_error() == Some(libc::ERANGE);
    let reason = match error.kind() {
        _ if is_out_of_range => format!("the kernel refuses `{}` ({error})", setting.value),
        ErrorKind::NotFound if limit == "memory-swap" => {
            "this kernel does not count swap (it may need `swapaccount=1` when it starts)".into()
        }
        ErrorKind::NotFound => format!("this kernel has no `{}`", setting.file),
        ErrorKind::InvalidInput | ErrorKind::ResourceBusy => {
            format!("the kernel refuses `{}` ({error})", setting.value)
        }
        _ => return Err(refused(limit, &path, &error)),
    };
    Err(Failure::Limit {
        limit: limit.into(),
        reason,
    })
}

/// Writes a whole value at once, as the kernel wants it.
fn write(path: &Path, value: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(value.as_bytes())
}

fn missing(limit: &str, controller: Controller) -> Failure {
    let reason = format!(
        "this machine shows no control groups with the controller `{}`; mount them at \
         `/sys/fs/cgroup`, or build without the limit",
        controller.name()
    );
    Failure::Limit {
        limit: limit.into(),
        reason,
    }
}

fn refused(limit: &str, path: &Path, error: &std::io::Error) -> Failure {
    let remedy = if error.kind() == ErrorKind::ResourceBusy {
        "it holds processes of its own, and then cannot limit groups below it; name another group with \
         `--cgroup-parent`"
    } else {
        "build as root, or name with `--cgroup-parent` a control group that was delegated to this user"
    };
    Failure::Limit {
        limit: limit.into(),
        reason: format!("the control group `{}`: {error}; {remedy}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let text = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                    32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime shared:3 - cgroup cgroup rw,cpu,cpuacct\n\
                    41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                    nonsense\n";
        let found = parse(text);
        assert_eq!(
            found,
            [
                Hierarchy {
                    top: "/sys/fs/cgroup/cpu".into(),
                    version: Version::One,
                    controllers: vec!["rw".into(), "cpu".into(), "cpuacct".into()],
                },
                Hierarchy {
                    top: "/sys/fs/cgroup/unified".into(),
                    version: Version::Two,
                    controllers: vec![],
                },
            ]
        );
        assert!(found[0].has(Controller::Cpu) && !found[0].has(Controller::Cpuset));
    }

    #[test]
    fn controllers_are_enabled_once_in_version_two() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cgroup.subtree_control");
        let place = |controllers: &[(Controller, &'static str)]| Place {
            hierarchy: Hierarchy {
                top: dir.path().into(),
                version: Version::Two,
                controllers: vec!["memory".into(), "cpu".into()],
            },
            limited: controllers.to_vec(),
        };
        fs::write(&file, "cpu io\n").unwrap();
        place(&[(Controller::Cpu, "cpu-quota")])
            .enable(dir.path())
            .unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "cpu io\n");
        place(&[(Controller::Memory, "memory")])
            .enable(dir.path())
            .unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "+memory");
        fs::remove_file(&file).unwrap();
        let failure = place(&[(Controller::Memory, "memory")]).enable(dir.path());
        let Err(Failure::Limit { limit, reason }) = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(limit, "memory");
        assert!(reason.contains("`--cgroup-parent`"), "{reason}");
    }
}
