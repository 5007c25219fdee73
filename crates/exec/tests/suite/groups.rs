//! Control groups: limits that hold, and groups that are gone afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use acetate_exec::{
    CancelToken, CgroupLimits, ExecError, Executor, ExitStatus, NativeExecutor, Stream,
};

use crate::Test;
use crate::fixture::{Fixture, Step, chain, is_root};

pub(crate) const TESTS: &[Test] = &[
    ("no_limits_make_no_group", no_limits_make_no_group),
    ("a_memory_limit_is_set", a_memory_limit_is_set),
    ("a_memory_limit_holds", a_memory_limit_holds),
    ("processor_limits_are_set", processor_limits_are_set),
    ("processors_can_be_chosen", processors_can_be_chosen),
    ("a_parent_group", a_parent_group),
    ("groups_are_gone_after_any_end", gone_after_any_end),
    ("a_killed_supervisor_leaves_no_group", killed_supervisor),
    ("limits_that_cannot_be", limits_that_cannot_be),
    ("limits_that_the_kernel_refuses", kernel_refuses),
    ("many_limited_steps_at_once", many_at_once),
    ("a_limited_step_has_its_mounts", has_its_mounts),
];

/// Tests of groups that the executor makes itself.
pub(crate) const NATIVE: &[Test] = &[("groups_of_version_two", groups_of_version_two)];

/// The directories of control groups with this in their path, in every hierarchy.
fn groups(part: &str) -> Vec<PathBuf> {
    fn walk(dir: &Path, part: &str, depth: u32, out: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(dir) else {
            return;
        };
        for entry in entries.flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if path.to_string_lossy().contains(part) {
                out.push(path.clone());
            }
            if depth > 0 {
                walk(&path, part, depth - 1, out);
            }
        }
    }
    let mut out = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), part, 3, &mut out);
    out
}

fn own_groups() -> Vec<PathBuf> {
    groups(&format!("/acetate-{}-", std::process::id()))
}

#[track_caller]
fn assert_no_groups() {
    let left = own_groups();
    assert!(left.is_empty(), "{left:?}");
}

/// Whether this machine lets us limit anything at all.
pub(crate) fn is_possible() -> bool {
    let probe = |dir: &str| {
        let dir = Path::new(dir).join(format!("acetate-probe-{}", std::process::id()));
        fs::create_dir(&dir).is_ok() && fs::remove_dir(&dir).is_ok()
    };
    let possible = is_root() && (probe("/sys/fs/cgroup/memory") || probe("/sys/fs/cgroup"));
    if !possible {
        println!("skipped: needs control groups that can be written");
    }
    possible
}

/// Runs a step which says `ready` and then waits, and looks at the host meanwhile.
#[track_caller]
fn while_it_runs(f: &Fixture, limits: &CgroupLimits, mut look: impl FnMut(&[PathBuf])) -> Step {
    let mut step = f.sh("echo ready; until [ -e /tmp/go/on ]; do sleep 0.02; done");
    let go = step.dir.path().join("go");
    fs::create_dir(&go).unwrap();
    step.request.limits = limits.clone();
    step.request.mounts = vec![crate::sources::mount(
        "/tmp/go",
        crate::sources::directory(&go),
    )];
    let mut log = |_: Stream, _: &[u8]| {
        look(&own_groups());
        fs::write(go.join("on"), "").unwrap();
    };
    let token = CancelToken::new().unwrap();
    let outcome = f.executor.run(&step.request, &mut log, &token);
    let outcome = outcome.unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(outcome.status.success(), "{outcome:?}");
    assert_no_groups();
    step
}

/// Reads a file of the step's group: the one of version 1, or else that of version 2.
fn value(groups: &[PathBuf], one: &str, two: &str) -> String {
    let read = |name: &str| {
        let mut files = groups.iter().map(|group| group.join(name));
        let text = files.find_map(|file| fs::read_to_string(file).ok());
        text.map(|text| text.trim().to_owned())
    };
    read(one)
        .or_else(|| read(two))
        .unwrap_or_else(|| panic!("no {one} in {groups:?}"))
}

fn is_version_one(groups: &[PathBuf], file: &str) -> bool {
    groups.iter().any(|group| group.join(file).exists())
}

fn processes(group: &Path) -> usize {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap();
    text.lines().count()
}

fn no_limits_make_no_group(f: &Fixture) {
    let nothing = CgroupLimits {
        memory: Some(0),
        cpuset_cpus: Some(String::new()),
        ..CgroupLimits::default()
    };
    while_it_runs(f, &nothing, |groups| {
        // A runtime may make one of its own accord.
        if f.name == "native" {
            assert!(groups.is_empty(), "{groups:?}");
        }
    });
}

