//! What every step can count on.

use std::io::Write;
use std::process::{Command, Stdio as Pipe};
use std::time::{Duration, Instant};

use acetate_exec::{
    DEFAULT_PATH, ExecError, Executor, ExitStatus, NativeExecutor, Network, Resource, Stdio,
    Ulimit, UserIds,
};
use acetate_snapshot::RootMount;

use crate::Test;
use crate::fixture::{Fixture, names, request};

pub(crate) const TESTS: &[Test] = &[
    ("exit_codes", exit_codes),
    ("streams_are_separate", streams_are_separate),
    ("programs_that_do_not_start", programs_that_do_not_start),
    ("environment_is_exact", environment_is_exact),
    ("host_names", host_names),
    ("working_directory", working_directory),
    ("working_directory_in_the_way", working_directory_in_the_way),
    ("ids_and_groups", ids_and_groups),
    (
        "umask_signals_and_descriptors",
        umask_signals_and_descriptors,
    ),
    ("a_crash_is_a_signal", a_crash_is_a_signal),
    ("huge_output", huge_output),
    ("grandchildren_do_not_keep_it", grandchildren_do_not_keep_it),
    ("limits_and_shm", limits_and_shm),
    ("pid_namespace", pid_namespace),
    ("no_network", no_network),
    ("stdout_can_be_opened", stdout_can_be_opened),
    ("times_and_usage", times_and_usage),
    ("inherited_streams", inherited_streams),
];

fn exit_codes(f: &Fixture) {
    assert_eq!(
        f.run(&f.step(&["true"])).outcome.status,
        ExitStatus::Exited(0)
    );
    assert_eq!(
        f.run(&f.step(&["/bin/false"])).outcome.status,
        ExitStatus::Exited(1)
    );
    assert_eq!(f.run(&f.sh("exit 42")).outcome.status.code(), 42);
    assert_eq!(
        f.run(&f.sh("invalidcmd")).outcome.status.to_string(),
        "exit code: 127"
    );
}

fn streams_are_separate(f: &Fixture) {
    let ran = f.run(&f.sh("echo one; echo two >&2; printf three"));
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("one\nthree", "two\n")
    );
}

fn programs_that_do_not_start(f: &Fixture) {
    let ran = f.run(&f.step(&["nosuch", "x"]));
    assert_eq!(ran.outcome.status.code(), 127);
    assert_eq!(
        ran.stderr,
        "`nosuch` was not found in PATH (/usr/bin:/bin)\n"
    );
    let ran = f.run(&f.step(&["/nosuch"]));
    assert_eq!(ran.outcome.status.code(), 127);
    assert!(ran.stderr.contains("`/nosuch` does not exist"), "{ran:?}");
    let ran = f.run(&f.step(&["/root"]));
    assert_eq!(ran.outcome.status.code(), 126);
    assert!(ran.stderr.contains("`/root` cannot be run"), "{ran:?}");
    // PATH is the step's own; a relative name is looked up from the working directory.
    let mut step = f.step(&["bin/true"]);
    step.request.env.clear();
    assert!(f.run(&step).outcome.status.success());
    step = f.step(&["true"]);
    step.request.env = vec!["PATH=/nowhere:/bin".into()];
    assert!(f.run(&step).outcome.status.success());
    step = f.step(&["true"]);
    step.request.env.clear();
    assert!(f.run(&step).outcome.status.success());
}

fn environment_is_exact(f: &Fixture) {
    let mut step = f.step(&["/bin/env"]);
    step.request.env = vec!["HOME=/home/x".into(), "Z=last one".into(), "EMPTY=".into()];
    let ran = f.run(&step);
    assert_eq!(
        ran.stdout,
        format!("HOME=/home/x\nZ=last one\nEMPTY=\nPATH={DEFAULT_PATH}\n")
    );
}

fn host_names(f: &Fixture) {
    let mut step = f.sh("hostname; cat /etc/hosts; cmp /etc/resolv.conf /etc/resolv.conf");
    step.request.extra_hosts = vec![("db".into(), "10.1.2.3".parse().unwrap())];
    let ran = f.run(&step);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(
        lines[..2],
        ["buildkitsandbox", "127.0.0.1\tlocalhost buildkitsandbox"]
    );
    assert_eq!(lines.last(), Some(&"10.1.2.3\tdb"));
    let mut step = f.sh("hostname; cat /etc/resolv.conf");
    step.request.hostname = "other".into();
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    assert_eq!(f.run(&step).stdout, format!("other\n{host}"));
    // The host keeps its own name.
    assert_ne!(rustix::system::uname().nodename().to_bytes(), b"other");
}

