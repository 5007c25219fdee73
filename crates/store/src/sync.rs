//! Making layer directories independent of the boot that wrote them (invariant 16).

use std::sync::Weak;

use rusqlite::{Connection, TransactionBehavior, params};

use crate::StoreError;
use crate::error::IoContext;
use crate::index::Index;
use crate::index::schema::Db;
use crate::root::Root;

/// Which layers are worth a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// All.
    Any,
    /// Those that the kernel should have written by now.
    Settled,
}

/// By default the kernel starts to write a dirty page after 30 seconds.
const SETTLED_SECS: i64 = 90;

/// Syncs the file system if a layer needs it, and records that; returns how many did.
///
/// A thread in the middle of a sync keeps its process from ending, so short builds must not start
/// one for fresh data.
pub(crate) fn run(root: &Root, index: &Weak<Index>, age: Age) -> Result<u64, StoreError> {
    let path = root.index();
    let failed = |error| StoreError::index(error, &path);
    let Some(mut db) = Db::open_existing(root)? else {
        return Ok(0);
    };
    let newest = match age {
        Age::Any => i64::MAX,
        Age::Settled => root.now().saturating_sub(SETTLED_SECS),
    };
    let ids = unsynced(&db.conn, root, newest).map_err(failed)?;
    // A closed store has no use for the outcome.
    if ids.is_empty() || index.strong_count() == 0 {
        return Ok(0);
    }
    rustix::fs::syncfs(&root.dir).context("sync", &root.path)?;
    record(&mut db.conn, root, &ids).map_err(failed)?;
    Ok(ids.len() as u64)
}

/// The layers of this boot that were put until `newest` and never synced.
fn unsynced(conn: &Connection, root: &Root, newest: i64) -> rusqlite::Result<Vec<Vec<u8>>> {
    let mut statement = conn.prepare(
        "SELECT id FROM layers \
         WHERE synced = 0 AND boot IS NOT NULL AND boot = ?1 AND written <= ?2",
    )?;
    let ids = statement.query_map(params![root.boot.as_bytes(), newest], |row| row.get(0))?;
    ids.collect()
}

fn record(conn: &mut Connection, root: &Root, ids: &[Vec<u8>]) -> rusqlite::Result<()> {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut statement =
            transaction.prepare("UPDATE layers SET synced = 1 WHERE id = ?1 AND boot = ?2")?;
        for id in ids {
            statement.execute(params![id, root.boot.as_bytes()])?;
        }
    }
    transaction.commit()
}
