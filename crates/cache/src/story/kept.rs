//! Stories in the local store.
//!
//! They are facts: `story` by definition key, and three kinds of lists that name the newest of them,
//! see [`Finders`]. A story goes when newer ones of the same instruction push it out of its list.

use super::nearest::shared;
use super::{Finders, Found, Input, Listing, Part, Story, StorySource, Tier, Wanted};
use acetate_oci::Digest;
use acetate_store::{FactKey, Store, codec};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The version of stories and lists on the disk; others are forgotten.
const VERSION: u16 = 1;
/// How many stories of one unchanged instruction are kept.
const MAX_EXACT: usize = 4;
/// How many stories of one keyword in one stage are named.
const MAX_STAGE: usize = 24;
/// How many of those are looked at.
const MAX_SIMILAR: usize = 3;
/// How much of a text tells how similar it is.
const MAX_TEXT: usize = 300;
/// What is longer is compressed.
const WORTH_PACKING: usize = 2048;

/// The stories that this machine keeps.
#[derive(Debug, Clone)]
pub struct LocalStories {
    store: Arc<Store>,
}

/// A story on the disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    is_packed: bool,
    bytes: Vec<u8>,
}

/// A story as a list names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    key: [u8; 32],
    /// The beginning of its text.
    text: String,
    below: Option<[u8; 32]>,
}

type Lists = BTreeMap<FactKey, Vec<Known>>;

impl LocalStories {
    /// The kinds of facts that stories are kept as, for whoever decides what a prune leaves.
    pub const KINDS: [&str; 4] = ["story", "story-exact", "story-text", "story-stage"];

    /// Uses the facts of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    /// Says of each story whether it is known under its own name.
    pub fn knows(&self, stories: &[(Digest, Finders)]) -> Vec<bool> {
        let keys = stories.iter().map(|(_, finders)| exact(finders)).collect();
        let lists = self.lists(keys);
        let is_known = |(key, finders): &(Digest, Finders)| {
            let list = lists.get(&exact(finders));
            list.is_some_and(|list| list.iter().any(|known| known.key == *key.as_bytes()))
        };
        stories.iter().map(is_known).collect()
    }

    /// Keeps stories as the newest ones; blocks while it reads.
    pub fn keep(&self, stories: &[(Story, Finders)]) {
        let keys = stories
            .iter()
            .flat_map(|(_, finders)| names(finders).map(|(_, key)| key));
        let mut lists = self.lists(keys.collect());
        let mut facts = Vec::with_capacity(stories.len() * 4);
        for (story, finders) in stories {
            let Some(bytes) = encode(story) else {
                continue;
            };
            facts.push((story_key(story.key.as_bytes()), bytes));
            for (tier, key) in names(finders) {
                let list = lists.entry(key).or_default();
                let pushed_out = push(list, Known::of(story), tier);
                if tier == Tier::Exact {
                    self.forget(&pushed_out, stories);
                }
            }
        }
        for (key, list) in &lists {
            match codec::encode(VERSION, list) {
                Ok(bytes) => facts.push((key.clone(), bytes)),
                Err(error) => tracing::debug!(%error, "a list of stories is not kept"),
            }
        }
        self.store.index().put_facts(facts);
    }

    fn forget(&self, pushed_out: &[Known], kept: &[(Story, Finders)]) {
        for known in pushed_out {
            if kept
                .iter()
                .all(|(story, _)| *story.key.as_bytes() != known.key)
            {
                self.store.index().drop_fact(&story_key(&known.key));
            }
        }
    }

    fn lists(&self, keys: BTreeSet<FactKey>) -> Lists {
        let keys: Vec<FactKey> = keys.into_iter().collect();
        let values = self.facts(&keys);
        let list = |bytes: Option<Vec<u8>>| {
            let list = bytes.and_then(|bytes| codec::decode(VERSION, &bytes).ok());
            list.unwrap_or_default()
        };
        keys.into_iter().zip(values.into_iter().map(list)).collect()
    }

    fn facts(&self, keys: &[FactKey]) -> Vec<Option<Vec<u8>>> {
        self.store.index().facts(keys).unwrap_or_else(|error| {
            tracing::debug!(%error, "stories cannot be read");
            vec![None; keys.len()]
        })
    }

    fn search(&self, wanted: &[Wanted]) -> Vec<Vec<Found>> {
        let keys = wanted
            .iter()
            .flat_map(|it| names(&it.finders).map(|(_, key)| key));
        let lists = self.lists(keys.collect());
        let chosen: Vec<Vec<([u8; 32], Tier)>> =
            wanted.iter().map(|it| choose(it, &lists)).collect();
        let keys: BTreeSet<[u8; 32]> = chosen.iter().flatten().map(|(key, _)| *key).collect();
        let facts: Vec<FactKey> = keys.iter().map(story_key).collect();
        let stories = self.facts(&facts).into_iter().map(|bytes| decode(&bytes?));
        let stories: BTreeMap<[u8; 32], Option<Story>> = keys.into_iter().zip(stories).collect();
        let found = |(key, tier): &([u8; 32], Tier)| {
            let story = stories.get(key)?.clone()?;
            let (tier, from) = (*tier, "local".to_owned());
            Some(Found { story, tier, from })
        };
        chosen
            .iter()
            .map(|keys| keys.iter().filter_map(found).collect())
            .collect()
    }
}

