//! RUN with the socket of an SSH agent.

use acetate_tests::{Running, World, files_below, have, processes_of};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An agent of a user, with one key, ended with this value.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(dir: &Path, key: &Path) -> Self {
        let socket = dir.join("agent.sock");
        let mut agent = Command::new("ssh-agent");
        agent.arg("-D").arg("-a").arg(&socket);
        let child = agent.stdout(Stdio::null()).spawn().expect("ssh-agent");
        let agent = Self { child, socket };
        let mut n = 0;
        while !agent.add(&[key.as_os_str()]) {
            n += 1;
            assert!(n < 1000, "the agent does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        agent
    }

    fn add(&self, args: &[&std::ffi::OsStr]) -> bool {
        let mut add = Command::new("ssh-add");
        add.args(args).env("SSH_AUTH_SOCK", &self.socket);
        add.output().expect("ssh-add").status.success()
    }

    fn flag(&self) -> String {
        format!("--ssh=default={}", self.socket.display())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn key(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(name);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]);
    assert!(keygen.arg(&path).status().expect("ssh-keygen").success());
    path
}

/// Puts `ssh-add` and what it needs into the context, as `rootfs`; false where it is not installed.
fn with_ssh_add(world: &World) -> bool {
    if !have("ssh-add") || !have("ssh-agent") || !have("ldd") {
        return false;
    }
    let found = Command::new("sh")
        .args(["-c", "command -v ssh-add"])
        .output();
    let found = String::from_utf8(found.expect("sh").stdout).expect("a path");
    let program = found.trim();
    let needs = Command::new("ldd").arg(program).output().expect("ldd");
    let needs = String::from_utf8_lossy(&needs.stdout).into_owned();
    let paths = needs
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let needed = paths.map(|path| (path, &path[1..]));
    for (path, to) in needed.chain([(program, "bin/ssh-add")]) {
        let to = world.context().join("rootfs").join(to);
        std::fs::create_dir_all(to.parent().expect("a parent")).expect("a directory");
        std::fs::copy(path, to).expect("a file");
    }
    true
}

const WORLD: &str = "
    FROM base
    COPY rootfs /
    RUN MOUNT COMMAND
";

fn world(mount: &str, command: &str) -> Option<World> {
    let text = WORLD.replace("MOUNT", mount).replace("COMMAND", command);
    let world = World::of(&text);
    with_ssh_add(&world).then_some(world)
}

#[test]
fn keys_of_the_users_agent_are_listed_and_nothing_else_is_done() {
    let Some(world) = world(
        "--mount=type=ssh",
        "ssh-add -l | cut -d' ' -f3 && ! ssh-add -D 2> /dev/null && ! ssh-add -x < /dev/null 2> /dev/null \
         && ssh-add -l | wc -l && stat -c '%a %u %F' $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK",
    ) else {
        return;
    };
    for isolation in ["--isolation=native", "--isolation=oci"] {
        if isolation.ends_with("oci") && !have("runc") {
            continue;
        }
        let dir = world.fresh("agent");
        std::fs::create_dir(&dir).unwrap();
        let agent = Agent::start(&dir, &key(&dir, "mine"));
        let outcome = world.build(&[&agent.flag(), isolation, "--no-cache"]).ok();
        assert_eq!(
            outcome.log(),
            "mine\n1\n600 0 socket\n/run/buildkit/ssh_agent.0\n"
        );
        assert!(agent.add(&["-l".as_ref()]), "the key is still there");
    }
}

#[test]
fn a_key_file_gets_an_agent_that_ends_with_the_build() {
    let Some(world) = world("--mount=type=ssh,id=deploy", "ssh-add -l") else {
        return;
    };
    let key = key(world.dir(), "deploy-key");
    let flag = format!("--ssh=deploy={}", key.display());
    let outcome = world.build(&[&flag]).ok();
    assert!(
        outcome.log().contains(" deploy-key (ED25519)"),
        "{}",
        outcome.log()
    );
    let left = processes_of(&world.marker());
    assert!(left.is_empty(), "{left:#?}");
    // The private key is nowhere but in the user's file.
    let private = std::fs::read_to_string(&key).unwrap();
    let line = private.lines().nth(2).unwrap();
    for path in files_below(&world.root()) {
        let bytes = std::fs::read(world.root().join(&path)).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&bytes).contains(line),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_socket_has_the_owner_mode_and_place_that_are_asked_for() {
    let Some(world) = world(
        "--mount=type=ssh,target=/deep/sock,uid=7,gid=8,mode=0660",
        "stat -c '%a %u %g' /deep/sock; echo $SSH_AUTH_SOCK",
    ) else {
        return;
    };
    let key = key(world.dir(), "k");
    let image = world.image_and_outcome(&[&format!("--ssh=default={}", key.display())]);
    assert_eq!(image.1.log(), "660 7 8\n/deep/sock\n");
    assert!(!image.0.has("deep"), "{}", image.0.listings());
}

#[test]
fn another_id_is_not_what_was_asked_for() {
    let Some(world) = world("--mount=type=ssh,id=deploy,required", "true") else {
        return;
    };
    let key = key(world.dir(), "k");
    let flag = format!("--ssh=default={}", key.display());
    world
        .build(&[&flag])
        .fails(&["unset ssh forward key deploy", "Dockerfile:3"]);
}

#[test]
fn a_key_with_a_passphrase_fails_by_its_name() {
    let Some(world) = world("--mount=type=ssh,required", "true") else {
        return;
    };
    let path = world.dir().join("locked-key");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "secret", "-f"]);
    assert!(keygen.arg(&path).status().unwrap().success());
    let flag = format!("--ssh=default={}", path.display());
    world
        .build(&[&flag])
        .fails(&["locked-key` is protected by a passphrase", "Dockerfile:3"]);
}

