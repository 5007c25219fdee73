//! What a step must not be able to do.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use acetate_exec::{Abi, ExecError, Network, Security, UserIds};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::Test;
use crate::fixture::Fixture;

pub(crate) const TESTS: &[Test] = &[
    ("capabilities", capabilities),
    ("every_mount_is_nodev", every_mount_is_nodev),
    (
        "device_nodes_cannot_be_opened",
        device_nodes_cannot_be_opened,
    ),
    ("usual_devices_work", usual_devices_work),
    (
        "kernel_settings_are_read_only",
        kernel_settings_are_read_only,
    ),
    ("masked_paths_are_empty", masked_paths_are_empty),
    ("no_descriptor_of_the_host", no_descriptor_of_the_host),
    ("system_calls", system_calls),
    ("threads", threads),
    ("programs_of_32_bits", programs_of_32_bits),
    ("set_user_id_works", set_user_id_works),
    ("abstract_sockets", abstract_sockets),
    ("insecure_steps", insecure_steps),
    (
        "generated_files_are_read_only",
        generated_files_are_read_only,
    ),
    ("the_host_stays_as_it_is", the_host_stays_as_it_is),
];

/// Tests of what an OCI runtime does in its own way.
pub(crate) const NATIVE: &[Test] = &[("mount_points_must_be_directories", mount_points_are_dirs)];

fn status(f: &Fixture, network: Network, security: Security) -> String {
    let mut step = f.sh("grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/self/status");
    (step.request.network, step.request.security) = (network, security);
    f.run(&step).stdout.replace('\t', " ")
}

fn capabilities(f: &Fixture) {
    let text = status(f, Network::None, Security::Sandbox);
    for line in [
        "CapBnd: 00000000a80425fb",
        "CapEff: 00000000a80425fb",
        "CapInh: 0000000000000000",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.contains("CapAmb: 0000000000000000"), "{text}");
    assert!(
        text.contains("NoNewPrivs: 0") && text.contains("Seccomp: 2"),
        "{text}"
    );
    let text = status(f, Network::Host, Security::Sandbox);
    assert!(text.contains("CapBnd: 00000000a80405fb"), "{text}");
    let text = status(f, Network::None, Security::Insecure);
    let own = fs::read_to_string("/proc/self/status")
        .unwrap()
        .replace('\t', " ");
    let bounding = own.lines().find(|line| line.starts_with("CapBnd")).unwrap();
    assert!(text.contains(bounding), "{text}");
    assert!(text.contains("Seccomp: 0"), "{text}");
}

fn every_mount_is_nodev(f: &Fixture) {
    let mounts = f.out("cat /proc/mounts");
    let nodes = ["null", "zero", "full", "random", "urandom", "tty"].map(|n| format!("/dev/{n}"));
    let mut n_checked = 0;
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (target, kind) = (fields[1], fields[2]);
        // A masked file is the null device, which must stay readable.
        let is_null = target.starts_with("/proc/") && kind != "proc" && !target.ends_with("acpi");
        // Some runtimes mask directories by empty read-only file systems.
        let is_empty = f.name != "native" && kind == "tmpfs" && fields[3].starts_with("ro");
        if is_empty || kind == "devpts" || nodes.iter().any(|node| node == target) || is_null {
            continue;
        }
        assert!(
            fields[3].split(',').any(|option| option == "nodev"),
            "{line}"
        );
        n_checked += 1;
    }
    assert!(n_checked >= 8, "{mounts}");
    assert!(
        !mounts.contains("/upper") && !mounts.contains("base"),
        "host paths: {mounts}"
    );
}

