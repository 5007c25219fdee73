//! Which earlier story explains a step best.

use super::{Difference, Found, Story, Tier, differences};
use std::collections::BTreeSet;

/// The earlier story that differs least, and in what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// The story and who keeps it.
    pub found: Found,
    /// What differs, most telling first; empty when nothing does.
    pub differences: Vec<Difference>,
}

/// Files count up to here, so that a large change of a directory is not taken for another project.
const MAX_FILES: usize = 5;
/// Two texts that have less than this of their words in common are two instructions.
const MIN_SHARED: usize = 40;

/// Picks the story with the fewest differences; of equal ones the first.
///
/// A story that was only found by its stage must be of the same instruction: nearly the same text, or
/// standing on the same thing, and not of one whose text is still among those `present`.
pub fn nearest(now: &Story, found: Vec<Found>, present: &BTreeSet<&str>) -> Option<Nearest> {
    let compare = |found: Found| Nearest {
        differences: differences(&found.story, now),
        found,
    };
    let fits = |found: &Found| {
        found.tier < Tier::Stage
            || (!present.contains(found.story.instruction.text.as_str())
                && is_alike(&found.story, now))
    };
    let all = found.into_iter().filter(fits).map(compare);
    all.min_by_key(|nearest| (cost(&nearest.differences), nearest.found.tier))
}

fn is_alike(then: &Story, now: &Story) -> bool {
    shared(&then.instruction.text, &now.instruction.text) >= MIN_SHARED
        || (now.below().is_some() && then.below() == now.below())
}

fn cost(differences: &[Difference]) -> usize {
    let one = |difference: &Difference| match difference {
        Difference::Files { files, .. } => files.len().clamp(1, MAX_FILES),
        Difference::Instruction { then, now } => 2 + (100 - shared(then, now)) / 10,
        _ => 1,
    };
    differences.iter().map(one).sum()
}

/// How much of their words behind the keyword two instructions have in common, in percent.
pub(super) fn shared(one: &str, other: &str) -> usize {
    let words = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().skip(1);
        words.map(str::to_owned).collect()
    };
    let (one, mut other) = (words(one), words(other));
    let n = one.len().max(other.len());
    let mut same = 0_usize;
    for word in one {
        if let Some(at) = other.iter().position(|it| *it == word) {
            other.swap_remove(at);
            same += 1;
        }
    }
    (same * 100).checked_div(n).unwrap_or(100)
}