#[test]
fn s73_an_agent_is_in_no_key() {
    let Some(world) = world("--mount=type=ssh", "true") else {
        return;
    };
    let [one, two] = ["one", "two"].map(|name| key(world.dir(), name));
    assert_eq!(world.build(&[]).ok().ran().len(), 2);
    for key in [one, two] {
        let flag = format!("--ssh=default={}", key.display());
        assert_eq!(world.build(&[&flag]).ok().ran().len(), 0);
    }
}

/// Connects by way of the directory: the whole path may be longer than an address takes.
fn is_answered(socket: &Path) -> bool {
    let Ok(dir) = std::fs::File::open(socket.parent().expect("a directory")) else {
        return false;
    };
    let dir = format!("/proc/self/fd/{}", dir.as_raw_fd());
    UnixStream::connect(Path::new(&dir).join("agent")).is_ok()
}

#[test]
fn a_killed_build_leaves_no_agent() {
    let Some(world) = world(
        "--mount=type=ssh",
        "ssh-add -l > /dev/null && sleep 60; true",
    ) else {
        return;
    };
    let key = key(world.dir(), "k");
    let flag = format!("--ssh=default={}", key.display());
    let mut running = Running::start(world.command(&[&flag]));
    let steps = || processes_of(&world.marker());
    running.until("the step", || {
        steps().iter().any(|line| line.contains("sleep 60"))
    });
    let tmp = world.root().join("tmp");
    let sockets = files_below(&tmp);
    let socket = sockets.iter().find(|path| path.ends_with("agent"));
    let socket = tmp.join(socket.expect("the socket of the agent"));
    assert!(is_answered(&socket));
    running.signal(rustix::process::Signal::KILL);
    drop(running.wait());
    let end = Instant::now() + Duration::from_secs(5);
    while !steps().is_empty() || is_answered(&socket) {
        assert!(Instant::now() < end, "left: {:#?}", steps());
        std::thread::sleep(Duration::from_millis(10));
    }
    world.acetate(&["prune", "--force"]).ok();
    assert_eq!(files_below(&tmp), Vec::<PathBuf>::new());
}
