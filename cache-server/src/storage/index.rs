use super::StorageError;
use acetate_cache_api::{Kind, Namespace};
use acetate_oci::Digest;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;

/// Sizes, uses and references of objects: advice on what to remove, never the truth.
#[derive(Debug)]
pub struct Index {
    connection: Mutex<Connection>,
}

/// An object as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its namespace; the root for content.
    pub namespace: Namespace,
    /// Which collection.
    pub kind: Kind,
    /// Its key.
    pub key: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// When it was used last, in seconds since 1970.
    pub used: i64,
}

/// How much there is of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Objects.
    pub n: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One more than the version of the tables: another one is thrown away and made anew.
const VERSION: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE objects(
        namespace TEXT NOT NULL, kind INTEGER NOT NULL, key BLOB NOT NULL,
        size INTEGER NOT NULL, used INTEGER NOT NULL, saved_ms INTEGER NOT NULL,
        PRIMARY KEY(namespace, kind, key)) WITHOUT ROWID;
    CREATE INDEX by_use ON objects(kind, used);
    CREATE TABLE refs(
        content BLOB NOT NULL, namespace TEXT NOT NULL, record BLOB NOT NULL,
        PRIMARY KEY(content, namespace, record)) WITHOUT ROWID;
    CREATE INDEX by_record ON refs(namespace, record);
";

impl Index {
    /// Opens the index, or makes it. The second value says whether it is new, so that files that are
    /// there have to be added.
    pub fn open(path: &Path) -> Result<(Self, bool), StorageError> {
        match Self::try_open(path) {
            Ok(opened) => Ok(opened),
            Err(error) => {
                tracing::warn!(%error, "the index is made anew");
                for suffix in ["", "-wal", "-shm"] {
                    let mut name = path.as_os_str().to_owned();
                    name.push(suffix);
                    let _absent = std::fs::remove_file(name);
                }
                Self::try_open(path)
            }
        }
    }

