//! Tables of events and the commands that they lead to.

use acetate_graph::VertexKind::{self, Forced, Plain};

use super::loss::MAX_LOSSES;
use super::*;

pub(super) type TestState = State<&'static str, &'static str, &'static str>;
pub(super) type TestEvent = Event<&'static str, &'static str, &'static str>;

/// A vertex: its kind, its inputs, its candidates, whether there is a hint.
pub(super) type Row<'a> = (VertexKind, &'a [u32], &'a [&'static str], bool);

pub(super) const MISS: &[&str] = &[];

pub(super) fn v(id: u32) -> VertexId {
    VertexId(id)
}

pub(super) fn state_with(
    rows: &[Row<'_>],
    limits: Limits,
    profile: fn(VertexId) -> Profile,
) -> TestState {
    let inputs = |list: &[u32]| list.iter().copied().map(VertexId).collect::<Vec<_>>();
    let shape = Shape::new(rows.iter().map(|row| (row.0, inputs(row.1))));
    let hits = Hits {
        candidates: rows.iter().map(|row| row.2.to_vec()).collect(),
        hints: rows.iter().map(|row| row.3).collect(),
    };
    State::new(Arc::new(shape), hits, profile, limits)
}

pub(super) fn state(rows: &[Row<'_>]) -> TestState {
    state_with(rows, Limits::default(), |_| Profile::default())
}

fn text(commands: &[Command<&'static str>]) -> String {
    let one = |command: &Command<&'static str>| match command {
        Command::Load(vertex, candidate) => format!("load {} {candidate}", vertex.0),
        Command::AskContent(list) => {
            format!("ask {:?}", list.iter().map(|id| id.0).collect::<Vec<_>>())
        }
        Command::Run(vertex) => format!("run {}", vertex.0),
        Command::Wait(vertex) => format!("wait {}", vertex.0),
        Command::LetGo(vertex) => format!("let go {}", vertex.0),
        Command::CancelRunning => "cancel".to_owned(),
        Command::Done => "done".to_owned(),
        Command::Abort => "abort".to_owned(),
    };
    commands.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Feeds the events one by one and compares the commands after each.
pub(super) fn play(state: &mut TestState, table: Vec<(TestEvent, &str)>) {
    for (i, (event, expected)) in table.into_iter().enumerate() {
        let shown = format!("{event:?}");
        assert_eq!(
            text(&state.step(event)),
            expected,
            "after event {i}: {shown}"
        );
    }
}

pub(super) fn demand(targets: &[u32]) -> TestEvent {
    Event::Demand(targets.iter().copied().map(VertexId).collect())
}

pub(super) fn finished(id: u32) -> TestEvent {
    Event::Finished(v(id), "made")
}

pub(super) fn loaded(id: u32) -> TestEvent {
    Event::Loaded(v(id), "loaded")
}

fn answer(list: &[(u32, &[&'static str])]) -> TestEvent {
    Event::ContentAnswer(
        list.iter()
            .map(|(id, found)| (v(*id), found.to_vec()))
            .collect(),
    )
}

#[test]
fn nothing_is_told_before_something_is_demanded() {
    let mut state = state(&[(Plain, &[], MISS, false)]);
    assert_eq!(state.commands(), []);
    play(
        &mut state,
        vec![(demand(&[]), "done"), (demand(&[]), "done")],
    );
}

#[test]
fn steps_run_when_their_inputs_are_there() {
    let mut state = state(&[
        (Plain, &[], MISS, false),
        (Plain, &[], MISS, false),
        (Plain, &[0, 1, 0], MISS, false),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[2]), "run 0, run 1"),
            (finished(1), ""),
            (finished(0), "run 2"),
            (finished(2), "done"),
        ],
    );
    assert_eq!(state.inputs(v(2)), ["made"; 3]);
    assert_eq!(state.output(v(2)), Some(&"made"));
}

#[test]
fn a_hit_on_the_target_is_all_that_is_loaded() {
    let mut state = state(&[(Plain, &[], MISS, false), (Plain, &[0], &["a"], true)]);
    play(
        &mut state,
        vec![(demand(&[1]), "load 1 a"), (loaded(1), "done")],
    );
    assert_eq!(state.output(v(0)), None);
}

#[test]
fn candidates_are_tried_in_order_then_the_inputs_are_demanded() {
    let mut state = state(&[
        (Plain, &[], &["x"], true),
        (Plain, &[0], &["a", "b"], false),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[1]), "load 1 a"),
            (Event::LoadFailed(v(1)), "load 1 b"),
            (Event::LoadFailed(v(1)), "load 0 x"),
            (loaded(0), "run 1"),
            (finished(1), "done"),
        ],
    );
}

#[test]
fn a_wave_asks_once_and_only_where_there_is_a_hint() {
    let mut state = state(&[
        (Plain, &[], MISS, false),
        (Plain, &[0], MISS, true),
        (Plain, &[0], MISS, false),
        (Plain, &[0], MISS, true),
        (Plain, &[1, 2, 3], &["t"], true),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[1, 2, 3, 4]), "run 0"),
            (finished(0), "ask [1, 3], run 2"),
            (answer(&[(1, &["c", "d"]), (3, &[])]), "load 1 c, run 3"),
            (Event::LoadFailed(v(1)), "load 1 d"),
            (Event::LoadFailed(v(1)), "run 1"),
            (finished(1), ""),
            (finished(2), ""),
            (finished(3), "ask [4]"),
            (answer(&[(4, &["e"])]), "load 4 e"),
            (loaded(4), "done"),
        ],
    );
}

