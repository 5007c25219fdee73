use super::*;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

struct Fixture {
    temp: tempfile::TempDir,
    store: Arc<Store>,
}

impl Fixture {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(&temp.path().join("store")).unwrap();
        Self { temp, store }
    }

    fn agents(&self, specs: &[SshSpec]) -> SshAgents {
        SshAgents::new(specs, PATH, &self.store)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    /// Makes a key, or says that this machine cannot.
    fn key(&self, name: &str, passphrase: &str) -> Option<PathBuf> {
        let path = self.path(name);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-C", name, "-N", passphrase, "-f"]);
        let Ok(status) = keygen.arg(&path).status() else {
            println!("skipped: needs ssh-keygen");
            return None;
        };
        assert!(status.success());
        Some(path)
    }
}

fn spec(id: &str, paths: &[&Path], raw: bool) -> SshSpec {
    SshSpec {
        id: id.to_owned(),
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        raw,
    }
}

fn ask(stream: &mut UnixStream, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    stream.write_all(&length.to_be_bytes()).unwrap();
    stream.write_all(message).unwrap();
    read(stream)
}

fn read(stream: &mut UnixStream) -> Vec<u8> {
    let mut length = [0; 4];
    if stream.read_exact(&mut length).is_err() {
        return Vec::new();
    }
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut message).unwrap();
    message
}

/// An agent that answers each request with the request, and tells what it heard.
fn echo(path: &Path) -> std::sync::mpsc::Receiver<Vec<u8>> {
    let listener = UnixListener::bind(path).unwrap();
    let (heard, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let heard = heard.clone();
            std::thread::spawn(move || {
                loop {
                    let message = read(&mut stream);
                    if message.is_empty() || heard.send(message.clone()).is_err() {
                        return;
                    }
                    let length = u32::try_from(message.len()).unwrap();
                    stream.write_all(&length.to_be_bytes()).unwrap();
                    stream.write_all(&message).unwrap();
                }
            });
        }
    });
    hears
}

async fn while_served<T: Send + 'static>(
    proxies: Vec<Proxy>,
    client: impl FnOnce() -> T + Send + 'static,
) -> T {
    tokio::select! {
        done = acetate_stdx::blocking(client) => done,
        never = serve(proxies) => match never {},
    }
}

#[tokio::test]
async fn an_agent_hears_of_keys_and_signatures_only() {
    let fixture = Fixture::new();
    let agent = fixture.path("agent");
    let hears = echo(&agent);
    let agents = fixture.agents(&[spec("default", &[&agent], false)]);
    let proxy = agents.listen("default", fixture.temp.path(), "s").unwrap();
    let path = proxy.path().to_owned();
    while_served(vec![proxy], move || {
        let mut stream = UnixStream::connect(&path).unwrap();
        assert_eq!(ask(&mut stream, &[11]), [11]);
        // Removing all keys, adding one, locking, an extension.
        for request in [&[19][..], &[17, 1, 2], &[22, 0], &[27, 0, 0, 0, 0]] {
            assert_eq!(ask(&mut stream, request), [5], "{request:?}");
        }
        assert_eq!(ask(&mut stream, &[13, 1, 2, 3]), [13, 1, 2, 3]);
        // What announces too much is not read.
        let mut other = UnixStream::connect(&path).unwrap();
        other.write_all(&[255, 255, 255, 255, 11]).unwrap();
        assert_eq!(read(&mut other), Vec::<u8>::new());
    })
    .await;
    let heard: Vec<Vec<u8>> = hears.try_iter().collect();
    assert_eq!(heard, [vec![11], vec![13, 1, 2, 3]]);
}

#[tokio::test]
async fn a_raw_socket_passes_everything() {
    let fixture = Fixture::new();
    let agent = fixture.path("agent");
    let hears = echo(&agent);
    let agents = fixture.agents(&[spec("x", &[&agent], true)]);
    let proxy = agents.listen("x", fixture.temp.path(), "s").unwrap();
    let path = proxy.path().to_owned();
    while_served(vec![proxy], move || {
        let mut stream = UnixStream::connect(&path).unwrap();
        assert_eq!(ask(&mut stream, &[19]), [19]);
    })
    .await;
    assert_eq!(hears.try_iter().collect::<Vec<_>>(), [[19]]);
}

