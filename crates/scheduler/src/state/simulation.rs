//! Random graphs, random caches, random faults and a random order of events, against the rules.

use std::collections::{BTreeMap, BTreeSet};

use acetate_graph::VertexKind;
use proptest::prelude::*;

use super::loss::MAX_LOSSES;
use super::*;

/// A candidate: whether its bytes are there.
type Candidate = bool;
/// A result: a number that no other result has.
type Output = u32;
type TestState = State<Output, Candidate, VertexId>;
type TestEvent = Event<Output, Candidate, VertexId>;

#[derive(Debug, Clone)]
struct Row {
    kind: VertexKind,
    inputs: Vec<VertexId>,
    by_definition: Vec<Candidate>,
    by_content: Vec<Candidate>,
    hint: bool,
    class: Class,
}

#[derive(Debug, Clone)]
struct World {
    rows: Vec<Row>,
    targets: Vec<VertexId>,
    limits: Limits,
    /// A step that fails whenever it runs.
    broken: Option<VertexId>,
    /// How many results may get lost.
    n_losses: u32,
    /// How often a step may turn out to be taken by somebody else.
    n_taken: u32,
    /// Which of the things that can happen next does.
    choices: Vec<u32>,
}

impl World {
    fn state(&self) -> TestState {
        let shape = Shape::new(self.rows.iter().map(|row| (row.kind, row.inputs.clone())));
        let hits = Hits {
            candidates: self
                .rows
                .iter()
                .map(|row| row.by_definition.clone())
                .collect(),
            hints: self.rows.iter().map(|row| row.hint).collect(),
        };
        let profile = |id: VertexId| Profile {
            class: self.rows[id.idx()].class,
            cost: 1,
        };
        State::new(Arc::new(shape), hits, profile, self.limits)
    }

    fn has_faults(&self) -> bool {
        let bad = |row: &Row| {
            row.by_definition
                .iter()
                .chain(&row.by_content)
                .any(|good| !good)
        };
        self.broken.is_some() || self.n_losses > 0 || self.rows.iter().any(bad)
    }
}

fn worlds(faults: bool) -> impl Strategy<Value = World> {
    let kind = prop_oneof![9 => Just(VertexKind::Plain), 1 => Just(VertexKind::Forced)];
    let candidate = if faults {
        any::<bool>().boxed()
    } else {
        Just(true).boxed()
    };
    let candidates = move || {
        let some = prop::collection::vec(candidate.clone(), 1..3);
        prop_oneof![1 => Just(Vec::new()), 1 => some]
    };
    let class = prop_oneof![Just(Class::Heavy), Just(Class::Light)];
    let inputs = prop::collection::vec(any::<prop::sample::Index>(), 0..4);
    let row = (
        kind,
        inputs,
        candidates(),
        candidates(),
        any::<bool>(),
        class,
    );
    let limits = (1_usize..4, 1_usize..3, 1_usize..4);
    let broken = if faults {
        prop::option::weighted(0.2, 0_usize..20).boxed()
    } else {
        Just(None).boxed()
    };
    let n_losses = if faults {
        (0..=MAX_LOSSES).boxed()
    } else {
        Just(0).boxed()
    };
    (
        prop::collection::vec(row, 1..20),
        prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        limits,
        broken,
        (n_losses, 0_u32..20),
        prop::collection::vec(any::<u32>(), 1..60),
    )
        .prop_map(
            |(rows, targets, limits, broken, (n_losses, n_taken), choices)| {
                let n = rows.len();
                let rows = rows.into_iter().enumerate().map(
                    |(i, (kind, inputs, by_definition, by_content, hint, class))| {
                        let pick = |index: &prop::sample::Index| id(index.index(i));
                        let inputs: Vec<VertexId> = if i == 0 {
                            Vec::new()
                        } else {
                            inputs.iter().map(pick).collect()
                        };
                        let is_source =
                            inputs.is_empty() && kind == VertexKind::Plain && i % 2 == 0;
                        let kind = if is_source { VertexKind::Pinned } else { kind };
                        Row {
                            kind,
                            inputs,
                            by_definition,
                            by_content,
                            hint,
                            class,
                        }
                    },
                );
                World {
                    rows: rows.collect(),
                    targets: targets.iter().map(|index| id(index.index(n))).collect(),
                    limits: Limits {
                        max_parallel: limits.0,
                        max_light: limits.1,
                        max_loads: limits.2,
                    },
                    broken: broken.filter(|index| *index < n).map(id),
                    n_losses,
                    n_taken,
                    choices,
                }
            },
        )
}

