//! Drives the state machine: starts a task per command, feeds back what comes of it.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use acetate_graph::{BuildGraph, Shape, VertexId};
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::session::Request;
use crate::{
    Command, Event, Failure, Hits, JobCtx, Limits, Question, RunError, Runner, Session, State,
};

/// Everything that a build is run from.
#[derive(Debug)]
pub struct Job<R: Runner> {
    /// The wiring of the graph.
    pub shape: Arc<Shape>,
    /// What the caches know.
    pub hits: Hits<R::Candidate>,
    /// Who does the work.
    pub runner: Arc<R>,
    /// How much of it at the same time.
    pub limits: Limits,
}

impl<R: Runner> Job<R> {
    /// Takes the wiring from a graph.
    pub fn new(
        graph: &BuildGraph,
        hits: Hits<R::Candidate>,
        runner: Arc<R>,
        limits: Limits,
    ) -> Self {
        Self {
            shape: Arc::new(Shape::of(graph)),
            hits,
            runner,
            limits,
        }
    }
}

/// Builds `targets` and gives their results, in their order.
///
/// Ends when they all exist, or after the first failure, when everything that was running has
/// ended.
pub async fn run<R: Runner>(
    job: Job<R>,
    targets: Vec<VertexId>,
    cancel: CancellationToken,
) -> Result<Vec<R::Output>, Failure<R::Error>> {
    let body = async |session: Session<R::Output>| session.demand(&targets).await;
    // A session stops without an answer only after a failure, which is returned before it.
    scope(job, cancel, body)
        .await?
        .map_err(|_| Failure::Cancelled)
}

/// Runs a build for as long as `body` takes, which demands results through its [`Session`].
///
/// Nothing runs before the first demand. When the build fails or is cancelled, the demands of the
/// body end with [`Stopped`](crate::Stopped), and the first failure is returned when the body has
/// returned and everything that was running has ended. When the body returns first, what is still
/// running is cancelled and waited for, and the body's value is returned. The body must not wait
/// for anything but its session without an eye on `cancel`.
///
/// Tasks that were started never outlive this future; when it is dropped they are aborted.
pub async fn scope<R, T, B>(
    job: Job<R>,
    cancel: CancellationToken,
    body: B,
) -> Result<T, Failure<R::Error>>
where
    R: Runner,
    B: AsyncFnOnce(Session<R::Output>) -> T,
{
    let (session, mut requests) = Session::new();
    let mut driver = Driver::new(job, &cancel);
    // A step may be on a blocking thread, which only its token reaches when this is dropped.
    let _guard = driver.stop.clone().drop_guard();
    let mut body = std::pin::pin!(body(session));
    let mut value = None;
    loop {
        driver.obey();
        if driver.state.n_in_flight() == 0
            && let Some(value) = value.take()
        {
            return driver.end(value);
        }
        tokio::select! {
            biased;
            () = cancel.cancelled(), if !driver.state.is_stopping() => {
                driver.state.apply(Event::Cancel);
            }
            Some(event) = driver.tasks.join_next(), if !driver.tasks.is_empty() => {
                driver.take_in(event);
            }
            Some(request) = requests.recv(), if value.is_none() => {
                driver.accept(request, &mut requests);
            }
            result = &mut body, if value.is_none() => {
                value = Some(result);
                driver.body_ended();
            }
        }
    }
}

type EventOf<R> = Event<<R as Runner>::Output, <R as Runner>::Candidate, <R as Runner>::Error>;
type StateOf<R> = State<<R as Runner>::Output, <R as Runner>::Candidate, <R as Runner>::Error>;
type Joined<R> = Result<EventOf<R>, tokio::task::JoinError>;

struct Driver<R: Runner> {
    state: StateOf<R>,
    shape: Arc<Shape>,
    runner: Arc<R>,
    tasks: JoinSet<EventOf<R>>,
    stop: CancellationToken,
    waiters: Vec<Waiter<R::Output>>,
    is_cut_short: bool,
}

/// A demand that has not been answered.
struct Waiter<O> {
    targets: Vec<VertexId>,
    /// The targets not yet seen with a result; only the last one is looked at.
    pending: Vec<VertexId>,
    reply: oneshot::Sender<Vec<O>>,
}

impl<R: Runner> Driver<R> {
    fn new(job: Job<R>, cancel: &CancellationToken) -> Self {
        let Job {
            shape,
            hits,
            runner,
            limits,
        } = job;
        let profile = |id| runner.profile(id);
        let state = State::new(Arc::clone(&shape), hits, profile, limits);
        let tasks = JoinSet::new();
        let stop = cancel.child_token();
        Self {
            state,
            shape,
            runner,
            tasks,
            stop,
            waiters: Vec::new(),
            is_cut_short: false,
        }
    }

    /// Carries out commands until there are none.
    fn obey(&mut self) {
        for command in self.state.commands() {
            match command {
                Command::Load(vertex, candidate) => self.load(vertex, candidate),
                Command::AskContent(vertices) => self.ask(vertices),
                Command::Run(vertex) => self.run(vertex),
                Command::Wait(vertex) => self.wait(vertex),
                Command::LetGo(vertex) => self.runner.let_go(vertex),
                Command::CancelRunning => self.stop.cancel(),
                Command::Done | Command::Abort => {}
            }
        }
        if self.state.is_stopping() {
            // Dropping the reply tells the waiting side that no answer will come.
            self.waiters.clear();
        } else {
            self.answer_waiters();
        }
    }

