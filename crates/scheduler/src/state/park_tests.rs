//! Tables for steps that somebody else has.

use acetate_graph::VertexKind::{Forced, Plain};

use super::tests::*;
use super::*;

/// So many vertices without inputs and records, of which one may run at a time.
fn one_slot(n: usize) -> TestState {
    let rows: Vec<Row<'_>> = (0..n).map(|_| (Plain, &[][..], MISS, false)).collect();
    let limits = Limits {
        max_parallel: 1,
        ..Limits::default()
    };
    state_with(&rows, limits, |_| Profile::default())
}

fn taken(id: u32) -> TestEvent {
    Event::Taken(v(id))
}

fn free(id: u32) -> TestEvent {
    Event::Free(v(id))
}

#[test]
fn a_step_that_is_taken_gives_its_slot_to_the_next_one() {
    let mut state = one_slot(3);
    play(
        &mut state,
        vec![
            (demand(&[0, 1, 2]), "run 0"),
            (taken(0), "wait 0, run 1"),
            (taken(1), "wait 1, run 2"),
            (free(0), ""),
            (finished(2), "run 0"),
            (finished(0), ""),
            (free(1), "run 1"),
            (finished(1), "done"),
        ],
    );
}

#[test]
fn a_step_may_be_taken_again_and_again() {
    let mut state = one_slot(1);
    play(&mut state, vec![(demand(&[0]), "run 0")]);
    for _ in 0..50 {
        play(&mut state, vec![(taken(0), "wait 0"), (free(0), "run 0")]);
    }
    play(&mut state, vec![(finished(0), "done")]);
}

#[test]
fn any_number_of_steps_waits() {
    let n = 1_000;
    let mut state = one_slot(n);
    let all: Vec<u32> = (0..1_000).collect();
    play(&mut state, vec![(demand(&all), "run 0")]);
    for id in 0..999 {
        let expected = format!("wait {id}, run {}", id + 1);
        play(&mut state, vec![(taken(id), &expected)]);
    }
    assert_eq!(state.n_in_flight(), n);
}

#[test]
fn a_step_that_is_free_again_comes_before_what_matters_less() {
    // 1 has a dependent, so it matters more than 0 and 2.
    let rows: [Row<'_>; 4] = [
        (Plain, &[], MISS, false),
        (Plain, &[], MISS, false),
        (Plain, &[], MISS, false),
        (Plain, &[1], MISS, false),
    ];
    let limits = Limits {
        max_parallel: 1,
        ..Limits::default()
    };
    let mut state = state_with(&rows, limits, |_| Profile::default());
    play(
        &mut state,
        vec![
            (demand(&[0, 2, 3]), "run 1"),
            (taken(1), "wait 1, run 0"),
            (free(1), ""),
            (finished(0), "run 1"),
            (finished(1), "run 2"),
            (finished(2), "run 3"),
            (finished(3), "done"),
        ],
    );
}

#[test]
fn the_slot_of_its_own_class_becomes_free() {
    let rows: Vec<Row<'_>> = (0..4).map(|_| (Plain, &[][..], MISS, false)).collect();
    let limits = Limits {
        max_parallel: 1,
        max_light: 1,
        max_loads: 1,
    };
    let profile = |id: VertexId| {
        let class = if id.0 < 2 { Class::Heavy } else { Class::Light };
        Profile { class, cost: 0 }
    };
    let mut state = state_with(&rows, limits, profile);
    play(
        &mut state,
        vec![
            (demand(&[0, 1, 2, 3]), "run 0, run 2"),
            (taken(2), "wait 2, run 3"),
            (taken(0), "wait 0, run 1"),
        ],
    );
}

#[test]
fn an_input_that_is_lost_meanwhile_is_made_again_before_the_step_is_tried() {
    let mut state = state(&[(Plain, &[], &["a", "b"], false), (Plain, &[0], MISS, false)]);
    play(
        &mut state,
        vec![
            (demand(&[1]), "load 0 a"),
            (loaded(0), "run 1"),
            (taken(1), "wait 1"),
            (Event::Lost(v(0)), "load 0 b"),
            (free(1), "let go 1"),
            (loaded(0), "run 1"),
            (finished(1), "done"),
        ],
    );
}

#[test]
fn what_is_kept_is_let_go_when_making_a_lost_input_needs_it() {
    // 1 got what 0 needs now that it is made again.
    let rows: [Row<'_>; 3] = [
        (Plain, &[], &["a"], false),
        (Plain, &[0], MISS, false),
        (Plain, &[], MISS, false),
    ];
    let limits = Limits {
        max_parallel: 1,
        ..Limits::default()
    };
    let mut state = state_with(&rows, limits, |_| Profile::default());
    play(
        &mut state,
        vec![
            (demand(&[1, 2]), "load 0 a, run 2"),
            (loaded(0), ""),
            (finished(2), "run 1"),
            (taken(1), "wait 1"),
            (Event::Lost(v(2)), "run 2"),
            (free(1), ""),
            (Event::Lost(v(0)), ""),
            (finished(2), "run 0"),
            (taken(0), "wait 0, let go 1"),
            (free(0), "run 0"),
            (finished(0), "run 1"),
            (taken(1), "wait 1"),
            (free(1), "run 1"),
            (finished(1), "done"),
        ],
    );
}

#[test]
fn an_input_that_is_there_again_in_time_is_not_waited_for() {
    let mut state = state(&[(Plain, &[], &["a", "b"], false), (Plain, &[0], MISS, false)]);
    play(
        &mut state,
        vec![
            (demand(&[1]), "load 0 a"),
            (loaded(0), "run 1"),
            (taken(1), "wait 1"),
            (Event::Lost(v(0)), "load 0 b"),
            (loaded(0), ""),
            (free(1), "run 1"),
            // It was started with the new one, so it is the new one that is lost.
            (Event::InputsLost(v(1), vec![v(0)]), "run 0"),
            (finished(0), "run 1"),
            (finished(1), "done"),
        ],
    );
}

#[test]
fn a_forced_step_can_be_taken_too() {
    let mut state = state(&[(Forced, &[], MISS, false)]);
    play(
        &mut state,
        vec![
            (demand(&[0]), "run 0"),
            (taken(0), "wait 0"),
            (free(0), "run 0"),
        ],
    );
}

#[test]
fn who_waits_is_answered_for_after_a_failure_and_not_tried_again() {
    let rows: Vec<Row<'_>> = (0..3).map(|_| (Plain, &[][..], MISS, false)).collect();
    let mut state = state(&rows);
    play(
        &mut state,
        vec![
            (demand(&[0, 1, 2]), "run 0, run 1, run 2"),
            (taken(0), "wait 0"),
            (Event::Failed(v(1), "exit 1"), "cancel"),
            // One that is taken after the end has begun does not begin to wait.
            (taken(2), ""),
            (free(0), "abort"),
        ],
    );
}

#[test]
fn what_is_taken_and_cancelled_at_once_never_waits() {
    let mut state = one_slot(1);
    play(&mut state, vec![(demand(&[0]), "run 0")]);
    state.apply(taken(0));
    state.apply(Event::Cancel);
    assert_eq!(state.commands(), [Command::Abort]);
}

#[test]
fn a_wait_that_breaks_off_fails_the_build() {
    let mut state = one_slot(2);
    play(
        &mut state,
        vec![
            (demand(&[0, 1]), "run 0"),
            (taken(0), "wait 0, run 1"),
            (Event::Panicked(v(0), "oops".to_owned()), "cancel"),
            (finished(1), "abort"),
        ],
    );
    assert_eq!(state.failure().and_then(Failure::vertex), Some(v(0)));
}
