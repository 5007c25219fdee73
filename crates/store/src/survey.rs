//! Everything that the index says, for people who want to look at it.

use std::collections::{BTreeMap, BTreeSet};

use crate::index::{Index, LayerRow, Record, RecordKey};
use crate::root::Root;
use crate::usage::is_locked;
use crate::{LayerId, Object, StoreError, live};

/// What a store knows at one moment. Looking at it counts as no use of anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// All records, by name.
    pub records: Vec<StoredRecord>,
    /// All layers, by name.
    pub layers: BTreeMap<LayerId, StoredLayer>,
}

/// A record and when it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its name.
    pub key: RecordKey,
    /// What it says.
    pub record: Record,
    /// When it was last used, in seconds since 1970, to the hour.
    pub used: i64,
}

/// A layer and which forms of it are on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    /// What the index says.
    pub row: LayerRow,
    /// Whether its directory is there and trusted.
    pub has_directory: bool,
    /// Whether its blob is there.
    pub has_blob: bool,
}

impl StoredLayer {
    /// True when the layer can be used.
    pub fn is_usable(&self) -> bool {
        self.has_directory || self.has_blob
    }
}

pub(crate) fn survey(root: &Root, index: &Index) -> Result<Survey, StoreError> {
    let records = index.all_records()?;
    let layers = index.all_layers()?.into_iter().map(|row| {
        let is_trusted = row.directory.is_trusted(root.boot);
        let layer = StoredLayer {
            has_directory: is_trusted && root.layer(&row.id).exists(),
            has_blob: (row.blob.as_ref()).is_some_and(|blob| root.blob(&blob.digest).exists()),
            row,
        };
        (layer.row.id, layer)
    });
    Ok(Survey {
        records,
        layers: layers.collect(),
    })
}

/// Those of the objects that a running process has pinned or holds.
pub(crate) fn in_use(root: &Root, objects: &[Object]) -> Result<BTreeSet<Object>, StoreError> {
    let pins = live::pins(root)?;
    let mut found = BTreeSet::new();
    for object in objects {
        let is_held = match object {
            Object::Layer(id) => is_locked(&root.layer(id))?,
            Object::Blob(_) => false,
        };
        if is_held || pins.contains(object) {
            found.insert(*object);
        }
    }
    Ok(found)
}
