//! Stories: what entered the key of a step, in a form that two builds can be compared by.
//!
//! **What.** A [`Story`] says of one step what its definition key only hashes: the instruction as
//! written, variables, settings, and what each input was. [`differences`] puts two of them beside each
//! other, most telling difference first, and [`nearest`] picks the earlier story that explains a miss
//! best. [`LocalStories`] keeps them in the store; a [`StorySource`] finds them, here or elsewhere.
//!
//! **Invariants.** Everything but [`LocalStories`] is pure. No story holds the value of a secret, of a
//! proxy or of a variable whose name means a secret. What is written for others ([`Story::salted`])
//! holds values of variables, commands, addresses and everything else that a variable may stand in only
//! as salted digests.
//!
//! **Not here.** Making a story of a vertex (`acetate-engine`, which knows images and files).

mod difference;
mod fields;
mod files;
mod finder;
mod kept;
mod model;
mod nearest;
mod source;
mod wire;
mod words;

#[cfg(test)]
mod tests;

pub use difference::{Change, Difference, differences};
pub use fields::of_op;
pub use files::{FileChange, FileDifference, FileKind, FileStory, Listing};
pub use finder::{Finders, Nth, Tier};
pub use kept::LocalStories;
pub use model::{Field, Input, Part, Rank, Salt, Story, StoryInstruction, Value, Variable};
pub use nearest::{Nearest, nearest};
pub use source::{Found, StorySource, Wanted};
pub use wire::WireError;
pub use words::excerpt;