#[test]
fn events_that_are_applied_together_share_one_question() {
    let rows: [Row<'_>; 4] = [
        (Plain, &[], MISS, false),
        (Plain, &[], MISS, false),
        (Plain, &[0], MISS, true),
        (Plain, &[1], MISS, true),
    ];
    let mut state = state(&rows);
    state.step(demand(&[2, 3]));
    state.apply(finished(0));
    state.apply(finished(1));
    assert_eq!(text(&state.commands()), "ask [2, 3]");
}

#[test]
fn forced_steps_run_without_being_asked() {
    let mut state = state(&[(Forced, &[], &["a"], true), (Plain, &[0], &["b"], true)]);
    play(
        &mut state,
        vec![
            (demand(&[1]), "run 0"),
            (finished(0), "ask [1]"),
            (answer(&[(1, &["c"])]), "load 1 c"),
            (loaded(1), "done"),
        ],
    );
}

#[test]
fn a_load_that_a_lost_candidate_below_made_worthless_is_not_used() {
    let mut state = state(&[
        (Plain, &[], MISS, false),
        (Plain, &[0], &["a"], false),
        (Plain, &[1], &["b"], false),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[1, 2]), "load 1 a, load 2 b"),
            (Event::LoadFailed(v(1)), "run 0"),
            (loaded(2), ""),
            (finished(0), "run 1"),
            (finished(1), "run 2"),
            (finished(2), "done"),
        ],
    );
    assert_eq!(state.output(v(2)), Some(&"made"));
}

#[test]
fn a_result_that_is_there_survives_what_is_run_below_it() {
    let mut state = state(&[
        (Plain, &[], MISS, false),
        (Plain, &[0], &["a"], false),
        (Plain, &[1], &["b"], false),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[1, 2]), "load 1 a, load 2 b"),
            (loaded(2), ""),
            (Event::LoadFailed(v(1)), "run 0"),
            (finished(0), "run 1"),
            (finished(1), "done"),
        ],
    );
    assert_eq!(state.output(v(2)), Some(&"loaded"));
}

#[test]
fn a_result_that_is_there_demands_nothing_more() {
    let mut state = state(&[
        (Plain, &[], &["a"], false),
        (Plain, &[], MISS, false),
        (Plain, &[0, 1], &["b"], false),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[0, 2]), "load 0 a, load 2 b"),
            (loaded(2), ""),
            // 0 runs and voids the hit of 2, which has been taken; so 1 stays out of it.
            (Event::LoadFailed(v(0)), "run 0"),
            (finished(0), "done"),
        ],
    );
}

#[test]
fn a_lost_result_is_made_again_and_dependents_keep_theirs() {
    let mut state = state(&[(Plain, &[], &["a", "b"], false), (Plain, &[0], MISS, false)]);
    play(
        &mut state,
        vec![
            (demand(&[1]), "load 0 a"),
            (loaded(0), "run 1"),
            (finished(1), "done"),
            (Event::Lost(v(0)), "load 0 b"),
            (Event::Lost(v(0)), ""),
            (loaded(0), "done"),
            (Event::Lost(v(0)), "run 0"),
            (finished(0), "done"),
            (Event::Lost(v(1)), "run 1"),
            (finished(1), "done"),
        ],
    );
}

#[test]
fn a_lost_target_demands_what_was_pruned_away() {
    let mut state = state(&[
        (Plain, &[], &["x"], false),
        (Plain, &[0], MISS, true),
        (Plain, &[1], &["a"], false),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[2]), "load 2 a"),
            (loaded(2), "done"),
            (Event::Lost(v(2)), "load 0 x"),
            (loaded(0), "ask [1]"),
            (answer(&[(1, &["c"])]), "load 1 c"),
            (loaded(1), "run 2"),
            (finished(2), "done"),
        ],
    );
}