#[tokio::test]
async fn connections_end_with_the_step_and_only_so_many_are_answered() {
    let fixture = Fixture::new();
    let agent = fixture.path("agent");
    let _hears = echo(&agent);
    let agents = fixture.agents(&[spec("default", &[&agent], false)]);
    let proxy = agents.listen("default", fixture.temp.path(), "s").unwrap();
    let path = proxy.path().to_owned();
    let mut streams = while_served(vec![proxy], move || {
        let connect = || UnixStream::connect(&path).unwrap();
        let mut streams: Vec<_> = (0..16).map(|_| connect()).collect();
        for stream in &mut streams {
            assert_eq!(ask(stream, &[11]), [11]);
        }
        // The next one waits until another one is closed.
        let mut late = connect();
        late.write_all(&[0, 0, 0, 1, 11]).unwrap();
        let brief = std::time::Duration::from_millis(50);
        late.set_read_timeout(Some(brief)).unwrap();
        assert!(late.read(&mut [0]).is_err());
        drop(streams.pop());
        late.set_read_timeout(None).unwrap();
        assert_eq!(read(&mut late), [11]);
        streams
    })
    .await;
    // Tasks that were told to end do so as soon as they can.
    for stream in &mut streams {
        tokio::task::yield_now().await;
        let mut stream = stream.try_clone().unwrap();
        let left = acetate_stdx::blocking(move || stream.read(&mut [0]).unwrap_or(0)).await;
        assert_eq!(left, 0);
    }
}

#[tokio::test]
async fn keys_get_an_agent_that_ends_with_the_build() {
    let fixture = Fixture::new();
    let Some(key) = fixture.key("first", "") else {
        return;
    };
    // An agent of our own takes a key whatever its mode is.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let agents = fixture.agents(&[spec("default", &[&key], false)]);
    let socket = fixture.path("s");
    let proxy = agents.listen("default", fixture.temp.path(), "s").unwrap();
    let listed = while_served(vec![proxy], move || {
        let mut add = Command::new("ssh-add");
        add.arg("-l").env("SSH_AUTH_SOCK", &socket);
        let listed = add.output().unwrap();
        let mut remove = Command::new("ssh-add");
        remove.arg("-D").env("SSH_AUTH_SOCK", &socket);
        assert!(!remove.output().unwrap().status.success());
        String::from_utf8(listed.stdout).unwrap()
    })
    .await;
    assert!(listed.contains(" first (ED25519)"), "{listed}");
    let again = agents.listen("default", fixture.temp.path(), "s2").unwrap();
    assert_eq!(agents.own.lock().unwrap().len(), 1);
    let own = agents.own.lock().unwrap()["default"].socket();
    assert!(own.exists());
    drop((agents, again));
    assert!(!own.exists());
    assert!(UnixStream::connect(&own).is_err());
}

#[test]
fn a_key_that_cannot_be_used_is_named() {
    let fixture = Fixture::new();
    let Some(key) = fixture.key("locked", "secret") else {
        return;
    };
    let fails = |paths: &[&Path], search_path| {
        let agents = SshAgents::new(&[spec("a", paths, false)], search_path, &fixture.store);
        let error = agents.listen("a", fixture.temp.path(), "s").unwrap_err();
        error.to_string()
    };
    let name = key.display().to_string();
    assert_eq!(
        fails(&[&key], PATH),
        format!(
            "ssh: the key `{name}` is protected by a passphrase; add it to an agent and name the \
             agent's socket"
        )
    );
    let junk = fixture.path("junk");
    std::fs::write(&junk, "junk").unwrap();
    let error = fails(&[&junk], PATH);
    let begin = format!("ssh: the key `{}` cannot be used: ", junk.display());
    assert!(error.starts_with(&begin), "{error}");
    assert_eq!(
        fails(&[&key], "/nonexistent"),
        "ssh: `ssh-agent` was not found in PATH; install openssh-client, or name the socket of an \
         agent"
    );
    let socket = fixture.path("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    assert_eq!(
        fails(&[&socket, &key], PATH),
        "ssh a: a socket cannot be given together with something else"
    );
    assert_eq!(
        fails(&[], PATH),
        "ssh a: it names neither a socket nor a key"
    );
}

#[test]
fn what_nobody_gave_is_said_as_other_builders_say_it() {
    let fixture = Fixture::new();
    let missing = |agents: SshAgents| agents.missing("default").map(|error| error.to_string());
    assert_eq!(
        missing(fixture.agents(&[])).as_deref(),
        Some("no SSH key \"default\" forwarded from the client")
    );
    let other = spec("other", &[Path::new("/x")], false);
    assert_eq!(
        missing(fixture.agents(&[other])).as_deref(),
        Some("unset ssh forward key default")
    );
    let given = spec("default", &[Path::new("/x")], false);
    assert_eq!(missing(fixture.agents(&[given])), None);
}
