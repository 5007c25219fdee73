//! Batched reads.

use acetate_oci::{Digest, MediaType, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};

use super::rows::{BlobRef, Directory, FactKey, LayerRow, Record, RecordKey};
use crate::survey::StoredRecord;
use crate::{BootId, LayerId};

/// A value and when it was last used.
pub(super) type Used<T> = (T, i64);

const LAYER: &str = "SELECT parent, diff_id, size, blob_type, blob_digest, blob_size, boot, \
     synced, created, created_nanos, used FROM layers WHERE id = ?1";

pub(super) fn layers(
    conn: &mut Connection,
    ids: &[LayerId],
) -> rusqlite::Result<Vec<Option<LayerRow>>> {
    in_transaction(conn, |transaction| {
        let mut statement = transaction.prepare_cached(LAYER)?;
        in_order(ids, |id| {
            statement
                .query_row([id.to_bytes()], |row| layer_of(*id, row))
                .optional()
        })
    })
}

pub(super) fn layer_by_diff(
    conn: &mut Connection,
    diff_id: &Digest,
) -> rusqlite::Result<Vec<LayerId>> {
    in_transaction(conn, |transaction| {
        let mut statement =
            transaction.prepare_cached("SELECT id FROM layers WHERE diff_id = ?1 ORDER BY id")?;
        let ids = statement.query_map([diff_id.as_bytes()], |row| id_of(row, 0))?;
        ids.collect()
    })
}

pub(super) fn records(
    conn: &mut Connection,
    keys: &[RecordKey],
) -> rusqlite::Result<Vec<Option<Used<Record>>>> {
    in_transaction(conn, |transaction| {
        let mut statement = transaction
            .prepare_cached("SELECT payload, layers, used FROM records WHERE key = ?1")?;
        in_order(keys, |key| {
            statement.query_row([key.to_bytes()], record_of).optional()
        })
    })
}

pub(super) fn facts(
    conn: &mut Connection,
    keys: &[FactKey],
) -> rusqlite::Result<Vec<Option<Used<Vec<u8>>>>> {
    in_transaction(conn, |transaction| {
        let mut statement =
            transaction.prepare_cached("SELECT value, used FROM facts WHERE key = ?1")?;
        let find = |key: &FactKey| {
            let value = statement.query_row([key.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)));
            value.optional()
        };
        keys.iter().map(find).collect()
    })
}

/// All layer rows, in the order of their names.
pub(super) fn all_layers(conn: &mut Connection) -> rusqlite::Result<Vec<LayerRow>> {
    let ids = in_transaction(conn, |transaction| {
        let mut statement = transaction.prepare("SELECT id FROM layers ORDER BY id")?;
        let ids = statement.query_map([], |row| id_of(row, 0))?;
        ids.collect::<rusqlite::Result<Vec<_>>>()
    })?;
    Ok(layers(conn, &ids)?.into_iter().flatten().collect())
}

/// All records, in the order of their names.
pub(super) fn all_records(conn: &mut Connection) -> rusqlite::Result<Vec<StoredRecord>> {
    in_transaction(conn, |transaction| {
        // The key stands behind the columns that `record_of` reads.
        let mut statement =
            transaction.prepare("SELECT payload, layers, used, key FROM records ORDER BY key")?;
        let rows = statement.query_map([], |row| {
            let (record, used) = record_of(row)?;
            let key: [u8; 37] = row.get(3)?;
            Ok(StoredRecord {
                key: RecordKey::from_bytes(key),
                record,
                used,
            })
        })?;
        rows.collect()
    })
}

/// The layers of every record, with the record's time of use.
pub(super) fn record_layers(conn: &mut Connection) -> rusqlite::Result<Vec<Used<Vec<LayerId>>>> {
    in_transaction(conn, |transaction| {
        let mut statement = transaction.prepare("SELECT layers, used FROM records")?;
        let rows = statement.query_map([], |row| Ok((ids_of(row, 0)?, row.get(1)?)))?;
        rows.collect()
    })
}

pub(super) fn counts(conn: &mut Connection) -> rusqlite::Result<[u64; 2]> {
    let sql = "SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM facts)";
    conn.query_row(sql, [], |row| Ok([size_of(row, 0)?, size_of(row, 1)?]))
}

/// Searches in the order of the keys, which are spread evenly: neighbours lie on one page.
fn in_order<K: Ord, T>(
    keys: &[K],
    mut find: impl FnMut(&K) -> rusqlite::Result<Option<T>>,
) -> rusqlite::Result<Vec<Option<T>>> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_unstable_by_key(|at| &keys[*at]);
    let mut found: Vec<Option<T>> = keys.iter().map(|_| None).collect();
    for at in order {
        found[at] = find(&keys[at])?;
    }
    Ok(found)
}

/// One read transaction, so that each search does not take and leave the locks again.
fn in_transaction<T>(
    conn: &mut Connection,
    read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = conn.transaction()?;
    let value = read(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn layer_of(id: LayerId, row: &Row<'_>) -> rusqlite::Result<LayerRow> {
    let parent: Option<Vec<u8>> = row.get(0)?;
    let media_type: Option<String> = row.get(3)?;
    let blob = match (media_type, digest_of(row, 4)?) {
        (Some(media_type), Some(digest)) => Some(BlobRef {
            media_type: MediaType::new(media_type),
            digest,
            size: size_of(row, 5)?,
        }),
        _ => None,
    };
    let boot: Option<[u8; 16]> = row.get(6)?;
    let directory = match (boot, row.get(7)?) {
        (None, _) => Directory::Absent,
        (Some(_), true) => Directory::Synced,
        (Some(boot), false) => Directory::Unsynced(BootId::from_bytes(boot)),
    };
    Ok(LayerRow {
        id,
        parent: parent.map(|bytes| one_id(&bytes, 0)).transpose()?,
        diff_id: digest_of(row, 1)?,
        size: size_of(row, 2)?,
        blob,
        directory,
        created: Timestamp::new(row.get(8)?, row.get(9)?),
        used: row.get(10)?,
    })
}

fn record_of(row: &Row<'_>) -> rusqlite::Result<Used<Record>> {
    let record = Record {
        payload: row.get(0)?,
        layers: ids_of(row, 1)?,
    };
    Ok((record, row.get(2)?))
}

fn digest_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Digest>> {
    let bytes: Option<[u8; 32]> = row.get(column)?;
    Ok(bytes.map(Digest::from_bytes))
}

fn size_of(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let size: i64 = row.get(column)?;
    Ok(u64::try_from(size).unwrap_or(0))
}

fn id_of(row: &Row<'_>, column: usize) -> rusqlite::Result<LayerId> {
    one_id(
        row.get_ref(column)?
            .as_blob()
            .map_err(|_| malformed(column))?,
        column,
    )
}

fn one_id(bytes: &[u8], column: usize) -> rusqlite::Result<LayerId> {
    match LayerId::split_bytes(bytes) {
        Some((id, [])) => Ok(id),
        _ => Err(malformed(column)),
    }
}

fn ids_of(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<LayerId>> {
    let mut bytes = row
        .get_ref(column)?
        .as_blob()
        .map_err(|_| malformed(column))?;
    let mut ids = Vec::new();
    while !bytes.is_empty() {
        let (id, rest) = LayerId::split_bytes(bytes).ok_or_else(|| malformed(column))?;
        ids.push(id);
        bytes = rest;
    }
    Ok(ids)
}

fn malformed(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, "no layer name".into())
}
