//! The scheduler without I/O: events go in, commands come out.
//!
//! The life of a vertex (`x` marks what a lost candidate or result leads to):
//!
//! ```text
//! Idle --> LoadQueued --> Loading ---------------------------> Done
//!   |          |             | x next candidate: LoadQueued      | x lost: next candidate,
//!   |          |             v                                   |   else Waiting
//!   |          |       (no candidate left, or LoadingInVain)     |
//!   v          v             v                                   v
//! Waiting --> AskQueued --> Asking --> LoadQueued (by content)
//!   |                         | no candidate
//!   +-------------------------+--> Ready --> Running --> Done
//!                                    ^          |
//!                                    |          | taken by somebody else
//!                                    +--Parked<-+
//! ```
//!
//! `Demand` (crate graph) says which vertices are needed and whether their definition hits still
//! hold; this module follows its changes and keeps the order.

mod loss;
mod park;
mod queue;
mod start;
mod step;

use std::collections::VecDeque;
use std::sync::Arc;

use acetate_graph::{Decision, Demand, Shape, VertexId};

use self::queue::{ReadyQueue, Slots};
use self::step::{Phase, Step};
use crate::{Class, Command, Event, Failure, Hits, Limits, Profile};

/// The state of a build. `O` is the handle of a result, `C` a candidate, `E` why a step fails.
#[derive(Debug)]
pub struct State<O, C, E> {
    shape: Arc<Shape>,
    demand: Demand,
    profiles: Vec<Profile>,
    steps: Vec<Step<O, C>>,
    load_queue: VecDeque<VertexId>,
    ask_queue: Vec<VertexId>,
    ready: [ReadyQueue; 2],
    slots: [Slots; 2],
    loads: Slots,
    n_asking: usize,
    /// Parked vertices of which nobody was told yet.
    park_queue: Vec<VertexId>,
    n_waiting: usize,
    /// Vertices that are needed and have no result.
    n_open: usize,
    clock: u64,
    is_done_told: bool,
    ending: Ending,
    failure: Option<Failure<E>>,
}

/// How far the end of a build that failed has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    NotYet,
    Stopping,
    CancelTold,
    Aborted,
}

impl<O: Clone, C, E> State<O, C, E> {
    /// Starts with nothing demanded. `profile` is called once per vertex, in order.
    pub fn new(
        shape: Arc<Shape>,
        hits: Hits<C>,
        profile: impl FnMut(VertexId) -> Profile,
        limits: Limits,
    ) -> Self {
        let demand = Demand::new(Arc::clone(&shape), |id| hits.known(id));
        let mut candidates = hits.candidates.into_iter();
        let steps = shape
            .ids()
            .map(|_| Step::new(candidates.next().unwrap_or_default()));
        Self {
            demand,
            profiles: shape.ids().map(profile).collect(),
            steps: steps.collect(),
            load_queue: VecDeque::new(),
            ask_queue: Vec::new(),
            ready: [ReadyQueue::default(), ReadyQueue::default()],
            slots: [
                Slots::new(limits.max_parallel),
                Slots::new(limits.max_light),
            ],
            loads: Slots::new(limits.max_loads),
            n_asking: 0,
            park_queue: Vec::new(),
            n_waiting: 0,
            n_open: 0,
            clock: 0,
            is_done_told: true,
            ending: Ending::NotYet,
            failure: None,
            shape,
        }
    }

    /// Takes in an event and says what to do now.
    pub fn step(&mut self, event: Event<O, C, E>) -> Vec<Command<C>> {
        self.apply(event);
        self.commands()
    }

    /// Takes in an event. Events that are there at the same time should all be applied before
    /// [`commands`](Self::commands), so that one question serves all vertices that became ready.
    pub fn apply(&mut self, event: Event<O, C, E>) {
        self.clock += 1;
        match event {
            Event::Demand(targets) => self.require(&targets),
            Event::Loaded(vertex, output) => self.loaded(vertex, output),
            Event::LoadFailed(vertex) => self.load_failed(vertex),
            Event::ContentAnswer(answers) => self.answered(answers),
            Event::Finished(vertex, output) => {
                self.end_run(vertex);
                self.settle(vertex, output, true);
            }
            Event::Failed(vertex, error) => {
                self.end_run(vertex);
                self.fail(Failure::Step { vertex, error });
            }
            Event::Panicked(vertex, message) => {
                if self.steps[vertex.idx()].phase == Phase::Parked {
                    self.end_wait(vertex);
                } else {
                    self.end_run(vertex);
                }
                self.fail(Failure::Panicked { vertex, message });
            }
            Event::InputsLost(vertex, inputs) => self.inputs_lost(vertex, &inputs),
            Event::Taken(vertex) => self.taken(vertex),
            Event::Free(vertex) => self.freed(vertex),
            Event::Lost(vertex) => self.lose(vertex),
            Event::Cancel => self.fail(Failure::Cancelled),
        }
    }

