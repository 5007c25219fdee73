use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many failures in a row are enough.
const ENOUGH: u32 = 3;
/// For so long it is left alone, and then tried with one request.
pub(super) const REST: Duration = Duration::from_secs(10);

/// Whether requests are sent to a server that may be down.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    closed_until: Option<Instant>,
}

impl Breaker {
    /// Whether a request may be sent now.
    pub(super) fn admits(&self) -> bool {
        let mut state = self.lock();
        let now = Instant::now();
        match state.closed_until {
            None => true,
            Some(end) if end > now => false,
            // One goes ahead; the others wait for how it ends.
            Some(_) => {
                state.closed_until = Some(now + REST);
                true
            }
        }
    }

    /// It answered.
    pub(super) fn succeeded(&self) {
        *self.lock() = State::default();
    }

    /// It did not; true when it is left alone from now on.
    pub(super) fn failed(&self) -> bool {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures < ENOUGH {
            return false;
        }
        let is_new = state.closed_until.is_none();
        state.closed_until = Some(Instant::now() + REST);
        is_new
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_dead_server_is_left_alone_and_tried_again() {
        let breaker = Breaker::default();
        assert!(!breaker.failed() && !breaker.failed());
        breaker.succeeded();
        for n in 1..=ENOUGH {
            assert!(breaker.admits());
            assert_eq!(breaker.failed(), n == ENOUGH, "told once");
        }
        assert!(!breaker.admits());
        tokio::time::advance(REST).await;
        assert!(breaker.admits() && !breaker.admits(), "one tries");
        assert!(!breaker.failed() && !breaker.admits());
        tokio::time::advance(REST).await;
        assert!(breaker.admits());
        breaker.succeeded();
        assert!(breaker.admits() && breaker.admits());
    }
}
