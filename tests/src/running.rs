use crate::Outcome;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that was started and can be stopped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where standard error goes, when it can be read meanwhile.
    log: Option<PathBuf>,
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
            log: None,
        }
    }

    /// Starts a program whose standard error is kept in a file, so that it can be waited for what it
    /// says.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_logged(mut command: Command, log: PathBuf) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).expect("the log is made"));
        Self {
            child: command.spawn().expect("the program starts"),
            log: Some(log),
        }
    }

    /// Waits until a program that was started logged has shown all of these words, be it that its
    /// steps said them or that it did.
    ///
    /// # Panics
    /// When it never does.
    #[track_caller]
    pub fn until_shown(&mut self, words: &[&str]) {
        let log = self.log.clone().expect("it was started logged");
        self.until(&format!("{words:?}"), || {
            let text = std::fs::read_to_string(&log).expect("a log");
            let said = Outcome::of_progress(&text).log();
            let is_there = |word: &&str| text.contains(word) || said.contains(word);
            words.iter().all(is_there)
        });
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
        let mut output = self.child.wait_with_output().expect("an end");
        if let Some(log) = &self.log {
            output.stderr = std::fs::read(log).expect("a log");
        }
        Outcome::new(&output)
    }
}
