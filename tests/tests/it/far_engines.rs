//! `build --load` into dockers that are not at a socket of this machine, as docker reaches them.
#![expect(clippy::unwrap_used, reason = "a test fails at what it did not expect")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use acetate_tests::{Outcome, World, have, needs_root, tool};

use crate::engines::Engine;

const DOCKERFILE: &str = "
    FROM base
    COPY Dockerfile /one
    RUN echo two > /two
    CMD [\"cat\", \"/two\"]
";

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("tcp://{}", listener.local_addr().unwrap())
}

/// Builds an image and loads it with these variables.
fn load(world: &World, args: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let mut command = world.command(args);
    // Neither the settings of whoever runs the tests, nor a docker that this machine has.
    command.env("DOCKER_CONFIG", world.dir().join("docker"));
    command.envs(variables.iter().copied());
    Outcome::of(command)
}

/// Makes a context by docker's own command line, in the settings of a world.
fn context(world: &World, name: &str, endpoint: &str) {
    let config = world.dir().join("docker").display().to_string();
    let endpoint = format!("--docker={endpoint}");
    let args = ["--config", &config, "context", "create", name, &endpoint];
    tool("docker", &args);
}

/// The second load of the same layers sends none.
#[track_caller]
fn loads(engine: &Engine, world: &World, name: &str, args: &[&str], variables: &[(&str, &str)]) {
    let tag = format!("-t{name}");
    let told = load(world, &[args, &[tag.as_str()]].concat(), variables).ok();
    assert!(told.log().contains("of 3 layers sent"), "{}", told.log());
    let format = ["image", "inspect", "--format", "{{.Config.Cmd}}", name];
    assert_eq!(engine.client(&format).trim(), "[cat /two]");
}

/// A program named `ssh` that writes down what it is asked and leads to a socket.
fn stand_in(world: &World, host: &str) -> (String, std::path::PathBuf) {
    let (bin, log) = (world.dir().join("bin"), world.dir().join("ssh-log"));
    std::fs::create_dir(&bin).unwrap();
    let text = format!(
        "#!/bin/sh\necho \"$@\" >> {}\nexec docker -H {host} system dial-stdio\n",
        log.display()
    );
    let program = bin.join("ssh");
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let path = tool("sh", &["-c", "printf %s \"$PATH\""]);
    (format!("{}:{path}", bin.display()), log)
}

#[test]
fn docker_is_reached_at_a_port_by_ssh_and_by_contexts() {
    if needs_root() || !have("dockerd") || !have("docker") {
        return;
    }
    let port = free_port();
    let engine = Engine::docker_with(&["-H", &port, "--tls=false"]);
    let world = World::of(DOCKERFILE);
    let told = load(&world, &["--load", "-tport:1"], &[("DOCKER_HOST", &port)]).ok();
    assert!(told.log().contains("3 of 3 layers"), "{}", told.log());
    // What the engine has is not sent, whichever way leads there.
    let sent_again = load(&world, &["--load", "-tport:2"], &[("DOCKER_HOST", &port)]).ok();
    assert!(
        sent_again.log().contains("0 of 3 layers"),
        "{}",
        sent_again.log()
    );

    let (path, log) = stand_in(&world, &engine.host);
    let ssh = [
        ("DOCKER_HOST", "ssh://me@far:2222"),
        ("PATH", path.as_str()),
    ];
    let told = load(&world, &["--load", "-tssh:1"], &ssh).ok();
    assert!(told.log().contains("0 of 3 layers"), "{}", told.log());
    loads(&engine, &world, "ssh:1", &["--load"], &ssh);
    let asked = std::fs::read_to_string(&log).unwrap();
    let first = asked.lines().next().unwrap();
    assert!(first.starts_with("-o ConnectTimeout=30 "), "{first}");
    assert!(
        first.ends_with(" -l me -p 2222 -- far docker system dial-stdio"),
        "{first}"
    );
    // Each load asks whether somebody is there, and then comes with the image; what it asks in
    // between shares a connection, if not with a second one that was begun meanwhile.
    let n_started = asked.lines().count();
    assert!((4..=8).contains(&n_started), "{asked}");
    assert!(asked.lines().all(|line| line == first), "{asked}");

    context(&world, "port", &format!("host={port}"));
    context(&world, "socket", &format!("host={}", engine.host));
    context(&world, "nobody", "host=tcp://127.0.0.1:1");
    loads(
        &engine,
        &world,
        "named:1",
        &["-otype=docker,context=port"],
        &[],
    );
    loads(
        &engine,
        &world,
        "chosen:1",
        &["--load"],
        &[("DOCKER_CONTEXT", "socket")],
    );
    load(&world, &["--load"], &[("DOCKER_CONTEXT", "nobody")])
        .fails(&["tcp://127.0.0.1:1", "Connection refused"]);
    let config = world.dir().join("docker").display().to_string();
    tool("docker", &["--config", &config, "context", "use", "port"]);
    loads(&engine, &world, "used:1", &["--load"], &[]);
    let host = [("DOCKER_HOST", port.as_str()), ("DOCKER_CONTEXT", "nobody")];
    loads(&engine, &world, "host:1", &["--load"], &host);
}

