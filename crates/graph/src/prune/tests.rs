use proptest::prelude::*;

use super::*;
use crate::VertexKind::{Forced, Pinned, Plain};
use crate::shape::id as shape_id;

const HIT: Known = Known {
    definition: true,
    hint: true,
};
const HINT: Known = Known {
    definition: false,
    hint: true,
};
const NOTHING: Known = Known {
    definition: false,
    hint: false,
};

fn ids(list: &[u32]) -> Vec<VertexId> {
    list.iter().copied().map(VertexId).collect()
}

/// One row per vertex: its kind, its inputs, and what the caches know of it.
fn demand(rows: &[(VertexKind, &[u32], Known)]) -> Demand {
    let shape = Shape::new(rows.iter().map(|(kind, inputs, _)| (*kind, ids(inputs))));
    Demand::new(Arc::new(shape), |id| rows[id.idx()].2)
}

/// One letter per vertex: `-` not needed, `L`oad, `A`sk, `R`un.
fn decisions(demand: &Demand) -> String {
    let letter = |id| match demand.decision(id) {
        Decision::NotNeeded => '-',
        Decision::Load => 'L',
        Decision::AskContent => 'A',
        Decision::Run => 'R',
    };
    demand.shape().ids().map(letter).collect()
}

fn pruned(rows: &[(VertexKind, &[u32], Known)], targets: &[u32]) -> String {
    let mut demand = demand(rows);
    demand.require(&ids(targets));
    decisions(&demand)
}

#[test]
fn a_hit_needs_nothing_below_it() {
    let rows: &[(VertexKind, &[u32], Known)] = &[
        (Pinned, &[], NOTHING),
        (Plain, &[0], NOTHING),
        (Plain, &[1], HIT),
    ];
    assert_eq!(pruned(rows, &[2]), "--L");
}

#[test]
fn a_miss_needs_its_inputs_and_asks_only_with_a_hint() {
    let rows: &[(VertexKind, &[u32], Known)] = &[
        (Pinned, &[], NOTHING),
        (Plain, &[0], HIT),
        (Plain, &[1], HINT),
        (Plain, &[2], NOTHING),
    ];
    assert_eq!(pruned(rows, &[3]), "-LAR");
}

#[test]
fn what_is_not_reached_is_not_needed() {
    let rows: &[(VertexKind, &[u32], Known)] = &[
        (Plain, &[], NOTHING),
        (Plain, &[], NOTHING),
        (Forced, &[1], NOTHING),
    ];
    assert_eq!(pruned(rows, &[0]), "R--");
}

#[test]
fn a_forced_vertex_below_a_hit_runs_and_voids_it() {
    let rows: &[(VertexKind, &[u32], Known)] = &[
        (Pinned, &[], HIT),
        (Forced, &[0], HIT),
        (Plain, &[1], HIT),
        (Plain, &[2], HIT),
    ];
    assert_eq!(pruned(rows, &[3]), "LRAA");
}

#[test]
fn a_miss_in_one_branch_voids_the_hits_above_it_in_another() {
    // 1 misses and is needed by 2; 3, another target, has a hit that was made from an older 1.
    let rows: &[(VertexKind, &[u32], Known)] = &[
        (Plain, &[], HIT),
        (Plain, &[0], NOTHING),
        (Plain, &[1], NOTHING),
        (Plain, &[1], HIT),
        (Plain, &[0], HIT),
    ];
    assert_eq!(pruned(rows, &[2, 3, 4]), "LRRAL");
    assert_eq!(pruned(rows, &[3, 4]), "---LL");
}