    /// Says what to do now; each command is given once.
    pub fn commands(&mut self) -> Vec<Command<C>> {
        let mut commands = Vec::new();
        if self.is_stopping() {
            self.end(&mut commands);
            return commands;
        }
        self.start_loads(&mut commands);
        self.start_question(&mut commands);
        self.start_waits(&mut commands);
        self.start_runs(&mut commands);
        if self.n_open == 0 && !self.is_done_told {
            self.is_done_told = true;
            commands.push(Command::Done);
        }
        commands
    }

    /// The result of a vertex, if it has one.
    pub fn output(&self, vertex: VertexId) -> Option<&O> {
        self.steps[vertex.idx()].output.as_ref()
    }

    /// The results of a vertex's inputs, one per edge; complete when a question or a run of it is
    /// commanded.
    pub fn inputs(&self, vertex: VertexId) -> Vec<O> {
        self.shape
            .edges(vertex)
            .iter()
            .filter_map(|id| self.output(*id).cloned())
            .collect()
    }

    /// Which vertices are needed, and how they get their results.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// How many commands have not been answered; a question counts once per vertex.
    pub fn n_in_flight(&self) -> usize {
        let n_running: usize = self.slots.iter().map(Slots::taken).sum();
        n_running + self.loads.taken() + self.n_asking + self.n_waiting
    }

    /// Whether the build failed or was cancelled, so that nothing new starts.
    pub fn is_stopping(&self) -> bool {
        self.ending != Ending::NotYet
    }

    /// The first thing that went wrong.
    pub fn failure(&self) -> Option<&Failure<E>> {
        self.failure.as_ref()
    }

    /// Ends the build's life and gives the first thing that went wrong.
    pub fn into_failure(self) -> Option<Failure<E>> {
        self.failure
    }

    // ---- events

    fn require(&mut self, targets: &[VertexId]) {
        if self.is_stopping() {
            return;
        }
        self.is_done_told = false;
        self.demand.require(targets);
        // Only here: doing it for every lost candidate too would cost the square of the graph.
        self.set_priorities();
        self.follow_demand();
    }

    fn loaded(&mut self, vertex: VertexId, output: O) {
        self.loads.give_back();
        if self.steps[vertex.idx()].phase == Phase::LoadingInVain {
            self.wait(vertex);
        } else {
            self.settle(vertex, output, false);
        }
    }

    fn load_failed(&mut self, vertex: VertexId) {
        self.loads.give_back();
        if self.is_stopping() {
            self.steps[vertex.idx()].phase = Phase::Idle;
        } else if self.steps[vertex.idx()].phase == Phase::LoadingInVain {
            self.wait(vertex);
        } else {
            self.try_next(vertex);
        }
    }

    fn answered(&mut self, answers: Vec<(VertexId, Vec<C>)>) {
        for (vertex, candidates) in answers {
            self.n_asking -= 1;
            let step = &mut self.steps[vertex.idx()];
            step.by_content = candidates.into();
            if step.by_content.is_empty() {
                self.make_ready(vertex);
            } else {
                self.queue_load(vertex);
            }
        }
    }

    fn fail(&mut self, failure: Failure<E>) {
        if self.ending == Ending::NotYet {
            self.ending = Ending::Stopping;
            self.failure = Some(failure);
        }
    }

    // ---- the way of one vertex

