//! `build --load`, into a scripted engine.
#![expect(clippy::unwrap_used, reason = "a test fails at what it did not expect")]

use acetate_tests::{Outcome, World};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

const DOCKERFILE: &str = "
    FROM base
    COPY Dockerfile /one
    CMD [\"cat\", \"/one\"]
";

/// What an engine answers, by the path that is asked for, and the archives that it was given.
#[derive(Default)]
struct Script {
    answers: BTreeMap<String, (u16, String)>,
    loads: Vec<BTreeMap<String, Vec<u8>>>,
    /// The answers to loads, in order; none is a good one.
    outcomes: Vec<(u16, String)>,
}

/// An engine that does what its script says.
struct Fake {
    socket: PathBuf,
    script: Arc<Mutex<Script>>,
}

impl Fake {
    fn start(world: &World, answers: &[(&str, &str)]) -> Self {
        let socket = world.dir().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let answers = answers.iter().map(|(path, text)| {
            let answer = (200, (*text).to_owned());
            ((*path).to_owned(), answer)
        });
        let script = Arc::new(Mutex::new(Script {
            answers: answers.collect(),
            ..Script::default()
        }));
        let own = Arc::clone(&script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, script) = (stream.unwrap(), Arc::clone(&own));
                std::thread::spawn(move || serve(stream, &script));
            }
        });
        Self { socket, script }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

fn serve(stream: UnixStream, script: &Mutex<Script>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line == "\r\n" {
                break;
            }
            head.push(line.trim().to_owned());
        }
        let path = head[0].split(' ').nth(1).unwrap().to_owned();
        let (status, body) = if head[0].starts_with("POST") {
            let archive = chunked(&mut reader);
            let mut files = BTreeMap::new();
            for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().display().to_string();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                files.insert(name, bytes);
            }
            let mut script = script.lock().unwrap();
            script.loads.push(files);
            if script.outcomes.is_empty() {
                (200, "{\"stream\":\"Loaded image: x\"}\n".to_owned())
            } else {
                script.outcomes.remove(0)
            }
        } else {
            let answers = &script.lock().unwrap().answers;
            let missing = || (404, "{\"message\":\"no such thing\"}".to_owned());
            answers.get(&path).cloned().unwrap_or_else(missing)
        };
        let answer = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        writer.write_all(answer.as_bytes()).unwrap();
    }
}

fn chunked(reader: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut piece = vec![0; size + 2];
        reader.read_exact(&mut piece).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&piece[..size]);
    }
}

const DOCKER: [(&str, &str); 2] = [
    (
        "/version",
        "{\"ApiVersion\":\"1.44\",\"Components\":[{\"Name\":\"Engine\"}]}",
    ),
    (
        "/info",
        "{\"Driver\":\"overlay2\",\"DriverStatus\":[[\"Native Overlay Diff\",\"true\"]]}",
    ),
];

fn load(world: &World, host: &str, args: &[&str]) -> Outcome {
    let mut command = world.command(args);
    command.env("DOCKER_HOST", host);
    Outcome::of(command)
}

fn n_layers(files: &BTreeMap<String, Vec<u8>>) -> (usize, usize) {
    let manifest: serde_json::Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "app:1");
    let layers = manifest[0]["Layers"].as_array().unwrap();
    let there = layers
        .iter()
        .filter(|it| files.contains_key(it.as_str().unwrap()));
    (there.count(), layers.len())
}