#[test]
fn voiding_goes_on_until_nothing_changes() {
    // 5 misses, so 1 and 0 run; 1 voids 3; 3 then needs 2, which misses and voids 4.
    let rows: &[(VertexKind, &[u32], Known)] = &[
        (Plain, &[], NOTHING),
        (Plain, &[0], NOTHING),
        (Plain, &[], NOTHING),
        (Plain, &[1, 2], HIT),
        (Plain, &[2], HIT),
        (Plain, &[1], NOTHING),
    ];
    assert_eq!(pruned(rows, &[3, 4]), "---LL-");
    assert_eq!(pruned(rows, &[3, 4, 5]), "RRRAAR");
}

#[test]
fn fetching_a_source_voids_nothing() {
    let rows: &[(VertexKind, &[u32], Known)] = &[
        (Pinned, &[], NOTHING),
        (Plain, &[0], NOTHING),
        (Plain, &[0], HIT),
    ];
    assert_eq!(pruned(rows, &[1, 2]), "RRL");
}

#[test]
fn a_dropped_hit_is_a_miss() {
    let rows: &[(VertexKind, &[u32], Known)] = &[
        (Plain, &[], HIT),
        (Plain, &[0], HIT),
        (Plain, &[1], HIT),
        (Plain, &[1], HIT),
    ];
    let mut demand = demand(rows);
    demand.require(&ids(&[1, 2, 3]));
    assert_eq!(decisions(&demand), "-LLL");
    assert_eq!(demand.take_changed(), ids(&[1, 2, 3]));
    demand.settle(VertexId(3));
    demand.drop_hit(VertexId(1));
    // 0 is needed now; 2 lost its hit; 3 has its result and keeps it.
    assert_eq!(demand.take_changed(), ids(&[0, 1, 2]));
    assert_eq!(decisions(&demand), "LAAA");
    assert_eq!(demand.take_changed(), []);
}

#[test]
fn a_lost_result_is_loaded_again_unless_its_hit_was_voided() {
    let rows: &[(VertexKind, &[u32], Known)] = &[(Plain, &[], HIT), (Plain, &[0], HIT)];
    let mut demand = demand(rows);
    demand.require(&ids(&[0, 1]));
    demand.settle(VertexId(1));
    assert_eq!(demand.lose(VertexId(1)), Decision::Load);
    demand.settle(VertexId(1));
    demand.drop_hit(VertexId(0));
    assert_eq!(demand.lose(VertexId(1)), Decision::AskContent);
}

#[test]
fn later_targets_add_to_the_demand() {
    let rows: &[(VertexKind, &[u32], Known)] = &[
        (Plain, &[], HIT),
        (Plain, &[0], HIT),
        (Forced, &[0], NOTHING),
        (Plain, &[2], HIT),
    ];
    let mut demand = demand(rows);
    demand.require(&ids(&[1]));
    assert_eq!(decisions(&demand), "-L--");
    demand.take_changed();
    demand.require(&ids(&[3]));
    assert_eq!(decisions(&demand), "LLRA");
    assert_eq!(demand.take_changed(), ids(&[0, 2, 3]));
    demand.require(&ids(&[3, 1]));
    assert_eq!(demand.take_changed(), []);
}

#[test]
fn long_and_wide_graphs_cost_neither_stack_nor_squares() {
    let n = 50_000;
    let rows = (0..n).map(|i: u32| {
        let inputs = [i.checked_sub(1), (i > 1).then_some(0)]
            .into_iter()
            .flatten();
        (
            if i == 0 { Forced } else { Plain },
            inputs.map(VertexId).collect(),
        )
    });
    let mut demand = Demand::new(Arc::new(Shape::new(rows)), |_| HIT);
    demand.require(&[VertexId(n - 1)]);
    assert!(
        demand
            .needed()
            .skip(1)
            .all(|(_, decision)| decision == Decision::AskContent)
    );
    assert_eq!(demand.needed().count(), n as usize);
}