    /// Takes up every vertex whose demand changed.
    fn follow_demand(&mut self) {
        for vertex in self.demand.take_changed() {
            let step = &mut self.steps[vertex.idx()];
            match step.phase {
                Phase::Idle => {
                    self.n_open += 1;
                    self.route(vertex);
                }
                Phase::LoadQueued => self.route(vertex),
                Phase::Loading => step.phase = Phase::LoadingInVain,
                // Whatever else it does, it does not rest on a definition hit.
                _ => {}
            }
        }
    }

    /// Goes on with a vertex whose candidate failed or whose result was lost.
    fn try_next(&mut self, vertex: VertexId) {
        let has_candidate = !self.steps[vertex.idx()].by_definition.is_empty();
        if self.demand.decision(vertex) == Decision::Load && !has_candidate {
            self.demand.drop_hit(vertex);
        }
        self.route(vertex);
        self.follow_demand();
    }

    /// Puts a vertex on the way that its demand asks for.
    fn route(&mut self, vertex: VertexId) {
        let is_loadable = self.demand.decision(vertex) == Decision::Load
            || !self.steps[vertex.idx()].by_content.is_empty();
        if is_loadable {
            self.queue_load(vertex);
        } else {
            self.wait(vertex);
        }
    }

    fn queue_load(&mut self, vertex: VertexId) {
        self.steps[vertex.idx()].phase = Phase::LoadQueued;
        self.load_queue.push_back(vertex);
    }

    fn wait(&mut self, vertex: VertexId) {
        let inputs = self.shape.inputs(vertex).iter();
        let n_missing = inputs.filter(|id| self.output(**id).is_none()).count();
        let step = &mut self.steps[vertex.idx()];
        step.phase = Phase::Waiting;
        step.n_missing = n_missing;
        if n_missing == 0 {
            self.inputs_ready(vertex);
        }
    }

    fn inputs_ready(&mut self, vertex: VertexId) {
        let asks = self.demand.decision(vertex) == Decision::AskContent;
        let step = &mut self.steps[vertex.idx()];
        if asks && !step.is_asked {
            step.phase = Phase::AskQueued;
            self.ask_queue.push(vertex);
        } else {
            self.make_ready(vertex);
        }
    }

    fn make_ready(&mut self, vertex: VertexId) {
        let class = self.class(vertex);
        let step = &mut self.steps[vertex.idx()];
        step.phase = Phase::Ready;
        self.ready[class].push(step.priority, vertex);
    }

    fn settle(&mut self, vertex: VertexId, output: O, is_own: bool) {
        let step = &mut self.steps[vertex.idx()];
        step.phase = Phase::Done;
        step.output = Some(output);
        step.is_own = is_own;
        step.made_at = self.clock;
        self.n_open -= 1;
        self.demand.settle(vertex);
        let shape = Arc::clone(&self.shape);
        for dependent in shape.dependents(vertex) {
            let step = &mut self.steps[dependent.idx()];
            if step.phase == Phase::Waiting {
                step.n_missing -= 1;
                if step.n_missing == 0 {
                    self.inputs_ready(*dependent);
                }
            }
        }
    }

    fn end_run(&mut self, vertex: VertexId) {
        let class = self.class(vertex);
        self.slots[class].give_back();
        self.steps[vertex.idx()].phase = Phase::Idle;
    }

    fn inputs_exist(&self, vertex: VertexId) -> bool {
        self.shape
            .inputs(vertex)
            .iter()
            .all(|id| self.output(*id).is_some())
    }

    fn class(&self, vertex: VertexId) -> usize {
        match self.profiles[vertex.idx()].class {
            Class::Heavy => 0,
            Class::Light => 1,
        }
    }

    /// Gives each vertex the cost of the most expensive way from its start to the end of the
    /// build. What is not expected to run costs nothing.
    fn set_priorities(&mut self) {
        for vertex in self.shape.ids().rev() {
            let dependents = self.shape.dependents(vertex).iter();
            let behind = dependents
                .map(|id| self.steps[id.idx()].priority)
                .max()
                .unwrap_or(0);
            let cost = match self.demand.decision(vertex) {
                Decision::NotNeeded | Decision::Load => 0,
                // One more than was said, so that depth counts where no cost is known.
                Decision::AskContent | Decision::Run => {
                    self.profiles[vertex.idx()].cost.saturating_add(1)
                }
            };
            self.steps[vertex.idx()].priority = behind.saturating_add(cost);
        }
    }
}

#[cfg(test)]
mod park_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