fn device_nodes_cannot_be_opened(f: &Fixture) {
    let script = "for d in / /tmp /dev /dev/shm; do mknod $d/mem c 1 1 && mknod $d/blk b 254 0 \
                  && mknod $d/nul c 1 3 || echo no mknod; \
                  for n in mem blk nul; do cat $d/$n 2>/dev/null && echo opened $d/$n; done; done; true";
    assert_eq!(f.out(script), "");
    // A node that came with a layer.
    let layer = tempfile::tempdir().unwrap();
    let rdev = makedev(1, 5);
    let path = layer.path().join("zero");
    mknodat(
        CWD,
        &path,
        FileType::CharacterDevice,
        Mode::from_raw_mode(0o666),
        rdev,
    )
    .unwrap();
    let ran = f.run(&f.step_on(&[layer.path()], &["head", "-c1", "/zero"]));
    assert!(
        !ran.outcome.status.success() && ran.stdout.is_empty(),
        "{ran:?}"
    );
}

fn usual_devices_work(f: &Fixture) {
    let script = "head -c 4 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x > /dev/null; \
                  echo x > /dev/full || echo full; ls /dev; readlink /dev/fd; [ -c /dev/ptmx ] && echo ptmx";
    let out = f.out(script);
    let mut words: Vec<&str> = out.split_whitespace().collect();
    // Some runtimes add a console.
    words.retain(|word| *word != "console");
    assert_eq!(
        words.join(" "),
        "4 3 full core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom \
         zero /proc/self/fd ptmx"
    );
}

fn kernel_settings_are_read_only(f: &Fixture) {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    for path in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/profiling",
        "/sys/kernel/mm/ksm/run",
    ] {
        let ran = f.run(&f.sh(&format!("[ -e {path} ] || exit 9; echo x > {path}")));
        assert!(!ran.outcome.status.success(), "{path}");
        assert!(
            ran.outcome.status.code() == 9 || ran.stderr.contains("Read-only"),
            "{ran:?}"
        );
    }
    assert_eq!(
        fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(),
        before
    );
    let ran = f.run(&f.sh("mount -o remount,rw /proc/sys || umount /proc/sys"));
    assert!(!ran.outcome.status.success());
}

fn masked_paths_are_empty(f: &Fixture) {
    let script = "for p in kcore keys timer_list interrupts; do \
                  [ -e /proc/$p ] && { dd if=/proc/$p bs=16 count=1 2>/dev/null | wc -c; }; done; \
                  ls -A /sys/firmware /proc/acpi 2>/dev/null | grep -v : | tr -d '\\n'; true";
    let out = f.out(script);
    assert!(
        out.lines().count() >= 2 && out.lines().all(|line| line == "0"),
        "{out:?}"
    );
}

fn no_descriptor_of_the_host(f: &Fixture) {
    // Not closed on exec: what a careless library in our process would do.
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY;
    let host = rustix::fs::open("/", flags, Mode::empty()).unwrap();
    for fd in (0..30).chain([host.as_raw_fd()]) {
        let mut step = f.sh("pwd; ls /proc/1/root/ >/dev/null; cat etc/hostname etc/shadow");
        step.request.cwd = format!("/proc/self/fd/{fd}");
        let error = f.try_run(&step);
        assert!(
            matches!(error, Err(ExecError::WorkingDirectory { .. })),
            "{fd}: {error:?}"
        );
    }
}

fn system_calls(f: &Fixture) {
    let out = f.run(&f.step(&["/test/prog", "calls"])).stdout;
    // libseccomp has no second answer for a refused argument.
    let out = out.replace("vsock: ENOSYS", "vsock: EPERM");
    for line in [
        "keyctl: EPERM",
        "add_key: EPERM",
        "vsock: EPERM",
        "inet: ok",
        "raw: EPERM",
        "clone-user: EPERM",
        "unshare: EPERM",
        "clone3: ENOSYS",
        "future: ENOSYS",
        "mount: EPERM",
        "bpf: EPERM",
    ] {
        assert!(out.lines().any(|got| got == line), "no {line:?} in {out}");
    }
}

fn threads(f: &Fixture) {
    assert_eq!(
        f.run(&f.step(&["/test/prog", "threads"])).stdout,
        "threads: 28\n"
    );
}

