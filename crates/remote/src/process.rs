//! Programs that end when nobody waits for them any more.

use crate::RemoteError;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

const MAX_MESSAGES: usize = 64 << 10;

/// Ends the running command from elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancel(Arc<Mutex<Running>>);

#[derive(Debug, Default)]
struct Running {
    is_cancelled: bool,
    group: Option<Pid>,
}

impl Cancel {
    /// Kills what runs, and everything that is started afterwards.
    fn cancel(&self) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.is_cancelled = true;
        // It is not reaped while this lock is held, so the number still means it.
        if let Some(group) = running.group
            && let Err(error) = rustix::process::kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "a program could not be killed");
        }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_cancelled
    }

    /// Starts a command that is the first of a process group.
    pub(crate) fn spawn(
        &self,
        command: &mut Command,
        blame: impl FnOnce(io::Error) -> RemoteError,
    ) -> Result<Child, RemoteError> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_cancelled {
            return Err(RemoteError::Cancelled);
        }
        // A group of its own, so that whatever it starts can be ended with it.
        let child = command.process_group(0).spawn().map_err(blame)?;
        running.group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        Ok(child)
    }

    /// Waits for its end; true when it ended well.
    pub(crate) fn wait(&self, child: &mut Child, program: &str) -> Result<bool, RemoteError> {
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
        if let Some(pid) = pid {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) =
                rustix::process::waitid(WaitId::Pid(pid), options)
            {}
        }
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.group = None;
        if running.is_cancelled {
            drop(child.wait());
            return Err(RemoteError::Cancelled);
        }
        let status = child.wait().map_err(RemoteError::io("wait for", program))?;
        Ok(status.success())
    }
}

/// Does blocking work whose processes die when nobody waits for it any more.
pub(crate) async fn cancellable<T: Send + 'static>(
    work: impl FnOnce(&Cancel) -> Result<T, RemoteError> + Send + 'static,
) -> Result<T, RemoteError> {
    let on_drop = OnDrop(Cancel::default());
    let cancel = on_drop.0.clone();
    let result = acetate_stdx::blocking(move || work(&cancel)).await;
    // Nothing runs any more, so the drop kills nobody.
    drop(on_drop);
    result
}

struct OnDrop(Cancel);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The end of what a command says, which is where the reason stands.
pub(crate) fn last_words(mut stderr: impl Read) -> String {
    let mut tail = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stderr.read(&mut buffer) {
        tail.extend_from_slice(&buffer[..n]);
        if tail.len() > 2 * MAX_MESSAGES {
            tail.drain(..tail.len() - MAX_MESSAGES);
        }
    }
    String::from_utf8_lossy(&tail).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cancelled_starts_nothing() {
        let cancel = Cancel::default();
        cancel.cancel();
        let spawned = cancel.spawn(&mut Command::new("true"), RemoteError::io("run", "true"));
        assert!(matches!(spawned, Err(RemoteError::Cancelled)));
    }
}