/// The rules word for word: start from nothing, apply them all, repeat until nothing changes.
fn oracle(shape: &Shape, known: &[Known], targets: &[VertexId]) -> Vec<Decision> {
    let n = shape.len();
    let mut reached = vec![false; n];
    for id in shape.ids().rev() {
        let wanted = shape.dependents(id).iter().any(|d| reached[d.idx()]);
        reached[id.idx()] = wanted || targets.contains(&id);
    }
    let is_forced = |id: VertexId| reached[id.idx()] && shape.kind(id) == Forced;
    let mut running: Vec<bool> = shape.ids().map(is_forced).collect();
    loop {
        let mut tainted = vec![false; n];
        for id in shape.ids() {
            tainted[id.idx()] = shape
                .inputs(id)
                .iter()
                .any(|i| running[i.idx()] || tainted[i.idx()]);
        }
        let loadable = |id: VertexId| {
            known[id.idx()].definition && !tainted[id.idx()] && shape.kind(id) != Forced
        };
        let mut needed = vec![false; n];
        for id in shape.ids().rev() {
            let wanted = shape
                .dependents(id)
                .iter()
                .any(|d| needed[d.idx()] && !loadable(*d));
            needed[id.idx()] = wanted || targets.contains(&id);
        }
        let runs = |id: VertexId| {
            is_forced(id) || (needed[id.idx()] && !loadable(id) && shape.kind(id) != Pinned)
        };
        let next: Vec<bool> = shape.ids().map(runs).collect();
        if next == running {
            let decide = |id: VertexId| match (needed[id.idx()], loadable(id)) {
                (false, _) => Decision::NotNeeded,
                (true, true) => Decision::Load,
                (true, false) if known[id.idx()].hint && shape.kind(id) == Plain => {
                    Decision::AskContent
                }
                (true, false) => Decision::Run,
            };
            return shape.ids().map(decide).collect();
        }
        running = next;
    }
}

#[derive(Debug, Clone)]
struct Case {
    rows: Vec<(VertexKind, Vec<VertexId>, Known)>,
    targets: Vec<VertexId>,
}

fn cases() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![8 => Just(Plain), 1 => Just(Forced)];
    let known = prop_oneof![5 => Just(HIT), 1 => Just(HINT), 1 => Just(NOTHING)];
    let row = (
        kind,
        prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        known,
    );
    let targets = prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    (prop::collection::vec(row, 1..25), targets).prop_map(|(rows, targets)| {
        let n = rows.len();
        let row =
            |(i, (kind, inputs, known)): (usize, (VertexKind, Vec<prop::sample::Index>, _))| {
                let pick = |index: &prop::sample::Index| shape_id(index.index(i));
                let inputs: Vec<VertexId> = if i == 0 {
                    vec![]
                } else {
                    inputs.iter().map(pick).collect()
                };
                let kind = if inputs.is_empty() && kind == Plain {
                    Pinned
                } else {
                    kind
                };
                (kind, inputs, known)
            };
        let rows = rows.into_iter().enumerate().map(row).collect();
        let targets = targets
            .iter()
            .map(|index| shape_id(index.index(n)))
            .collect();
        Case { rows, targets }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn decisions_are_those_of_the_rules(case in cases()) {
        let shape = Arc::new(Shape::new(case.rows.iter().map(|(k, i, _)| (*k, i.clone()))));
        let known: Vec<Known> = case.rows.iter().map(|row| row.2).collect();
        let mut demand = Demand::new(Arc::clone(&shape), |id| known[id.idx()]);
        demand.require(&case.targets);
        let decided: Vec<Decision> = shape.ids().map(|id| demand.decision(id)).collect();
        prop_assert_eq!(&decided, &oracle(&shape, &known, &case.targets));

        // One target after the other comes to the same.
        let mut piecewise = Demand::new(Arc::clone(&shape), |id| known[id.idx()]);
        for target in &case.targets {
            piecewise.require(&[*target]);
        }
        let again: Vec<Decision> = shape.ids().map(|id| piecewise.decision(id)).collect();
        prop_assert_eq!(again, decided);
    }
}
