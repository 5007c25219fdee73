//! Secrets and sockets: who in a step may use them, and that nobody else sees them.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use acetate_exec::{CancelToken, ExecError, MountKind, Network, Security, Stream, UserIds};
use acetate_stdx::Redacted;

use crate::Test;
use crate::fixture::{Fixture, Step, names};
use crate::sources::{SECRET, mount, owned_secret, read_only, secret};

pub(crate) const TESTS: &[Test] = &[
    ("secret_modes_and_owners", modes_and_owners),
    ("secrets_are_for_their_owner", for_their_owner),
    ("a_secret_cannot_be_written", cannot_be_written),
    ("a_writable_file_of_memory", writable_file_of_memory),
    ("secrets_of_any_bytes", secrets_of_any_bytes),
    ("a_large_secret", a_large_secret),
    ("secret_variables", secret_variables),
    ("a_secret_variable_takes_a_name", takes_a_name),
    ("a_secret_search_path", secret_search_path),
    ("secret_variables_that_cannot_be", variables_that_cannot_be),
    ("s73_no_secret_is_on_a_disk", no_secret_is_on_a_disk),
    ("s73_no_secret_is_in_arguments", no_secret_in_arguments),
    ("no_secret_is_in_a_message", no_secret_in_a_message),
    ("a_secret_is_gone_after_the_step", gone_after_the_step),
    ("a_socket_answers", a_socket_answers),
    ("a_socket_for_a_user", a_socket_for_a_user),
    ("a_socket_without_network", a_socket_without_network),
    ("a_socket_of_an_insecure_step", a_socket_insecure),
    ("things_that_are_no_sockets", no_sockets),
];

fn user(uid: u32, gid: u32, groups: &[u32]) -> UserIds {
    UserIds {
        uid,
        gid,
        groups: groups.to_vec(),
    }
}

fn modes_and_owners(f: &Fixture) {
    for (mode, uid, gid, expected) in [
        (0o400, 0, 0, "400 0 0"),
        (0o440, 1000, 50, "440 1000 50"),
        (0o7777, 65534, 65534, "777 65534 65534"),
        (0, 4_000_000, 0, "0 4000000 0"),
    ] {
        let mut step = f.sh("stat -c '%a %u %g' /s; stat -c %F /s; stat -c %s /s");
        step.request.mounts = vec![read_only("/s", owned_secret("12345", mode, uid, gid))];
        assert_eq!(
            f.run(&step).stdout,
            format!("{expected}\nregular file\n5\n")
        );
    }
}

fn for_their_owner(f: &Fixture) {
    let script = "for s in /mine /group /others; do cat $s 2>/dev/null || echo denied; done";
    let mut step = f.sh(script);
    step.request.user = user(1000, 1000, &[1000, 7]);
    step.request.mounts = vec![
        read_only("/mine", owned_secret("mine\n", 0o400, 1000, 0)),
        read_only("/group", owned_secret("group\n", 0o040, 0, 7)),
        read_only("/others", owned_secret("others\n", 0o400, 1001, 1000)),
    ];
    assert_eq!(f.run(&step).stdout, "mine\ngroup\ndenied\n");
}

fn cannot_be_written(f: &Fixture) {
    let script = "echo x > /s || echo 1; chmod 777 /s || echo 2; rm -f /s || echo 3; \
                  mv /s /t || echo 4; chown 1 /s || echo 5; cat /s";
    let mut step = f.sh(script);
    step.request.mounts = vec![read_only("/s", secret("kept\n"))];
    assert_eq!(f.run(&step).stdout, "1\n2\n3\n4\n5\nkept\n");
    assert_eq!(names(&step.upper), [""; 0]);
}

fn writable_file_of_memory(f: &Fixture) {
    let mut step = f.sh("echo more >> /s; cat /s");
    step.request.mounts = vec![mount("/s", owned_secret("some\n", 0o600, 0, 0))];
    assert_eq!(f.run(&step).stdout, "some\nmore\n");
    assert_eq!(names(&step.upper), [""; 0]);
}

fn secrets_of_any_bytes(f: &Fixture) {
    let bytes: Vec<u8> = (0..=255).collect();
    for (bytes, expected) in [
        (&bytes[..], "256"),
        (b"", "0"),
        (b"\n\n", "2"),
        (b"\0", "1"),
    ] {
        let mut step = f.sh("wc -c < /s; od -An -v -tu1 /s | xargs");
        step.request.mounts = vec![read_only("/s", secret(bytes))];
        let list: Vec<String> = bytes.iter().map(ToString::to_string).collect();
        assert_eq!(
            f.run(&step).stdout,
            format!("{expected}\n{}\n", list.join(" "))
        );
    }
}

