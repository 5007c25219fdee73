//! Leaving a failing server alone.

use std::collections::VecDeque;
use std::time::Duration;

/// When a server counts as failing, and for how long it is then left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerRules {
    /// So many failures in a row are enough.
    pub n_in_row: u32,
    /// More failures than this among the last [`Self::n_window`] are enough.
    pub n_in_window: usize,
    /// How many requests are looked back on.
    pub n_window: usize,
    /// So much time lost to waits that led to nothing is enough, be they one or many, whatever went
    /// well in between. Waits at the same time count once.
    pub patience: Duration,
    /// How long it is left alone before one request tries it again.
    pub rest: Duration,
    /// After so many times it is left alone for good.
    pub n_openings: u32,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self {
            n_in_row: 5,
            n_in_window: 10,
            n_window: 50,
            patience: Duration::from_secs(4),
            rest: Duration::from_secs(30),
            n_openings: 3,
        }
    }
}

/// Whether requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BreakerState {
    /// They are.
    #[default]
    Closed,
    /// They are not, for a while.
    Open,
    /// One is under way, and decides.
    Probing,
    /// They are not any more.
    Off,
}

/// Decides from how requests ended whether more are sent. It reads no clock: times are since any
/// one moment.
#[derive(Debug)]
pub(super) struct Breaker {
    rules: BreakerRules,
    state: BreakerState,
    /// When it was opened last.
    opened: Duration,
    n_openings: u32,
    n_in_row: u32,
    /// What was waited for nothing since it was opened last, and until when that is counted.
    lost: Duration,
    lost_until: Duration,
    /// How the last requests ended, true for failures.
    window: VecDeque<bool>,
}

impl Breaker {
    pub(super) fn new(rules: BreakerRules) -> Self {
        Self {
            rules,
            state: BreakerState::Closed,
            opened: Duration::ZERO,
            n_openings: 0,
            n_in_row: 0,
            lost: Duration::ZERO,
            lost_until: Duration::ZERO,
            window: VecDeque::new(),
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.state
    }

    pub(super) fn n_openings(&self) -> u32 {
        self.n_openings
    }

    /// Whether a request may be sent now. Who is let through says how it ended.
    pub(super) fn admit(&mut self, now: Duration) -> bool {
        let is_rested = now.saturating_sub(self.opened) >= self.rules.rest;
        match self.state {
            BreakerState::Closed => true,
            // A probe that never ended was dropped with its build step: another one may try.
            BreakerState::Open | BreakerState::Probing if is_rested => {
                self.state = BreakerState::Probing;
                self.opened = now;
                true
            }
            BreakerState::Open | BreakerState::Probing | BreakerState::Off => false,
        }
    }

    /// Notes that the server answered.
    pub(super) fn succeed(&mut self) {
        match self.state {
            BreakerState::Closed => {
                self.n_in_row = 0;
                self.note(false);
            }
            BreakerState::Probing => {
                self.state = BreakerState::Closed;
                self.n_in_row = 0;
                self.window.clear();
            }
            // It was sent before the breaker opened: too late to count.
            BreakerState::Open | BreakerState::Off => {}
        }
    }

    /// Notes that the server failed after so long; true when that made it be left alone.
    pub(super) fn fail(&mut self, now: Duration, waited: Duration) -> bool {
        let since = now.saturating_sub(waited).max(self.lost_until);
        self.lost += now.saturating_sub(since);
        self.lost_until = self.lost_until.max(now);
        match self.state {
            BreakerState::Closed => {
                self.n_in_row += 1;
                self.note(true);
                let n_failed = self.window.iter().filter(|failed| **failed).count();
                let is_failing =
                    self.n_in_row >= self.rules.n_in_row || n_failed > self.rules.n_in_window;
                let is_failing = is_failing || self.lost >= self.rules.patience;
                if is_failing {
                    self.open(now);
                }
                is_failing
            }
            BreakerState::Probing => {
                self.open(now);
                true
            }
            BreakerState::Open | BreakerState::Off => false,
        }
    }

    fn open(&mut self, now: Duration) {
        self.n_openings += 1;
        self.opened = now;
        self.n_in_row = 0;
        self.lost = Duration::ZERO;
        self.window.clear();
        self.state = if self.n_openings >= self.rules.n_openings {
            BreakerState::Off
        } else {
            BreakerState::Open
        };
    }

    fn note(&mut self, failed: bool) {
        if self.window.len() == self.rules.n_window {
            self.window.pop_front();
        }
        self.window.push_back(failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn failing(n: u32, now: Duration) -> Breaker {
        let mut breaker = Breaker::new(BreakerRules::default());
        for _ in 0..n {
            assert!(breaker.admit(now));
            breaker.fail(now, Duration::ZERO);
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        assert_eq!(failing(4, at(0)).state(), BreakerState::Closed);
        let mut breaker = failing(5, at(0));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(!breaker.admit(at(29)));
        assert!(breaker.admit(at(30)), "a probe is let through");
        assert!(!breaker.admit(at(31)), "only one");
        breaker.succeed();
        assert_eq!(
            (breaker.state(), breaker.n_openings()),
            (BreakerState::Closed, 1)
        );
        assert!(breaker.admit(at(31)));
    }

    #[test]
    fn one_failure_in_five_is_borne_and_more_is_not() {
        let mut breaker = Breaker::new(BreakerRules::default());
        for n in 0..200 {
            if n % 5 == 0 {
                breaker.fail(at(0), at(0));
            } else {
                breaker.succeed();
            }
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        for n in 0..50 {
            if n % 4 == 0 {
                breaker.fail(at(0), at(0));
            } else {
                breaker.succeed();
            }
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn time_that_is_lost_adds_up_whatever_goes_well_in_between() {
        let mut breaker = Breaker::new(BreakerRules::default());
        assert!(!breaker.fail(at(2), at(2)));
        breaker.succeed();
        // At the same time as the first one: only the third second is new.
        assert!(!breaker.fail(at(3), at(3)));
        breaker.succeed();
        assert!(
            !breaker.fail(at(10), at(0)),
            "a refusal at once loses nothing"
        );
        assert!(breaker.fail(at(20), at(1)));
        assert_eq!(breaker.state(), BreakerState::Open);
        // What was under way then ends later and adds nothing to the next time.
        assert!(!breaker.fail(at(24), at(5)));
        assert!(breaker.admit(at(50)));
        breaker.succeed();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(breaker.fail(at(60), at(4)));
    }

    #[test]
    fn the_third_opening_is_the_last() {
        let mut breaker = failing(5, at(0));
        assert!(breaker.admit(at(30)));
        assert!(breaker.fail(at(30), at(0)));
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.admit(at(60)));
        assert!(breaker.fail(at(60), at(0)));
        assert_eq!(
            (breaker.state(), breaker.n_openings()),
            (BreakerState::Off, 3)
        );
        assert!(!breaker.admit(at(10_000)));
    }

    #[test]
    fn what_was_sent_before_it_opened_changes_nothing() {
        let mut breaker = failing(5, at(0));
        assert!(!breaker.fail(at(1), at(0)));
        breaker.succeed();
        assert_eq!(
            (breaker.state(), breaker.n_openings()),
            (BreakerState::Open, 1)
        );
    }

    #[test]
    fn a_probe_that_was_dropped_is_replaced() {
        let mut breaker = failing(5, at(0));
        assert!(breaker.admit(at(30)));
        assert!(!breaker.admit(at(59)));
        assert!(breaker.admit(at(60)));
    }
}
