//! Steps of an ordinary user, in a user namespace.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use acetate_exec::{ExecError, MountKind, NativeExecutor, Network, Security, UserIds};
use acetate_snapshot::RootMount;

use crate::fixture::{Fixture, Step, chain, make_base, names, request, run_with};
use crate::{Test, secrets, sources};

pub(crate) const TESTS: &[Test] = &[
    ("with_ranges", with_ranges),
    ("with_a_single_id", with_a_single_id),
];

/// `nobody`, who has no range on any machine.
const NOBODY: u32 = 65534;

/// Runs this program's `__role-rootless` as nobody, with the given `/etc/subuid`.
fn as_nobody(ranges: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("suite");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    let base = dir.path().join("base");
    make_base(&base);
    let owner = format!("{NOBODY}:{NOBODY}");
    let status = Command::new("chown")
        .args(["-hR", &owner])
        .arg(&base)
        .status()
        .unwrap();
    assert!(status.success());
    let subids = dir.path().join("subids");
    fs::write(&subids, ranges).unwrap();
    let script = format!(
        "mount --make-rprivate / && touch /etc/subuid /etc/subgid && \
         mount --bind {0} /etc/subuid && mount --bind {0} /etc/subgid && \
         exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups \"$@\"",
        subids.display()
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &script, "sh"])
        .arg(&program)
        .args(["__role-rootless".into(), base, home.clone()])
        .arg0("unshare")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn with_ranges(_: &Fixture) {
    let text = as_nobody("nobody:100000:65536\n");
    for line in [
        "ids 65537",
        "uid 0 groups 0",
        "user 1000 1000 5",
        "file 1000:1000",
        "net lo",
        "network host true",
        "unmapped the user id 70000 is not mapped in this user namespace",
        "snapshot alpha rw",
        "copy alpha ro",
        "directory alpha rw",
        "memory size=1024k",
        "secret 440 1000 5 hidden",
        "variable hidden",
        "socket 600 1000 5 HELLO",
        "left []",
        "mount owner the group id 70000 is not mapped",
        "insecure 000001ff",
        "limit the limit `memory` cannot be set: ",
    ] {
        assert!(text.contains(line), "no {line:?} in:\n{text}");
    }
}

fn with_a_single_id(_: &Fixture) {
    let text = as_nobody("somebody:100000:65536\n");
    for line in [
        "ids 1",
        "uid 0",
        "unmapped the user id 70000",
        "snapshot alpha rw",
        "copy alpha ro",
        "directory alpha rw",
        "memory size=1024k",
        "secret 400 0 0 hidden",
        "variable hidden",
        "socket 600 0 0 HELLO",
        "left []",
        "mount owner the group id 70000 is not mapped",
        "limit the limit `memory` cannot be set: ",
    ] {
        assert!(text.contains(line), "no {line:?} in:\n{text}");
    }
}

/// The other side: becomes root of a namespace and runs some steps.
pub(crate) fn user() -> i32 {
    acetate_exec::enter_if_needed(&[]).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let mut args = std::env::args().skip(2).map(PathBuf::from);
    let (base, home) = (args.next().unwrap(), args.next().unwrap());
    let (uids, _) = acetate_exec::id_maps();
    let n_ids: u32 = uids.ranges().iter().map(|range| range.count).sum();
    println!("ids {n_ids}");
    println!(
        "{}",
        say(
            &home,
            &base,
            "a",
            "echo uid $(id -u) groups $(id -G)",
            |_| {}
        )
        .trim()
    );
    if n_ids > 1 {
        let script = "echo user $(id -u) $(id -G); touch /tmp/f; stat -c 'file %u:%g' /tmp/f";
        let change = |request: &mut acetate_exec::ExecRequest| {
            request.user = UserIds {
                uid: 1000,
                gid: 1000,
                groups: vec![5],
            };
        };
        print!("{}", say(&home, &base, "b", script, change));
        let net = "tail -n +3 /proc/net/dev | cut -d: -f1 | sed 's/ */net /'";
        print!(
            "{}",
            say(&home, &base, "c", net, |request| request.network =
                Network::None)
        );
        let host = say(&home, &base, "d", "ls /sys/class/net | wc -l", |_| {});
        println!("network host {}", host.trim().parse::<u32>().unwrap() >= 1);
    }
    let mut request = prepare(&home, &base, "e", "true");
    request.user.uid = 70_000;
    let error = run_with(&NativeExecutor, &request).unwrap_err();
    assert!(matches!(error, ExecError::UnmappedId { .. }));
    println!("unmapped {error}");
    mounts(&home, &base, n_ids);
    0
}