fn a_large_secret(f: &Fixture) {
    let text = "0123456789abcdef".repeat(500 << 6);
    let mut step = f.sh("wc -c < /s; tail -c 16 /s; tr -d 0-9a-f < /s | wc -c");
    step.request.mounts = vec![read_only("/s", secret(&text))];
    assert_eq!(f.run(&step).stdout, "512000\n0123456789abcdef0\n");
}

fn with_variables(step: &mut Step, variables: &[(&str, &str)]) {
    step.request.secret_env = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Redacted::new((*value).to_owned())))
        .collect();
}

fn secret_variables(f: &Fixture) {
    let mut step = f.step(&["/bin/env"]);
    step.request.env = vec!["HOME=/".into(), "A=1".into(), "PATH=/bin".into()];
    with_variables(
        &mut step,
        &[("TOKEN", SECRET), ("EMPTY", ""), ("LINES", "a\nb=c ")],
    );
    assert_eq!(
        f.run(&step).stdout,
        format!("HOME=/\nA=1\nPATH=/bin\nTOKEN={SECRET}\nEMPTY=\nLINES=a\nb=c \n")
    );
}

fn takes_a_name(f: &Fixture) {
    let mut step = f.step(&["/bin/env"]);
    let env = ["TOKEN=public", "PATH=/bin", "TOKENS=2", "HOME=/"];
    step.request.env = env.map(Into::into).to_vec();
    with_variables(&mut step, &[("TOKEN", "hidden")]);
    assert_eq!(
        f.run(&step).stdout,
        "PATH=/bin\nTOKENS=2\nHOME=/\nTOKEN=hidden\n"
    );
}

fn secret_search_path(f: &Fixture) {
    let mut step = f.step(&["/bin/env"]);
    step.request.env = vec!["PATH=/nowhere".into(), "HOME=/".into()];
    with_variables(&mut step, &[("PATH", "/bin:/secret-place")]);
    assert_eq!(f.run(&step).stdout, "HOME=/\nPATH=/bin:/secret-place\n");
}

fn variables_that_cannot_be(f: &Fixture) {
    for (name, value, reason) in [
        ("", "x", "`` is no name of a variable"),
        ("A=B", "x", "`A=B` is no name of a variable"),
        ("A\0", "x", "`A\\u{0}` is no name of a variable"),
        (
            "TOKEN",
            "x\0y",
            "the secret for the variable `TOKEN` holds a NUL byte",
        ),
    ] {
        let mut step = f.step(&["true"]);
        with_variables(&mut step, &[(name, value)]);
        let error = f.try_run(&step).unwrap_err();
        assert!(matches!(error, ExecError::Invalid(_)), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!("the step is not valid: {reason}")
        );
    }
}

/// Every regular file below `dir` that holds the secret.
fn holders(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(holders(&path));
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            if bytes
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes())
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

/// A step with a secret file and a secret variable, and what is looked at while it runs.
fn while_it_runs(f: &Fixture, look: impl Fn(&Step)) {
    let mut step = f.sh("cat /run/secrets/s; echo; echo $TOKEN; sleep 0.05; rm -f /tmp/x");
    step.request.mounts = vec![read_only("/run/secrets/s", secret(SECRET))];
    with_variables(&mut step, &[("TOKEN", SECRET)]);
    let (mut said, mut looks) = (Vec::new(), 0);
    let mut log = |_: Stream, bytes: &[u8]| {
        said.extend_from_slice(bytes);
        if looks == 0 {
            look(&step);
        }
        looks += 1;
    };
    let token = CancelToken::new().unwrap();
    let outcome = f.executor.run(&step.request, &mut log, &token).unwrap();
    assert!(outcome.status.success());
    assert_eq!(
        String::from_utf8(said).unwrap(),
        format!("{SECRET}\n{SECRET}\n")
    );
    look(&step);
    assert!(looks > 0);
}

fn no_secret_is_on_a_disk(f: &Fixture) {
    while_it_runs(f, |step| assert_eq!(holders(step.dir.path()), [""; 0]));
}

fn no_secret_in_arguments(f: &Fixture) {
    while_it_runs(f, |_| {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        for entry in entries {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            assert!(!line.contains(SECRET), "{line}");
        }
    });
}