#[test]
fn an_engine_gets_the_layers_that_it_lacks() {
    let world = World::of(DOCKERFILE);
    let fake = Fake::start(&world, &DOCKER);
    load(&world, &fake.host(), &["--load", "-tapp:1"]).ok();
    let files = fake.script.lock().unwrap().loads.pop().unwrap();
    assert_eq!(n_layers(&files), (2, 2));
    assert!(files.contains_key("index.json"));
    // Now it has an image with the lowest layer.
    let config = serde_json::from_slice::<serde_json::Value>(&files["manifest.json"]).unwrap();
    let config = &files[config[0]["Config"].as_str().unwrap()];
    let config: serde_json::Value = serde_json::from_slice(config).unwrap();
    let lowest = &config["rootfs"]["diff_ids"][0];
    let answers = [
        ("/images/json", "[{\"Id\":\"sha256:1\"}]".to_owned()),
        (
            "/images/sha256:1/json",
            format!("{{\"RootFS\":{{\"Layers\":[{lowest}]}}}}"),
        ),
    ];
    for (path, text) in answers {
        fake.script
            .lock()
            .unwrap()
            .answers
            .insert(path.to_owned(), (200, text));
    }
    let outcome = load(&world, &fake.host(), &["-otype=docker", "-tapp:1"]).ok();
    assert!(
        outcome.log().contains("1 of 2 layers sent"),
        "{}",
        outcome.log()
    );
    let files = fake.script.lock().unwrap().loads.pop().unwrap();
    assert_eq!(n_layers(&files), (1, 2));
    // It lost the layer in between: everything is sent.
    let lost = (200, "{\"error\":\"open layer: no such file\"}\n".to_owned());
    fake.script.lock().unwrap().outcomes.push(lost);
    load(&world, &fake.host(), &["--load", "-tapp:1"]).ok();
    let files = std::mem::take(&mut fake.script.lock().unwrap().loads);
    assert_eq!(
        files.iter().map(n_layers).collect::<Vec<_>>(),
        [(1, 2), (2, 2)]
    );
    // An engine whose images are containerd's, and podman, get all.
    for (path, text) in [
        (
            "/info",
            "{\"DriverStatus\":[[\"driver-type\",\"io.containerd.snapshotter.v1\"]]}",
        ),
        (
            "/version",
            "{\"ApiVersion\":\"1.41\",\"Components\":[{\"Name\":\"Podman Engine\"}]}",
        ),
    ] {
        let answer = (200, text.to_owned());
        fake.script
            .lock()
            .unwrap()
            .answers
            .insert(path.to_owned(), answer);
        load(&world, &fake.host(), &["--load", "-tapp:1"]).ok();
        let files = fake.script.lock().unwrap().loads.pop().unwrap();
        assert_eq!(n_layers(&files), (2, 2), "{path}");
    }
}

#[test]
fn what_an_engine_refuses_is_told_in_its_words() {
    let world = World::of(DOCKERFILE);
    let fake = Fake::start(&world, &[]);
    for (status, text) in [
        (
            200,
            "{\"stream\":\"x\"}\n{\"errorDetail\":{},\"error\":\"no space left\"}\n",
        ),
        (500, "{\"message\":\"no space left\"}"),
    ] {
        fake.script
            .lock()
            .unwrap()
            .outcomes
            .push((status, text.to_owned()));
        load(&world, &fake.host(), &["--load", "-tapp:1"])
            .fails(&["does not load the image", "no space left"]);
    }
}

#[test]
fn without_an_engine_nothing_is_built() {
    let world = World::of(DOCKERFILE);
    let none = format!("unix://{}/none.sock", world.dir().display());
    for args in [&["--load"], &["-otype=docker"]] {
        let outcome = load(&world, &none, args).fails(&["no socket at", "none.sock", "dest=FILE"]);
        assert!(outcome.ran().is_empty());
    }
    load(&world, "ftp://h", &["--load"]).fails(&["DOCKER_HOST leads to `ftp://h`", "tcp://HOST"]);
    let mut command = world.command(&["-otype=docker,context=other"]);
    command.env("DOCKER_HOST", &none);
    command.env("DOCKER_CONFIG", world.dir().join("docker"));
    let outcome = Outcome::of(command).fails(&["context=other", "/docker/contexts/meta/"]);
    assert!(outcome.ran().is_empty());
    load(
        &world,
        &none,
        &["--load", "--platform=linux/amd64,linux/arm64"],
    )
    .fails(&["one platform"]);
}

/// Answers every connection with one text, as long as this runs.
fn answering(text: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // What is asked has to be read: else the answer may be lost with the connection.
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).unwrap() > 0);
            stream.write_all(text.as_bytes()).unwrap();
        }
    });
    host
}

#[test]
fn an_engine_elsewhere_has_to_answer_before_anything_is_built() {
    let world = World::of(DOCKERFILE);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("tcp://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let secured = answering(
        "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    );
    for (host, [reason, hint]) in [
        (&closed, ["Connection refused", "it listens there"]),
        (
            &secured,
            ["it answers 400: Client sent", "DOCKER_TLS_VERIFY=1"],
        ),
    ] {
        let outcome = load(&world, host, &["--load"]).fails(&[host, reason, hint]);
        assert!(outcome.ran().is_empty());
    }
}

#[test]
fn what_ssh_says_is_told() {
    let world = World::of(DOCKERFILE);
    let bin = world.dir().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let with_path = |args: &[&str]| {
        let mut command = world.command(args);
        command
            .env("DOCKER_HOST", "ssh://me@far:2222")
            .env("PATH", &bin);
        Outcome::of(command)
    };
    with_path(&["--load"]).fails(&["`ssh`, which was not found in PATH", "openssh-client"]);
    let program = bin.join("ssh");
    std::fs::write(
        &program,
        "#!/bin/sh\necho 'far: Permission denied (publickey).' >&2\nexit 255\n",
    )
    .unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let outcome = with_path(&["--load"]).fails(&[
        "the engine at `ssh://me@far:2222`",
        "ssh says: far: Permission denied (publickey).",
        "`ssh -p 2222 me@far docker version`",
    ]);
    assert!(outcome.ran().is_empty());
}
