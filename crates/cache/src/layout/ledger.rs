//! What a build gives, kept in memory until its end.

use std::collections::BTreeSet;

use acetate_oci::{Descriptor, Digest};

use super::catalog::{Catalog, Entry, Layer};
use super::listing::Listings;
use crate::CacheKey;
use crate::remote::{Existing, LayerSource, Publication, Put};

/// The records of one build, which join those of others when it ends.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Records that were published, those that were there already among them.
    pub(crate) ours: Catalog,
    /// Keys whose record is replaced, whoever wrote it.
    replaces: BTreeSet<CacheKey>,
    /// Whether there is anything to write.
    pub(crate) has_news: bool,
}

/// What becomes of records that this build did not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    Stay,
    Go,
}

impl Ledger {
    /// Keeps a result; `puts` says for each key whether its record stays, `listings` what its
    /// layers list, and `placed` where the bytes of a tar are.
    pub(crate) fn remember(
        &mut self,
        publication: &Publication,
        loaded: &Catalog,
        puts: &[Put],
        listings: Listings,
        placed: impl Fn(&Digest) -> Option<Descriptor>,
    ) {
        let layers: Vec<Layer> = publication.layers.iter().map(layer).collect();
        let of = Entry {
            chain: None,
            duration_ms: publication.duration_ms,
            fidelity: publication.fidelity.clone(),
            made_of: publication.made_of.clone(),
        };
        let with = |wanted: Put| {
            let keys = publication.keys.iter().zip(puts);
            keys.filter(move |(_, put)| **put == wanted)
                .map(|(key, _)| *key)
                .collect::<Vec<CacheKey>>()
        };
        let (written, kept) = (with(Put::Written), with(Put::Kept));
        for layer in &layers {
            if let Some(blob) = placed(&layer.diff_id) {
                self.ours.put_blob(layer.diff_id, blob);
            }
        }
        self.ours.put_result(&written, &layers, &of);
        self.ours.put_listings(&layers, listings);
        let fresh = kept.iter().filter(|key| !self.ours.holds(key)).copied();
        let fresh: Vec<CacheKey> = fresh.collect();
        if !fresh.is_empty() {
            self.ours.adopt(loaded, fresh.iter());
        }
        self.has_news |= !written.is_empty();
        // What was there was to be replaced, or is of no use. What was not there, and is when the
        // build ends, stays: all go on from the first result.
        let replaced = written
            .into_iter()
            .filter(|key| publication.existing == Existing::Replace || loaded.holds(key));
        self.replaces.extend(replaced);
    }

    /// The records that are written, beside what is there by then.
    pub(crate) fn merged_with(&self, current: &Catalog, others: Others) -> Catalog {
        let mut merged = Catalog::default();
        let stays = |key: &&CacheKey| match others {
            Others::Stay => true,
            // Of what this build has given as well, the earlier may be the one to stay.
            Others::Go => self.ours.holds(key),
        };
        merged.adopt(current, current.keys().filter(stays));
        for (diff_id, blob) in self.ours.blobs() {
            merged.put_blob(*diff_id, blob.clone());
        }
        let added: Vec<CacheKey> = self
            .ours
            .keys()
            .filter(|key| self.replaces.contains(key) || !merged.holds(key))
            .copied()
            .collect();
        merged.adopt(&self.ours, added.iter());
        merged
    }
}

fn layer(source: &LayerSource) -> Layer {
    Layer {
        diff_id: source.diff_id,
        size: source.size,
        created: source.created,
        base: source.base.clone(),
    }
}