fn id(index: usize) -> VertexId {
    VertexId(u32::try_from(index).unwrap())
}

/// What was commanded and not yet answered.
#[derive(Debug, Clone, PartialEq)]
enum Open {
    Load(VertexId, Candidate),
    Ask(Vec<VertexId>),
    Run(VertexId, Vec<Output>),
    Wait(VertexId),
}

#[derive(Debug, Default, Clone)]
struct Counts {
    loads: u32,
    questions: u32,
    runs: u32,
}

/// Plays the world around a state and checks every command against the rules.
struct Simulation<'a> {
    world: &'a World,
    state: TestState,
    open: Vec<Open>,
    counts: Vec<Counts>,
    /// The result of each vertex as last seen; it changes only when lost.
    seen: BTreeMap<VertexId, Output>,
    n_made: Output,
    n_losses: u32,
    n_taken: u32,
    /// For whom something may be kept since they waited.
    kept: BTreeSet<VertexId>,
    events: Vec<TestEvent>,
    log: Vec<Command<Candidate>>,
    is_over: bool,
}

impl<'a> Simulation<'a> {
    fn new(world: &'a World) -> Self {
        Self {
            world,
            state: world.state(),
            open: Vec::new(),
            counts: vec![Counts::default(); world.rows.len()],
            seen: BTreeMap::new(),
            n_made: 0,
            n_losses: 0,
            n_taken: 0,
            kept: BTreeSet::new(),
            events: Vec::new(),
            log: Vec::new(),
            is_over: false,
        }
    }

    /// Runs to the end, or until `cancel_at` events have happened and the rest is cancelled.
    fn play(&mut self, cancel_at: Option<usize>) {
        let mut choices = self.world.choices.iter().copied().cycle();
        self.feed(Event::Demand(self.world.targets.clone()));
        while !self.is_over {
            if cancel_at == Some(self.events.len()) {
                self.feed(Event::Cancel);
                continue;
            }
            assert!(!self.open.is_empty(), "the scheduler waits for nothing");
            assert!(self.events.len() < 1_000, "the build does not end");
            let choice = choices.next().unwrap() as usize;
            let event = self
                .loss(choice)
                .or_else(|| self.take(choice))
                .unwrap_or_else(|| self.answer(choice));
            self.feed(event);
        }
        assert!(self.open.is_empty(), "something was not waited for");
    }

    fn feed(&mut self, event: TestEvent) {
        self.events.push(event.clone());
        let was_stopping = self.state.is_stopping();
        for command in self.state.step(event) {
            assert!(!self.is_over, "a command after the end: {command:?}");
            self.log.push(command.clone());
            self.obey(command, was_stopping);
        }
        self.check_results();
        self.check_slots();
    }

    fn obey(&mut self, command: Command<Candidate>, was_stopping: bool) {
        let starts = matches!(
            command,
            Command::Load(..) | Command::AskContent(_) | Command::Run(_) | Command::Wait(_)
        );
        assert!(!starts || !was_stopping, "{command:?} after a failure");
        match command {
            Command::Load(vertex, candidate) => {
                self.counts[vertex.idx()].loads += 1;
                self.open.push(Open::Load(vertex, candidate));
            }
            Command::AskContent(vertices) => {
                for vertex in &vertices {
                    self.counts[vertex.idx()].questions += 1;
                    assert!(self.world.rows[vertex.idx()].hint, "asked without a hint");
                    assert_ne!(self.world.rows[vertex.idx()].kind, VertexKind::Forced);
                    self.inputs(*vertex);
                }
                self.open.push(Open::Ask(vertices));
            }
            Command::Run(vertex) => {
                self.counts[vertex.idx()].runs += 1;
                self.kept.remove(&vertex);
                let inputs = self.inputs(vertex);
                self.open.push(Open::Run(vertex, inputs));
            }
            Command::Wait(vertex) => self.open.push(Open::Wait(vertex)),
            Command::LetGo(vertex) => assert!(self.kept.remove(&vertex), "nothing was kept"),
            Command::CancelRunning => {}
            Command::Done | Command::Abort => {
                assert!(self.open.is_empty(), "ended with work under way");
                self.is_over = true;
            }
        }
        self.check_limits();
    }

    fn inputs(&self, vertex: VertexId) -> Vec<Output> {
        let inputs = self.state.inputs(vertex);
        assert_eq!(
            inputs.len(),
            self.world.rows[vertex.idx()].inputs.len(),
            "an input is missing"
        );
        inputs
    }