#[test]
fn docker_is_reached_by_tls_with_certificates_on_both_sides() {
    if needs_root() || !have("dockerd") || !have("docker") || !have("openssl") {
        return;
    }
    let world = World::of(DOCKERFILE);
    let (here, other) = (world.dir().join("tls"), world.dir().join("other-tls"));
    for dir in [&here, &other] {
        certificates(dir);
    }
    let at = |name: &str| here.join(name).display().to_string();
    let port = free_port();
    let (ca, cert, key) = (at("ca.pem"), at("server.pem"), at("server.key"));
    let flags = [
        "-H",
        &port,
        "--tlsverify",
        "--tlscacert",
        &ca,
        "--tlscert",
        &cert,
        "--tlskey",
        &key,
    ];
    let engine = Engine::docker_with(&flags);
    let with = |dir: &Path| {
        let dir = dir.display().to_string();
        [
            ("DOCKER_HOST", port.clone()),
            ("DOCKER_TLS_VERIFY", "1".to_owned()),
            ("DOCKER_CERT_PATH", dir),
        ]
    };
    let load_with = |variables: &[(&'static str, String)]| {
        let pairs = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        load(&world, &["--load", "-tapp:1"], &pairs.collect::<Vec<_>>())
    };
    let told = load_with(&with(&here)).ok();
    assert!(told.log().contains("3 of 3 layers"), "{}", told.log());
    // In the clear, by another authority, without a certificate of our own, and without any files.
    load_with(&with(&here)[..1]).fails(&["it answers 400", "DOCKER_TLS_VERIFY=1"]);
    load_with(&with(&other)).fails(&["certificate", "other-tls"]);
    let bare = world.dir().join("bare");
    std::fs::create_dir(&bare).unwrap();
    load_with(&with(&bare)).fails(&["there is no `", "bare/ca.pem`", "DOCKER_CERT_PATH"]);
    std::fs::copy(here.join("ca.pem"), bare.join("ca.pem")).unwrap();
    load_with(&with(&bare)).fails(&["ertificate", "bare"]);

    let (own, own_key) = (at("cert.pem"), at("key.pem"));
    context(
        &world,
        "tls",
        &format!("host={port},ca={ca},cert={own},key={own_key}"),
    );
    loads(
        &engine,
        &world,
        "tls:1",
        &["-otype=docker,context=tls"],
        &[],
    );
    let skip = format!("host={port},skip-tls-verify=true,cert={own},key={own_key}");
    context(&world, "skip", &skip);
    loads(
        &engine,
        &world,
        "skip:1",
        &["-otype=docker,context=skip"],
        &[],
    );
}

/// An authority, and a server and a client that it vouches for.
fn certificates(dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    std::fs::write(dir.join("san"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    let run = |args: &str| {
        let mut openssl = Command::new("openssl");
        let made = openssl
            .args(args.split(' '))
            .current_dir(dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
    };
    run(&format!(
        "req -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.pem {new_key}"
    ));
    for (name, key) in [("server.pem", "server.key"), ("cert.pem", "key.pem")] {
        run(&format!(
            "req -new -subj /CN=x -keyout {key} -out request {new_key}"
        ));
        run(&format!(
            "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile san -out {name}"
        ));
    }
}
