//! All records of the local store, for people who want to look at them.

use std::collections::BTreeMap;

use acetate_oci::{Digest, Timestamp};
use acetate_store::{LayerId, RecordKey, StoreError, StoredLayer, StoredRecord, codec};

use super::{LocalCache, Payload, VERSION};
use crate::{CacheKey, Fidelity, KeyKind, Origin};

/// What the local store has recorded. Looking at it counts as no use.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// All records that can be read, by key.
    pub records: Vec<HeldRecord>,
    /// Records that cannot be read, or are of another version: misses.
    pub n_unreadable: u64,
    /// What is known of layers, and which forms of them are here.
    pub layers: BTreeMap<LayerId, StoredLayer>,
}

/// One record of the local store, whether or not its layers are here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldRecord {
    /// What it answers.
    pub key: CacheKey,
    /// Its layers, bottom to top, and when each was made.
    pub layers: Vec<(LayerId, Timestamp)>,
    /// How long the step ran, in milliseconds.
    pub duration_ms: u64,
    /// Where it came from.
    pub origin: Origin,
    /// What kind of sandbox made it.
    pub fidelity: Fidelity,
    /// When it was last used, in seconds since 1970, to the hour.
    pub used: i64,
}

impl LocalCache {
    /// Reads all records.
    pub fn inventory(&self) -> Result<Inventory, StoreError> {
        let survey = self.store.survey()?;
        let mut inventory = Inventory {
            layers: survey.layers,
            ..Inventory::default()
        };
        for stored in survey.records {
            match read(stored) {
                Some(record) => inventory.records.push(record),
                None => inventory.n_unreadable += 1,
            }
        }
        Ok(inventory)
    }

    /// Forgets records, and waits until that is so for everybody. Their layers stay.
    pub fn forget(&self, keys: &[CacheKey]) -> Result<(), StoreError> {
        for key in keys {
            self.store.index().drop_record(&key.record_key());
        }
        self.store.flush()
    }
}

fn read(stored: StoredRecord) -> Option<HeldRecord> {
    let payload: Payload = codec::decode(VERSION, &stored.record.payload).ok()?;
    let key = key_of(&stored.key)?;
    if payload.created.len() != stored.record.layers.len() {
        return None;
    }
    let created = payload.created.into_iter();
    let created = created.map(|(secs, nanos)| Timestamp::new(secs, nanos));
    Some(HeldRecord {
        key,
        layers: stored.record.layers.into_iter().zip(created).collect(),
        duration_ms: payload.duration_ms,
        origin: payload.origin,
        fidelity: payload.fidelity,
        used: stored.used,
    })
}

fn key_of(key: &RecordKey) -> Option<CacheKey> {
    let kind = match key.space {
        0 => KeyKind::Definition,
        1 => KeyKind::Content,
        2 => KeyKind::Hint,
        3 => KeyKind::Mount,
        4 => KeyKind::Story,
        5 => KeyKind::Form,
        _ => return None,
    };
    let digest = Digest::from_bytes(key.key);
    Some(CacheKey::from_parts(kind, digest, key.output))
}