    fn check_limits(&self) {
        let class = |vertex: &VertexId| self.world.rows[vertex.idx()].class;
        let runs = |wanted| {
            let of = |open: &&Open| matches!(open, Open::Run(v, _) if class(v) == wanted);
            self.open.iter().filter(of).count()
        };
        let loads = self
            .open
            .iter()
            .filter(|open| matches!(open, Open::Load(..)))
            .count();
        assert!(runs(Class::Heavy) <= self.world.limits.max_parallel);
        assert!(runs(Class::Light) <= self.world.limits.max_light);
        assert!(loads <= self.world.limits.max_loads);
        let mut busy: Vec<VertexId> = Vec::new();
        for open in &self.open {
            match open {
                Open::Load(vertex, _) | Open::Run(vertex, _) | Open::Wait(vertex) => {
                    busy.push(*vertex);
                }
                Open::Ask(vertices) => busy.extend(vertices),
            }
        }
        let n_busy = busy.len();
        busy.sort_unstable();
        busy.dedup();
        assert_eq!(busy.len(), n_busy, "one vertex does two things at once");
    }

    /// A result once seen is fixed, unless it was reported lost.
    fn check_results(&mut self) {
        for index in 0..self.world.rows.len() {
            let now = self.state.output(id(index)).copied();
            match (self.seen.get(&id(index)).copied(), now) {
                (Some(before), Some(now)) => assert_eq!(before, now, "a result was replaced"),
                (None, Some(now)) => _ = self.seen.insert(id(index), now),
                (Some(_), None) => panic!("a result vanished"),
                (None, None) => {}
            }
        }
    }

    /// No slot is empty that somebody could use: who waits for others has none.
    fn check_slots(&self) {
        let of = |open: &Open| match open {
            Open::Ask(vertices) => vertices.len(),
            Open::Load(..) | Open::Run(..) | Open::Wait(_) => 1,
        };
        let n_open: usize = self.open.iter().map(of).sum();
        assert_eq!(self.state.n_in_flight(), n_open);
        if self.state.is_stopping() {
            return;
        }
        for vertex in &self.kept {
            let phase = self.state.steps[vertex.idx()].phase;
            assert_eq!(phase, Phase::Ready, "something is kept for long");
        }
        for class in [Class::Heavy, Class::Light] {
            let limit = match class {
                Class::Heavy => self.world.limits.max_parallel,
                Class::Light => self.world.limits.max_light,
            };
            let is_here = |index: &usize| self.world.rows[*index].class == class;
            let is_ready = |index: usize| self.state.steps[index].phase == Phase::Ready;
            let runs =
                |open: &&Open| matches!(open, Open::Run(vertex, _) if is_here(&vertex.idx()));
            if self.open.iter().filter(runs).count() < limit {
                let mut here = (0..self.world.rows.len()).filter(is_here);
                assert!(!here.any(is_ready), "a slot is empty and a step is ready");
            }
        }
    }

    /// Lets a step that was started be taken by somebody else, sometimes. It counts as not run.
    fn take(&mut self, choice: usize) -> Option<TestEvent> {
        let open = choice % self.open.len();
        let Open::Run(vertex, _) = self.open[open] else {
            return None;
        };
        if self.n_taken == self.world.n_taken || !choice.is_multiple_of(2) {
            return None;
        }
        self.n_taken += 1;
        self.counts[vertex.idx()].runs -= 1;
        self.open.remove(open);
        Some(Event::Taken(vertex))
    }

    /// Lets a result get lost, sometimes.
    fn loss(&mut self, choice: usize) -> Option<TestEvent> {
        if self.n_losses == self.world.n_losses || !choice.is_multiple_of(3) {
            return None;
        }
        let done: Vec<VertexId> = self.seen.keys().copied().collect();
        let vertex = *done.get(choice % done.len().max(1))?;
        self.n_losses += 1;
        if !self.state.is_stopping() {
            self.seen.remove(&vertex);
        }
        // Either a running dependent finds out, or an exporter.
        let runs = |open: &Open| {
            matches!(open, Open::Run(v, inputs)
                if self.world.rows[v.idx()].inputs.contains(&vertex)
                    && inputs.iter().any(|output| self.state.output(vertex) == Some(output)))
        };
        let Some(at) = self.open.iter().position(runs) else {
            return Some(Event::Lost(vertex));
        };
        let Open::Run(dependent, _) = self.open.remove(at) else {
            unreachable!()
        };
        Some(Event::InputsLost(dependent, vec![vertex]))
    }

