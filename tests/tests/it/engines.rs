//! `build --load` into the engines that people have: docker's and podman's.
#![expect(clippy::unwrap_used, reason = "a test fails at what it did not expect")]

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use acetate_tests::{Outcome, World, have, needs_root, tool};

const DOCKERFILE: &str = "
    FROM base
    COPY Dockerfile /one
    RUN echo two > /two
    CMD [\"cat\", \"/two\"]
";

/// An engine with all that it keeps below a directory of its own, ended with this value.
pub(crate) struct Engine {
    child: Child,
    /// What `DOCKER_HOST` is to be.
    pub(crate) host: String,
    /// What its command line needs to find it.
    client: Vec<String>,
    /// Short, since a socket's path may have 107 bytes.
    dir: tempfile::TempDir,
}

impl Engine {
    /// Docker's, without the network that its containers would share.
    fn docker() -> Self {
        Self::docker_with(&[])
    }

    /// The same with further flags, such as a port.
    pub(crate) fn docker_with(more: &[&str]) -> Self {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let host = format!("unix://{}", at("docker.sock"));
        let mut daemon = Command::new("dockerd");
        daemon.args(["--iptables=false", "--bridge=none", "-H", &host]);
        daemon.args(["--storage-driver=overlay2", "--data-root", &at("data")]);
        daemon.args(["--exec-root", &at("exec"), "--pidfile", &at("pid")]);
        daemon.args(more);
        let client = vec!["docker".to_owned(), "-H".to_owned(), host.clone()];
        Self::start(daemon, host, client, dir, more)
    }

    fn podman() -> Self {
        let dir = tempfile::tempdir_in("/tmp").unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let host = format!("unix://{}", at("podman.sock"));
        let places = [at("data"), at("run")];
        let mut client = vec!["podman".to_owned()];
        client.extend(["--root".into(), places[0].clone()]);
        client.extend(["--runroot".into(), places[1].clone()]);
        client.push("--storage-driver=vfs".into());
        let mut service = Command::new("podman");
        service.args(&client[1..]);
        service.args(["system", "service", "--time=0", &host]);
        Self::start(service, host, client, dir, &[])
    }

    fn start(
        mut program: Command,
        host: String,
        client: Vec<String>,
        dir: tempfile::TempDir,
        ports: &[&str],
    ) -> Self {
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        program.stdin(Stdio::null()).stdout(Stdio::null());
        let child = program.stderr(log).spawn().unwrap();
        let engine = Self {
            child,
            host,
            client,
            dir,
        };
        let socket = engine.host.strip_prefix("unix://").unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        let port = ports.iter().find_map(|flag| flag.strip_prefix("tcp://"));
        let has_port = || port.is_none_or(|port| TcpStream::connect(port).is_ok());
        while UnixStream::connect(Path::new(socket)).is_err() || !has_port() {
            let log = std::fs::read_to_string(engine.dir.path().join("log")).unwrap();
            assert!(Instant::now() < end, "the engine does not answer: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
        engine
    }

    pub(crate) fn client(&self, args: &[&str]) -> String {
        let own = self.client[1..].iter().map(String::as_str);
        let all: Vec<&str> = own.chain(args.iter().copied()).collect();
        tool(&self.client[0], &all)
    }

    fn load(&self, world: &World, args: &[&str]) -> Outcome {
        let mut command = world.command(&[&["--load"], args].concat());
        command.env("DOCKER_HOST", &self.host);
        Outcome::of(command).ok()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Asked to end, since docker has a process of its own below it.
        let id = self.child.id().to_string();
        drop(Command::new("kill").arg(&id).status());
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn docker_runs_what_was_loaded_and_gets_no_layer_twice() {
    if needs_root() || !have("dockerd") || !have("docker") {
        return;
    }
    let (engine, world) = (Engine::docker(), World::of(DOCKERFILE));
    let told = engine.load(&world, &["-tapp:1", "-tteam/app:x"]);
    assert!(told.log().contains("3 of 3 layers"), "{}", told.log());
    let id = engine.client(&["image", "inspect", "--format", "{{.Id}}", "app:1"]);
    let same = engine.client(&["image", "inspect", "--format", "{{.Id}}", "team/app:x"]);
    assert_eq!(id, same);
    let ran = engine.client(&["run", "--rm", "--network=none", "app:1"]);
    assert_eq!(ran, "two\n");
    // Only the layer that is new is sent; the rest is what the engine has.
    world.dockerfile(&DOCKERFILE.replace("echo two", "echo new"));
    let told = engine.load(&world, &["-tapp:2"]);
    assert!(told.log().contains("of 3 layers"), "{}", told.log());
    assert!(!told.log().contains("3 of 3 layers"), "{}", told.log());
    let ran = engine.client(&["run", "--rm", "--network=none", "app:2"]);
    assert_eq!(ran, "new\n");
    // And it reads what `image save` writes.
    let archive = world.dir().join("saved.tar").display().to_string();
    world.build(&["-tother:1"]).ok();
    let save = ["image", "save", "-o", &archive, "other:1"];
    world.acetate(&save).ok();
    let told = engine.client(&["load", "-i", &archive]);
    assert!(told.contains("other:1"), "{told}");
}

#[test]
fn podman_has_what_was_loaded() {
    if needs_root() || !have("podman") {
        return;
    }
    let (engine, world) = (Engine::podman(), World::of(DOCKERFILE));
    engine.load(&world, &["-tapp:1"]);
    let format = ["image", "inspect", "--format", "{{.Config.Cmd}}", "app:1"];
    assert_eq!(engine.client(&format).trim(), "[cat /two]");
    let archive = world.dir().join("saved.tar").display().to_string();
    world.build(&["-tother:1"]).ok();
    let save = ["image", "save", "-o", &archive, "other:1"];
    world.acetate(&save).ok();
    let told = engine.client(&["load", "-i", &archive]);
    assert!(told.contains("other:1"), "{told}");
}