#[test]
fn a_step_whose_inputs_are_lost_runs_again_with_new_ones() {
    let mut state = state(&[
        (Plain, &[], &["a", "b"], false),
        (Plain, &[0], MISS, false),
        (Plain, &[0], MISS, false),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[1, 2]), "load 0 a"),
            (loaded(0), "run 1, run 2"),
            (Event::InputsLost(v(1), vec![v(0)]), "load 0 b"),
            (loaded(0), "run 1"),
            // 2 started before 0 was made again: its complaint is about the old one.
            (Event::InputsLost(v(2), vec![v(0)]), "run 2"),
            (finished(1), ""),
            (finished(2), "done"),
        ],
    );
}

#[test]
fn a_ready_step_waits_again_when_its_input_is_lost() {
    let rows: [Row<'_>; 3] = [
        (Plain, &[], &["a", "b"], false),
        (Plain, &[0], MISS, false),
        (Plain, &[0], MISS, false),
    ];
    let limits = Limits {
        max_parallel: 1,
        ..Limits::default()
    };
    let mut state = state_with(&rows, limits, |_| Profile::default());
    play(
        &mut state,
        vec![
            (demand(&[1, 2]), "load 0 a"),
            (loaded(0), "run 1"),
            (Event::Lost(v(0)), "load 0 b"),
            (finished(1), ""),
            (loaded(0), "run 2"),
            (finished(2), "done"),
        ],
    );
}

#[test]
fn a_result_that_is_lost_again_and_again_fails_the_build() {
    let mut state = state(&[(Plain, &[], MISS, false)]);
    play(
        &mut state,
        vec![(demand(&[0]), "run 0"), (finished(0), "done")],
    );
    for _ in 0..MAX_LOSSES {
        play(
            &mut state,
            vec![(Event::Lost(v(0)), "run 0"), (finished(0), "done")],
        );
    }
    play(&mut state, vec![(Event::Lost(v(0)), "abort")]);
    assert_eq!(
        state.into_failure(),
        Some(Failure::LostAgain { vertex: v(0) })
    );
}

#[test]
fn a_complaint_about_foreign_inputs_fails_the_build() {
    let mut state = state(&[(Plain, &[], MISS, false), (Plain, &[], MISS, false)]);
    play(
        &mut state,
        vec![
            (demand(&[0, 1]), "run 0, run 1"),
            (finished(0), ""),
            (Event::InputsLost(v(1), vec![v(0)]), "abort"),
        ],
    );
    assert_eq!(state.failure().and_then(Failure::vertex), Some(v(1)));
}

#[test]
fn after_a_failure_nothing_starts_and_everything_is_waited_for() {
    let mut state = state(&[
        (Plain, &[], MISS, false),
        (Plain, &[], MISS, false),
        (Plain, &[], &["a"], false),
        (Plain, &[0, 1], MISS, false),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[2, 3]), "load 2 a, run 0, run 1"),
            (Event::Failed(v(1), "exit 1"), "cancel"),
            (demand(&[3]), ""),
            (Event::Lost(v(2)), ""),
            (Event::LoadFailed(v(2)), ""),
            (Event::Failed(v(0), "killed"), "abort"),
            (Event::Cancel, ""),
        ],
    );
    assert_eq!(
        state.failure(),
        Some(&Failure::Step {
            vertex: v(1),
            error: "exit 1"
        })
    );
}

#[test]
fn cancelling_an_idle_build_aborts_it_at_once() {
    let mut state = state(&[(Plain, &[], MISS, false)]);
    play(
        &mut state,
        vec![(Event::Cancel, "abort"), (demand(&[0]), "")],
    );
    assert_eq!(state.into_failure(), Some(Failure::Cancelled));
}

#[test]
fn a_panic_is_a_failure() {
    let mut state = state(&[(Plain, &[], MISS, false)]);
    let panicked = Event::Panicked(v(0), "oops".to_owned());
    play(
        &mut state,
        vec![(demand(&[0]), "run 0"), (panicked, "abort")],
    );
    let failure = state.into_failure().unwrap();
    assert_eq!(failure.to_string(), "step 0 broke off: oops");
}

#[test]
fn light_steps_do_not_wait_for_heavy_ones_and_both_are_bounded() {
    let rows: Vec<Row<'_>> = (0..6).map(|_| (Plain, &[][..], MISS, false)).collect();
    let limits = Limits {
        max_parallel: 1,
        max_light: 2,
        max_loads: 1,
    };
    let profile = |id: VertexId| {
        let class = if id.0.is_multiple_of(2) {
            Class::Heavy
        } else {
            Class::Light
        };
        Profile { class, cost: 0 }
    };
    let mut state = state_with(&rows, limits, profile);
    play(
        &mut state,
        vec![
            (demand(&[0, 1, 2, 3, 4, 5]), "run 0, run 1, run 3"),
            (finished(1), "run 5"),
            (finished(0), "run 2"),
            (finished(3), ""),
            (finished(2), "run 4"),
        ],
    );
}

