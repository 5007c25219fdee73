//! Runs git so that neither the user's configuration nor a repository has a say in it.

use super::address::{Address, Transport};
use crate::process::{Cancel, last_words};
use crate::remotes::Programs;
use crate::{Access, RemoteError, shell};
use acetate_stdx::Redacted;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How one git command is run.
#[derive(Debug)]
pub(crate) struct Git<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) access: &'a Access,
    pub(crate) cancel: &'a Cancel,
    /// An empty directory that stands for the user's home, and where keys of hosts are kept.
    pub(crate) home: &'a Path,
    /// The repository that the user named: it gets secrets that name no host.
    pub(crate) main: &'a str,
}

/// One command.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    /// What is said when it fails: the action and the repository.
    pub(crate) what: (&'static str, &'a str),
    pub(crate) args: &'a [&'a str],
    /// The repository on the disk, if it works in one.
    pub(crate) git_dir: Option<&'a Path>,
    pub(crate) index: Option<&'a Path>,
    pub(crate) work_tree: Option<&'a Path>,
    /// The repository elsewhere, if it speaks to one.
    pub(crate) address: Option<&'a Address>,
    /// Becomes the standard input: git holds its lock then, even when this process dies.
    pub(crate) lock: Option<&'a File>,
    /// A line for its standard input, short enough for a pipe to take at once.
    pub(crate) input: Option<&'a [u8]>,
}

/// What a command wrote.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) is_ok: bool,
    pub(crate) stdout: Vec<u8>,
    /// What it said last, without secrets.
    pub(crate) reason: String,
}

/// Longer than any list of references; a server that never stops is stopped here.
const MAX_OUTPUT: u64 = 256 << 20;

impl Git<'_> {
    /// Runs a command and fails with what it said.
    pub(crate) fn run(&self, call: &Call<'_>) -> Result<Vec<u8>, RemoteError> {
        let answer = self.ask(call)?;
        if answer.is_ok {
            return Ok(answer.stdout);
        }
        Err(failed(call, answer.reason))
    }

    /// Runs a command that may fail.
    pub(crate) fn ask(&self, call: &Call<'_>) -> Result<Answer, RemoteError> {
        let secrets = self.secrets(call.address);
        let mut child = self.spawn(&mut self.command(call, &secrets)?)?;
        if let (Some(input), Some(mut stdin)) = (call.input, child.stdin.take()) {
            // One that ended early says why on the other side.
            drop(stdin.write_all(input));
        }
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let messages = std::thread::spawn(move || stderr.map(last_words).unwrap_or_default());
        let mut output = Vec::new();
        let read = stdout.map_or(Ok(0), |out| out.take(MAX_OUTPUT).read_to_end(&mut output));
        let is_ok = self.cancel.wait(&mut child, "git")?;
        read.map_err(RemoteError::io("read the output of", "git"))?;
        let messages = messages.join().unwrap_or_default();
        let reason = reason(&messages, &secrets);
        tracing::debug!(args = ?call.args, is_ok, reason, "git");
        let stdout = output;
        Ok(Answer {
            is_ok,
            stdout,
            reason,
        })
    }

    fn spawn(&self, command: &mut Command) -> Result<Child, RemoteError> {
        self.cancel.spawn(command, |error| match error.kind() {
            io::ErrorKind::NotFound => RemoteError::NoGit,
            _ => RemoteError::io("run", "git")(error),
        })
    }

    fn secrets(&self, address: Option<&Address>) -> Vec<(String, Redacted<String>)> {
        let header = address.and_then(|address| address.header(self.access, self.main));
        header.into_iter().collect()
    }

    fn command(
        &self,
        call: &Call<'_>,
        headers: &[(String, Redacted<String>)],
    ) -> Result<Command, RemoteError> {
        let mut command = Command::new("git");
        // Nothing of the environment is passed on but what is named here.
        command.env_clear().env("PATH", &self.programs.search_path);
        for (name, value) in &self.programs.environment {
            command.env(name, value);
        }
        command
            .env("HOME", self.home)
            .env("XDG_CONFIG_HOME", self.home);
        for (name, value) in FIXED {
            command.env(name, value);
        }
        command.env("GIT_ALLOW_PROTOCOL", protocols(self.main, call));
        let headers = headers.iter().map(|(scope, value)| {
            let header = format!("Authorization: {}", value.expose());
            (format!("http.{scope}.extraHeader"), header)
        });
        let fixed = CONFIG
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut n = 0;
        for (key, value) in fixed.chain(headers) {
            command.env(format!("GIT_CONFIG_KEY_{n}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{n}"), value);
            n += 1;
        }
        command.env("GIT_CONFIG_COUNT", n.to_string());
        if call
            .address
            .is_some_and(|address| address.transport == Transport::Ssh)
        {
            self.ssh(&mut command);
        }
        for (name, path) in [
            ("GIT_DIR", call.git_dir),
            ("GIT_INDEX_FILE", call.index),
            ("GIT_WORK_TREE", call.work_tree),
        ] {
            command.envs(path.map(|path| (name, path)));
        }
        // Outside of every repository where none is named.
        command.env(
            "GIT_CEILING_DIRECTORIES",
            self.home.parent().unwrap_or(self.home),
        );
        command.current_dir(call.work_tree.unwrap_or(self.home));
        let stdin = match call.lock {
            Some(lock) => lock
                .try_clone()
                .map_err(RemoteError::io("share", "a lock"))?
                .into(),
            None if call.input.is_some() => Stdio::piped(),
            None => Stdio::null(),
        };
        command
            .args(call.args)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }

    /// Hosts that the user knows are checked, others are remembered at the first meeting. Keys come
    /// from `--ssh` only: not those that happen to lie in a home directory.
    fn ssh(&self, command: &mut Command) {
        let known = self.home.with_file_name("known_hosts");
        let known = known.to_string_lossy().replace(['"', '%', '\\'], "_");
        let mut line = format!(
            "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=accept-new \
             -o {} -o ConnectTimeout=30 -o ServerAliveInterval=30 -o ForwardAgent=no",
            shell::quote(&format!(
                "UserKnownHostsFile=~/.ssh/known_hosts \"{known}\""
            )),
        );
        let is_socket = |path: &&PathBuf| {
            use std::os::unix::fs::FileTypeExt;
            path.metadata()
                .is_ok_and(|metadata| metadata.file_type().is_socket())
        };
        let socket = self.access.ssh.iter().find(is_socket);
        command.envs(socket.map(|socket| ("SSH_AUTH_SOCK", socket)));
        let keys: Vec<_> = self
            .access
            .ssh
            .iter()
            .filter(|path| !is_socket(path))
            .collect();
        if keys.is_empty() {
            line += " -o IdentityFile=none";
        }
        for key in keys {
            line += &format!(" -i {}", shell::quote(&key.to_string_lossy()));
        }
        command
            .env("GIT_SSH_COMMAND", line)
            .env("GIT_SSH_VARIANT", "ssh");
    }
}

