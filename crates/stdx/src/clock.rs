//! The time of day as a value that tests can set.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::UNIX_EPOCH;

/// Tells the time of day.
///
/// Code that stores or compares times takes a `&dyn Clock`, so that a test decides what time it is.
pub trait Clock: Debug + Send + Sync {
    /// Returns seconds and nanoseconds since the Unix epoch.
    fn now(&self) -> (i64, u32);
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> (i64, u32) {
        // By the C library, which a test can give another clock; a time before 1970 is 1970.
        let since = UNIX_EPOCH.elapsed().unwrap_or_default();
        let secs = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        (secs, since.subsec_nanos())
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct FixedClock {
    secs: AtomicI64,
}

impl FixedClock {
    /// Returns a clock that shows `secs` seconds since the Unix epoch.
    pub fn at(secs: i64) -> Self {
        Self {
            secs: AtomicI64::new(secs),
        }
    }

    /// Moves the clock forward by `secs` seconds (backward when negative).
    pub fn advance(&self, secs: i64) {
        self.secs.fetch_add(secs, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> (i64, u32) {
        (self.secs.load(Ordering::SeqCst), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_clock_is_past_2024() {
        let (secs, nanos) = SystemClock.now();
        assert!(secs > 1_704_067_200);
        assert!(nanos < 1_000_000_000);
    }

    #[test]
    fn fixed_clock_moves_only_when_told() {
        let clock = FixedClock::at(100);
        assert_eq!(clock.now(), (100, 0));
        clock.advance(-40);
        assert_eq!(clock.now(), (60, 0));
    }
}
