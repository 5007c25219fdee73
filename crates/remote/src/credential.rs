//! Asks a program for the token of a server, in the way of Docker's credential helpers.

use crate::RemoteError;
use crate::process::{Cancel, cancellable, last_words};
use acetate_stdx::Redacted;
use serde::Deserialize;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// More than any helper has to say.
const MAX_OUTPUT: u64 = 1 << 20;
/// What Docker's helpers write to standard output when they know nothing of the server.
const NOT_FOUND: &str = "credentials not found";

/// Why a credential helper gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The name would lead elsewhere than to a helper.
    #[error("`{0}` is no name of a credential helper: letters, digits, `-`, `_` and `.` are")]
    Name(String),
    /// There is no such program.
    #[error("run `{0}`: it is not in PATH")]
    NoProgram(String),
    /// It took too long, and was ended.
    #[error("run `{program}`: no answer within {} s", limit.as_secs())]
    Late {
        /// The program.
        program: String,
        /// How long it had.
        limit: Duration,
    },
    /// It ended badly.
    #[error("run `{program}`: {reason}")]
    Failed {
        /// The program.
        program: String,
        /// What it wrote to standard error.
        reason: String,
    },
    /// It wrote something else than what was asked for.
    #[error("run `{program}`: expected an answer of the form {{\"Username\": .., \"Secret\": ..}}")]
    Answer {
        /// The program.
        program: String,
    },
    /// Nobody waits for it any more.
    #[error("ask for a token: it was cancelled")]
    Cancelled,
    /// It could not be run.
    #[error(transparent)]
    Run(#[from] RemoteError),
}

impl CredentialError {
    /// True when the helper itself is named wrongly, so that it can never answer.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Name(_) | Self::NoProgram(_))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    secret: String,
}

/// Asks `acetate-credential-HELPER get`, which is looked for in `search_path`, for the secret of the
/// server at `url`; none when it knows of none.
///
/// The program sees the environment of this one. It and all that it started are killed when it has
/// not ended within `limit`, and when the future is dropped.
///
/// # Errors
/// When there is no such program, or it does not answer as it should.
pub async fn credential(
    search_path: &str,
    helper: &str,
    url: &str,
    limit: Duration,
) -> Result<Option<Redacted<String>>, CredentialError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if helper.is_empty() || !helper.chars().all(is_plain) {
        return Err(CredentialError::Name(helper.to_owned()));
    }
    let program = format!("acetate-credential-{helper}");
    let Some(path) = find(search_path, &program) else {
        return Err(CredentialError::NoProgram(program));
    };
    let line = format!("{url}\n");
    let (name, asked) = (program.clone(), path);
    let asking = cancellable(move |cancel| ask(cancel, &name, &asked, line.as_bytes()));
    match tokio::time::timeout(limit, asking).await {
        Ok(said) => read(program, said?),
        Err(_) => Err(CredentialError::Late { program, limit }),
    }
}

fn find(search_path: &str, program: &str) -> Option<PathBuf> {
    let dirs = search_path.split(':').filter(|dir| !dir.is_empty());
    let mut paths = dirs.map(|dir| Path::new(dir).join(program));
    let found = paths.find(|path| path.is_file())?;
    std::path::absolute(found).ok()
}

struct Said {
    is_ok: bool,
    stdout: Vec<u8>,
    stderr: String,
}

fn ask(cancel: &Cancel, program: &str, path: &Path, line: &[u8]) -> Result<Said, RemoteError> {
    let mut command = Command::new(path);
    command.arg("get").stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cancel.spawn(&mut command, RemoteError::io("run", path))?;
    if let Some(mut stdin) = child.stdin.take() {
        // An address fits a pipe; a program that ended early says why on the other side.
        drop(stdin.write_all(line));
    }
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let messages = std::thread::spawn(move || err.map(last_words).unwrap_or_default());
    let mut stdout = Vec::new();
    let read = out.map_or(Ok(0), |out| out.take(MAX_OUTPUT).read_to_end(&mut stdout));
    let is_ok = cancel.wait(&mut child, program)?;
    read.map_err(RemoteError::io("read the output of", program))?;
    Ok(Said {
        is_ok,
        stdout,
        stderr: messages.join().unwrap_or_default(),
    })
}

fn read(program: String, said: Said) -> Result<Option<Redacted<String>>, CredentialError> {
    if said.is_ok {
        // The reason is left out: it could quote the secret.
        let Ok(answer) = serde_json::from_slice::<Answer>(&said.stdout) else {
            return Err(CredentialError::Answer { program });
        };
        let secret = Some(answer.secret).filter(|secret| !secret.is_empty());
        return Ok(secret.map(Redacted::new));
    }
    if String::from_utf8_lossy(&said.stdout).contains(NOT_FOUND) {
        return Ok(None);
    }
    let reason = one_line(&said.stderr);
    Err(CredentialError::Failed { program, reason })
}

fn one_line(stderr: &str) -> String {
    let lines = stderr.lines().map(|line| {
        let shown = line.trim().replace(|c: char| c.is_control(), " ");
        shown.trim().to_owned()
    });
    let told: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    if told.is_empty() {
        return "it failed and gave no reason".to_owned();
    }
    told[told.len().saturating_sub(6)..].join("; ")
}
