//! What an insecure step has, and the sandbox has not; identities, hosts and limits of both.

use std::fs;

use acetate_exec::{Network, Resource, Security, Ulimit, UserIds};

use crate::Test;
use crate::fixture::{Fixture, Step};

pub(crate) const TESTS: &[Test] = &[
    (
        "s61_capabilities_of_the_sandbox",
        capabilities_of_the_sandbox,
    ),
    (
        "s61_capabilities_of_an_insecure_step",
        capabilities_insecure,
    ),
    ("s61_an_insecure_user_has_them_too", an_insecure_user),
    ("s61_devices_of_the_sandbox", devices_of_the_sandbox),
    ("s61_devices_of_an_insecure_step", devices_insecure),
    ("s61_an_insecure_step_mounts_an_image", mounts_an_image),
    ("an_insecure_step_sees_the_kernel", sees_the_kernel),
    ("an_insecure_step_makes_namespaces", makes_namespaces),
    ("s60_hosts_are_complete", hosts_are_complete),
    ("s63_groups_are_those_given", groups_are_those_given),
    ("every_limit_of_a_process", every_limit_of_a_process),
];

fn insecure(f: &Fixture, script: &str) -> Step {
    let mut step = f.sh(script);
    step.request.security = Security::Insecure;
    step
}

const CAPABILITIES: &str = "grep -E '^Cap' /proc/self/status | tr -d '\\t'";

/// The bits of every capability that this process may give.
fn all() -> String {
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let line = own.lines().find(|line| line.starts_with("CapBnd")).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

fn capabilities_of_the_sandbox(f: &Fixture) {
    for (network, mask) in [
        (Network::None, "00000000a80425fb"),
        (Network::Host, "00000000a80405fb"),
    ] {
        let mut step = f.sh(CAPABILITIES);
        step.request.network = network;
        let none = "0000000000000000";
        assert_eq!(
            f.run(&step).stdout,
            format!("CapInh:{none}\nCapPrm:{mask}\nCapEff:{mask}\nCapBnd:{mask}\nCapAmb:{none}\n")
        );
        let mut step = f.sh(CAPABILITIES);
        step.request.network = network;
        step.request.user = UserIds {
            uid: 1000,
            gid: 1000,
            groups: vec![],
        };
        assert_eq!(
            f.run(&step).stdout,
            format!("CapInh:{none}\nCapPrm:{none}\nCapEff:{none}\nCapBnd:{mask}\nCapAmb:{none}\n")
        );
    }
}

fn capabilities_insecure(f: &Fixture) {
    for network in [Network::None, Network::Host] {
        let mut step = insecure(f, CAPABILITIES);
        step.request.network = network;
        let all = all();
        assert_eq!(
            f.run(&step).stdout,
            format!("CapInh:{all}\nCapPrm:{all}\nCapEff:{all}\nCapBnd:{all}\nCapAmb:{all}\n")
        );
    }
}

fn an_insecure_user(f: &Fixture) {
    let mut step = insecure(
        f,
        "grep CapEff /proc/self/status | cut -f2; mount -t tmpfs none /tmp; id -u",
    );
    step.request.user = UserIds {
        uid: 1000,
        gid: 1000,
        groups: vec![1000],
    };
    // busybox's mount refuses a user by itself; the capability is what counts.
    let ran = f.run(&step);
    assert_eq!(ran.stdout, format!("{}\n1000\n", all()), "{ran:?}");
}

fn devices_of_the_sandbox(f: &Fixture) {
    let script = "ls -d /dev/fuse /dev/loop* /dev/kvm /dev/kmsg /dev/net /dev/cuse /dev/mem 2>/dev/null; \
                  mknod /tmp/fuse c 10 229; mknod /dev/fuse c 10 229; \
                  /test/prog open /tmp/fuse; /test/prog open /dev/fuse";
    assert_eq!(f.out(script), "open: EACCES\nopen: EACCES\n");
}

fn devices_insecure(f: &Fixture) {
    let names = ["fuse", "loop-control", "kmsg", "net/tun", "loop0"];
    for name in names {
        let path = format!("/dev/{name}");
        if !fs::exists(&path).unwrap() {
            println!("skipped: needs {path}");
            continue;
        }
        let on_host = match fs::File::open(&path) {
            Ok(_) => "ok".to_owned(),
            // A node without a driver is as useless inside.
            Err(error) => error.raw_os_error().unwrap().to_string(),
        };
        let script = format!("stat -c %t:%T {path}; /test/prog open {path}");
        let stat = fs::metadata(&path).unwrap();
        let rdev = std::os::unix::fs::MetadataExt::rdev(&stat);
        let numbers = format!(
            "{:x}:{:x}",
            rustix::fs::major(rdev),
            rustix::fs::minor(rdev)
        );
        let out = f.run(&insecure(f, &script)).stdout;
        let (got, opened) = out.split_once('\n').unwrap();
        assert_eq!(got, numbers, "{path}");
        if on_host == "ok" {
            assert_eq!(opened, "open: ok\n", "{path}");
        } else {
            assert_ne!(opened, "open: ok\n", "{path}");
        }
    }
}

fn mounts_an_image(f: &Fixture) {
    let works_here = fs::OpenOptions::new()
        .write(true)
        .open("/dev/loop-control")
        .is_ok();
    if !works_here {
        println!("skipped: needs loop devices");
        return;
    }
    let script = "mkdir /mnt && mount -t ext2 -o loop /disk.img /mnt && touch /mnt/foo && ls /mnt && umount /mnt";
    let step = insecure(f, script);
    let image = step.upper.join("disk.img");
    fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    let made = std::process::Command::new("mke2fs")
        .arg("-Fq")
        .arg(&image)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: needs mke2fs");
        return;
    }
    let ran = f.run(&step);
    assert_eq!(ran.stdout, "foo\nlost+found\n", "{ran:?}");
}

