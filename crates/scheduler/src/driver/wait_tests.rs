//! Steps that somebody else has, under paused time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::tests::{Act, NONE, TestRunner, acts, job, token};
use super::*;

/// A job with so many slots whose clock begins now.
fn job_now(
    slots: usize,
    list: impl IntoIterator<Item = (u32, Act)>,
    rows: &[(&[u32], &[&'static str])],
) -> Job<TestRunner> {
    let mut runner = acts(list);
    runner.start = Some(Instant::now());
    let mut job = job(runner, rows);
    job.hits.hints.clear();
    job.limits.max_parallel = slots;
    job
}

#[tokio::test(start_paused = true)]
async fn who_waits_leaves_the_only_slot_to_others_and_is_tried_once_more() {
    let list = [(0, Act::TakenUntil(10)), (1, Act::Take(3))];
    let job = job_now(1, list, &[(&[], NONE), (&[], NONE), (&[0, 1], NONE)]);
    let runner = Arc::clone(&job.runner);
    let start = Instant::now();
    let outputs = run(job, vec![VertexId(2)], token()).await.unwrap();
    assert_eq!(outputs, ["2(0() 1())"]);
    // One second each for 0, when it is free, and for 2.
    assert_eq!(start.elapsed(), Duration::from_secs(12));
    assert_eq!(runner.most_running.load(Ordering::SeqCst), 1);
    let log = runner.take_log();
    assert_eq!(log, ["run 0", "wait 0", "run 1", "run 0", "run 2"]);
}

#[tokio::test(start_paused = true)]
async fn hundreds_wait_at_the_same_time() {
    let n = 300;
    let rows: Vec<(&[u32], &[&'static str])> = (0..n).map(|_| (&[][..], NONE)).collect();
    let job = job_now(16, (0..n).map(|id| (id, Act::TakenUntil(60))), &rows);
    let runner = Arc::clone(&job.runner);
    let start = Instant::now();
    let targets = (0..n).map(VertexId).collect();
    run(job, targets, token()).await.unwrap();
    // All became free together; 16 at a time take a second each.
    assert_eq!(start.elapsed(), Duration::from_secs(60 + 19));
    let log = runner.take_log();
    let count = |what: &str| log.iter().filter(|line| line.starts_with(what)).count();
    assert_eq!((count("run"), count("wait")), (600, 300));
}

#[tokio::test(start_paused = true)]
async fn cancelling_cuts_a_wait_short() {
    let job = job_now(1, [(0, Act::TakenUntil(1_000))], &[(&[], NONE)]);
    let runner = Arc::clone(&job.runner);
    let cancel = token();
    let start = Instant::now();
    let canceller = async {
        sleep(Duration::from_secs(3)).await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(run(job, vec![VertexId(0)], cancel.clone()), canceller);
    assert_eq!(result, Err(Failure::Cancelled));
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(runner.take_log(), ["run 0", "wait 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_elsewhere_cuts_a_wait_short() {
    let list = [(0, Act::TakenUntil(1_000)), (1, Act::Fail(2))];
    let job = job_now(2, list, &[(&[], NONE), (&[], NONE)]);
    let start = Instant::now();
    let failure = run(job, vec![VertexId(0), VertexId(1)], token()).await;
    assert_eq!(failure.unwrap_err().vertex(), Some(VertexId(1)));
    assert_eq!(start.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_early_cuts_a_wait_short() {
    let job = job_now(1, [(0, Act::TakenUntil(1_000))], &[(&[], NONE)]);
    let start = Instant::now();
    let value = scope(job, token(), async |session| {
        let patience = Duration::from_secs(1);
        let result = tokio::time::timeout(patience, session.demand(&[VertexId(0)])).await;
        result.is_err()
    });
    assert_eq!(value.await, Ok(true));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_waiting_fails_the_build_and_is_not_tried_again() {
    let job = job_now(1, [(0, Act::WaitPanics)], &[(&[], NONE)]);
    let runner = Arc::clone(&job.runner);
    let failure = run(job, vec![VertexId(0)], token()).await.unwrap_err();
    let message = "wait panics".to_owned();
    let vertex = VertexId(0);
    assert_eq!(failure, Failure::Panicked { vertex, message });
    assert_eq!(runner.take_log(), ["run 0", "wait 0"]);
}
