//! The index: what the store knows beside its files, rebuilt empty whenever it is lost.
//!
//! Everything in it is advisory. A lost row makes a layer unknown and a record a miss.

mod batch;
mod owner;
mod read;
mod rows;
pub(crate) mod schema;
mod write;

use std::sync::{Arc, Mutex, PoisonError};

use acetate_oci::Digest;
use rusqlite::Connection;

pub use self::rows::{BlobRef, Directory, FactKey, LayerRow, Record, RecordKey};

use self::batch::Batch;
use self::owner::{Queue, State};
use self::schema::Db;
use crate::root::Root;
use crate::survey::StoredRecord;
use crate::{LayerId, StoreError, TOUCH_SECS};

/// The index of a store.
///
/// Reads are batched, see this handle's own writes at once and other processes' after their next
/// write. Writes return at once and reach the database together within a few milliseconds; see
/// [`Index::flush`].
#[derive(Debug)]
pub struct Index {
    root: Arc<Root>,
    queue: Arc<Queue>,
    readers: Mutex<Vec<Db>>,
}

impl Index {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        Self {
            queue: Queue::new(Arc::clone(&root)),
            root,
            readers: Mutex::default(),
        }
    }

    /// Puts what is known about a layer.
    pub fn put_layer(&self, row: LayerRow) {
        self.queue.submit(|batch| batch.put_layer(row));
    }

    /// Forgets a layer.
    pub fn drop_layer(&self, id: &LayerId) {
        self.queue
            .submit(|batch| drop(batch.layers.insert(*id, None)));
    }

    /// What is known about a layer, trusted or not.
    pub fn layer(&self, id: &LayerId) -> Result<Option<LayerRow>, StoreError> {
        Ok(self.layers(&[*id])?.pop().flatten())
    }

    /// What is known about many layers, in one question.
    pub fn layers(&self, ids: &[LayerId]) -> Result<Vec<Option<LayerRow>>, StoreError> {
        let (mut found, mut missing) = self.pending(ids, |batch, id| batch.layers.get(id).cloned());
        // A row on its way may say less about a sealed layer than the database.
        let partial = found.iter().enumerate().filter_map(|(at, row)| {
            let row = row
                .as_ref()
                .filter(|row| row.diff_id.is_none() || row.blob.is_none())?;
            Some((at, row.id))
        });
        missing.extend(partial);
        let mut old = Vec::new();
        for (at, row) in self.read(&missing, read::layers)? {
            old.extend(
                row.as_ref()
                    .filter(|row| self.is_old(row.used))
                    .map(|row| row.id),
            );
            found[at] = match (found[at].take(), row) {
                (Some(newer), Some(older)) => Some(newer.over(&older)),
                (newer, older) => newer.or(older),
            };
        }
        self.touch(&old, |batch, old| batch.touches.layers.extend(old));
        Ok(found)
    }

    /// Layers whose uncompressed tar has this digest, in the order of their names.
    pub fn layers_by_diff(&self, diff_id: &Digest) -> Result<Vec<LayerRow>, StoreError> {
        let mut ids: Vec<LayerId> = self
            .query(|conn| read::layer_by_diff(conn, diff_id))?
            .unwrap_or_default();
        let state = self.queue.state();
        for batch in batches(&state) {
            let rows = batch.layers.values().flatten();
            ids.extend(
                rows.filter(|row| row.diff_id == Some(*diff_id))
                    .map(|row| row.id),
            );
        }
        drop(state);
        ids.sort_unstable();
        ids.dedup();
        let rows = self.layers(&ids)?.into_iter().flatten();
        Ok(rows.filter(|row| row.diff_id == Some(*diff_id)).collect())
    }

    /// The first layer whose uncompressed tar has this digest.
    pub fn layer_by_diff(&self, diff_id: &Digest) -> Result<Option<LayerRow>, StoreError> {
        Ok(self.layers_by_diff(diff_id)?.into_iter().next())
    }

    /// Puts records; each replaces one of the same name.
    pub fn put_records(&self, records: Vec<(RecordKey, Record)>) {
        self.queue.submit(|batch| {
            batch
                .records
                .extend(records.into_iter().map(|(key, record)| (key, Some(record))));
        });
    }

    /// Forgets a record.
    pub fn drop_record(&self, key: &RecordKey) {
        self.queue
            .submit(|batch| drop(batch.records.insert(*key, None)));
    }

    /// The records of many keys, in one question.
    pub fn records(&self, keys: &[RecordKey]) -> Result<Vec<Option<Record>>, StoreError> {
        let (mut found, missing) = self.pending(keys, |batch, key| batch.records.get(key).cloned());
        let mut old = Vec::new();
        for (at, stored) in self.read(&missing, read::records)? {
            found[at] = stored.map(|(record, used)| {
                old.extend(self.is_old(used).then_some(keys[at]));
                record
            });
        }
        self.touch(&old, |batch, old| batch.touches.records.extend(old));
        Ok(found)
    }

    /// Puts facts; each replaces one of the same name.
    pub fn put_facts(&self, facts: Vec<(FactKey, Vec<u8>)>) {
        self.queue.submit(|batch| {
            batch
                .facts
                .extend(facts.into_iter().map(|(key, value)| (key, Some(value))));
        });
    }

    /// Forgets a fact.
    pub fn drop_fact(&self, key: &FactKey) {
        self.queue
            .submit(|batch| drop(batch.facts.insert(key.clone(), None)));
    }

    /// The values of many facts, in one question.
    pub fn facts(&self, keys: &[FactKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let (mut found, missing) = self.pending(keys, |batch, key| batch.facts.get(key).cloned());
        let mut old = Vec::new();
        for (at, stored) in self.read(&missing, read::facts)? {
            found[at] = stored.map(|(value, used)| {
                old.extend(self.is_old(used).then(|| keys[at].clone()));
                value
            });
        }
        self.touch(&old, |batch, old| {
            batch.touches.facts.extend(old.iter().cloned());
        });
        Ok(found)
    }

    /// Waits until everything put before is in the database; blocks, so never call it on a hot path.
    ///
    /// Dropping the store does the same and only logs an error.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.queue.flush()
    }

    /// Before reading whole tables; on a full disk they are read as they were last written.
    pub(crate) fn try_flush(&self) {
        if let Err(error) = self.flush() {
            tracing::debug!(%error, "reading the index beside unwritten changes");
        }
    }

    pub(crate) fn all_layers(&self) -> Result<Vec<LayerRow>, StoreError> {
        self.try_flush();
        Ok(self.query(read::all_layers)?.unwrap_or_default())
    }

    pub(crate) fn all_records(&self) -> Result<Vec<StoredRecord>, StoreError> {
        self.try_flush();
        Ok(self.query(read::all_records)?.unwrap_or_default())
    }

    pub(crate) fn record_layers(&self) -> Result<Vec<(Vec<LayerId>, i64)>, StoreError> {
        self.try_flush();
        Ok(self.query(read::record_layers)?.unwrap_or_default())
    }

    /// How many records and facts there are.
    pub(crate) fn counts(&self) -> Result<[u64; 2], StoreError> {
        self.try_flush();
        Ok(self.query(read::counts)?.unwrap_or_default())
    }

    /// Answers from memory what is still on its way, and tells which places are left.
    fn pending<K: Clone, V: Clone>(
        &self,
        keys: &[K],
        get: impl Fn(&Batch, &K) -> Option<Option<V>>,
    ) -> (Vec<Option<V>>, Vec<(usize, K)>) {
        let mut found = vec![None; keys.len()];
        let mut missing = Vec::with_capacity(keys.len());
        let state = self.queue.state();
        for (at, key) in keys.iter().enumerate() {
            match batches(&state).find_map(|batch| get(batch, key)) {
                Some(value) => found[at] = value,
                None => missing.push((at, key.clone())),
            }
        }
        (found, missing)
    }

    fn read<K: Clone, V>(
        &self,
        missing: &[(usize, K)],
        find: impl Fn(&mut Connection, &[K]) -> rusqlite::Result<Vec<Option<V>>>,
    ) -> Result<Vec<(usize, Option<V>)>, StoreError> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<K> = missing.iter().map(|(_, key)| key.clone()).collect();
        let values = self.query(|conn| find(conn, &keys))?.unwrap_or_default();
        Ok(missing.iter().map(|(at, _)| *at).zip(values).collect())
    }

    /// Runs a query on a reading connection; `Ok(None)` when there is no index or it was damaged.
    fn query<T>(
        &self,
        query: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let path = self.root.index();
        let db = match self.pooled().filter(|db| db.is_current(&path)) {
            Some(db) => Some(db),
            None => self.open_reader()?,
        };
        let Some(mut db) = db else {
            return Ok(None);
        };
        match query(&mut db.conn) {
            Ok(value) => {
                self.readers
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(db);
                Ok(Some(value))
            }
            Err(error) if schema::is_corrupt(&error) => {
                tracing::warn!(%error, "the index of the store is damaged and made anew");
                schema::discard_corrupt(&self.root, &db)?;
                Ok(None)
            }
            Err(error) => Err(StoreError::index(error, &path)),
        }
    }

    fn pooled(&self) -> Option<Db> {
        self.readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn open_reader(&self) -> Result<Option<Db>, StoreError> {
        match Db::open_existing(&self.root) {
            // The owner makes it anew with the next write.
            Err(StoreError::Index(error)) if schema::is_corrupt(&error) => Ok(None),
            outcome => outcome,
        }
    }

    fn is_old(&self, used: i64) -> bool {
        self.root.now().saturating_sub(used) >= TOUCH_SECS
    }

    fn touch<K>(&self, old: &[K], note: impl FnOnce(&mut Batch, &[K])) {
        if !old.is_empty() {
            self.queue.submit(|batch| note(batch, old));
        }
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The changes on their way, newest first.
fn batches(state: &State) -> impl Iterator<Item = &Batch> {
    std::iter::once(&state.queued).chain(state.in_flight.as_deref())
}