fn sees_the_kernel(f: &Fixture) {
    let script = "p=/proc/sys/kernel/core_pattern; cat $p > /tmp/p; cat /tmp/p > $p && echo written; \
                  grep -cE ' /proc/(kcore|keys|sys|bus|irq)|/sys/firmware' /proc/mounts; \
                  grep Seccomp: /proc/self/status | tr -d '\\t'";
    let ran = f.run(&insecure(f, script));
    assert_eq!(ran.stdout, "written\n0\nSeccomp:0\n", "{ran:?}");
}

fn makes_namespaces(f: &Fixture) {
    let ran = f.run(&insecure(
        f,
        "unshare -m sh -c 'mount -t tmpfs x /tmp && echo inside'",
    ));
    assert_eq!(ran.stdout, "inside\n", "{ran:?}");
    let ran = f.run(&f.sh("unshare -m true"));
    assert!(!ran.outcome.status.success(), "{ran:?}");
}

fn hosts_are_complete(f: &Fixture) {
    let mut step = f.sh("cat /etc/hosts; stat -c '%a %u %g' /etc/hosts");
    step.request.hostname = "box".into();
    step.request.extra_hosts = vec![
        ("db".into(), "10.1.2.3".parse().unwrap()),
        ("six.example".into(), "2001:db8::7".parse().unwrap()),
        ("db".into(), "10.1.2.4".parse().unwrap()),
    ];
    assert_eq!(
        f.run(&step).stdout,
        "127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
         ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n\
         10.1.2.3\tdb\n2001:db8::7\tsix.example\n10.1.2.4\tdb\n644 0 0\n"
    );
}

fn groups_are_those_given(f: &Fixture) {
    for (uid, gid, groups, expected) in [
        (1234, 0, vec![0], "1234 0 Groups:0"),
        (1234, 50, vec![50, 7, 70_000], "1234 50 Groups:7 50 70000"),
        (0, 0, vec![], "0 0 Groups:"),
        (5, 6, vec![], "5 6 Groups:"),
    ] {
        let mut step =
            f.sh("echo $(id -u) $(id -g) $(grep Groups: /proc/self/status | tr -d '\\t')");
        step.request.user = UserIds { uid, gid, groups };
        let out = f.run(&step).stdout;
        let words: Vec<&str> = out.split_whitespace().collect();
        let mut sorted = words[2..].to_vec();
        if let Some(first) = sorted.first_mut() {
            *first = first.trim_start_matches("Groups:");
        }
        sorted.retain(|word| !word.is_empty());
        sorted.sort_by_key(|word| word.parse::<u64>().unwrap());
        let got = format!("{} {} Groups:{}", words[0], words[1], sorted.join(" "));
        assert_eq!(got, expected);
    }
}

fn every_limit_of_a_process(f: &Fixture) {
    let names = [
        (Resource::Core, "Max core file size"),
        (Resource::Cpu, "Max cpu time"),
        (Resource::Data, "Max data size"),
        (Resource::Fsize, "Max file size"),
        (Resource::Locks, "Max file locks"),
        (Resource::Memlock, "Max locked memory"),
        (Resource::Msgqueue, "Max msgqueue size"),
        (Resource::Nice, "Max nice priority"),
        (Resource::Nofile, "Max open files"),
        (Resource::Nproc, "Max processes"),
        (Resource::Rss, "Max resident set"),
        (Resource::Rtprio, "Max realtime priority"),
        (Resource::Rttime, "Max realtime timeout"),
        (Resource::Sigpending, "Max pending signals"),
        (Resource::Stack, "Max stack size"),
    ];
    assert_eq!(names.len(), Resource::ALL.len());
    let mut step = f.step(&["cat", "/proc/self/limits"]);
    // Different for each, and no more than this process may give.
    let own = fs::read_to_string("/proc/self/limits").unwrap();
    let hard = |name: &str, index: u64| -> u64 {
        let line = own.lines().find(|line| line.starts_with(name)).unwrap();
        let hard = line[name.len()..].split_whitespace().nth(1).unwrap();
        hard.parse::<u64>().unwrap_or(1 << 31).saturating_sub(index)
    };
    let limits = (0..).zip(&names).map(|(index, (resource, name))| {
        let hard = hard(name, index);
        Ulimit {
            resource: *resource,
            soft: Some(hard / 2),
            hard: Some(hard),
        }
    });
    step.request.ulimits = limits.collect();
    let out = f.run(&step).stdout;
    for (index, (resource, name)) in names.iter().enumerate() {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap();
        let limit = step.request.ulimits[index];
        let shown = |limit: Option<u64>| limit.map_or("unlimited".into(), |n| n.to_string());
        let got: Vec<&str> = line[name.len()..].split_whitespace().take(2).collect();
        assert_eq!(
            got,
            [shown(limit.soft), shown(limit.hard)],
            "{resource:?}: {line}"
        );
    }
}
