//! Making the index say what the files say.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::index::schema::{self, Db};
use crate::root::Root;
use crate::{LayerId, StoreError};

/// How long spared facts stay when nobody uses them, in seconds.
const SPARED_SECS: i64 = 30 * 24 * 3600;

/// Forgets facts by time of use; the kind of a fact is what stands in front of its first zero byte.
const FORGET_FACTS: &str = "DELETE FROM facts WHERE used < ?1 AND (used < ?2 OR
    instr(?3, ',' || CAST(substr(key, 1, instr(key, x'00') - 1) AS TEXT) || ',') = 0)";

/// Removes rows that are too old or whose files are gone; returns how many records and facts went.
///
/// Without a `cutoff` all records and facts go, but for young facts of the kinds that are spared.
pub(super) fn tidy(
    root: &Root,
    cutoff: Option<i64>,
    spared: &[&str],
) -> Result<[u64; 2], StoreError> {
    let path = root.index();
    let mut db = match Db::open_existing(root) {
        Ok(Some(db)) => db,
        Ok(None) => return Ok([0; 2]),
        // The next writer makes it anew, empty, which is what is wanted.
        Err(StoreError::Index(error)) if schema::is_corrupt(&error) => return Ok([0; 2]),
        Err(error) => return Err(error),
    };
    match tidy_tables(&mut db.conn, root, cutoff, spared) {
        Ok(counts) => {
            compact(&db.conn);
            Ok(counts)
        }
        Err(error) if schema::is_corrupt(&error) => {
            schema::discard_corrupt(root, &db)?;
            Ok([0; 2])
        }
        Err(error) => Err(StoreError::index(error, &path)),
    }
}

fn tidy_tables(
    conn: &mut Connection,
    root: &Root,
    cutoff: Option<i64>,
    spared: &[&str],
) -> rusqlite::Result<[u64; 2]> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known = tidy_layers(&transaction, root)?;
    let cutoff = cutoff.unwrap_or(i64::MAX);
    let mut n_records = transaction.execute("DELETE FROM records WHERE used < ?1", [cutoff])?;
    n_records += tidy_records(&transaction, &known)?;
    let kinds = format!(",{},", spared.join(","));
    let old = root.now().saturating_sub(SPARED_SECS);
    let n_facts = transaction.execute(FORGET_FACTS, params![cutoff, old, kinds])?;
    transaction.commit()?;
    Ok([n_records as u64, n_facts as u64])
}

/// Corrects the forms of every layer, and returns the layers that have one left.
fn tidy_layers(transaction: &Transaction<'_>, root: &Root) -> rusqlite::Result<HashSet<Vec<u8>>> {
    let mut known = HashSet::new();
    let mut select = transaction.prepare("SELECT id, boot IS NOT NULL, blob_digest FROM layers")?;
    let mut forget_dir =
        transaction.prepare("UPDATE layers SET boot = NULL, synced = 0 WHERE id = ?1")?;
    let mut forget_blob = transaction.prepare(
        "UPDATE layers SET blob_type = NULL, blob_digest = NULL, blob_size = NULL WHERE id = ?1",
    )?;
    let mut remove = transaction.prepare("DELETE FROM layers WHERE id = ?1")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rows: Vec<(Vec<u8>, bool, Option<[u8; 32]>)> = rows.collect::<rusqlite::Result<_>>()?;
    for (id, says_dir, blob) in rows {
        let has_dir = says_dir
            && matches!(LayerId::split_bytes(&id),
            Some((layer, [])) if root.layer(&layer).exists());
        let has_blob =
            blob.is_some_and(|blob| root.blob(&acetate_oci::Digest::from_bytes(blob)).exists());
        if !has_dir && !has_blob {
            remove.execute([&id])?;
            continue;
        }
        if says_dir && !has_dir {
            forget_dir.execute([&id])?;
        }
        if blob.is_some() && !has_blob {
            forget_blob.execute([&id])?;
        }
        known.insert(id);
    }
    Ok(known)
}

/// Removes records that need a layer which is gone.
fn tidy_records(
    transaction: &Transaction<'_>,
    known: &HashSet<Vec<u8>>,
) -> rusqlite::Result<usize> {
    let mut select = transaction.prepare("SELECT key, layers FROM records")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(Vec<u8>, Vec<u8>)> = rows.collect::<rusqlite::Result<_>>()?;
    let mut remove = transaction.prepare("DELETE FROM records WHERE key = ?1")?;
    let mut n_removed = 0;
    for (key, layers) in rows {
        if !are_known(&layers, known) {
            n_removed += remove.execute(params![key])?;
        }
    }
    Ok(n_removed)
}

fn are_known(mut layers: &[u8], known: &HashSet<Vec<u8>>) -> bool {
    while let Some((_, rest)) = LayerId::split_bytes(layers) {
        if !known.contains(&layers[..layers.len() - rest.len()]) {
            return false;
        }
        layers = rest;
    }
    layers.is_empty()
}

/// A database with more free pages than this is worth writing anew.
const N_FREE: i64 = 64;

/// Gives free pages back; beside other processes, or without space, that waits for another prune.
fn compact(conn: &Connection) {
    let outcome = try_compact(conn);
    if let Err(error) = outcome {
        tracing::debug!(%error, "the index was not compacted");
    }
}

fn try_compact(conn: &Connection) -> rusqlite::Result<()> {
    let n_free: i64 = conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    if n_free > N_FREE {
        conn.busy_timeout(Duration::from_millis(200))?;
        conn.execute_batch("VACUUM")?;
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}
