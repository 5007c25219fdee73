use crate::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that was started and can be stopped.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts a program whose output is kept.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            child: command.spawn().expect("the program starts"),
        }
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process id makes no sense.
    pub fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("an id");
        // It may have ended a moment ago.
        let _gone = kill_process(id, signal);
    }

    /// Waits until something is true, and says how it went when that takes ten seconds.
    ///
    /// # Panics
    /// When it never becomes true.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut is_true: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(10);
        while !is_true() {
            let ended = self.child.try_wait().expect("a state");
            assert!(ended.is_none(), "it ended before {what}");
            assert!(Instant::now() < end, "no {what} after ten seconds");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn wait(self) -> Outcome {
        Outcome::new(&self.child.wait_with_output().expect("an end"))
    }
}
