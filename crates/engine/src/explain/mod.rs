//! Why steps run: stories of what they were made of are kept, and compared when a record is missed.
//!
//! The parts that decide and that say it in words are pure: [`reason`] here, and
//! [`acetate_cache::story`]. What enters a story is told by [`teller`].

mod after;
mod ask;
mod cases;
mod listing;
mod reason;
mod teller;
mod told;

#[cfg(test)]
mod tests;

pub(crate) use after::{Ran, after};
pub use ask::ExplainReport;
pub(crate) use ask::ask;
pub use reason::{Explanation, Reason};

use acetate_cache::story::{Nearest, StorySource, Wanted, nearest};
use acetate_graph::BuildGraph;
use cases::Told;
use std::collections::BTreeSet;

/// Asks all sources and picks for each step the earlier story that differs least; of equal ones that
/// of the first source.
async fn compare(
    graph: &BuildGraph,
    told: &[Told],
    sources: &[&dyn StorySource],
) -> Vec<Option<Nearest>> {
    let wanted: Vec<Wanted> = told
        .iter()
        .map(|told| Wanted {
            key: told.story.key,
            finders: told.finders,
            text: told.story.instruction.text.clone(),
            below: told.story.below().copied(),
        })
        .collect();
    let mut found = vec![Vec::new(); told.len()];
    for source in sources {
        for (all, new) in found.iter_mut().zip(source.find(&wanted).await) {
            all.extend(new);
        }
    }
    let instructions = graph
        .vertices()
        .iter()
        .filter_map(|it| it.meta.instruction.as_ref());
    let present: BTreeSet<&str> = instructions.map(|it| it.text.as_str()).collect();
    let pairs = told.iter().zip(found);
    pairs
        .map(|(told, found)| nearest(&told.story, found, &present))
        .collect()
}
