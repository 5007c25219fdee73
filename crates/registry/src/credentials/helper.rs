//! Asks `docker-credential-NAME get`, by the protocol of docker's credential helpers.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use acetate_stdx::{Redacted, blocking};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use serde::Deserialize;

use super::Credential;
use super::file::of_pair;

/// More than any helper has to say.
const MAX_OUTPUT: u64 = 1 << 20;
/// What helpers write to standard output when they know nothing of the server.
const NOT_FOUND: &str = "credentials not found";

/// Why a program that keeps credentials gave none.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The name would lead elsewhere than to a helper.
    #[error("`{0}` is no name of a credential helper: letters, digits, `-`, `_` and `.` are")]
    Name(String),
    /// There is no such program.
    #[error(
        "`{0}` is not in PATH; install it, or take it out of `credHelpers` and `credsStore` in the file of the login"
    )]
    NoProgram(String),
    /// It took too long, and was ended.
    #[error("`{program}` gave no answer within {} s", limit.as_secs())]
    Late {
        /// The program.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// It ended badly.
    #[error("`{program}` failed: {reason}")]
    Failed {
        /// The program.
        program: String,
        /// Its words.
        reason: String,
    },
    /// It wrote something else than what was asked for, or too much.
    #[error("`{program}` gave no answer of the form {{\"Username\": .., \"Secret\": ..}}")]
    Answer {
        /// The program.
        program: String,
    },
    /// It could not be run.
    #[error("run `{program}`: {source}")]
    Run {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    secret: String,
}

struct Said {
    is_ok: bool,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// The process group of a helper, killed when nobody waits any more.
#[derive(Debug, Default)]
struct Running(Mutex<Option<Pid>>);

struct OnDrop(Arc<Running>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        let group = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        // It is not reaped while this lock is held, so the number still means it.
        if let Some(group) = *group
            && let Err(error) = rustix::process::kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "a credential helper could not be killed");
        }
    }
}

/// Asks a helper, which sees the environment of this program, for the credential of a server.
///
/// It and all that it started are killed when it has not ended within `limit`, and when the future
/// is dropped.
pub(super) async fn ask(
    search_path: &str,
    helper: &str,
    server: &str,
    limit: Duration,
) -> Result<Option<Credential>, HelperError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if helper.is_empty() || !helper.chars().all(is_plain) {
        return Err(HelperError::Name(helper.to_owned()));
    }
    let program = format!("docker-credential-{helper}");
    let Some(path) = find(search_path, &program) else {
        return Err(HelperError::NoProgram(program));
    };
    let running = OnDrop(Arc::new(Running::default()));
    let (group, line) = (Arc::clone(&running.0), server.to_owned());
    let asking = blocking(move || run(&path, &line, &group));
    match tokio::time::timeout(limit, asking).await {
        Ok(Ok(said)) => read(program, &said),
        Ok(Err(source)) => Err(HelperError::Run { program, source }),
        Err(_) => Err(HelperError::Late { program, limit }),
    }
}

fn find(search_path: &str, program: &str) -> Option<PathBuf> {
    let dirs = search_path.split(':').filter(|dir| !dir.is_empty());
    let mut paths = dirs.map(|dir| Path::new(dir).join(program));
    let found = paths.find(|path| path.is_file())?;
    std::path::absolute(found).ok()
}

fn run(path: &Path, server: &str, running: &Running) -> io::Result<Said> {
    let mut command = Command::new(path);
    command.arg("get").stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that whatever it starts can be ended with it.
    let mut child = {
        let mut group = running.0.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.process_group(0).spawn()?;
        *group = pid(&child);
        child
    };
    if let Some(mut stdin) = child.stdin.take() {
        // A name fits a pipe; a program that ended early says why on the other side.
        drop(stdin.write_all(server.as_bytes()));
    }
    let stderr = child.stderr.take();
    let messages = std::thread::spawn(move || drain(stderr));
    let stdout = drain(child.stdout.take());
    let is_ok = wait(&mut child, running)?;
    Ok(Said {
        is_ok,
        stdout: stdout?,
        stderr: messages.join().unwrap_or(Ok(Vec::new()))?,
    })
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// Reads up to the limit, and drops the pipe then, so that a program without end comes to one.
fn drain(pipe: Option<impl Read>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_OUTPUT).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn wait(child: &mut Child, running: &Running) -> io::Result<bool> {
    if let Some(pid) = pid(child) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = rustix::process::waitid(WaitId::Pid(pid), options)
        {
        }
    }
    let mut group = running.0.lock().unwrap_or_else(PoisonError::into_inner);
    *group = None;
    Ok(child.wait()?.success())
}

fn read(program: String, said: &Said) -> Result<Option<Credential>, HelperError> {
    if said.stdout.len() as u64 >= MAX_OUTPUT {
        return Err(HelperError::Answer { program });
    }
    if said.is_ok {
        // The reason is left out: it could quote the secret.
        let Ok(answer) = serde_json::from_slice::<Answer>(&said.stdout) else {
            return Err(HelperError::Answer { program });
        };
        if answer.secret.is_empty() {
            return Ok(None);
        }
        return Ok(Some(of_pair(
            &answer.username,
            Redacted::new(answer.secret),
        )));
    }
    let words = String::from_utf8_lossy(&said.stdout);
    if words.contains(NOT_FOUND) {
        return Ok(None);
    }
    // By the protocol the reason of a failure stands on standard output.
    let reason = [one_line(&said.stdout), one_line(&said.stderr)];
    let reason = reason.into_iter().find(|line| !line.is_empty());
    Err(HelperError::Failed {
        program,
        reason: reason.unwrap_or_else(|| "it gave no reason".to_owned()),
    })
}

fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let shown = line.unwrap_or_default().chars();
    shown.filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests;
