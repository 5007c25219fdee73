//! The database file: its tables, and how it is opened, checked and made anew.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use acetate_stdx::lock::{FileLock, Sharing, Target};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::StoreError;
use crate::error::IoContext;
use crate::root::{PATIENCE, Root};

/// The version of the tables; a database of another one is thrown away.
const VERSION: i32 = 1;

const BUSY: Duration = Duration::from_secs(10);

/// Blob keys and no row ids: one search per row, and rows of one batch lie together.
const TABLES: &str = "
CREATE TABLE layers (
    id BLOB PRIMARY KEY,
    parent BLOB,
    diff_id BLOB,
    size INTEGER NOT NULL,
    blob_type TEXT,
    blob_digest BLOB,
    blob_size INTEGER,
    boot BLOB,
    synced INTEGER NOT NULL,
    created INTEGER NOT NULL,
    created_nanos INTEGER NOT NULL,
    written INTEGER NOT NULL,
    used INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX layers_by_diff ON layers (diff_id) WHERE diff_id IS NOT NULL;
CREATE INDEX layers_unsynced ON layers (boot, written) WHERE synced = 0 AND boot IS NOT NULL;
CREATE TABLE records (
    key BLOB PRIMARY KEY,
    payload BLOB NOT NULL,
    layers BLOB NOT NULL,
    used INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE facts (
    key BLOB PRIMARY KEY,
    value BLOB NOT NULL,
    used INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
";

/// A connection and the file that it is on.
///
/// The file may be replaced under us (a rebuild, a removed store): then the connection is stale.
#[derive(Debug)]
pub(crate) struct Db {
    pub(crate) conn: Connection,
    file: (u64, u64),
}

impl Db {
    /// Opens the database for reading; `Ok(None)` when there is none of this version.
    pub(crate) fn open_existing(root: &Root) -> Result<Option<Self>, StoreError> {
        let path = root.index();
        if file_id(&path).is_none() {
            return Ok(None);
        }
        let _lock = lock(root, Sharing::Shared)?;
        let Some(file) = file_id(&path) else {
            return Ok(None);
        };
        let conn = connect(&path).map_err(|error| StoreError::index(error, &path))?;
        // Also opens the log, while the lock keeps a rebuild from exchanging it.
        match version(&conn).map_err(|error| StoreError::index(error, &path))? {
            VERSION => Ok(Some(Self { conn, file })),
            _ => Ok(None),
        }
    }

    /// Opens the database for writing, making it or making it anew as needed.
    pub(crate) fn open_or_create(root: &Root) -> Result<Self, StoreError> {
        match Self::open_existing(root) {
            Ok(Some(db)) => return Ok(db),
            Ok(None) => {}
            Err(StoreError::Index(error)) if is_corrupt(&error) => {}
            Err(error) => return Err(error),
        }
        let _lock = lock(root, Sharing::Exclusive)?;
        let path = root.index();
        // Another process may have made it while this one waited.
        match create(&path) {
            Err(error) if is_corrupt(&error) => {
                tracing::warn!(path = %path.display(), %error, "the index is damaged and made anew");
                remove_files(&path)?;
                create(&path)
            }
            outcome => outcome,
        }
        .map_err(|error| StoreError::index(error, &path))
    }

    /// Tells whether the path still names the file of this connection.
    pub(crate) fn is_current(&self, path: &Path) -> bool {
        file_id(path) == Some(self.file)
    }
}

/// Throws the database away after `error` said that it is damaged.
pub(crate) fn discard_corrupt(root: &Root, db: &Db) -> Result<(), StoreError> {
    let _lock = lock(root, Sharing::Exclusive)?;
    if db.is_current(&root.index()) {
        remove_files(&root.index())?;
    }
    Ok(())
}

/// Tells whether only a new database helps.
pub(crate) fn is_corrupt(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    let broken = matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    );
    // A damaged schema page can also show as a missing table, a damaged row as a wrong type.
    let lost = code == Some(ErrorCode::Unknown) && error.to_string().contains("no such");
    let odd = matches!(
        error,
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..)
    );
    broken || lost || odd
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    // Closing must not write: the owner checkpoints when it is worth it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_prepared_statement_cache_capacity(32);
    Ok(conn)
}

fn version(conn: &Connection) -> rusqlite::Result<i32> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Makes the tables unless they are there, and drops those of another version.
fn create(path: &Path) -> rusqlite::Result<Db> {
    let mut conn = connect(path)?;
    match version(&conn)? {
        VERSION => {}
        0 => make_tables(&mut conn)?,
        other => {
            tracing::debug!(
                version = other,
                "the index has another version and is made anew"
            );
            drop(conn);
            remove_files(path).map_err(|_| rusqlite::Error::InvalidPath(path.to_owned()))?;
            conn = connect(path)?;
            make_tables(&mut conn)?;
        }
    }
    let file = file_id(path).ok_or_else(|| rusqlite::Error::InvalidPath(path.to_owned()))?;
    Ok(Db { conn, file })
}

fn make_tables(conn: &mut Connection) -> rusqlite::Result<()> {
    // An empty database is worth nothing, so its birth need not survive a power cut.
    conn.pragma_update(None, "synchronous", "OFF")?;
    conn.pragma_update(None, "page_size", 4096)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Prepares a connection for writing.
pub(crate) fn tune_writer(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "journal_size_limit", 1 << 20)?;
    conn.pragma_update(None, "wal_autocheckpoint", 2000)
}

fn file_id(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// The lock that keeps openers and rebuilders apart; it is held only while opening.
fn lock(root: &Root, sharing: Sharing) -> Result<FileLock, StoreError> {
    let path = root.locks().join("index");
    FileLock::acquire_within(&path, Target::File, sharing, PATIENCE)
        .context("lock", &path)?
        .ok_or(StoreError::Busy { path })
}

fn remove_files(path: &Path) -> Result<(), StoreError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match std::fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", Path::new(&name), error));
            }
            _ => {}
        }
    }
    Ok(())
}