fn a_memory_limit_is_set(f: &Fixture) {
    if !is_possible() {
        return;
    }
    let limits = CgroupLimits {
        memory: Some(64 << 20),
        ..CgroupLimits::default()
    };
    let mut looks = 0;
    while_it_runs(f, &limits, |groups| {
        let limit = value(groups, "memory.limit_in_bytes", "memory.max");
        assert_eq!(limit, (64 << 20).to_string());
        let group = groups
            .iter()
            .find(|g| g.join("memory.max").exists() || g.join("memory.limit_in_bytes").exists());
        assert!(processes(group.unwrap()) >= 1);
        looks += 1;
    });
    assert_eq!(looks, 1);
    let swap = CgroupLimits {
        memory: Some(64 << 20),
        memory_swap: Some(80 << 20),
        ..CgroupLimits::default()
    };
    while_it_runs(f, &swap, |groups| {
        let both = value(groups, "memory.memsw.limit_in_bytes", "memory.swap.max");
        let is_one = is_version_one(groups, "memory.memsw.limit_in_bytes");
        assert_eq!(both, (if is_one { 80 << 20 } else { 16 << 20 }).to_string());
    });
}

fn a_memory_limit_holds(f: &Fixture) {
    if !is_possible() {
        return;
    }
    let eat = "head -c 100000000 /dev/zero | tail -c 90000000 | wc -c; echo ate";
    let mut step = f.sh(&format!("sh -c '{eat}'; true"));
    step.request.limits.memory = Some(32 << 20);
    step.request.limits.memory_swap = Some(32 << 20);
    let limited = f.run(&step).stdout;
    assert!(!limited.contains("90000000"), "{limited}");
    step = f.sh(eat);
    assert_eq!(f.run(&step).stdout, "90000000\nate\n");
    // A step whose first process is the one that is killed.
    let argv = [
        "dd",
        "if=/dev/zero",
        "of=/dev/null",
        "bs=90000000",
        "count=1",
    ];
    let mut step = f.step(&argv);
    step.request.limits.memory = Some(32 << 20);
    step.request.limits.memory_swap = Some(32 << 20);
    assert_eq!(f.run(&step).outcome.status.code(), 137);
    assert_no_groups();
}

fn processor_limits_are_set(f: &Fixture) {
    if !is_possible() {
        return;
    }
    let limits = CgroupLimits {
        cpu_shares: Some(2048),
        cpu_period: Some(50_000),
        cpu_quota: Some(25_000),
        ..CgroupLimits::default()
    };
    while_it_runs(f, &limits, |groups| {
        if is_version_one(groups, "cpu.shares") {
            assert_eq!(value(groups, "cpu.shares", ""), "2048");
            assert_eq!(value(groups, "cpu.cfs_period_us", ""), "50000");
            assert_eq!(value(groups, "cpu.cfs_quota_us", ""), "25000");
        } else {
            assert_eq!(value(groups, "", "cpu.max"), "25000 50000");
        }
    });
    let open = CgroupLimits {
        cpu_quota: Some(-1),
        ..CgroupLimits::default()
    };
    while_it_runs(f, &open, |groups| {
        let quota = value(groups, "cpu.cfs_quota_us", "cpu.max");
        assert!(quota == "-1" || quota == "max 100000", "{quota}");
    });
}

fn processors_can_be_chosen(f: &Fixture) {
    if !is_possible() {
        return;
    }
    let script = "grep -E 'Cpus_allowed_list|Mems_allowed_list' /proc/self/status | tr -d '\\t'";
    let mut step = f.sh(script);
    step.request.limits.cpuset_cpus = Some("0".into());
    assert!(f.run(&step).stdout.starts_with("Cpus_allowed_list:0\n"));
    let mut step = f.sh(script);
    step.request.limits.cpuset_cpus = Some("0".into());
    step.request.limits.cpuset_mems = Some("0".into());
    assert_eq!(
        f.run(&step).stdout,
        "Cpus_allowed_list:0\nMems_allowed_list:0\n"
    );
    assert_no_groups();
}

