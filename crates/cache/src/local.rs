//! Records in the index of the local store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use acetate_oci::Timestamp;
use acetate_store::{LayerId, LayerRow, Record, RecordKey, Store, StoreError, codec};
use serde::{Deserialize, Serialize};

use crate::{CacheIndex, CacheKey, CacheRecord, Entry, Fidelity, KeyKind, LayerRecord, Origin};

#[path = "inventory.rs"]
mod inventory;

pub use inventory::{HeldRecord, Inventory};

/// The version of [`Payload`]; whoever changes that raises it, and older records become misses.
const VERSION: u16 = 1;

/// Looks up and records in the index of one store.
///
/// A record names its layers; what else it says about them is read from the layers' own rows, so a
/// layer that was sealed after its record was written is found sealed.
#[derive(Debug)]
pub struct LocalCache {
    store: Arc<Store>,
    has_warned: AtomicBool,
}

/// What a record says beside the names of its layers.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    created: Vec<(i64, u32)>,
    duration_ms: u64,
    origin: Origin,
    fidelity: Fidelity,
}

type Rows = BTreeMap<LayerId, LayerRow>;

impl LocalCache {
    /// Uses the index of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            has_warned: AtomicBool::new(false),
        }
    }

    fn try_lookup(&self, keys: &[CacheKey]) -> Result<Vec<Vec<CacheRecord>>, StoreError> {
        let names: Vec<RecordKey> = keys.iter().map(CacheKey::record_key).collect();
        let stored = self.store.index().records(&names)?;
        let rows = self.rows(&stored)?;
        let answers = names.iter().zip(&stored).map(|(name, stored)| {
            let record = stored
                .as_ref()
                .and_then(|stored| self.validate(name, stored, &rows));
            record.into_iter().collect()
        });
        Ok(answers.collect())
    }

    /// The rows of all layers that the records name and that can be used, in one question.
    fn rows(&self, stored: &[Option<Record>]) -> Result<Rows, StoreError> {
        let named = stored.iter().flatten().flat_map(|record| &record.layers);
        let mut ids: Vec<LayerId> = named.copied().collect();
        ids.sort_unstable();
        ids.dedup();
        let rows = self.store.layers().available(&ids)?;
        Ok(rows
            .into_iter()
            .flatten()
            .map(|row| (row.id, row))
            .collect())
    }

    /// Makes an answer of a stored record, or forgets a record that is worthless.
    fn validate(&self, name: &RecordKey, stored: &Record, rows: &Rows) -> Option<CacheRecord> {
        let record = match codec::decode(VERSION, &stored.payload) {
            Ok(payload) => assemble(payload, &stored.layers, rows),
            Err(error @ codec::CodecError::Version { .. }) => {
                tracing::debug!(%error, "a record of another version is dropped");
                None
            }
            Err(error) => {
                self.warn_once(&error);
                None
            }
        };
        if record.is_none() {
            self.store.index().drop_record(name);
        }
        record
    }

    fn warn_once(&self, error: &dyn std::fmt::Display) {
        if self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, "another fault of the local cache counts as a miss");
        } else {
            tracing::warn!(%error, "a fault of the local cache counts as a miss");
        }
    }
}

impl CacheIndex for LocalCache {
    fn lookup(&self, keys: &[CacheKey]) -> Vec<Vec<CacheRecord>> {
        if keys.is_empty() {
            return Vec::new();
        }
        self.try_lookup(keys).unwrap_or_else(|error| {
            self.warn_once(&error);
            vec![Vec::new(); keys.len()]
        })
    }

    fn record(&self, entries: Vec<Entry>) {
        let mut records = Vec::new();
        for entry in entries {
            for key in &entry.keys {
                match encode(key.kind(), &entry.record) {
                    Ok(record) => records.push((key.record_key(), record)),
                    Err(error) => self.warn_once(&error),
                }
            }
        }
        if !records.is_empty() {
            self.store.index().put_records(records);
        }
    }
}

fn encode(kind: KeyKind, record: &CacheRecord) -> Result<Record, codec::CodecError> {
    // A hint must outlive the layers of the record that it was written with.
    let layers: &[LayerRecord] = match kind {
        KeyKind::Hint => &[],
        KeyKind::Definition
        | KeyKind::Content
        | KeyKind::Mount
        | KeyKind::Story
        | KeyKind::Form => &record.layers,
    };
    let payload = Payload {
        created: layers
            .iter()
            .map(|layer| (layer.created.secs, layer.created.nanos))
            .collect(),
        duration_ms: record.duration_ms,
        origin: record.origin.clone(),
        fidelity: record.fidelity.clone(),
    };
    Ok(Record {
        payload: codec::encode(VERSION, &payload)?,
        layers: layers.iter().map(|layer| layer.id).collect(),
    })
}

/// `None` unless every layer of the chain is there.
fn assemble(payload: Payload, ids: &[LayerId], rows: &Rows) -> Option<CacheRecord> {
    if payload.created.len() != ids.len() {
        return None;
    }
    let layer = |(id, (secs, nanos)): (&LayerId, (i64, u32))| {
        let row = rows.get(id)?;
        Some(LayerRecord {
            id: *id,
            created: Timestamp::new(secs, nanos),
            diff_id: row.diff_id,
            size: row.size,
            blob: row.blob.clone(),
        })
    };
    let layers = ids
        .iter()
        .zip(payload.created)
        .map(layer)
        .collect::<Option<_>>()?;
    Some(CacheRecord {
        layers,
        duration_ms: payload.duration_ms,
        origin: payload.origin,
        fidelity: payload.fidelity,
    })
}

#[cfg(test)]
#[path = "local_tests.rs"]
mod tests;