/// Every kind of mount, for a user of the namespace where it has more than one.
fn mounts(home: &Path, base: &Path, n_ids: u32) {
    let (uid, gid, mode) = if n_ids > 1 {
        (1000, 5, 0o440)
    } else {
        (0, 0, 0o400)
    };
    let script = "for d in /new/snapshot /new/copy /new/directory; do \
                  echo $(basename $d) $(cat $d/a.txt) $(touch $d/x 2>/dev/null && echo rw || echo ro); done; \
                  echo memory $(grep ' /m ' /proc/mounts | grep -o size=1024k); \
                  echo secret $(stat -c '%a %u %g' /run/secrets/s) $(cat /run/secrets/s); \
                  echo variable $TOKEN; \
                  echo socket $(stat -c '%a %u %g' /run/agent) $(/test/prog talk /run/agent hello)";
    let mut request = prepare(home, base, "m", script);
    (request.user.uid, request.user.gid) = (uid, gid);
    let step = Step {
        upper: request.root.writable().into(),
        request: request.clone(),
        dir: tempfile::tempdir_in(home).unwrap(),
    };
    let snap = sources::overlay(&step, "snap");
    let [copy, cache] = ["copy", "cache"].map(|name| sources::files(&step, name));
    for writable in [snap.writable(), &cache] {
        fs::set_permissions(writable, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let size = Some(1 << 20);
    let path = secrets::echo(&step);
    request.mounts = vec![
        sources::mount("/new/snapshot", sources::snapshot(&snap, "")),
        sources::read_only("/new/copy", sources::snapshot(&RootMount::Dir(copy), "")),
        sources::mount("/new/directory", sources::directory(&cache)),
        sources::mount("/m", MountKind::Tmpfs { size }),
        sources::read_only(
            "/run/secrets/s",
            sources::owned_secret("hidden\n", mode, uid, gid),
        ),
        sources::mount("/run/agent", secrets::socket(&path, 0o600, uid, gid)),
    ];
    request.secret_env = vec![("TOKEN".into(), "hidden".to_owned().into())];
    let ran = run_with(&NativeExecutor, &request).unwrap_or_else(|e| panic!("{}", chain(&e)));
    print!("{}", ran.stdout);
    println!("left [{}]", names(&step.upper).join(" "));
    let mut request = prepare(home, base, "o", "true");
    request.mounts = vec![sources::mount(
        "/s",
        sources::owned_secret("", 0, 0, 70_000),
    )];
    println!(
        "mount owner {}",
        run_with(&NativeExecutor, &request).unwrap_err()
    );
    let insecure = say(
        home,
        base,
        "i",
        "echo $(grep CapEff /proc/self/status)",
        |request| {
            request.security = Security::Insecure;
        },
    );
    println!("{}", insecure.replace("CapEff: ", "insecure ").trim());
    let mut request = prepare(home, base, "l", "true");
    request.limits.memory = Some(64 << 20);
    println!("limit {}", run_with(&NativeExecutor, &request).unwrap_err());
}

fn prepare(home: &Path, base: &Path, name: &str, script: &str) -> acetate_exec::ExecRequest {
    let dirs = ["upper", "work"].map(|kind| home.join(format!("{name}-{kind}")));
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
    }
    let [upper, work] = dirs;
    let root = RootMount::Overlay {
        lower: vec![base.to_owned()],
        upper,
        work,
    };
    request(root, &["sh", "-c", script])
}

fn say(
    home: &Path,
    base: &Path,
    name: &str,
    script: &str,
    change: impl FnOnce(&mut acetate_exec::ExecRequest),
) -> String {
    let mut request = prepare(home, base, name, script);
    change(&mut request);
    let ran =
        run_with(&NativeExecutor, &request).unwrap_or_else(|error| panic!("{}", chain(&error)));
    assert!(ran.outcome.status.success(), "{ran:?}");
    ran.stdout
}