fn a_parent_group(f: &Fixture) {
    if !is_possible() {
        return;
    }
    let name = format!("acetate-parent-{}-{}", f.name, std::process::id());
    for (parent, memory) in [
        (format!("/{name}/below/"), Some(48 << 20)),
        (format!("{name}/below"), None),
    ] {
        let limits = CgroupLimits {
            parent: Some(parent),
            memory,
            ..CgroupLimits::default()
        };
        while_it_runs(f, &limits, |groups| {
            assert!(!groups.is_empty());
            for group in groups {
                // The runtime leaves some hierarchies that have nothing to do with limits alone.
                let inside = group.parent().unwrap();
                assert!(inside.ends_with(format!("{name}/below")), "{groups:?}");
            }
            if let Some(memory) = memory {
                let limit = value(groups, "memory.limit_in_bytes", "memory.max");
                assert_eq!(limit, memory.to_string());
            }
        });
    }
    // The parent stays: others may be in it. Here nobody is.
    let left = groups(&format!("/{name}"));
    assert!(!left.is_empty());
    left.iter()
        .rev()
        .for_each(|group| fs::remove_dir(group).unwrap());
}

fn gone_after_any_end(f: &Fixture) {
    if !is_possible() {
        return;
    }
    let limited = |script: &str| {
        let mut step = f.sh(script);
        step.request.limits.memory = Some(256 << 20);
        step.request.limits.cpu_shares = Some(512);
        step
    };
    assert_eq!(f.run(&limited("exit 3")).outcome.status.code(), 3);
    assert_no_groups();
    assert_eq!(
        f.run(&limited("kill -9 $$; (sleep 1000 &)"))
            .outcome
            .status
            .code(),
        0
    );
    assert_no_groups();
    let mut step = limited("true");
    step.request.cwd = "/bin/busybox".into();
    assert!(matches!(
        f.try_run(&step),
        Err(ExecError::WorkingDirectory { .. })
    ));
    assert_no_groups();
    let step = limited("echo go; sleep 1000 & sleep 1000");
    let token = CancelToken::new().unwrap();
    let canceller = token.clone();
    let mut log = |_: Stream, _: &[u8]| canceller.cancel();
    let outcome = f.executor.run(&step.request, &mut log, &token).unwrap();
    assert_eq!(outcome.status, ExitStatus::Cancelled);
    assert_no_groups();
}

