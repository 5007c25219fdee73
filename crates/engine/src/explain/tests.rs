//! Chains of reasons, as data.

use super::reason::{Case, Reason, Tense, explain};
use acetate_cache::story::{
    Change, Difference, Found, Nearest, Rank, Story, StoryInstruction, Tier, Value,
};
use acetate_graph::{Origin, VertexId};
use acetate_oci::Digest;

fn key(n: u32) -> Digest {
    Digest::of(&n.to_le_bytes())
}

/// A step with a record that differs in nothing, on the steps given.
fn case(n: u32, below: &[u32]) -> Case {
    let story = Story {
        key: key(n),
        format: String::new(),
        salt: None,
        name: format!("RUN {n}"),
        instruction: StoryInstruction {
            stage: "s".into(),
            base: "b".into(),
            kind: "exec".into(),
            text: format!("RUN {n}"),
        },
        variables: vec![],
        fields: vec![],
        inputs: vec![],
    };
    Case {
        id: VertexId(n),
        vertex: key(n),
        key: key(n),
        name: format!("[{n}/9] RUN {n}"),
        origin: Some(Origin {
            file: "Dockerfile".into(),
            first_line: n,
            last_line: n,
        }),
        flag: None,
        has_record: true,
        nearest: Some(Nearest {
            found: Found {
                story,
                tier: Tier::Exact,
                from: "local".into(),
            },
            differences: vec![],
        }),
        below: below.iter().map(|n| (VertexId(*n), key(*n))).collect(),
    }
}

fn differing(mut case: Case, differences: Vec<Difference>) -> Case {
    if let Some(nearest) = &mut case.nearest {
        nearest.found.story.key = key(100 + case.id.0);
        nearest.differences = differences;
    }
    case.has_record = false;
    case
}

fn arg(name: &str) -> Difference {
    Difference::Variable {
        rank: Rank::Variable,
        name: name.into(),
        is_arg: true,
        change: Change {
            then: Some(Value::plain("1")),
            now: Some(Value::plain("2")),
        },
    }
}

fn other_step(n: u32) -> Difference {
    Difference::Step {
        then: Some(format!("[{n}/8] RUN {n}")),
        now: Some(format!("[{n}/9] RUN {n}")),
        key: Some(key(n)),
    }
}

#[track_caller]
fn check(cases: Vec<Case>, tense: Tense, expected: &[&str]) {
    let words: Vec<String> = explain(cases, tense)
        .into_iter()
        .map(|it| format!("{} ({})", it.words, it.from.unwrap_or_default()))
        .collect();
    assert_eq!(words, expected);
}

#[test]
fn a_chain_leads_to_where_it_began() {
    let cases = vec![
        differing(case(1, &[]), vec![arg("A")]),
        differing(case(2, &[1]), vec![other_step(1)]),
        differing(case(3, &[2]), vec![other_step(2)]),
    ];
    check(
        cases.clone(),
        Tense::Past,
        &[
            "`ARG A`: was 1, is 2 (local)",
            "because [1/9] RUN 1 ran again and its result differs: `ARG A`: was 1, is 2 (local)",
            "because [2/9] RUN 2 ran again and its result differs; it began with Dockerfile:1: \
             [1/9] RUN 1: `ARG A`: was 1, is 2 (local)",
        ],
    );
    check(
        cases,
        Tense::Future,
        &[
            "`ARG A`: was 1, is 2 (local)",
            "because [1/9] RUN 1 would run: `ARG A`: was 1, is 2 (cached if that gives the same \
             result) (local)",
            "because [2/9] RUN 2 would run; it began with Dockerfile:1: [1/9] RUN 1: `ARG A`: was \
             1, is 2 (cached if that gives the same result) (local)",
        ],
    );
}

#[test]
fn an_own_difference_goes_before_that_of_another_step() {
    let cases = vec![
        differing(case(1, &[]), vec![arg("A")]),
        differing(case(2, &[1]), vec![arg("A"), other_step(1)]),
        differing(case(3, &[1]), vec![arg("A"), arg("B"), other_step(1)]),
        differing(case(4, &[1]), vec![arg("A"), arg("B"), arg("C")]),
    ];
    check(
        cases,
        Tense::Past,
        &[
            "`ARG A`: was 1, is 2 (local)",
            "`ARG A`: was 1, is 2 (local)",
            "`ARG A`: was 1, is 2 (and 1 more difference) (local)",
            "`ARG A`: was 1, is 2 (and 2 more differences) (local)",
        ],
    );
}

#[test]
fn forced_steps_and_what_stands_on_them() {
    let forced = Case {
        flag: Some("--no-cache-filter=s".into()),
        ..case(1, &[])
    };
    // Its key is that of the record, which was made of another result.
    let cases = vec![forced, case(2, &[1])];
    check(
        cases,
        Tense::Past,
        &[
            "forced by --no-cache-filter=s ()",
            "because [1/9] RUN 1 ran again and its result differs: forced by \
             --no-cache-filter=s (local)",
        ],
    );
}

#[test]
fn what_is_new_and_what_was_removed() {
    let new = Case {
        nearest: None,
        has_record: false,
        ..case(1, &[])
    };
    let removed = |n, below: &[u32]| Case {
        has_record: false,
        ..case(n, below)
    };
    let words = "nothing differs: the record is there, but its layers were removed by prune or \
                 eviction (local)";
    check(
        vec![removed(1, &[]), removed(2, &[1])],
        Tense::Past,
        &[words, words],
    );
    check(
        vec![new, differing(case(2, &[1]), vec![other_step(1)])],
        Tense::Past,
        &[
            "no earlier record of such a step ()",
            "because [1/9] RUN 1 ran for the first time: no earlier record of such a step (local)",
        ],
    );
}

#[test]
fn the_step_that_differs_is_blamed_and_not_another_one_that_ran() {
    let cases = vec![
        differing(case(1, &[]), vec![arg("A")]),
        differing(case(2, &[]), vec![arg("B")]),
        differing(case(3, &[1, 2]), vec![other_step(2)]),
    ];
    let explanations = explain(cases, Tense::Past);
    let Reason::Input {
        step,
        root,
        because,
    } = &explanations[2].reason
    else {
        panic!("{:?}", explanations[2].reason);
    };
    assert_eq!(
        (step.as_str(), root.as_str()),
        ("[2/9] RUN 2", "[2/9] RUN 2")
    );
    assert!(matches!(**because, Reason::Differs { .. }));
}

#[test]
fn another_step_that_did_not_run_is_a_difference() {
    let cases = vec![differing(case(3, &[2]), vec![other_step(2)])];
    check(
        cases.clone(),
        Tense::Past,
        &["the result of [2/9] RUN 2 differs (local)"],
    );
    check(
        cases.clone(),
        Tense::Future,
        &["the result of [2/9] RUN 2 differs (cached if that gives the same result) (local)"],
    );
    let words =
        "nothing differs, but the record was made of other results of what it stands on (local)";
    check(vec![case(3, &[2])], Tense::Past, &[words]);
    let cases = vec![differing(case(3, &[2]), vec![])];
    check(
        cases,
        Tense::Past,
        &["nothing that is kept of the nearest record differs (local)"],
    );
}
