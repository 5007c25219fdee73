//! [`CancelToken`]: stops running steps from any thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// Tells any number of running steps to stop; clones share one state, and it never goes back.
///
/// It is a descriptor, so that a step's poll loop sees it at once, without a thread of its own.
#[derive(Clone, Debug)]
pub struct CancelToken {
    event: Arc<OwnedFd>,
}

impl CancelToken {
    /// Returns a token that is not cancelled.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> std::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            event: Arc::new(event),
        })
    }

    /// Stops every step that runs, or will run, with this token.
    pub fn cancel(&self) {
        // The only possible error is a full counter, and then it is cancelled already.
        let _full = rustix::io::write(&*self.event, &1_u64.to_ne_bytes());
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        let mut fds = [PollFd::new(&*self.event, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        matches!(poll(&mut fds, Some(&now)), Ok(n) if n > 0)
    }
}

impl AsFd for CancelToken {
    /// Readable once cancelled.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_state() {
        let token = CancelToken::new().unwrap();
        let other = token.clone();
        assert!(!token.is_cancelled());
        std::thread::spawn(move || other.cancel()).join().unwrap();
        assert!(token.is_cancelled());
        token.cancel();
        assert!(token.is_cancelled());
    }
}
