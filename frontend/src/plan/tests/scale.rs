//! Big inputs: the number of steps follows the number of instructions, and nothing recurses.

use super::fixture::build;
use std::fmt::Write;

#[test]
fn ten_thousand_lines_are_ten_thousand_steps() {
    let mut text = "FROM debian\n".to_owned();
    for i in 0..5_000 {
        let _ = writeln!(text, "COPY f{i} /");
        let _ = writeln!(text, "ENV V{i}={i}");
    }
    let build = build(&text);
    // The base, and a source and a file step for every copy.
    assert_eq!(build.lowered.graph.len(), 1 + 2 * 5_000);
    let image = &build.lowered.images[0];
    assert_eq!(image.history.len(), 10_000);
    assert_eq!(image.config.config.env.len(), 5_001);
    assert_eq!(build.rounds.len(), 2);
}

#[test]
fn a_chain_of_thousands_of_stages() {
    let mut text = "FROM debian AS s0\n".to_owned();
    for i in 1..3_000 {
        let _ = writeln!(text, "FROM s{} AS s{i}\nLABEL n={i}", i - 1);
    }
    let build = build(&text);
    assert_eq!(build.plan.stages.len(), 3_000);
    assert_eq!(build.lowered.graph.len(), 1);
    assert_eq!(build.lowered.images[0].history.len(), 2_999);
}

#[test]
fn a_chain_of_copies_through_thousands_of_stages() {
    let mut text = "FROM scratch AS s0\nCOPY x /\n".to_owned();
    for i in 1..3_000 {
        let _ = writeln!(text, "FROM scratch AS s{i}\nCOPY --from=s{} / /d{i}", i - 1);
    }
    let build = build(&text);
    assert_eq!(build.lowered.graph.len(), 3_001);
}

#[test]
fn a_thousand_stages_gathered_into_one() {
    let mut text = String::new();
    for i in 0..1_000 {
        let _ = writeln!(text, "FROM scratch AS s{i}\nCOPY f{i} /f{i}");
    }
    text.push_str("FROM scratch\n");
    for i in 0..1_000 {
        let _ = writeln!(text, "COPY --from=s{i} / /");
    }
    let build = build(&text);
    assert_eq!(build.lowered.graph.len(), 3_000);
    assert_eq!(build.lowered.images[0].history.len(), 1_000);
    assert_eq!(build.lowered.selections.len(), 1_000);
}
