//! Runs files of cases: all of them, on several threads, and names those that fail.
#![expect(
    clippy::unwrap_used,
    reason = "clippy does not see the helpers of a test as one"
)]

use acetate_tests::Case;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Checks every case; `ACETATE_CASE` picks those whose title holds its value.
pub(crate) fn each(cases: &[Case], check: impl Fn(&Case) + Sync) {
    let wanted = filter();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !case.title.contains(&wanted) {
                continue;
            }
            let passed = catch_unwind(AssertUnwindSafe(|| check(case)));
            if passed.is_err() {
                failed.lock().unwrap().push(case.title.clone());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} cases failed: {failed:#?}",
        failed.len()
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person picks single cases with it"
)]
fn filter() -> String {
    std::env::var("ACETATE_CASE").unwrap_or_default()
}
