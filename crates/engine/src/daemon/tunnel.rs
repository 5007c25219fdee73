//! Connections through ssh, as docker makes them: one ssh for each, whose input and output are it.

use super::address::SshHost;
use crate::BuildError;
use crate::ssh::socket::{listen, shorten};
use acetate_store::ScratchDir;
use rustix::process::{Pid, Signal};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// How long to wait where the process has no descriptor left for a connection.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked whether a program has said something, and how many times.
const LOOK: (Duration, u32) = (Duration::from_millis(20), 50);
/// The most bytes of what programs say that are kept.
const MAX_SAID: usize = 16 << 10;
/// How many lines of it are shown.
const N_LINES: usize = 3;

/// A socket of this process that leads to an engine behind ssh, for as long as this value lives.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// A path that is short enough for an address, by way of `_directory`.
    path: PathBuf,
    _directory: OwnedFd,
    _scratch: ScratchDir,
    programs: Arc<Programs>,
    accepting: JoinHandle<()>,
}

/// The programs that carry connections.
#[derive(Debug)]
struct Programs {
    program: PathBuf,
    args: Vec<String>,
    /// None once the tunnel is closed: nothing is started any more.
    running: Mutex<Option<Vec<Child>>>,
    said: Arc<Mutex<String>>,
}

impl Tunnel {
    /// Listens for connections; nothing is reached yet.
    pub(super) fn dig(
        host: &SshHost,
        search_path: &str,
        scratch: ScratchDir,
    ) -> Result<Self, BuildError> {
        let program = find(search_path).ok_or_else(|| {
            BuildError::request_with(
                format!(
                    "the engine at `ssh://{host}` is reached by `ssh`, which was not found in PATH"
                ),
                "install openssh-client",
            )
        })?;
        let path = scratch.path().join("engine");
        let blame = BuildError::input("listen at", &path);
        let listener = listen(&path).map_err(&blame)?;
        let listener = UnixListener::from_std(listener).map_err(&blame)?;
        let (directory, short) = shorten(&path).map_err(&blame)?;
        let programs = Arc::new(Programs {
            program,
            args: args(host),
            running: Mutex::new(Some(Vec::new())),
            said: Arc::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&programs)));
        Ok(Self {
            path: short,
            _directory: directory,
            _scratch: scratch,
            programs,
            accepting,
        })
    }

    /// The socket.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines of what ssh said; waits a little where it has said nothing yet.
    pub(super) async fn complaint(&self) -> Option<String> {
        let (wait, n) = LOOK;
        for _ in 0..n {
            let said = lines(&lock(&self.programs.said));
            if said.is_some() {
                return said;
            }
            tokio::time::sleep(wait).await;
        }
        None
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.accepting.abort();
        let running = lock(&self.programs.running).take();
        for mut child in running.into_iter().flatten() {
            // With whatever it started to get there.
            let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
            if let Some(group) = group
                && let Err(error) = rustix::process::kill_process_group(group, Signal::KILL)
            {
                tracing::debug!(%error, "ssh could not be ended");
            }
            if let Err(error) = child.wait() {
                tracing::debug!(%error, "the end of ssh was not seen");
            }
        }
    }
}

impl Programs {
    /// Gives a connection to a program of its own.
    fn carry(&self, stream: UnixStream) -> io::Result<()> {
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        let (input, output) = (OwnedFd::from(stream.try_clone()?), OwnedFd::from(stream));
        let mut running = lock(&self.running);
        let Some(running) = running.as_mut() else {
            return Ok(());
        };
        let mut command = Command::new(&self.program);
        // A group of its own: an interrupt at the terminal is for the build, which ends it.
        command.args(&self.args).process_group(0);
        command.stdin(input).stdout(output).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(stderr) = child.stderr.take() {
            let said = Arc::clone(&self.said);
            // No thread that is waited for: a master connection may hold this open for hours.
            std::thread::spawn(move || listen_to(stderr, &said));
        }
        running.push(child);
        Ok(())
    }
}

async fn accept(listener: UnixListener, programs: Arc<Programs>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = programs.carry(stream) {
                    lock(&programs.said).push_str(&format!("it does not start: {error}\n"));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a connection for ssh was not accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What docker runs, but for what keeps ssh from asking and from waiting for ever.
fn args(host: &SshHost) -> Vec<String> {
    let mut args = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(|&word| word.to_owned()));
    add(&["-o", "ConnectTimeout=30", "-o", "BatchMode=yes"]);
    add(&["-o", "ServerAliveInterval=30", "-T"]);
    if let Some(user) = &host.user {
        add(&["-l", user]);
    }
    if let Some(port) = host.port {
        add(&["-p", &port.to_string()]);
    }
    add(&["--", &host.host, "docker"]);
    if let Some(socket) = &host.socket {
        add(&["--host", &format!("unix://{socket}")]);
    }
    add(&["system", "dial-stdio"]);
    args
}

fn find(search_path: &str) -> Option<PathBuf> {
    let dirs = search_path.split(':').filter(|dir| !dir.is_empty());
    dirs.map(|dir| Path::new(dir).join("ssh"))
        .find(|path| path.is_file())
}

/// Keeps the end of what a program says.
fn listen_to(mut stderr: impl Read, said: &Mutex<String>) {
    let mut buffer = [0; 1024];
    while let Ok(n @ 1..) = stderr.read(&mut buffer) {
        let mut said = lock(said);
        said.push_str(&String::from_utf8_lossy(&buffer[..n]));
        if said.len() > MAX_SAID {
            let from = said.ceil_char_boundary(said.len() - MAX_SAID);
            said.drain(..from);
        }
    }
}

/// The last lines that have something on them, as one.
fn lines(said: &str) -> Option<String> {
    let clean = |line: &str| -> String { line.chars().filter(|c| !c.is_control()).collect() };
    let mut last: Vec<String> = said
        .lines()
        .rev()
        .map(|line| clean(line).trim().to_owned())
        .filter(|line| !line.is_empty())
        .take(N_LINES)
        .collect();
    last.reverse();
    (!last.is_empty()).then(|| last.join("; "))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_run_as_docker_runs_it() {
        let host = |user: Option<&str>, port, socket: Option<&str>| SshHost {
            user: user.map(str::to_owned),
            host: "h".to_owned(),
            port,
            socket: socket.map(str::to_owned),
        };
        let ours = "-o ConnectTimeout=30 -o BatchMode=yes -o ServerAliveInterval=30 -T";
        for (host, expected) in [
            (host(None, None, None), "-- h docker system dial-stdio"),
            (
                host(Some("me"), Some(22), None),
                "-l me -p 22 -- h docker system dial-stdio",
            ),
            (
                host(None, None, Some("/x.sock")),
                "-- h docker --host unix:///x.sock system dial-stdio",
            ),
        ] {
            assert_eq!(args(&host).join(" "), format!("{ours} {expected}"));
        }
    }

    #[test]
    fn the_last_lines_are_told() {
        for (said, expected) in [
            ("", None),
            ("\n \r\n", None),
            ("one\r\n", Some("one")),
            ("1\n2\n\n3\n4\x1b\n", Some("2; 3; 4")),
        ] {
            assert_eq!(lines(said).as_deref(), expected, "{said:?}");
        }
    }
}