    fn answer(&mut self, choice: usize) -> TestEvent {
        let open = self.open.remove(choice % self.open.len());
        match open {
            Open::Load(vertex, true) => Event::Loaded(vertex, self.make()),
            Open::Load(vertex, false) => Event::LoadFailed(vertex),
            Open::Ask(vertices) => {
                let found = |v: VertexId| (v, self.world.rows[v.idx()].by_content.clone());
                Event::ContentAnswer(vertices.into_iter().map(found).collect())
            }
            Open::Run(vertex, _) if self.world.broken == Some(vertex) => {
                Event::Failed(vertex, vertex)
            }
            Open::Run(vertex, _) => Event::Finished(vertex, self.make()),
            Open::Wait(vertex) => {
                self.kept.insert(vertex);
                Event::Free(vertex)
            }
        }
    }

    fn make(&mut self) -> Output {
        self.n_made += 1;
        self.n_made
    }
}

/// What each vertex of a faultless world does, found by doing one after the other.
fn oracle(world: &World, demand: &Demand) -> Vec<(u32, u32, u32)> {
    let one = |(index, row): (usize, &Row)| match demand.decision(id(index)) {
        Decision::NotNeeded => (0, 0, 0),
        Decision::Load => (1, 0, 0),
        Decision::AskContent if row.by_content.is_empty() => (0, 1, 1),
        Decision::AskContent => (1, 1, 0),
        Decision::Run => (0, 0, 1),
    };
    world.rows.iter().enumerate().map(one).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn without_faults_exactly_what_is_demanded_happens_once(world in worlds(false)) {
        prop_assert!(!world.has_faults());
        let mut simulation = Simulation::new(&world);
        simulation.play(None);
        let mut demand = world.state().demand().clone();
        demand.require(&world.targets);
        let done: Vec<_> =
            simulation.counts.iter().map(|c| (c.loads, c.questions, c.runs)).collect();
        prop_assert_eq!(done, oracle(&world, &demand));
        for (vertex, decision) in demand.needed() {
            prop_assert!(decision != Decision::NotNeeded);
            prop_assert!(simulation.state.output(vertex).is_some());
        }
    }

    #[test]
    fn with_faults_the_build_ends_with_all_results_or_the_first_failure(world in worlds(true)) {
        let mut simulation = Simulation::new(&world);
        simulation.play(None);
        for (row, counts) in world.rows.iter().zip(&simulation.counts) {
            prop_assert!(counts.questions <= 1);
            prop_assert!(counts.runs <= 1 + simulation.n_losses);
            let n_candidates = row.by_definition.len() + row.by_content.len();
            prop_assert!(counts.loads as usize <= n_candidates);
            if row.kind == VertexKind::Forced {
                prop_assert_eq!(counts.loads, 0);
            }
        }
        let state = &simulation.state;
        if let Some(failure) = state.failure() {
            let vertex = world.broken.expect("only a broken step fails this build");
            prop_assert_eq!(failure, &Failure::Step { vertex, error: vertex });
            prop_assert!(simulation.counts[vertex.idx()].runs >= 1);
        } else {
            for (vertex, _) in state.demand().needed() {
                prop_assert!(state.output(vertex).is_some());
            }
            for target in &world.targets {
                prop_assert!(state.output(*target).is_some());
            }
        }
        // What was not needed was not touched.
        for (index, counts) in simulation.counts.iter().enumerate() {
            let is_untouched = counts.loads + counts.questions + counts.runs == 0;
            let is_needed = state.demand().decision(id(index)) != Decision::NotNeeded;
            prop_assert!(is_needed || is_untouched);
        }
    }

    #[test]
    fn the_same_events_give_the_same_commands(world in worlds(true)) {
        let mut simulation = Simulation::new(&world);
        simulation.play(None);
        let mut state = world.state();
        let again: Vec<_> =
            simulation.events.into_iter().flat_map(|event| state.step(event)).collect();
        prop_assert_eq!(again, simulation.log);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_build_can_be_cancelled_at_every_event(world in worlds(true)) {
        let mut whole = Simulation::new(&world);
        whole.play(None);
        for cancel_at in 1..whole.events.len() {
            let mut cut = Simulation::new(&world);
            cut.play(Some(cancel_at));
            prop_assert_eq!(cut.log.last(), Some(&Command::Abort));
            let n_aborts = cut.log.iter().filter(|command| **command == Command::Abort).count();
            prop_assert_eq!(n_aborts, 1);
            prop_assert!(cut.state.failure().is_some());
        }
    }
}