const FIXED: &[(&str, &str)] = &[
    ("LC_ALL", "C"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_OPTIONAL_LOCKS", "0"),
];

/// What git would otherwise take from a file, or do by itself.
const CONFIG: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.symlinks", "true"),
    ("core.fileMode", "true"),
    ("core.logAllRefUpdates", "false"),
    ("core.autocrlf", "false"),
    ("credential.helper", ""),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    // One pack that appears whole, rather than objects that appear one by one.
    ("fetch.unpackLimit", "1"),
    ("fetch.recurseSubmodules", "false"),
    ("submodule.recurse", "false"),
    ("advice.detachedHead", "false"),
    ("init.defaultBranch", "main"),
    // A connection on which nothing moves for a minute is dead.
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    // Repositories below the store are ours, whoever the effective user is.
    ("safe.directory", "*"),
];

/// A repository elsewhere cannot make git read one of this machine.
fn protocols(main: &str, call: &Call<'_>) -> &'static str {
    let is_file = |transport: &Transport| *transport == Transport::File;
    let is_local =
        call.address.is_none() || Address::parse(main).is_ok_and(|main| is_file(&main.transport));
    if is_local {
        "file:http:https:ssh:git"
    } else {
        "http:https:ssh:git"
    }
}

pub(crate) fn failed(call: &Call<'_>, reason: String) -> RemoteError {
    let (action, remote) = call.what;
    RemoteError::Git {
        action,
        remote: remote.to_owned(),
        reason,
    }
}

/// The lines that say why, in one: those of git itself that are no more than hints are left out.
fn reason(messages: &str, secrets: &[(String, Redacted<String>)]) -> String {
    let mut text = messages.to_owned();
    for (_, secret) in secrets {
        let secret = secret.expose();
        let word = secret.rsplit(' ').next().unwrap_or(secret);
        text = text.replace(secret.as_str(), "****").replace(word, "****");
    }
    let lines = text
        .lines()
        .map(|line| line.trim().replace(|c: char| c.is_control(), " "));
    let is_telling = |line: &String| {
        let lower = line.to_ascii_lowercase();
        ["fatal:", "error:", "remote: ", "ssh:"]
            .iter()
            .any(|mark| lower.starts_with(mark))
            || lower.contains("denied")
            || lower.contains("verification failed")
    };
    let all: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
    let telling: Vec<&String> = all.iter().filter(|line| is_telling(line)).collect();
    let chosen = if telling.is_empty() {
        all.iter().collect()
    } else {
        telling
    };
    let last = chosen.len().saturating_sub(6);
    let shown: Vec<&str> = chosen[last..]
        .iter()
        .map(|line| line.strip_prefix("fatal: ").unwrap_or(line))
        .collect();
    if shown.is_empty() {
        return "git gave no reason".to_owned();
    }
    shown.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_in_one_line_and_holds_no_secret() {
        let secrets = [("s".to_owned(), Redacted::new("basic c2VjcmV0".to_owned()))];
        let text =
            "warning: x\nremote: no c2VjcmV0\n\x1b[1mfatal: basic c2VjcmV0 is wrong\nhint: y\n";
        assert_eq!(reason(text, &secrets), "remote: no ****");
        assert_eq!(reason("fatal: a\n", &[]), "a");
        assert_eq!(reason("a\nb\n", &[]), "a; b");
        assert_eq!(reason("", &[]), "git gave no reason");
    }
}
