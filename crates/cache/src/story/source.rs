//! Where earlier stories come from.

use super::{Finders, Story, Tier};
use acetate_oci::Digest;
use futures_util::future::BoxFuture;
use std::fmt;

/// A step whose earlier stories are wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its key now: the one story that has it differs in nothing.
    pub key: Digest,
    /// The names that its stories may stand under.
    pub finders: Finders,
    /// Its text, which similar ones are chosen by.
    pub text: String,
    /// What it stands on.
    pub below: Option<Digest>,
}

/// An earlier story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The story, with its values or with salted digests of them.
    pub story: Story,
    /// How it was found.
    pub tier: Tier,
    /// Who keeps it: `local`, or the name of a cache.
    pub from: String,
}

/// Something that keeps stories; advisory, so it has no errors.
///
/// A cache that machines share keeps one beside each record ([`Story::encode`]), and names it there.
pub trait StorySource: fmt::Debug + Send + Sync {
    /// Finds the earlier stories of many steps in one question: for each those that may explain it,
    /// most reliable and newest first. A fault is an empty answer.
    fn find<'a>(&'a self, wanted: &'a [Wanted]) -> BoxFuture<'a, Vec<Vec<Found>>>;
}
