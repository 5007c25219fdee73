//! Steps end when they should, and nothing is left.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use acetate_exec::{
    CancelToken, ExecError, Executor, ExitStatus, NativeExecutor, OciExecutor, Runtime, Stream,
};
use acetate_snapshot::RootMount;

use crate::Test;
use crate::fixture::{Fixture, request};

pub(crate) const TESTS: &[Test] = &[
    ("cancel_in_the_middle", cancel_in_the_middle),
    ("cancelled_before", cancelled_before),
    (
        "a_killed_caller_leaves_nothing",
        a_killed_caller_leaves_nothing,
    ),
    (
        "a_killed_launcher_is_an_error",
        a_killed_launcher_is_an_error,
    ),
    ("the_spawning_thread_may_end", the_spawning_thread_may_end),
    ("many_at_once", many_at_once),
];

/// The processes whose command line has this word.
fn processes(word: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|arg| arg == word.as_bytes())
    })
    .collect()
}

fn is_alive(pid: i32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap()
}

pub(crate) fn children_of(parent: i32) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{parent}/task")) else {
        return Vec::new();
    };
    let lists =
        tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .collect::<String>()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(50), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A number of seconds that no other process sleeps.
fn unique(f: &Fixture, number: u32) -> String {
    format!("{}{number}{}", std::process::id(), f.name.len())
}

fn cancel_in_the_middle(f: &Fixture) {
    let seconds = unique(f, 1);
    let step = f.sh(&format!(
        "(setsid sleep {seconds} &); sleep {seconds} & echo go; sleep {seconds}"
    ));
    let token = CancelToken::new().unwrap();
    let canceller = token.clone();
    let mut cancelled_at = None;
    let mut log = |_: Stream, _: &[u8]| {
        canceller.cancel();
        cancelled_at = Some(Instant::now());
    };
    let outcome = f.executor.run(&step.request, &mut log, &token).unwrap();
    assert_eq!(outcome.status, ExitStatus::Cancelled);
    let took = cancelled_at.unwrap().elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(processes(&seconds), [0; 0]);
    assert!(cgroups_of(std::process::id()).is_empty());
}

fn cancelled_before(f: &Fixture) {
    let token = CancelToken::new().unwrap();
    token.cancel();
    let step = f.sh("echo ran");
    let mut log = |_: Stream, _: &[u8]| panic!("nothing runs");
    let outcome = f.executor.run(&step.request, &mut log, &token).unwrap();
    assert_eq!(outcome.status, ExitStatus::Cancelled);
}

fn a_killed_caller_leaves_nothing(f: &Fixture) {
    killed_caller(f, "0", 2);
    if crate::groups::is_possible() {
        killed_caller(f, "268435456", 4);
    }
}

/// Kills the caller of a step that has this much memory; 0 is no limit.
fn killed_caller(f: &Fixture, memory: &str, number: u32) {
    let seconds = unique(f, number);
    let step = f.step(&["true"]);
    let RootMount::Overlay { lower, upper, work } = &step.request.root else {
        unreachable!()
    };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["__role-victim", f.name, &seconds, memory])
        .args([&lower[0], upper, work])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut victim = Victim(victim);
    let pid = victim.0.id();
    let mut launchers = Vec::new();
    eventually("the step starts", || {
        launchers = children_of(i32::try_from(pid).unwrap());
        launchers.extend(launchers.clone().into_iter().flat_map(children_of));
        // The launcher and its supervisor; the victim itself and at least two of the step.
        launchers.len() >= 2 && processes(&seconds).len() >= 3
    });
    victim.0.kill().unwrap();
    victim.0.wait().unwrap();
    eventually("everything is dead", || processes(&seconds).is_empty());
    eventually("no launcher is left", || {
        !launchers.iter().any(|pid| is_alive(*pid))
    });
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    eventually("the control groups are gone", || cgroups_of(pid).is_empty());
    // No mount namespace anywhere still holds the overlay: its directories can be used again.
    fs::remove_dir_all(step.dir.path().join("work")).unwrap();
    fs::remove_dir_all(upper).unwrap();
}

