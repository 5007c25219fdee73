//! A few measurements of one thing.

use std::time::Duration;

use anyhow::{Result, ensure};

/// Milliseconds, in the order in which they were measured; never empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Measures `runs` times.
    pub(crate) fn take(runs: usize, mut measure: impl FnMut() -> Result<Duration>) -> Result<Self> {
        let mut all = Vec::with_capacity(runs);
        for _ in 0..runs {
            all.push(milliseconds(measure()?));
        }
        Self::of(all)
    }

    pub(crate) fn of(all: Vec<f64>) -> Result<Self> {
        ensure!(!all.is_empty(), "nothing was measured");
        Ok(Self(all))
    }

    pub(crate) fn all(&self) -> &[f64] {
        &self.0
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        }
    }

    pub(crate) fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let odd = Samples::of(vec![9.0, 1.0, 5.0]).unwrap();
        assert!((odd.median() - 5.0).abs() < f64::EPSILON);
        let even = Samples::of(vec![4.0, 1.0, 2.0, 9.0]).unwrap();
        assert!((even.median() - 3.0).abs() < f64::EPSILON);
        assert!((even.min() - 1.0).abs() < f64::EPSILON);
        assert!((even.max() - 9.0).abs() < f64::EPSILON);
    }

    #[test]
    fn nothing_measured_is_an_error() {
        assert!(Samples::take(0, || Ok(Duration::ZERO)).is_err());
    }
}