fn programs_of_32_bits(f: &Fixture) {
    if !f.base().join("test/prog32").exists() {
        return;
    }
    let mut step = f.step(&["/test/prog32"]);
    let out = f.run(&step).stdout;
    let expected = "getpid: 0\nkeyctl: -1\nvsock: -1\ninet: 0\nsocketcall: -38\nclone: -1\n";
    // A runtime's own filter answers ENOSYS for vsock; denied it is in any case.
    assert_eq!(out.replace("vsock: -38\n", "vsock: -1\n"), expected);
    if f.name == "native" {
        step = f.step(&["/test/prog32"]);
        step.request.abi = Abi::Compat32;
        assert!(f.run(&step).stdout.contains("socketcall: 0\n"));
    }
}

fn set_user_id_works(f: &Fixture) {
    let layer = tempfile::tempdir().unwrap();
    let program = layer.path().join("setuid");
    fs::copy(f.base().join("test/prog"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    fs::set_permissions(layer.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut step = f.step_on(&[layer.path()], &["/setuid", "euid"]);
    step.request.user = UserIds {
        uid: 1000,
        gid: 1000,
        groups: vec![],
    };
    assert_eq!(f.run(&step).stdout, "1000 0\n");
    // Become another user as su does.
    let script = "echo 'u:x:1000:1000::/:/bin/sh' > /etc/passwd; su u -c 'id -u'";
    assert_eq!(f.out(script), "1000\n");
}

fn abstract_sockets(f: &Fixture) {
    let name = format!("acetate-test-{}-{}", f.name, std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let out = f.run(&f.step(&["/test/prog", "connect", &name])).stdout;
    let mut step = f.step(&["/test/prog", "connect", &name]);
    step.request.network = Network::None;
    assert_eq!(f.run(&step).stdout, "connect: ECONNREFUSED\n");
    if landlock_has_scopes() {
        assert_eq!(out, "connect: EPERM\n");
    }
    let own = format!("{name}-own");
    assert_eq!(
        f.run(&f.step(&["/test/prog", "listen", &own])).stdout,
        "own: ok\n"
    );
    // The restriction touches nothing else.
    let script = "mkdir a b; echo x > a/f; mv a/f b/g; ln b/g a/h; cat a/h";
    assert_eq!(f.out(script), "x\n");
}

fn landlock_has_scopes() -> bool {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(str::parse::<u32>);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next()) >= (6, 12)
}

fn insecure_steps(f: &Fixture) {
    let mut step = f.sh("mount -t tmpfs none /tmp && umount /tmp && echo mounted");
    step.request.security = Security::Insecure;
    assert_eq!(f.run(&step).stdout, "mounted\n");
    let ran = f.run(&f.sh("mount -t tmpfs none /tmp"));
    assert!(!ran.outcome.status.success());
}

fn generated_files_are_read_only(f: &Fixture) {
    let ran = f.run(&f.sh("echo x >> /etc/hosts; rm /etc/resolv.conf; cat /etc/hosts"));
    assert!(
        ran.stderr.contains("Read-only") && ran.stderr.contains("busy"),
        "{ran:?}"
    );
    assert!(ran.stdout.starts_with("127.0.0.1"));
}

fn the_host_stays_as_it_is(f: &Fixture) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let hosts = fs::read("/etc/hosts").ok();
    f.out("echo x > /tmp/x; mkdir -p /etc; echo y > /etc/y");
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    assert_eq!(fs::read("/etc/hosts").ok(), hosts);
}

fn mount_points_are_dirs(f: &Fixture) {
    for name in ["proc", "sys", "dev"] {
        let layer = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/tmp", layer.path().join(name)).unwrap();
        let error = f
            .try_run(&f.step_on(&[layer.path()], &["true"]))
            .unwrap_err();
        assert!(matches!(&error, ExecError::Image(_)), "{error:?}");
        assert!(error.to_string().contains(&format!("`/{name}`")), "{error}");
    }
}
