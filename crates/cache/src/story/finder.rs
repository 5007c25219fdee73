//! The names that a story is found by when its key is no longer the one that is asked for.
//!
//! A step that changed has another key, so its earlier story is found by what usually stays:
//!
//! | name | made of | finds it when |
//! |---|---|---|
//! | exact | stage, base as written, kind, platform, text, which of several equal ones | something below or beside it changed, or lines moved |
//! | text | kind, platform, text, which of several equal ones | the stage was renamed or starts from something else |
//! | stage | stage, keyword | the text itself changed: the most similar one is taken |
//!
//! The path of the Dockerfile is in none of them: machines check out where they like.

use super::{Story, StoryInstruction};
use acetate_graph::canonical::CanonicalHasher;
use acetate_oci::Digest;
use std::collections::HashMap;

/// The names of one story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finders {
    /// All that an unchanged instruction keeps.
    pub exact: Digest,
    /// The text alone.
    pub text: Digest,
    /// The stage and the keyword.
    pub stage: Digest,
}

/// Which name a story was found by, the most reliable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// By all that an unchanged instruction keeps.
    Exact,
    /// By its text.
    Text,
    /// By its stage.
    Stage,
}

/// Counts equal instructions, so that the second one is not taken for the first.
#[derive(Debug, Default)]
pub struct Nth(HashMap<Digest, u64>);

impl Nth {
    /// The names of the next instruction. Ask in the order of the steps.
    pub fn finders(&mut self, story: &Story) -> Finders {
        let StoryInstruction {
            stage,
            base,
            kind,
            text,
        } = &story.instruction;
        let platform = story.fields.iter().find(|field| field.name == "platform");
        let platform = platform.and_then(|field| field.value.text()).unwrap_or("");
        let alone = digest("acetate/story-text/v1", &[kind, platform, text]);
        let within = digest("acetate/story-within/v1", &[stage, &alone.hex()]);
        let n = self.0.entry(within).or_default();
        let nth = n.to_string();
        *n += 1;
        let parts = [stage.as_str(), base, &alone.hex(), &nth];
        let keyword = text.split_whitespace().next().unwrap_or_default();
        Finders {
            exact: digest("acetate/story-exact/v1", &parts),
            text: digest("acetate/story-text/v1", &[&alone.hex(), &nth]),
            stage: digest("acetate/story-stage/v1", &[stage, kind, keyword]),
        }
    }
}

fn digest(domain: &str, texts: &[&str]) -> Digest {
    let mut hasher = CanonicalHasher::new(domain);
    hasher.list(texts.iter(), |hasher, text| _ = hasher.text(text));
    hasher.finish()
}
