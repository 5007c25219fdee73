//! Records in order, for people who look at them.

use super::index::Index;
use super::{Object, StorageError};
use acetate_cache_api::{Kind, Namespace};
use acetate_oci::Digest;
use rusqlite::{Params, params};

/// What is known about an object, and what a hit on it saves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The object.
    pub object: Object,
    /// Milliseconds.
    pub saved_ms: u64,
}

const COLUMNS: &str = "SELECT namespace, kind, key, size, used, saved_ms FROM objects";
/// The namespace `?1` and those below it: `0` is the character behind the slash.
const WITHIN: &str = "(namespace = ?1 OR ?1 = ''
     OR (namespace >= ?1 || '/' AND namespace < ?1 || '0'))";

impl Index {
    /// Records of a namespace and those below it, by namespace and key, behind a place.
    pub fn records(
        &self,
        within: &Namespace,
        after: Option<(&Namespace, &Digest)>,
        n: usize,
    ) -> Result<Vec<Listed>, StorageError> {
        let root = within.to_string();
        let limit = i64::try_from(n).unwrap_or(i64::MAX);
        let Some((namespace, key)) = after else {
            let sql =
                format!("{COLUMNS} WHERE {WITHIN} AND kind = 0 ORDER BY namespace, key LIMIT ?2");
            return self.listed(&sql, params![root, limit]);
        };
        // In two questions, each of which begins at its place in the order of the table.
        let (namespace, key) = (namespace.to_string(), key.as_bytes().to_vec());
        let sql = format!(
            "{COLUMNS} WHERE {WITHIN} AND namespace = ?2 AND kind = 0 AND key > ?3
             ORDER BY key LIMIT ?4"
        );
        let mut found = self.listed(&sql, params![root, namespace, key, limit])?;
        if found.len() < n {
            let sql = format!(
                "{COLUMNS} WHERE {WITHIN} AND namespace > ?2 AND kind = 0
                 ORDER BY namespace, key LIMIT ?3"
            );
            let left = limit - i64::try_from(found.len()).unwrap_or(limit);
            found.extend(self.listed(&sql, params![root, namespace, left])?);
        }
        Ok(found)
    }

    /// The largest or the longest unused objects of a namespace and below it. Content is in none,
    /// so it is given for the root only.
    pub fn notable_within(
        &self,
        within: &Namespace,
        n: usize,
        oldest: bool,
    ) -> Result<Vec<Listed>, StorageError> {
        let order = if oldest { "used ASC" } else { "size DESC" };
        let sql = format!(
            "{COLUMNS} WHERE {WITHIN} AND (kind = 0 OR ?1 = '') ORDER BY {order}, key LIMIT ?2"
        );
        let limit = i64::try_from(n).unwrap_or(i64::MAX);
        self.listed(&sql, params![within.to_string(), limit])
    }

    fn listed(&self, sql: &str, parameters: impl Params) -> Result<Vec<Listed>, StorageError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(parameters, |row| {
                let namespace: String = row.get(0)?;
                let key: Vec<u8> = row.get(2)?;
                let kind = if row.get::<_, i64>(1)? == 0 {
                    Kind::Action
                } else {
                    Kind::Content
                };
                let (size, used, saved_ms): (i64, i64, i64) =
                    (row.get(3)?, row.get(4)?, row.get(5)?);
                let known = namespace.parse().ok().zip(Digest::from_slice(&key));
                Ok(known.map(|(namespace, key)| Listed {
                    object: Object {
                        namespace,
                        kind,
                        key,
                        size: size.cast_unsigned(),
                        used,
                    },
                    saved_ms: saved_ms.cast_unsigned(),
                }))
            })?;
            let rows: Vec<Option<Listed>> = rows.collect::<rusqlite::Result<_>>()?;
            Ok(rows.into_iter().flatten().collect())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_listed_in_parts_and_by_whole_segments() {
        let dir = tempfile::tempdir().unwrap();
        let (index, _) = Index::open(&dir.path().join("index.sqlite")).unwrap();
        let names = ["", "org", "org-evil", "org/a", "org/b/c", "org0", "other"];
        for namespace in names {
            for n in 0..3_u8 {
                let object = Object {
                    namespace: namespace.parse().unwrap(),
                    kind: Kind::Action,
                    key: Digest::of(&[n]),
                    size: u64::from(n),
                    used: 5,
                };
                index.put(&object, 7, &[]).unwrap();
                let kind = Kind::Content;
                index.put(&Object { kind, ..object }, 0, &[]).unwrap();
            }
        }
        for (within, size, expected) in [
            ("", 1, &names[..]),
            ("", 4, &names),
            ("org", 2, &["org", "org/a", "org/b/c"]),
            ("org/b", 5, &["org/b/c"]),
            ("or", 5, &[]),
        ] {
            let within: Namespace = within.parse().unwrap();
            let mut found: Vec<Listed> = Vec::new();
            loop {
                let last = found.last();
                let after = last.map(|one| (&one.object.namespace, &one.object.key));
                let part = index.records(&within, after, size).unwrap();
                assert!(part.len() <= size);
                if part.is_empty() {
                    break;
                }
                found.extend(part);
            }
            let found: Vec<_> = found
                .iter()
                .map(|one| {
                    (
                        one.object.namespace.to_string(),
                        one.object.key,
                        one.saved_ms,
                    )
                })
                .collect();
            let mut keys = [0, 1, 2_u8].map(|n| Digest::of(&[n]));
            keys.sort();
            let all = expected
                .iter()
                .flat_map(|name| keys.map(|key| ((*name).to_owned(), key, 7)));
            assert_eq!(found, all.collect::<Vec<_>>(), "{within} {size}");
        }
        let org = "org".parse().unwrap();
        let largest = index.notable_within(&org, 4, false).unwrap();
        let sizes: Vec<u64> = largest.iter().map(|one| one.object.size).collect();
        assert_eq!(sizes, [2, 2, 2, 1]);
        assert!(largest.iter().all(|one| one.object.kind == Kind::Action));
        assert_eq!(
            index
                .notable_within(&Namespace::root(), 99, true)
                .unwrap()
                .len(),
            42
        );
    }
}