impl StorySource for LocalStories {
    fn find<'a>(&'a self, wanted: &'a [Wanted]) -> BoxFuture<'a, Vec<Vec<Found>>> {
        Box::pin(async move { self.search(wanted) })
    }
}

impl Known {
    fn of(story: &Story) -> Self {
        Self {
            key: *story.key.as_bytes(),
            text: story.instruction.text.chars().take(MAX_TEXT).collect(),
            below: story.below().map(|below| *below.as_bytes()),
        }
    }
}

fn exact(finders: &Finders) -> FactKey {
    FactKey::new(LocalStories::KINDS[1], finders.exact.as_bytes())
}

fn names(finders: &Finders) -> [(Tier, FactKey); 3] {
    [
        (Tier::Exact, exact(finders)),
        (
            Tier::Text,
            FactKey::new(LocalStories::KINDS[2], finders.text.as_bytes()),
        ),
        (
            Tier::Stage,
            FactKey::new(LocalStories::KINDS[3], finders.stage.as_bytes()),
        ),
    ]
}

fn story_key(key: &[u8; 32]) -> FactKey {
    FactKey::new(LocalStories::KINDS[0], key)
}

/// Puts a story in front of a list and gives those that no longer fit.
fn push(list: &mut Vec<Known>, newest: Known, tier: Tier) -> Vec<Known> {
    list.retain(|known| known.key != newest.key);
    list.insert(0, newest);
    let max = if tier == Tier::Stage {
        MAX_STAGE
    } else {
        MAX_EXACT
    };
    list.split_off(max.min(list.len()))
}

/// The stories worth looking at, each once, the one of the same key first.
fn choose(wanted: &Wanted, lists: &Lists) -> Vec<([u8; 32], Tier)> {
    let mut chosen: Vec<([u8; 32], Tier)> = vec![(*wanted.key.as_bytes(), Tier::Exact)];
    let mut add = |key: [u8; 32], tier: Tier| {
        if chosen.iter().all(|(known, _)| *known != key) {
            chosen.push((key, tier));
        }
    };
    for (tier, key) in names(&wanted.finders) {
        let list = lists.get(&key).map(Vec::as_slice).unwrap_or_default();
        if tier == Tier::Stage {
            for known in similar(wanted, list) {
                add(known.key, tier);
            }
        } else {
            for known in list {
                add(known.key, tier);
            }
        }
    }
    chosen
}

/// Those that stand on the same thing, and those with the most similar texts.
fn similar<'l>(wanted: &Wanted, list: &'l [Known]) -> Vec<&'l Known> {
    let below = wanted.below.map(|below| *below.as_bytes());
    let text: String = wanted.text.chars().take(MAX_TEXT).collect();
    let mut ranked: Vec<(bool, usize, &Known)> = list
        .iter()
        .map(|known| {
            (
                below.is_some() && known.below == below,
                shared(&known.text, &text),
                known,
            )
        })
        .collect();
    // Stable, so that of equal ones the newest is first.
    ranked.sort_by_key(|(stands, shared, _)| std::cmp::Reverse((*stands, *shared)));
    ranked
        .into_iter()
        .take(MAX_SIMILAR)
        .map(|(.., known)| known)
        .collect()
}

/// A story as bytes; one that is too long is told with less of its files.
fn encode(story: &Story) -> Option<Vec<u8>> {
    let mut story = story.clone();
    let coarser: [fn(&Listing) -> Listing; 2] = [Listing::coarse, |_| Listing::Unknown];
    let mut coarser = coarser.iter();
    loop {
        match try_encode(&story) {
            Ok(bytes) => return Some(bytes),
            Err(error) => {
                let Some(coarser) = coarser.next() else {
                    tracing::debug!(%error, "a story is not kept");
                    return None;
                };
                for Part { input, .. } in &mut story.inputs {
                    if let Input::Files { listing, .. } = input {
                        *listing = coarser(listing);
                    }
                }
            }
        }
    }
}

fn try_encode(story: &Story) -> Result<Vec<u8>, codec::CodecError> {
    let bytes = codec::encode(VERSION, story)?;
    let packed = if bytes.len() > WORTH_PACKING {
        zstd::bulk::compress(&bytes, 1).ok()
    } else {
        None
    };
    let is_packed = packed.is_some();
    let bytes = packed.unwrap_or(bytes);
    codec::encode(VERSION, &Stored { is_packed, bytes })
}

fn decode(bytes: &[u8]) -> Option<Story> {
    let stored: Stored = codec::decode(VERSION, bytes).ok()?;
    let limit = usize::try_from(codec::LIMIT).ok()? + 1024;
    let bytes = if stored.is_packed {
        zstd::bulk::decompress(&stored.bytes, limit).ok()?
    } else {
        stored.bytes
    };
    codec::decode(VERSION, &bytes).ok()
}