    fn try_open(path: &Path) -> Result<(Self, bool), StorageError> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let is_new = version == 0;
        if is_new {
            connection.execute_batch(SCHEMA)?;
            connection.pragma_update(None, "user_version", VERSION)?;
        } else if version != VERSION {
            return Err(StorageError::IndexVersion(version));
        }
        let connection = Mutex::new(connection);
        Ok((Self { connection }, is_new))
    }

    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(work(&mut connection)?)
    }

    /// Adds an object, or notes its new size; `saved_ms` is what a hit on it saves.
    pub fn put(
        &self,
        object: &Object,
        saved_ms: u64,
        refs: &[Digest],
    ) -> Result<Option<u64>, StorageError> {
        let namespace = object.namespace.to_string();
        let key = object.key.as_bytes().to_vec();
        self.with(|connection| {
            let tx = connection.transaction()?;
            let before = tx
                .query_row(
                    "SELECT size FROM objects WHERE namespace = ?1 AND kind = ?2 AND key = ?3",
                    params![namespace, number(object.kind), key],
                    |row| row.get::<_, i64>(0),
                )
                .optional()?;
            tx.execute(
                "INSERT OR REPLACE INTO objects VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    namespace,
                    number(object.kind),
                    key,
                    signed(object.size),
                    object.used,
                    signed(saved_ms)
                ],
            )?;
            if object.kind == Kind::Action {
                tx.execute(
                    "DELETE FROM refs WHERE namespace = ?1 AND record = ?2",
                    params![namespace, key],
                )?;
                let mut insert =
                    tx.prepare_cached("INSERT OR IGNORE INTO refs VALUES(?1, ?2, ?3)")?;
                for content in refs {
                    insert.execute(params![content.as_bytes().to_vec(), namespace, key])?;
                }
            }
            tx.commit()?;
            Ok(before.map(i64::cast_unsigned))
        })
    }

    /// Notes that objects were used at `now`, what the records name included.
    pub fn touch(&self, used: &[(Namespace, Kind, Digest)], now: i64) -> Result<(), StorageError> {
        self.with(|connection| {
            let tx = connection.transaction()?;
            {
                let mut touch = tx.prepare_cached(
                    "UPDATE objects SET used = ?4 WHERE namespace = ?1 AND kind = ?2 AND key = ?3",
                )?;
                let mut below = tx.prepare_cached(
                    "UPDATE objects SET used = ?3 WHERE namespace = '' AND kind = 1 AND key IN
                     (SELECT content FROM refs WHERE namespace = ?1 AND record = ?2)",
                )?;
                for (namespace, kind, key) in used {
                    let (namespace, key) = (namespace.to_string(), key.as_bytes().to_vec());
                    touch.execute(params![namespace, number(*kind), key, now])?;
                    if *kind == Kind::Action {
                        below.execute(params![namespace, key, now])?;
                    }
                }
            }
            tx.commit()
        })
    }

    /// Forgets an object; gives its size, if it was known.
    pub fn remove(
        &self,
        namespace: &Namespace,
        kind: Kind,
        key: &Digest,
    ) -> Result<Option<u64>, StorageError> {
        let (namespace, key) = (namespace.to_string(), key.as_bytes().to_vec());
        self.with(|connection| {
            let tx = connection.transaction()?;
            let size = tx
                .query_row(
                    "DELETE FROM objects WHERE namespace = ?1 AND kind = ?2 AND key = ?3 RETURNING size",
                    params![namespace, number(kind), key],
                    |row| row.get::<_, i64>(0),
                )
                .optional()?;
            if kind == Kind::Action {
                tx.execute(
                    "DELETE FROM refs WHERE namespace = ?1 AND record = ?2",
                    params![namespace, key],
                )?;
            }
            tx.commit()?;
            Ok(size.map(i64::cast_unsigned))
        })
    }

    /// The records that are worth least: least time saved for their bytes and long unused, or, for
    /// `lru`, simply the longest unused.
    pub fn worst_records(
        &self,
        n: usize,
        now: i64,
        lru: bool,
    ) -> Result<Vec<Object>, StorageError> {
        // What is below a record counts as its bytes; a record without a known cost saves a second.
        let rank = if lru {
            "used ASC"
        } else {
            "(CAST(max(saved_ms, 1000) AS REAL) / (size + 1 +
                (SELECT coalesce(sum(c.size), 0) FROM refs r JOIN objects c
                 ON c.namespace = '' AND c.kind = 1 AND c.key = r.content
                 WHERE r.namespace = o.namespace AND r.record = o.key)))
             / (?2 - used + 3600) ASC, used ASC"
        };
        let sql = format!(
            "SELECT namespace, kind, key, size, used FROM objects o WHERE kind = 0 AND ?2 > 0
             ORDER BY {rank} LIMIT ?1"
        );
        self.objects(&sql, params![signed(n as u64), now])
    }

    /// Content that no record names and that nobody used since `before`, the longest unused first.
    pub fn unused_content(&self, n: usize, before: i64) -> Result<Vec<Object>, StorageError> {
        self.objects(
            "SELECT namespace, kind, key, size, used FROM objects o WHERE kind = 1 AND used < ?2
             AND NOT EXISTS (SELECT 1 FROM refs WHERE content = o.key) ORDER BY used ASC LIMIT ?1",
            params![signed(n as u64), before],
        )
    }

    /// The bytes of all content that no record names.
    pub fn unnamed_bytes(&self) -> Result<u64, StorageError> {
        self.bytes(
            "SELECT coalesce(sum(size), 0) FROM objects o WHERE kind = 1
             AND NOT EXISTS (SELECT 1 FROM refs WHERE content = o.key)",
            params![],
        )
    }

    /// The bytes of the content that only this record names.
    pub fn bytes_of_its_own(&self, record: &Object) -> Result<u64, StorageError> {
        self.bytes(
            "SELECT coalesce(sum(c.size), 0) FROM refs r JOIN objects c
             ON c.namespace = '' AND c.kind = 1 AND c.key = r.content
             WHERE r.namespace = ?1 AND r.record = ?2
             AND (SELECT count(*) FROM refs other WHERE other.content = r.content) = 1",
            params![record.namespace.to_string(), record.key.as_bytes().to_vec()],
        )
    }

    fn bytes(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<u64, StorageError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row(parameters, |row| {
                row.get::<_, i64>(0).map(i64::cast_unsigned)
            })
        })
    }

    fn objects(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<Object>, StorageError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(parameters, |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                    row.get::<_, i64>(3)?,
                    row.get::<_, i64>(4)?,
                ))
            })?;
            let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(rows.into_iter().filter_map(object).collect())
        })
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Result<HashSet<(Namespace, Kind, Digest)>, StorageError> {
        let all = self.objects("SELECT namespace, kind, key, size, used FROM objects", [])?;
        let keys = all.into_iter().map(|o| (o.namespace, o.kind, o.key));
        Ok(keys.collect())
    }

    /// How much there is of a kind.
    pub fn sum(&self, kind: Kind) -> Result<Sum, StorageError> {
        self.with(|connection| {
            connection.query_row(
                "SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE kind = ?1",
                params![number(kind)],
                |row| {
                    Ok(Sum {
                        n: row.get::<_, i64>(0)?.cast_unsigned(),
                        bytes: row.get::<_, i64>(1)?.cast_unsigned(),
                    })
                },
            )
        })
    }
}

fn object(row: (String, i64, Vec<u8>, i64, i64)) -> Option<Object> {
    let (namespace, kind, key, size, used) = row;
    Some(Object {
        namespace: namespace.parse().ok()?,
        kind: if kind == 0 {
            Kind::Action
        } else {
            Kind::Content
        },
        key: Digest::from_slice(&key)?,
        size: size.cast_unsigned(),
        used,
    })
}

fn number(kind: Kind) -> i64 {
    match kind {
        Kind::Action => 0,
        Kind::Content => 1,
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