fn no_secret_in_a_message(f: &Fixture) {
    let with_secrets = || {
        let mut step = f.step(&["nosuch"]);
        step.request.mounts = vec![read_only("/s", secret(SECRET))];
        with_variables(&mut step, &[("TOKEN", SECRET), ("PATH", SECRET)]);
        step
    };
    let mut step = with_secrets();
    step.request.mounts.push(mount("/proc/x", secret(SECRET)));
    assert!(!format!("{:?}", step.request).contains(SECRET));
    let error = f.try_run(&step).unwrap_err();
    assert!(!format!("{error:?} {error}").contains(SECRET), "{error:?}");
    let ran = f.run(&with_secrets());
    assert_eq!(ran.outcome.status.code(), 127);
    assert!(!format!("{ran:?}").contains(SECRET), "{ran:?}");
    assert!(
        ran.stderr.starts_with("`nosuch` was not found in PATH"),
        "{ran:?}"
    );
}

fn gone_after_the_step(f: &Fixture) {
    let mut step = f.sh("cat /s");
    step.request.mounts = vec![read_only("/s", secret("1\n"))];
    assert_eq!(f.run(&step).stdout, "1\n");
    let ran = f.run(&f.sh("ls /s"));
    assert!(ran.stderr.contains("No such file"), "{ran:?}");
    assert_eq!(names(&step.upper), [""; 0]);
}

/// Answers each connection with what it says, in capitals.
pub(crate) fn echo(step: &Step) -> std::path::PathBuf {
    let path = step.dir.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            stream.write_all(said.to_uppercase().as_bytes()).unwrap();
        }
    });
    path
}

pub(crate) fn socket(path: &Path, mode: u32, uid: u32, gid: u32) -> MountKind {
    MountKind::Socket {
        path: path.into(),
        mode,
        uid,
        gid,
    }
}

const AGENT: &str = "/run/buildkit/ssh_agent.0";

fn talk(f: &Fixture, change: impl Fn(&mut Step), expected: &str) {
    let script = format!(
        "stat -c '%F %a %u %g' {AGENT}; /test/prog talk {AGENT} hello; \
         grep {AGENT} /proc/mounts | cut -d' ' -f4 | cut -d, -f1-4"
    );
    let mut step = f.sh(&script);
    let path = echo(&step);
    step.request.mounts = vec![read_only(AGENT, socket(&path, 0o600, 0, 0))];
    change(&mut step);
    assert_eq!(
        f.run(&step).stdout,
        format!("{expected}\nro,nosuid,nodev,noexec\n")
    );
    assert_eq!(names(&step.upper), [""; 0]);
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
}

fn a_socket_answers(f: &Fixture) {
    talk(f, |_| {}, "socket 600 0 0\nHELLO");
}

fn a_socket_for_a_user(f: &Fixture) {
    let as_user = |step: &mut Step, owner: u32| {
        step.request.user = user(1000, 1000, &[1000]);
        let MountKind::Socket { path, .. } = step.request.mounts[0].source.clone() else {
            unreachable!()
        };
        step.request.mounts[0].source = socket(&path, 0o4600, owner, 50);
    };
    talk(f, |step| as_user(step, 1000), "socket 600 1000 50\nHELLO");
    talk(
        f,
        |step| as_user(step, 1001),
        "socket 600 1001 50\ntalk: EACCES",
    );
}

fn a_socket_without_network(f: &Fixture) {
    let change = |step: &mut Step| step.request.network = Network::None;
    talk(f, change, "socket 600 0 0\nHELLO");
}

fn a_socket_insecure(f: &Fixture) {
    let change = |step: &mut Step| step.request.security = Security::Insecure;
    talk(f, change, "socket 600 0 0\nHELLO");
}

fn no_sockets(f: &Fixture) {
    let mut step = f.step(&["true"]);
    let dir = step.dir.path().to_owned();
    fs::write(dir.join("file"), "").unwrap();
    std::os::unix::fs::symlink(echo(&step), dir.join("link")).unwrap();
    for (name, reason) in [
        ("file", " is not a socket"),
        ("link", " is not a socket"),
        ("upper", " is not a socket"),
        ("absent", ": No such file or directory (os error 2)"),
    ] {
        let path = dir.join(name);
        step.request.mounts = vec![mount(AGENT, socket(&path, 0o600, 0, 0))];
        let error = f.try_run(&step).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("mounting `{AGENT}` failed: `{}`{reason}", path.display())
        );
    }
    // Nothing was changed of what is not a socket.
    assert_eq!(
        fs::metadata(dir.join("file")).unwrap().mode() & 0o777,
        0o644
    );
}