#[test]
fn loads_are_bounded() {
    let rows: Vec<Row<'_>> = (0..3)
        .map(|_| (Plain, &[][..], &["a"][..], false))
        .collect();
    let limits = Limits {
        max_loads: 2,
        ..Limits::default()
    };
    let mut state = state_with(&rows, limits, |_| Profile::default());
    play(
        &mut state,
        vec![
            (demand(&[0, 1, 2]), "load 0 a, load 1 a"),
            (loaded(1), "load 2 a"),
        ],
    );
}

#[test]
fn the_longest_way_to_the_end_starts_first() {
    // 0 <- 3 are short; 1 <- 4 cost most; 2 is long by depth alone: 2 <- 5 <- 6.
    let rows: [Row<'_>; 7] = [
        (Plain, &[], MISS, false),
        (Plain, &[], MISS, false),
        (Plain, &[], MISS, false),
        (Plain, &[0], MISS, false),
        (Plain, &[1], MISS, false),
        (Plain, &[2], MISS, false),
        (Plain, &[5], MISS, false),
    ];
    let limits = Limits {
        max_parallel: 1,
        ..Limits::default()
    };
    let mut state = state_with(&rows, limits, |id| Profile {
        class: Class::Heavy,
        cost: if id.0 == 4 { 100 } else { 0 },
    });
    play(
        &mut state,
        vec![
            (demand(&[3, 4, 6]), "run 1"),
            (finished(1), "run 4"),
            (finished(4), "run 2"),
            (finished(2), "run 0"),
            (finished(0), "run 5"),
        ],
    );
}

#[test]
fn what_is_expected_to_be_loaded_costs_nothing() {
    // 0 has a dear dependent, which is a hit; 1 has a cheap one, which is a miss.
    let rows: [Row<'_>; 4] = [
        (VertexKind::Pinned, &[], MISS, false),
        (VertexKind::Pinned, &[], MISS, false),
        (Plain, &[0], &["a"], false),
        (Plain, &[1], MISS, false),
    ];
    let limits = Limits {
        max_parallel: 1,
        ..Limits::default()
    };
    let profile = |id: VertexId| Profile {
        class: Class::Heavy,
        cost: if id.0 == 2 { 9 } else { 1 },
    };
    let mut state = state_with(&rows, limits, profile);
    play(&mut state, vec![(demand(&[0, 2, 3]), "load 2 a, run 1")]);
}

#[test]
fn a_later_demand_takes_up_where_the_first_ended() {
    let mut state = state(&[
        (Plain, &[], MISS, false),
        (Plain, &[0], MISS, false),
        (Plain, &[0], MISS, false),
    ]);
    play(
        &mut state,
        vec![
            (demand(&[1]), "run 0"),
            (finished(0), "run 1"),
            (demand(&[2]), "run 2"),
            (finished(1), ""),
            (finished(2), "done"),
            (demand(&[1, 2]), "done"),
        ],
    );
}

#[test]
fn long_chains_need_no_stack_and_no_squares() {
    let n = 20_000;
    let rows = (0..n).map(|i: u32| (Plain, i.checked_sub(1).map(VertexId).into_iter().collect()));
    let shape = Arc::new(Shape::new(rows));
    let mut state: State<(), (), ()> = State::new(
        shape,
        Hits::none(),
        |_| Profile::default(),
        Limits::default(),
    );
    let mut commands = state.step(Event::Demand(vec![VertexId(n - 1)]));
    for i in 0..n {
        assert_eq!(commands, [Command::Run(VertexId(i))]);
        commands = state.step(Event::Finished(VertexId(i), ()));
    }
    assert_eq!(commands, [Command::Done]);
}

#[test]
fn a_chain_whose_candidates_all_fail_falls_back_step_by_step() {
    let n = 5_000;
    let rows = (0..n).map(|i: u32| (Plain, i.checked_sub(1).map(VertexId).into_iter().collect()));
    let shape = Arc::new(Shape::new(rows));
    let hits = Hits {
        candidates: (0..n).map(|_| vec![()]).collect(),
        hints: Vec::new(),
    };
    let mut state: State<(), (), ()> =
        State::new(shape, hits, |_| Profile::default(), Limits::default());
    let mut commands = state.step(Event::Demand(vec![VertexId(n - 1)]));
    for i in (0..n).rev() {
        assert_eq!(commands, [Command::Load(VertexId(i), ())]);
        commands = state.step(Event::LoadFailed(VertexId(i)));
    }
    assert_eq!(commands, [Command::Run(VertexId(0))]);
}