fn working_directory(f: &Fixture) {
    let mut step = f.sh("pwd; stat -c '%a %u %g' . ..; touch here");
    step.request.cwd = "/made/for/it".into();
    let ran = f.run(&step);
    assert_eq!(ran.stdout, "/made/for/it\n755 0 0\n755 0 0\n");
    assert_eq!(
        names(&step.upper),
        ["made", "made/for", "made/for/it", "made/for/it/here"]
    );
    let mut step = f.sh("pwd");
    step.request.cwd = "/tmp".into();
    assert_eq!(f.run(&step).stdout, "/tmp\n");
    assert!(names(&step.upper).is_empty());
    let mut step = f.sh("pwd");
    step.request.cwd = "/made-by-user".into();
    step.request.user = UserIds {
        uid: 1000,
        gid: 1000,
        groups: vec![],
    };
    assert_eq!(f.run(&step).stdout, "/made-by-user\n");
}

fn working_directory_in_the_way(f: &Fixture) {
    let mut step = f.sh("pwd");
    step.request.cwd = "/bin/busybox".into();
    let error = f.try_run(&step).unwrap_err();
    assert!(
        matches!(&error, ExecError::WorkingDirectory { .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("it is not a directory"),
        "{error}"
    );
    let error = f.try_run(&f.step(&[])).unwrap_err();
    assert!(matches!(error, ExecError::Invalid(_)));
}

fn ids_and_groups(f: &Fixture) {
    let id = "echo $(id -u) $(id -g) $(id -G)";
    assert_eq!(f.out(id), "0 0 0\n");
    let mut step = f.sh(id);
    step.request.user = UserIds {
        uid: 1234,
        gid: 50,
        groups: vec![50, 7, 4_000_000],
    };
    assert_eq!(f.run(&step).stdout, "1234 50 50 7 4000000\n");
    let mut step = f.sh("grep -E '^(Uid|Gid|Groups|CapEff|CapPrm):' /proc/self/status");
    step.request.user = UserIds {
        uid: 1234,
        gid: 0,
        groups: vec![],
    };
    let ran = f.run(&step);
    let text = ran.stdout.replace('\t', " ");
    assert!(text.contains("Uid: 1234 1234 1234 1234\n"), "{text}");
    assert!(text.contains("CapPrm: 0000000000000000\n"), "{text}");
    assert!(text.contains("CapEff: 0000000000000000\n"), "{text}");
}

fn umask_signals_and_descriptors(f: &Fixture) {
    assert_eq!(f.out("umask"), "0022\n");
    let status = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    let text = f.run(&f.step(&status)).stdout.replace('\t', " ");
    assert_eq!(text, "SigBlk: 0000000000000000\nSigIgn: 0000000000000000\n");
    // Descriptor 3 is the directory that ls itself reads.
    assert_eq!(
        f.run(&f.step(&["ls", "/proc/self/fd"])).stdout,
        "0\n1\n2\n3\n"
    );
    // Some runtimes put a pipe of their own before it.
    let stdin = f.out("cat; stat -Lc %t:%T /dev/stdin");
    assert_eq!(
        stdin,
        if f.name == "native" {
            "1:3\n"
        } else {
            stdin.as_str()
        }
    );
    assert!(
        f.out("grep TracerPid /proc/self/status; cat /proc/self/oom_score_adj")
            .contains('0')
    );
}

fn a_crash_is_a_signal(f: &Fixture) {
    let ran = f.run(&f.step(&["/test/prog", "crash"]));
    assert_eq!(ran.outcome.status.to_string(), "exit code: 139");
    if f.name == "native" {
        assert_eq!(ran.outcome.status, ExitStatus::Signaled(11));
    }
}

fn huge_output(f: &Fixture) {
    let ran = f.run(&f.sh("head -c 20000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2"));
    assert_eq!(ran.stdout.len(), 20_000_000);
    assert_eq!(ran.stderr.len(), 300_000);
    assert!(ran.stdout.bytes().all(|byte| byte == b'x'));
}

fn grandchildren_do_not_keep_it(f: &Fixture) {
    let started = Instant::now();
    let ran = f.run(&f.sh("sleep 1000 & (setsid sleep 1000 &) ; echo done"));
    assert_eq!(ran.stdout, "done\n");
    assert!(started.elapsed() < Duration::from_secs(5));
}

fn limits_and_shm(f: &Fixture) {
    let mut step = f.sh("ulimit -n; ulimit -Hn; grep ' /dev/shm ' /proc/mounts; ulimit -c");
    let limit = |resource, soft, hard| Ulimit {
        resource,
        soft,
        hard,
    };
    step.request.ulimits = vec![
        limit(Resource::Nofile, Some(77), Some(99)),
        limit(Resource::Core, None, None),
    ];
    step.request.shm_size = 128 << 20;
    let out = f.run(&step).stdout;
    assert!(
        out.starts_with("77\n99\n") && out.ends_with("unlimited\n"),
        "{out}"
    );
    assert!(out.contains("size=131072k"), "{out}");
}

fn pid_namespace(f: &Fixture) {
    assert_eq!(f.out("echo $$"), "1\n");
    let seen = f.out("ls -d /proc/[0-9]* | wc -l");
    assert!(seen.trim().parse::<u32>().unwrap() <= 4, "{seen}");
    assert_eq!(f.out("kill -9 1; kill -9 -1; echo alive"), "alive\n");
}

fn no_network(f: &Fixture) {
    let script = "tail -n +3 /proc/net/dev | cut -d: -f1; cat /sys/class/net/lo/flags; \
                  ping -c1 -W1 127.0.0.1 >/dev/null && echo pong";
    let mut step = f.sh(script);
    step.request.network = Network::None;
    let out = f.run(&step).stdout;
    assert_eq!(
        out.split_whitespace().collect::<Vec<_>>(),
        ["lo", "0x9", "pong"]
    );
}

fn stdout_can_be_opened(f: &Fixture) {
    let mut step = f.sh("echo a > /dev/stdout; echo b > /dev/stderr; echo c > /proc/self/fd/1");
    step.request.user = UserIds {
        uid: 1000,
        gid: 1000,
        groups: vec![],
    };
    let ran = f.run(&step);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("a\nc\n", "b\n")
    );
}

fn times_and_usage(f: &Fixture) {
    let ran = f.run(&f.sh("sleep 0.2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"));
    let times = ran.outcome.timings;
    assert!(times.run >= Duration::from_millis(200), "{times:?}");
    assert!(times.total >= times.run + times.setup, "{times:?}");
    assert!(
        ran.outcome.usage.user > Duration::ZERO,
        "{:?}",
        ran.outcome.usage
    );
    assert!(
        ran.outcome.usage.max_rss > 100_000,
        "{:?}",
        ran.outcome.usage
    );
}

fn inherited_streams(f: &Fixture) {
    if f.name != "native" {
        return;
    }
    let step = f.sh("read line; echo got $line; echo bad >&2; exit 5");
    let RootMount::Overlay { lower, upper, work } = &step.request.root else {
        unreachable!()
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("__role-inherit")
        .args([&lower[0], upper, work])
        .stdin(Pipe::piped())
        .stdout(Pipe::piped())
        .stderr(Pipe::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got hello\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "bad\n");
    assert_eq!(output.status.code(), Some(5));
}

pub(crate) fn inherit() -> i32 {
    let mut paths = std::env::args().skip(2).map(std::path::PathBuf::from);
    let mut next = || paths.next().unwrap();
    let root = RootMount::Overlay {
        lower: vec![next()],
        upper: next(),
        work: next(),
    };
    let script = "read line; echo got $line; echo bad >&2; exit 5";
    let mut request = request(root, &["sh", "-c", script]);
    request.stdio = Stdio::Inherit;
    let mut log = |_: acetate_exec::Stream, _: &[u8]| panic!("nothing is captured");
    let cancel = acetate_exec::CancelToken::new().unwrap();
    NativeExecutor
        .run(&request, &mut log, &cancel)
        .unwrap()
        .status
        .code()
}