    fn load(&mut self, vertex: VertexId, candidate: R::Candidate) {
        let (runner, stop) = (Arc::clone(&self.runner), self.stop.clone());
        self.tasks.spawn(async move {
            let load = AssertUnwindSafe(runner.load(vertex, candidate)).catch_unwind();
            match stop.run_until_cancelled(load).await {
                Some(Ok(Some(output))) => Event::Loaded(vertex, output),
                Some(Err(panic)) => {
                    tracing::warn!(vertex = vertex.0, "load broke off: {}", message(&*panic));
                    Event::LoadFailed(vertex)
                }
                Some(Ok(None)) | None => Event::LoadFailed(vertex),
            }
        });
    }

    fn ask(&mut self, vertices: Vec<VertexId>) {
        let question = |vertex: &VertexId| Question {
            vertex: *vertex,
            inputs: self.state.inputs(*vertex),
        };
        let questions = vertices.iter().map(question).collect();
        let (runner, stop) = (Arc::clone(&self.runner), self.stop.clone());
        self.tasks.spawn(async move {
            let ask = AssertUnwindSafe(runner.ask(questions)).catch_unwind();
            let answers = match stop.run_until_cancelled(ask).await {
                Some(Ok(answers)) => answers,
                Some(Err(panic)) => {
                    tracing::warn!("question by content broke off: {}", message(&*panic));
                    Vec::new()
                }
                None => Vec::new(),
            };
            let answers = answers.into_iter().chain(std::iter::repeat_with(Vec::new));
            Event::ContentAnswer(vertices.into_iter().zip(answers).collect())
        });
    }

    fn run(&mut self, vertex: VertexId) {
        let inputs = self.state.inputs(vertex);
        let (runner, shape) = (Arc::clone(&self.runner), Arc::clone(&self.shape));
        let ctx = self.ctx();
        self.tasks.spawn(async move {
            let run = AssertUnwindSafe(runner.run(vertex, inputs, ctx)).catch_unwind();
            match run.await {
                Ok(Ok(output)) => Event::Finished(vertex, output),
                Ok(Err(RunError::Failed(error))) => Event::Failed(vertex, error),
                Ok(Err(RunError::InputsLost(edges))) => {
                    let inputs = shape.edges(vertex);
                    let lost = edges.iter().filter_map(|edge| inputs.get(*edge)).copied();
                    Event::InputsLost(vertex, lost.collect())
                }
                Ok(Err(RunError::Taken)) => Event::Taken(vertex),
                Err(panic) => Event::Panicked(vertex, message(&*panic)),
            }
        });
    }

    fn wait(&mut self, vertex: VertexId) {
        let (runner, ctx) = (Arc::clone(&self.runner), self.ctx());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let wait = AssertUnwindSafe(runner.wait(vertex, ctx)).catch_unwind();
            match stop.run_until_cancelled(wait).await {
                // Were it taken for free, a wait that panics each time would never end.
                Some(Err(panic)) => Event::Panicked(vertex, message(&*panic)),
                Some(Ok(())) | None => Event::Free(vertex),
            }
        });
    }

    fn ctx(&self) -> JobCtx {
        JobCtx {
            cancel: self.stop.clone(),
        }
    }

    /// Takes in an event and all others that are there, so that they share the next question.
    fn take_in(&mut self, first: Joined<R>) {
        let mut next = Some(first);
        while let Some(joined) = next {
            let event = joined.expect("tasks catch their own panics, and none is aborted here");
            self.state.apply(event);
            next = self.tasks.try_join_next();
        }
    }

    fn accept(&mut self, first: Request<R::Output>, more: &mut mpsc::Receiver<Request<R::Output>>) {
        let mut next = Some(first);
        while let Some(Request {
            lost,
            targets,
            reply,
        }) = next
        {
            if let Some(vertex) = lost {
                self.state.apply(Event::Lost(vertex));
            }
            self.state.apply(Event::Demand(targets.clone()));
            self.waiters.push(Waiter {
                pending: targets.clone(),
                targets,
                reply,
            });
            next = more.try_recv().ok();
        }
    }

    fn answer_waiters(&mut self) {
        let state = &self.state;
        for mut waiter in std::mem::take(&mut self.waiters) {
            while waiter
                .pending
                .last()
                .is_some_and(|id| state.output(*id).is_some())
            {
                waiter.pending.pop();
            }
            if !waiter.pending.is_empty() {
                self.waiters.push(waiter);
                continue;
            }
            let outputs: Option<Vec<_>> = waiter
                .targets
                .iter()
                .map(|id| state.output(*id).cloned())
                .collect();
            if let Some(outputs) = outputs {
                // Nobody has to wait for the answer any more: an exporter may have given up.
                drop(waiter.reply.send(outputs));
            } else {
                // One was lost after it had been seen.
                waiter.pending.clone_from(&waiter.targets);
                self.waiters.push(waiter);
            }
        }
    }

    fn body_ended(&mut self) {
        if !self.state.is_stopping() {
            self.is_cut_short = true;
            self.state.apply(Event::Cancel);
        }
    }

    fn end<T>(self, value: T) -> Result<T, Failure<R::Error>> {
        match self.state.into_failure() {
            Some(failure) if !self.is_cut_short => Err(failure),
            _ => Ok(value),
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wait_tests;
