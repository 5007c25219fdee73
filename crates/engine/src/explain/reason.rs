//! Which difference, or which other step, is the reason that a step runs. No I/O.

use acetate_cache::story::{Difference, Nearest, Rank};
use acetate_graph::{Origin, VertexId};
use acetate_oci::Digest;
use serde::Serialize;
use std::collections::BTreeMap;

/// Why one step ran, or would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The step, as events call it.
    pub vertex: Digest,
    /// Its name with no variable filled in: `[build 2/4] RUN make`.
    pub name: String,
    /// Where it stands in the Dockerfile.
    pub origin: Option<Origin>,
    /// The reason.
    pub reason: Reason,
    /// Who keeps the nearest earlier record: `local`, or the name of a cache; none where there is none.
    pub from: Option<String>,
    /// The reason in words.
    pub words: String,
}

/// Why a step runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// A flag says so.
    Forced {
        /// The flag, as it was given.
        flag: String,
    },
    /// Nothing like it is known.
    NoRecord,
    /// Nothing differs, but the result is gone.
    Removed,
    /// Nothing differs, but the record was made of other results of the steps below.
    Stale,
    /// Something of the step itself differs, or it stands on another step.
    Differs {
        /// What, most telling first.
        differences: Vec<Difference>,
    },
    /// Another step ran, with another result.
    Input {
        /// The step that it uses.
        step: String,
        /// The first step of the chain that ran for a reason of its own.
        root: String,
        /// Why that one ran.
        because: Box<Reason>,
    },
    /// Nothing that is kept differs, though the keys do.
    Unknown,
}

/// One step that ran, and what is known of it.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) id: VertexId,
    pub(super) vertex: Digest,
    pub(super) key: Digest,
    pub(super) name: String,
    pub(super) origin: Option<Origin>,
    /// The flag that forces it.
    pub(super) flag: Option<String>,
    /// Whether a record of exactly this step is there.
    pub(super) has_record: bool,
    pub(super) nearest: Option<Nearest>,
    /// The steps that it uses, and their keys.
    pub(super) below: Vec<(VertexId, Digest)>,
}

/// Whether things happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tense {
    /// The steps ran.
    Past,
    /// The steps would run.
    Future,
}

/// Explains steps, which stand in an order in which each follows those that it uses.
pub(super) fn explain(cases: Vec<Case>, tense: Tense) -> Vec<Explanation> {
    let mut done: BTreeMap<VertexId, Explanation> = BTreeMap::new();
    for case in cases {
        let reason = reason(&case, &done);
        let words = words(&reason, &done, &case, tense);
        let is_near = !matches!(reason, Reason::Forced { .. } | Reason::NoRecord);
        let from = case.nearest.map(|nearest| nearest.found.from);
        let explanation = Explanation {
            vertex: case.vertex,
            name: case.name,
            origin: case.origin,
            reason,
            from: from.filter(|_| is_near),
            words,
        };
        done.insert(case.id, explanation);
    }
    done.into_values().collect()
}

fn reason(case: &Case, done: &BTreeMap<VertexId, Explanation>) -> Reason {
    if let Some(flag) = &case.flag {
        return Reason::Forced { flag: flag.clone() };
    }
    let Some(nearest) = &case.nearest else {
        return Reason::NoRecord;
    };
    let differences = nearest.differences.clone();
    let is_own = |difference: &Difference| difference.rank() != Rank::Step;
    if differences.iter().any(is_own) {
        return Reason::Differs { differences };
    }
    let is_same = differences.is_empty() && nearest.found.story.key == case.key;
    if is_same && !case.has_record {
        return Reason::Removed;
    }
    if let Some(input) = input_that_ran(case, &differences, done) {
        return because_of(&done[&input]);
    }
    if !differences.is_empty() {
        return Reason::Differs { differences };
    }
    if is_same {
        Reason::Stale
    } else {
        Reason::Unknown
    }
}

/// The step that a difference names, else the first one that ran.
fn input_that_ran(
    case: &Case,
    differences: &[Difference],
    done: &BTreeMap<VertexId, Explanation>,
) -> Option<VertexId> {
    let ran = || case.below.iter().filter(|(id, _)| done.contains_key(id));
    let named = differences.iter().find_map(|difference| match difference {
        Difference::Step { key: Some(key), .. } => ran().find(|(_, below)| below == key),
        _ => None,
    });
    named.or_else(|| ran().next()).map(|(id, _)| *id)
}

fn because_of(input: &Explanation) -> Reason {
    let step = input.name.clone();
    match &input.reason {
        Reason::Input { root, because, .. } => Reason::Input {
            step,
            root: root.clone(),
            because: because.clone(),
        },
        own => Reason::Input {
            root: step.clone(),
            step,
            because: Box::new(own.clone()),
        },
    }
}

fn words(
    reason: &Reason,
    done: &BTreeMap<VertexId, Explanation>,
    case: &Case,
    tense: Tense,
) -> String {
    let mut words = match reason {
        Reason::Input {
            step,
            root,
            because,
        } => chain(step, root, because, done, tense),
        own => own_words(own),
    };
    let is_input = match reason {
        Reason::Input { .. } => true,
        Reason::Differs { differences } => differences.iter().all(|it| it.rank() == Rank::Step),
        _ => false,
    };
    if tense == Tense::Future && is_input && case.nearest.is_some() {
        words.push_str(" (cached if that gives the same result)");
    }
    words
}

/// A step that came out differently, and where that began.
fn chain(
    step: &str,
    root: &str,
    because: &Reason,
    done: &BTreeMap<VertexId, Explanation>,
    tense: Tense,
) -> String {
    let ran = match (tense, because) {
        (Tense::Past, Reason::NoRecord) if step == root => "ran for the first time",
        (Tense::Past, _) => "ran again and its result differs",
        (Tense::Future, _) => "would run",
    };
    let why = own_words(because);
    if step == root {
        return format!("because {step} {ran}: {why}");
    }
    let place = done.values().find(|it| it.name == *root);
    let place = place.and_then(|it| it.origin.as_ref());
    let place = place.map(|it| format!("{}:{}: ", it.file, it.first_line));
    let place = place.unwrap_or_default();
    format!("because {step} {ran}; it began with {place}{root}: {why}")
}

fn own_words(reason: &Reason) -> String {
    match reason {
        Reason::Forced { flag } => format!("forced by {flag}"),
        Reason::NoRecord => "no earlier record of such a step".to_owned(),
        Reason::Removed => {
            "nothing differs: the record is there, but its layers were removed by prune or eviction"
                .to_owned()
        }
        Reason::Stale => {
            "nothing differs, but the record was made of other results of what it stands on"
                .to_owned()
        }
        Reason::Differs { differences } => differ(differences),
        Reason::Input { step, .. } => format!("because of {step}"),
        Reason::Unknown => "nothing that is kept of the nearest record differs".to_owned(),
    }
}

/// The first difference, and how many more there are. That another step came out differently is
/// no further difference: it has a reason of its own.
fn differ(differences: &[Difference]) -> String {
    let Some(first) = differences.first() else {
        return own_words(&Reason::Unknown);
    };
    let rest = differences.iter().skip(1);
    match rest.filter(|it| it.rank() != Rank::Step).count() {
        0 => first.to_string(),
        1 => format!("{first} (and 1 more difference)"),
        n => format!("{first} (and {n} more differences)"),
    }
}
