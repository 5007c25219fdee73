//! One batch, one transaction.

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::batch::Batch;
use super::rows::{Directory, LayerRow, Record, RecordKey};

const PUT_LAYER: &str = "
INSERT INTO layers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT (id) DO UPDATE SET
    parent = excluded.parent,
    diff_id = coalesce(excluded.diff_id, diff_id),
    size = CASE WHEN excluded.diff_id IS NULL AND diff_id IS NOT NULL
                THEN size ELSE excluded.size END,
    blob_type = coalesce(excluded.blob_type, blob_type),
    blob_digest = coalesce(excluded.blob_digest, blob_digest),
    blob_size = coalesce(excluded.blob_size, blob_size),
    synced = CASE WHEN excluded.boot = boot THEN max(synced, excluded.synced)
                  ELSE excluded.synced END,
    boot = excluded.boot,
    created = excluded.created,
    created_nanos = excluded.created_nanos,
    used = max(used, excluded.used)";

const PUT_RECORD: &str = "INSERT OR REPLACE INTO records VALUES (?1, ?2, ?3, ?4)";
const PUT_FACT: &str = "INSERT OR REPLACE INTO facts VALUES (?1, ?2, ?3)";

/// The boot of a directory that a sync has made independent of boots.
const NO_BOOT: [u8; 16] = [0; 16];

/// Writes a batch; all of it or nothing.
pub(super) fn apply(conn: &mut Connection, batch: &Batch, now: i64) -> rusqlite::Result<()> {
    // Immediate: a read transaction that is upgraded to a write fails at once.
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    put_layers(&transaction, batch, now)?;
    put_records(&transaction, batch, now)?;
    put_facts(&transaction, batch, now)?;
    touch(&transaction, batch, now)?;
    transaction.commit()
}

fn put_layers(transaction: &Transaction<'_>, batch: &Batch, now: i64) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(PUT_LAYER)?;
    let mut remove = transaction.prepare_cached("DELETE FROM layers WHERE id = ?1")?;
    for (id, row) in &batch.layers {
        match row {
            Some(row) => put_layer(&mut put, row, now)?,
            None => drop(remove.execute([id.to_bytes()])?),
        }
    }
    Ok(())
}

fn put_layer(
    put: &mut rusqlite::CachedStatement<'_>,
    row: &LayerRow,
    now: i64,
) -> rusqlite::Result<()> {
    let (boot, is_synced) = match &row.directory {
        Directory::Absent => (None, false),
        Directory::Unsynced(boot) => (Some(boot.as_bytes()), false),
        Directory::Synced => (Some(&NO_BOOT), true),
    };
    put.execute(params![
        row.id.to_bytes(),
        row.parent.map(crate::LayerId::to_bytes),
        row.diff_id.as_ref().map(acetate_oci::Digest::as_bytes),
        signed(row.size),
        row.blob.as_ref().map(|blob| blob.media_type.as_str()),
        row.blob.as_ref().map(|blob| blob.digest.as_bytes()),
        row.blob.as_ref().map(|blob| signed(blob.size)),
        boot,
        is_synced,
        row.created.secs,
        row.created.nanos,
        now,
        row.used.max(now),
    ])?;
    Ok(())
}

fn put_records(transaction: &Transaction<'_>, batch: &Batch, now: i64) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(PUT_RECORD)?;
    let mut remove = transaction.prepare_cached("DELETE FROM records WHERE key = ?1")?;
    for (key, record) in &batch.records {
        match record {
            Some(record) => put_record(&mut put, *key, record, now)?,
            None => drop(remove.execute([key.to_bytes()])?),
        }
    }
    Ok(())
}

fn put_record(
    put: &mut rusqlite::CachedStatement<'_>,
    key: RecordKey,
    record: &Record,
    now: i64,
) -> rusqlite::Result<()> {
    let mut layers = Vec::with_capacity(record.layers.len() * 17);
    for id in &record.layers {
        layers.extend(id.to_bytes());
    }
    put.execute(params![key.to_bytes(), record.payload, layers, now])?;
    Ok(())
}

fn put_facts(transaction: &Transaction<'_>, batch: &Batch, now: i64) -> rusqlite::Result<()> {
    let mut put = transaction.prepare_cached(PUT_FACT)?;
    let mut remove = transaction.prepare_cached("DELETE FROM facts WHERE key = ?1")?;
    for (key, value) in &batch.facts {
        match value {
            Some(value) => drop(put.execute(params![key.as_bytes(), value, now])?),
            None => drop(remove.execute([key.as_bytes()])?),
        }
    }
    Ok(())
}

fn touch(transaction: &Transaction<'_>, batch: &Batch, now: i64) -> rusqlite::Result<()> {
    let mut layer = transaction.prepare_cached("UPDATE layers SET used = ?2 WHERE id = ?1")?;
    for id in &batch.touches.layers {
        layer.execute(params![id.to_bytes(), now])?;
    }
    let mut record = transaction.prepare_cached("UPDATE records SET used = ?2 WHERE key = ?1")?;
    for key in &batch.touches.records {
        record.execute(params![key.to_bytes(), now])?;
    }
    let mut fact = transaction.prepare_cached("UPDATE facts SET used = ?2 WHERE key = ?1")?;
    for key in &batch.touches.facts {
        fact.execute(params![key.as_bytes(), now])?;
    }
    Ok(())
}

/// `SQLite` has signed integers only; sizes stay far below their limit.
fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
