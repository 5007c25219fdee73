//! Writes that are on their way to the database.

use std::collections::BTreeMap;

use super::rows::{FactKey, LayerRow, Record, RecordKey};
use crate::LayerId;

/// Changes to the index, the newest per name; `None` removes.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) layers: BTreeMap<LayerId, Option<LayerRow>>,
    pub(crate) records: BTreeMap<RecordKey, Option<Record>>,
    pub(crate) facts: BTreeMap<FactKey, Option<Vec<u8>>>,
    pub(crate) touches: Touches,
}

/// Names whose time of use is to be noted.
#[derive(Debug, Default)]
pub(crate) struct Touches {
    pub(crate) layers: Vec<LayerId>,
    pub(crate) records: Vec<RecordKey>,
    pub(crate) facts: Vec<FactKey>,
}

impl Batch {
    pub(crate) fn len(&self) -> usize {
        let touches = &self.touches;
        let n_touches = touches.layers.len() + touches.records.len() + touches.facts.len();
        self.layers.len() + self.records.len() + self.facts.len() + n_touches
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a layer over what this batch says about it.
    pub(crate) fn put_layer(&mut self, row: LayerRow) {
        let row = match self.layers.get(&row.id) {
            Some(Some(older)) => row.over(older),
            _ => row,
        };
        self.layers.insert(row.id, Some(row));
    }

    /// Puts the changes of a failed, older batch below these, so that the next attempt has both.
    pub(crate) fn put_below(&mut self, older: Self) {
        for (id, row) in older.layers {
            match (self.layers.get_mut(&id), row) {
                (None, row) => drop(self.layers.insert(id, row)),
                (Some(Some(newer)), Some(older)) => *newer = newer.clone().over(&older),
                (Some(_), _) => {}
            }
        }
        for (key, record) in older.records {
            self.records.entry(key).or_insert(record);
        }
        for (key, fact) in older.facts {
            self.facts.entry(key).or_insert(fact);
        }
    }
}
