use super::SshError;
use acetate_store::ScratchDir;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SOCKET: &str = "agent";

/// What runs beside the agent: it says that the agent listens, waits for the end of its input, and
/// ends the agent. An interrupt at a terminal reaches it too, and must not end it alone.
const WATCH: &str = "trap '' HUP INT TERM; echo; cat; kill \"$SSH_AGENT_PID\"";

/// An agent that this build started with the keys that the user named.
///
/// It ends with this value, and also when this program is killed and can end nothing: what runs
/// beside it has then come to the end of its input.
#[derive(Debug)]
pub(super) struct OwnAgent {
    watch: Child,
    dir: ScratchDir,
}

impl OwnAgent {
    /// Starts an agent in `dir` and gives it the keys.
    pub(super) fn start(
        keys: &[PathBuf],
        search_path: &str,
        dir: ScratchDir,
    ) -> Result<Self, SshError> {
        let mut command = command("ssh-agent", search_path, dir.path())?;
        // The path of a socket is short where it is relative.
        command.args(["-a", SOCKET, "/bin/sh", "-c", WATCH]);
        command.stdin(Stdio::piped()).stderr(Stdio::null());
        let watch = command.stdout(Stdio::piped()).spawn();
        let watch = watch.map_err(|error| SshError::Agent(error.to_string()))?;
        let mut agent = Self { watch, dir };
        agent.wait()?;
        for key in keys {
            agent.add(key, search_path)?;
        }
        Ok(agent)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join(SOCKET)
    }

    /// Waits until the agent listens.
    fn wait(&mut self) -> Result<(), SshError> {
        let mut line = String::new();
        if let Some(output) = &mut self.watch.stdout {
            let read = BufReader::new(output).read_line(&mut line);
            read.map_err(|error| SshError::Agent(error.to_string()))?;
        }
        if line.is_empty() {
            return Err(SshError::Agent("it ended at once".to_owned()));
        }
        Ok(())
    }

    /// Adds a key. It is read here: the program would refuse one that others may read, and cannot
    /// be asked not to.
    fn add(&self, path: &Path, search_path: &str) -> Result<(), SshError> {
        let key = File::open(path).map_err(SshError::io("read the key", path))?;
        let mut command = command("ssh-add", search_path, self.dir.path())?;
        command.args(["-q", "-"]).stdin(key);
        command.env("SSH_AUTH_SOCK", SOCKET);
        // Asking for a passphrase fails instead of waiting for somebody at a terminal.
        command.envs([("SSH_ASKPASS", "false"), ("SSH_ASKPASS_REQUIRE", "force")]);
        let output = command.stdout(Stdio::null()).output();
        let output = output.map_err(|error| SshError::Agent(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let path = path.to_owned();
        let reason = String::from_utf8_lossy(&output.stderr);
        match reason.trim().lines().next_back() {
            // It says nothing where it was only the question that had no answer.
            None | Some("") => Err(SshError::Passphrase { path }),
            Some(reason) if reason.contains("passphrase") => Err(SshError::Passphrase { path }),
            Some(reason) => {
                let reason = reason.replace("\"(stdin)\"", "it");
                Err(SshError::Key { path, reason })
            }
        }
    }
}

impl Drop for OwnAgent {
    fn drop(&mut self) {
        self.watch.stdin = None;
        if let Err(error) = self.watch.wait() {
            tracing::debug!(%error, "the agent's end was not seen");
        }
    }
}

/// A program that sees nothing of the environment but where programs are.
fn command(program: &'static str, search_path: &str, dir: &Path) -> Result<Command, SshError> {
    let found = search_path
        .split(':')
        .filter(|dir| !dir.is_empty())
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file());
    let path = found.ok_or(SshError::NoProgram { program })?;
    let path = std::path::absolute(&path).map_err(SshError::io("find", &path))?;
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("PATH", search_path)
        .current_dir(dir);
    Ok(command)
}