fn killed_supervisor(f: &Fixture) {
    if !is_possible() {
        return;
    }
    let mut step = f.sh("echo go; sleep 1000");
    step.request.limits.memory = Some(256 << 20);
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let mut log = |_: Stream, _: &[u8]| {
        assert!(!own_groups().is_empty());
        for launcher in crate::lifecycle::children_of(me) {
            for supervisor in crate::lifecycle::children_of(launcher) {
                let pid = rustix::process::Pid::from_raw(supervisor).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
        }
    };
    let token = CancelToken::new().unwrap();
    let error = f.executor.run(&step.request, &mut log, &token).unwrap_err();
    assert!(matches!(error, ExecError::Launcher(_)), "{error:?}");
    assert_no_groups();
}

fn limits_that_cannot_be(f: &Fixture) {
    type Change = fn(&mut CgroupLimits);
    let cases: [(&str, &str, Change); 5] = [
        (
            "memory-swap",
            "it is below the limit `memory`, which it includes",
            |l| (l.memory, l.memory_swap) = (Some(2 << 20), Some(1 << 20)),
        ),
        ("memory-swap", "it needs the limit `memory` as well", |l| {
            l.memory_swap = Some(1 << 20);
        }),
        ("cpu-quota", "it is negative", |l| l.cpu_quota = Some(-5)),
        (
            "cpuset-cpus",
            "it is not a list of numbers such as `0-2,4`",
            |l| l.cpuset_cpus = Some("first".into()),
        ),
        (
            "cgroup-parent",
            "it is not the path of a control group",
            |l| {
                l.parent = Some("../outside".into());
            },
        ),
    ];
    for (limit, reason, change) in cases {
        let mut step = f.step(&["true"]);
        change(&mut step.request.limits);
        let error = f.try_run(&step).unwrap_err();
        assert!(matches!(error, ExecError::Limit { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("the limit `{limit}` cannot be set: {reason}")
        );
    }
}

fn kernel_refuses(f: &Fixture) {
    if !is_possible() {
        return;
    }
    let mut step = f.step(&["true"]);
    step.request.limits.cpuset_cpus = Some("4000".into());
    let error = f.try_run(&step).unwrap_err();
    if f.name == "native" {
        let text = error.to_string();
        assert!(
            text.starts_with("the limit `cpuset-cpus` cannot be set: the kernel refuses `4000`"),
            "{text}"
        );
    } else {
        assert!(matches!(error, ExecError::Runtime { .. }), "{error:?}");
    }
    assert_no_groups();
}

fn many_at_once(f: &Fixture) {
    if !is_possible() {
        return;
    }
    std::thread::scope(|scope| {
        let run = |number: u32| {
            let mut step = f.sh(&format!("sleep 0.05; echo {number}"));
            step.request.limits.memory = Some(u64::from(64 + number) << 20);
            f.run(&step).stdout
        };
        let runs: Vec<_> = (0..8)
            .map(|number| scope.spawn(move || run(number)))
            .collect();
        for (number, run) in runs.into_iter().enumerate() {
            assert_eq!(run.join().unwrap(), format!("{number}\n"));
        }
    });
    assert_no_groups();
}

/// Joining a group must not change what else a step sees: its group is the top of them.
fn has_its_mounts(f: &Fixture) {
    if !is_possible() {
        return;
    }
    let script = "cut -d: -f3 /proc/self/cgroup | sort -u; grep -c . /proc/mounts";
    let mut step = f.sh(script);
    let plain = f.run(&step).stdout;
    step = f.sh(script);
    step.request.limits.memory = Some(64 << 20);
    let limited = f.run(&step).stdout;
    assert_eq!(limited.lines().last(), plain.lines().last());
    if f.name == "native" {
        assert!(limited.starts_with("/\n"), "{limited}");
    }
}

/// In a mount namespace where nothing but version 2 is seen, which on many machines limits nothing.
fn groups_of_version_two(f: &Fixture) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .arg("__role-unified")
        .arg(f.base())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if text == "no\n" {
        println!("skipped: needs control groups of version 2");
        return;
    }
    let expected = "made 1 in below\nstep 0::/ alone 1\nleft 0\n\
                    the limit `memory` cannot be set: this machine shows no control groups with the \
                    controller `memory`; mount them at `/sys/fs/cgroup`, or build without the limit\n";
    // Where version 2 has everything, the other tests are about it.
    assert!(text == expected || text.starts_with("full\n"), "{text}");
}

/// The other side of [`groups_of_version_two`].
pub(crate) fn unified() -> i32 {
    use rustix::mount::{MountFlags, UnmountFlags, unmount};
    let top = Path::new("/sys/fs/cgroup");
    acetate_exec::enter_private_mounts().unwrap();
    // Whatever is mounted there, it hides nothing any more.
    while unmount(top, UnmountFlags::DETACH).is_ok() {}
    if rustix::mount::mount("none", top, "cgroup2", MountFlags::empty(), c"").is_err() {
        println!("no");
        return 0;
    }
    let controllers = fs::read_to_string(top.join("cgroup.controllers")).unwrap();
    if controllers.contains("memory") {
        println!("full");
        return 0;
    }
    let base = PathBuf::from(std::env::args().nth(2).unwrap());
    let dir = tempfile::tempdir_in(base.parent().unwrap()).unwrap();
    let prepare = |name: &str| {
        let [upper, work] = ["upper", "work"].map(|kind| {
            let dir = dir.path().join(format!("{name}-{kind}"));
            fs::create_dir(&dir).unwrap();
            dir
        });
        let lower = vec![base.clone()];
        let root = acetate_snapshot::RootMount::Overlay { lower, upper, work };
        let script = "echo step $(cat /proc/self/cgroup | tail -n 1) \
                      alone $(ls /sys/fs/cgroup/cgroup.procs | wc -l)";
        crate::fixture::request(root, &["sh", "-c", script])
    };
    let name = format!("acetate-unified-{}", std::process::id());
    let mut request = prepare("one");
    request.limits.parent = Some(format!("/{name}/below"));
    let mut said = Vec::new();
    let mut log = |_: Stream, bytes: &[u8]| {
        said.extend_from_slice(bytes);
        let made = own_groups();
        let parent = made[0]
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        println!("made {} in {parent}", made.len());
    };
    let token = CancelToken::new().unwrap();
    let outcome = NativeExecutor.run(&request, &mut log, &token);
    assert!(outcome.unwrap().status.success());
    print!("{}", String::from_utf8(said).unwrap());
    println!("left {}", own_groups().len());
    for group in groups(&name).iter().rev() {
        fs::remove_dir(group).unwrap();
    }
    let mut request = prepare("two");
    request.limits.memory = Some(64 << 20);
    let mut log = |_: Stream, _: &[u8]| {};
    let error = NativeExecutor.run(&request, &mut log, &token);
    println!("{}", error.unwrap_err());
    0
}