/// Killed at the end of the test in any case.
struct Victim(std::process::Child);

impl Drop for Victim {
    fn drop(&mut self) {
        // It may be dead already.
        let _dead = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// The control groups that a process's runtimes made and left.
fn cgroups_of(pid: u32) -> Vec<PathBuf> {
    let prefix = format!("acetate-{pid}-");
    let hierarchies = fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten();
    let dirs = hierarchies
        .map(|entry| entry.path())
        .chain(["/sys/fs/cgroup".into()]);
    let entries = dirs
        .filter_map(|dir| fs::read_dir(dir).ok())
        .flatten()
        .flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect()
}

/// Runs a step that never ends, until it is killed.
pub(crate) fn victim() -> i32 {
    let mut args = std::env::args().skip(2);
    let mut next = || args.next().unwrap();
    let (name, seconds, memory) = (next(), next(), next());
    let mut path = || PathBuf::from(next());
    let root = RootMount::Overlay {
        lower: vec![path()],
        upper: path(),
        work: path(),
    };
    let script = format!("(setsid sleep {seconds} &); sleep {seconds} & sleep {seconds}");
    let mut request = request(root, &["sh", "-c", &script]);
    request.limits.memory = Some(memory.parse().unwrap());
    let executor: Box<dyn Executor> = if name == "native" {
        Box::new(NativeExecutor)
    } else {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["/usr/bin", "/usr/sbin"].map(|dir| PathBuf::from(dir).join(&name));
        let program = paths.into_iter().find(|path| path.is_file()).unwrap();
        Box::new(OciExecutor::new(
            Runtime::probe(&program, dir.path()).unwrap(),
        ))
    };
    let mut log = |_: Stream, _: &[u8]| {};
    executor
        .run(&request, &mut log, &CancelToken::new().unwrap())
        .unwrap()
        .status
        .code()
}

fn a_killed_launcher_is_an_error(f: &Fixture) {
    let seconds = unique(f, 3);
    let step = f.sh(&format!("echo go; sleep {seconds}"));
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let mut log = |_: Stream, _: &[u8]| {
        for launcher in children_of(me) {
            // First its supervisor: the kernel must end all below it.
            for supervisor in children_of(launcher) {
                let pid = rustix::process::Pid::from_raw(supervisor).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
        }
    };
    let error = f
        .executor
        .run(&step.request, &mut log, &CancelToken::new().unwrap())
        .unwrap_err();
    assert!(matches!(error, ExecError::Launcher(_)), "{error:?}");
    eventually("the step is dead", || processes(&seconds).is_empty());
    assert!(cgroups_of(std::process::id()).is_empty());
}

/// A death signal bound to the parent's thread would fire here.
fn the_spawning_thread_may_end(f: &Fixture) {
    let step = f.sh("sleep 0.3; echo survived");
    let out = std::thread::scope(|scope| {
        let runner = scope.spawn(|| f.run(&step).stdout);
        // A thread that ends meanwhile, as those of a pool do.
        scope.spawn(|| std::thread::sleep(Duration::from_millis(50)));
        runner.join().unwrap()
    });
    assert_eq!(out, "survived\n");
}

fn many_at_once(f: &Fixture) {
    let count = if f.name == "native" { 100 } else { 20 };
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn(move || {
                    let step = f.sh(&format!("echo {number} > /tmp/n; sleep 0.1; cat /tmp/n"));
                    f.run(&step).stdout
                })
            })
            .collect();
        for (number, run) in runs.into_iter().enumerate() {
            assert_eq!(run.join().unwrap(), format!("{number}\n"));
        }
    });
    assert_eq!(
        children_of(rustix::process::getpid().as_raw_nonzero().get()),
        [0; 0]
    );
}
