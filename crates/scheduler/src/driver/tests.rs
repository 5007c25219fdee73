use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use acetate_graph::VertexKind;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{Class, Profile, Stopped};

/// What a step of the test does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Take(u64),
    Fail(u64),
    Panic,
    /// Says once that its first input is lost.
    LoseInput,
    /// Is taken by somebody else until so many seconds after the start, then takes one.
    TakenUntil(u64),
    /// Is taken, and waiting for it panics.
    WaitPanics,
}

#[derive(Debug, Default)]
pub(super) struct TestRunner {
    acts: BTreeMap<u32, Act>,
    /// Candidates by content.
    content: BTreeMap<u32, Vec<&'static str>>,
    log: Mutex<Vec<String>>,
    pub(super) running: AtomicUsize,
    pub(super) most_running: AtomicUsize,
    /// When the test began.
    pub(super) start: Option<Instant>,
}

impl TestRunner {
    fn note(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }

    /// How long a step is still in the hands of somebody else.
    fn remains(&self, secs: u64) -> Duration {
        let start = self.start.expect("the test says when it began");
        Duration::from_secs(secs).saturating_sub(start.elapsed())
    }

    pub(super) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }
}

/// Counts a step as running for as long as it lives.
struct Running<'a>(&'a TestRunner);

impl<'a> Running<'a> {
    fn new(runner: &'a TestRunner) -> Self {
        let now = runner.running.fetch_add(1, Ordering::SeqCst) + 1;
        runner.most_running.fetch_max(now, Ordering::SeqCst);
        Self(runner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Runner for TestRunner {
    type Output = String;
    type Candidate = &'static str;
    type Error = String;

    fn profile(&self, _: VertexId) -> Profile {
        Profile {
            class: Class::Heavy,
            cost: 0,
        }
    }

    async fn load(&self, vertex: VertexId, candidate: &'static str) -> Option<String> {
        self.note(format!("load {} {candidate}", vertex.0));
        match candidate {
            "bad" => None,
            "hangs" => std::future::pending().await,
            "panics" => panic!("load"),
            good => Some(format!("{}={good}", vertex.0)),
        }
    }

    async fn ask(&self, questions: Vec<Question<String>>) -> Vec<Vec<&'static str>> {
        let asked: Vec<u32> = questions.iter().map(|question| question.vertex.0).collect();
        self.note(format!("ask {asked:?}"));
        let found = |id| self.content.get(id).cloned().unwrap_or_default();
        let answers: Vec<Vec<&'static str>> = asked.iter().map(found).collect();
        assert!(
            !answers
                .iter()
                .flatten()
                .any(|candidate| *candidate == "panic"),
            "ask"
        );
        answers
    }

    async fn run(
        &self,
        vertex: VertexId,
        inputs: Vec<String>,
        ctx: JobCtx,
    ) -> Result<String, RunError<String>> {
        let _running = Running::new(self);
        self.note(format!("run {}", vertex.0));
        let act = match self.acts.get(&vertex.0).copied() {
            Some(Act::TakenUntil(secs)) if self.remains(secs).is_zero() => Act::Take(1),
            Some(Act::TakenUntil(_) | Act::WaitPanics) => return Err(RunError::Taken),
            act => act.unwrap_or(Act::Take(1)),
        };
        let (Act::Take(secs) | Act::Fail(secs)) = act else {
            assert!(!matches!(act, Act::Panic), "step panics");
            if inputs[0].ends_with("old") {
                return Err(RunError::InputsLost(vec![0]));
            }
            return Ok(format!("{}({})", vertex.0, inputs.join(" ")));
        };
        let work = ctx
            .cancel
            .run_until_cancelled(sleep(Duration::from_secs(secs)));
        if work.await.is_none() {
            // Cleaning up takes a while; it has to be waited for.
            sleep(Duration::from_secs(5)).await;
            self.note(format!("cleaned {}", vertex.0));
            return Err("cancelled".to_owned().into());
        }
        match act {
            Act::Fail(_) => Err(format!("{} failed", vertex.0).into()),
            _ => Ok(format!("{}({})", vertex.0, inputs.join(" "))),
        }
    }

    async fn wait(&self, vertex: VertexId, _: JobCtx) {
        self.note(format!("wait {}", vertex.0));
        match self.acts.get(&vertex.0) {
            Some(Act::TakenUntil(secs)) => sleep(self.remains(*secs)).await,
            _ => panic!("wait panics"),
        }
    }
}

/// A job over a graph with the inputs and the candidates of each vertex, all with a hint.
pub(super) fn job(runner: TestRunner, rows: &[(&[u32], &[&'static str])]) -> Job<TestRunner> {
    let ids = |list: &[u32]| list.iter().copied().map(VertexId).collect();
    let shape = Shape::new(rows.iter().map(|row| (VertexKind::Plain, ids(row.0))));
    let hits = Hits {
        candidates: rows.iter().map(|row| row.1.to_vec()).collect(),
        hints: vec![true; rows.len()],
    };
    Job {
        shape: Arc::new(shape),
        hits,
        runner: Arc::new(runner),
        limits: Limits::default(),
    }
}

pub(super) fn acts(acts: impl IntoIterator<Item = (u32, Act)>) -> TestRunner {
    TestRunner {
        acts: acts.into_iter().collect(),
        ..TestRunner::default()
    }
}

pub(super) fn token() -> CancellationToken {
    CancellationToken::new()
}

pub(super) const NONE: &[&str] = &[];

#[tokio::test(start_paused = true)]
async fn independent_steps_run_at_the_same_time() {
    let runner = acts([(0, Act::Take(10)), (1, Act::Take(7)), (2, Act::Take(3))]);
    let job = job(runner, &[(&[], NONE), (&[], NONE), (&[0, 1], NONE)]);
    let start = Instant::now();
    let outputs = run(job, vec![VertexId(2)], token()).await.unwrap();
    assert_eq!(outputs, ["2(0() 1())"]);
    assert_eq!(start.elapsed(), Duration::from_secs(13));
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_parallel_steps_holds() {
    let mut job = job(TestRunner::default(), &[(&[][..], NONE); 9]);
    job.limits.max_parallel = 2;
    let runner = Arc::clone(&job.runner);
    let start = Instant::now();
    run(job, (0..9).map(VertexId).collect(), token())
        .await
        .unwrap();
    assert_eq!(runner.most_running.load(Ordering::SeqCst), 2);
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn the_caches_are_used_as_far_as_they_go() {
    let mut runner = TestRunner::default();
    runner.content.insert(1, vec!["bad", "c"]);
    let job = job(
        runner,
        &[(&[], &["bad", "a"]), (&[0], NONE), (&[1], &["panics"])],
    );
    let runner = Arc::clone(&job.runner);
    let outputs = run(job, vec![VertexId(2)], token()).await.unwrap();
    assert_eq!(outputs, ["2(1=c)"]);
    assert_eq!(
        runner.take_log(),
        [
            "load 2 panics",
            "load 0 bad",
            "load 0 a",
            "ask [1]",
            "load 1 bad",
            "load 1 c",
            "ask [2]",
            "run 2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_that_breaks_off_is_a_miss() {
    let mut runner = TestRunner::default();
    runner.content.insert(0, vec!["panic"]);
    let job = job(runner, &[(&[], NONE)]);
    assert_eq!(run(job, vec![VertexId(0)], token()).await.unwrap(), ["0()"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_failure_is_reported_after_the_others_have_cleaned_up() {
    let runner = acts([(0, Act::Fail(2)), (1, Act::Take(100)), (2, Act::Fail(100))]);
    let job = job(
        runner,
        &[
            (&[], NONE),
            (&[], NONE),
            (&[], &["hangs"]),
            (&[0, 1, 2], NONE),
        ],
    );
    let runner = Arc::clone(&job.runner);
    let start = Instant::now();
    let failure = run(job, vec![VertexId(3)], token()).await.unwrap_err();
    assert_eq!(
        failure,
        Failure::Step {
            vertex: VertexId(0),
            error: "0 failed".to_owned()
        }
    );
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    assert!(runner.take_log().contains(&"cleaned 1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_the_build_and_not_the_process() {
    let job = job(acts([(0, Act::Panic)]), &[(&[], NONE)]);
    let failure = run(job, vec![VertexId(0)], token()).await.unwrap_err();
    let message = "step panics".to_owned();
    assert_eq!(
        failure,
        Failure::Panicked {
            vertex: VertexId(0),
            message
        }
    );
}

#[tokio::test(start_paused = true)]
async fn cancelling_stops_and_waits() {
    let job = job(acts([(0, Act::Take(100))]), &[(&[], NONE)]);
    let runner = Arc::clone(&job.runner);
    let cancel = token();
    let start = Instant::now();
    let canceller = async {
        sleep(Duration::from_secs(3)).await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(run(job, vec![VertexId(0)], cancel.clone()), canceller);
    assert_eq!(result, Err(Failure::Cancelled));
    assert_eq!(start.elapsed(), Duration::from_secs(8));
    assert_eq!(runner.take_log(), ["ask [0]", "run 0", "cleaned 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_set_before_lets_nothing_start() {
    let job = job(TestRunner::default(), &[(&[], NONE)]);
    let runner = Arc::clone(&job.runner);
    let cancel = token();
    cancel.cancel();
    assert_eq!(
        run(job, vec![VertexId(0)], cancel).await,
        Err(Failure::Cancelled)
    );
    assert_eq!(runner.take_log(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_build_cancels_its_steps() {
    let job = job(acts([(0, Act::Take(100))]), &[(&[], NONE)]);
    let runner = Arc::clone(&job.runner);
    let build = run(job, vec![VertexId(0)], token());
    let result = tokio::time::timeout(Duration::from_secs(3), build).await;
    assert!(result.is_err());
    tokio::task::yield_now().await;
    assert_eq!(runner.running.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exporter_demands_more_and_reports_what_is_lost() {
    let job = job(
        TestRunner::default(),
        &[(&[], &["a"]), (&[0], &["b"]), (&[0], NONE)],
    );
    let runner = Arc::clone(&job.runner);
    let value = scope(job, token(), async |session| {
        assert_eq!(session.demand(&[VertexId(1)]).await?, ["1=b"]);
        assert_eq!(session.lost(VertexId(1)).await?, "1(0=a)");
        let both = [VertexId(2), VertexId(1)];
        let other = session.clone();
        let (one, two) = tokio::join!(session.demand(&both), other.demand(&[]));
        assert_eq!(
            (one?, two?),
            (vec!["2(0=a)".to_owned(), "1(0=a)".to_owned()], Vec::new())
        );
        Ok::<_, Stopped>(42)
    });
    assert_eq!(value.await.unwrap(), Ok(42));
    assert_eq!(
        runner.take_log(),
        [
            "load 1 b", "load 0 a", "ask [1]", "run 1", "ask [2]", "run 2"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_exporter_waits_for_two_things_at_once() {
    let runner = acts([(0, Act::Take(2)), (1, Act::Take(9))]);
    let job = job(runner, &[(&[], NONE), (&[], NONE)]);
    let start = Instant::now();
    let value = scope(job, token(), async |session| {
        let first = async {
            session.demand(&[VertexId(0)]).await.unwrap();
            start.elapsed().as_secs()
        };
        let second = async {
            session.demand(&[VertexId(1), VertexId(1)]).await.unwrap();
            start.elapsed().as_secs()
        };
        tokio::join!(first, second)
    });
    assert_eq!(value.await, Ok((2, 9)));
}

#[tokio::test(start_paused = true)]
async fn a_body_hears_of_the_failure_and_the_caller_gets_it() {
    let job = job(acts([(0, Act::Fail(1))]), &[(&[], NONE)]);
    let result = scope(job, token(), async |session| {
        assert_eq!(session.demand(&[VertexId(0)]).await, Err(Stopped));
        assert_eq!(session.demand(&[VertexId(0)]).await, Err(Stopped));
    });
    let failure = result.await.unwrap_err();
    assert_eq!(failure.vertex(), Some(VertexId(0)));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_early_ends_the_build() {
    let job = job(acts([(0, Act::Take(100))]), &[(&[], NONE)]);
    let runner = Arc::clone(&job.runner);
    let start = Instant::now();
    let value = scope(job, token(), async |session| {
        let patience = Duration::from_secs(1);
        let result = tokio::time::timeout(patience, session.demand(&[VertexId(0)])).await;
        result.is_err()
    });
    assert_eq!(value.await, Ok(true));
    assert_eq!(start.elapsed(), Duration::from_secs(6));
    assert_eq!(runner.take_log(), ["ask [0]", "run 0", "cleaned 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_lost_its_input_gets_a_new_one() {
    let job = job(
        acts([(1, Act::LoseInput)]),
        &[(&[], &["old", "new"]), (&[0], NONE)],
    );
    let runner = Arc::clone(&job.runner);
    let outputs = run(job, vec![VertexId(1)], token()).await.unwrap();
    assert_eq!(outputs, ["1(0=new)"]);
    assert_eq!(
        runner.take_log(),
        ["load 0 old", "ask [1]", "run 1", "load 0 new", "run 1"]
    );
}

#[tokio::test]
async fn a_build_can_be_spawned() {
    let target = vec![VertexId(0)];
    let whole = tokio::spawn(run(idle_job(std::iter::once(vec![])), target, token()));
    assert_eq!(whole.await.unwrap(), Ok(vec![()]));
    let body = async |session: Session<()>| session.demand(&[VertexId(0)]).await;
    let scoped = tokio::spawn(scope(idle_job(std::iter::once(vec![])), token(), body));
    assert_eq!(scoped.await.unwrap(), Ok(Ok(vec![()])));
}

/// A runner that does nothing, to see what the scheduler itself costs.
#[derive(Debug)]
struct Idle;

impl Runner for Idle {
    type Output = ();
    type Candidate = ();
    type Error = Stopped;

    fn profile(&self, _: VertexId) -> Profile {
        Profile::default()
    }

    async fn load(&self, _: VertexId, (): ()) -> Option<()> {
        Some(())
    }

    async fn ask(&self, questions: Vec<Question<()>>) -> Vec<Vec<()>> {
        vec![Vec::new(); questions.len()]
    }

    async fn run(&self, _: VertexId, _: Vec<()>, _: JobCtx) -> Result<(), RunError<Stopped>> {
        Ok(())
    }

    async fn wait(&self, _: VertexId, _: JobCtx) {}
}

fn idle_job(rows: impl Iterator<Item = Vec<u32>>) -> Job<Idle> {
    let row = |inputs: Vec<u32>| {
        (
            VertexKind::Plain,
            inputs.into_iter().map(VertexId).collect(),
        )
    };
    let shape = Arc::new(Shape::new(rows.map(row)));
    let hits = Hits {
        candidates: Vec::new(),
        hints: vec![true; shape.len()],
    };
    Job {
        shape,
        hits,
        runner: Arc::new(Idle),
        limits: Limits::default(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_steps_in_a_chain_need_no_stack() {
    let job = idle_job((0..10_000_u32).map(|i| i.checked_sub(1).into_iter().collect()));
    run(job, vec![VertexId(9_999)], token()).await.unwrap();
}

/// The bound is far above what an unoptimised build needs (50 us; optimised it is 10 us), and far below what
/// anything quadratic would take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scheduler_costs_little_per_step() {
    let n = 2_000_u32;
    let rows = (0..n).map(|i| (1..4).filter_map(|k| i.checked_sub(k * 7)).collect());
    let job = idle_job(rows);
    let start = Instant::now();
    run(job, (0..n).map(VertexId).collect(), token())
        .await
        .unwrap();
    let per_step = start.elapsed() / n;
    assert!(per_step < Duration::from_millis(1), "{per_step:?} per step");
}
