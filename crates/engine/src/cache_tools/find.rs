//! Records and cache mounts by the beginning of their names, and their removal.

use super::catalog::CachedRecord;
use crate::BuildError;
use crate::engine::Engine;
use acetate_store::{CacheMountItem, CacheMountRemoval, Object};
use std::collections::BTreeMap;

/// Where many names fit, so many are shown.
const MOST_SHOWN: usize = 10;

/// Something of the local cache that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheItem {
    /// A record.
    Record(CachedRecord),
    /// A cache mount.
    Mount(CacheMountItem),
}

impl Engine {
    /// The one record or cache mount that `name` fits: the id of a cache mount, or the beginning of
    /// a key.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn find_cached(&self, name: &str) -> Result<CacheItem, BuildError> {
        let records = self.cached_records()?;
        let mounts = self.cache_mounts()?;
        let records = records.into_iter().filter(|record| fits(record, name));
        let mounts = mounts.into_iter().filter(|mount| is_called(mount, name));
        let items: Vec<CacheItem> = (records.map(CacheItem::Record))
            .chain(mounts.map(CacheItem::Mount))
            .collect();
        one(items, name, "record or cache mount", line)
    }

    /// The records that `names` fit, each of which must fit one; in order, each once.
    ///
    /// # Errors
    /// When one fits none or several.
    pub fn find_records(&self, names: &[String]) -> Result<Vec<CachedRecord>, BuildError> {
        let records = self.cached_records()?;
        let mut found = BTreeMap::new();
        for name in names {
            let fitting = records.iter().filter(|record| fits(record, name));
            let record = one(fitting.cloned().collect(), name, "record", record_line)?;
            found.insert(record.key, record);
        }
        Ok(found.into_values().collect())
    }

    /// The one cache mount that `name` fits: its id, or the beginning of its identity.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn find_mount(&self, name: &str) -> Result<CacheMountItem, BuildError> {
        let mounts = self.cache_mounts()?;
        let fitting = mounts.into_iter().filter(|mount| is_called(mount, name));
        one(fitting.collect(), name, "cache mount", mount_line)
    }

    /// Forgets records, so that their steps run again; what their layers take is freed by a prune.
    ///
    /// # Errors
    /// When a running build uses the result of one: then all stay.
    pub fn forget_records(&self, records: &[CachedRecord]) -> Result<(), BuildError> {
        let tops = records.iter().filter_map(|record| record.layers.last());
        let tops: Vec<Object> = tops.map(|layer| Object::Layer(layer.id)).collect();
        let used = self.store.in_use(&tops)?;
        let is_used = |record: &&CachedRecord| {
            let top = record.layers.last();
            top.is_some_and(|top| used.contains(&Object::Layer(top.id)))
        };
        if let Some(record) = records.iter().find(is_used) {
            return Err(BuildError::request_with(
                format!(
                    "the record {} is in use: a running build has its result; nothing was removed",
                    record.key.digest().hex()
                ),
                "wait for the build to end, or build with --no-cache to run the step again",
            ));
        }
        let keys: Vec<_> = records.iter().map(|record| record.key).collect();
        Ok(self.cache().forget(&keys)?)
    }

    /// Removes a cache mount.
    pub fn remove_mount(&self, mount: &CacheMountItem) -> Result<CacheMountRemoval, BuildError> {
        Ok(self.store.cache_mounts().remove(&mount.identity)?)
    }
}

fn fits(record: &CachedRecord, name: &str) -> bool {
    let name = bare(name);
    let keys = [record.key.digest(), &record.shared_key];
    !name.is_empty() && keys.iter().any(|key| key.hex().starts_with(name))
}

fn is_called(mount: &CacheMountItem, name: &str) -> bool {
    if mount.name.as_ref().is_some_and(|own| own.id == name) {
        return true;
    }
    let name = bare(name);
    !name.is_empty() && mount.identity.hex().starts_with(name)
}

pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix("sha256:").unwrap_or(name)
}

/// The one thing among what fits.
pub(super) fn one<T>(
    mut items: Vec<T>,
    name: &str,
    what: &str,
    line: impl Fn(&T) -> String,
) -> Result<T, BuildError> {
    if items.len() > 1 {
        let shown = items.iter().take(MOST_SHOWN).map(&line);
        let mut lines: Vec<String> = shown.collect();
        if items.len() > MOST_SHOWN {
            lines.push(format!("and {} more", items.len() - MOST_SHOWN));
        }
        return Err(BuildError::request_with(
            format!(
                "`{name}` fits {} of them:\n  {}",
                items.len(),
                lines.join("\n  ")
            ),
            "give more of the key",
        ));
    }
    items.pop().ok_or_else(|| {
        BuildError::request_with(
            format!("no {what} is called `{name}` or has a key that begins so"),
            "`acetate cache ls` lists them",
        )
    })
}

fn line(item: &CacheItem) -> String {
    match item {
        CacheItem::Record(record) => record_line(record),
        CacheItem::Mount(mount) => mount_line(mount),
    }
}

fn record_line(record: &CachedRecord) -> String {
    let (key, shared) = (record.key.digest().hex(), record.shared_key.hex());
    format!("record {key} (in shared caches {shared})")
}

pub(super) fn mount_line(mount: &CacheMountItem) -> String {
    let identity = mount.identity.hex();
    match &mount.name {
        Some(name) => format!(
            "cache mount {identity} ({}, begins {})",
            name.id, name.begins
        ),
        None => format!("cache mount {identity}"),
    }
}
