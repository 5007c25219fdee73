//! `acetate cache ls`.

use super::place::Site;
use super::text::{Side, age, kind, origin, plain, short, size, table, took};
use super::{print, record_json};
use crate::failure::Failure;
use crate::flags::CacheLsFlags;
use acetate_engine::cache_tools::{CacheMountItem, CachedRecord, ListedRecord};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Lists what is cached here, or what a server keeps.
pub(super) fn ls(site: Site<'_>, flags: &CacheLsFlags) -> Result<ExitCode, Failure> {
    match &flags.remote {
        Some(place) => remote(site, place, flags)?,
        None => local(site, flags)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn local(site: Site<'_>, flags: &CacheLsFlags) -> Result<(), Failure> {
    let engine = site.engine()?;
    let records = if flags.mounts {
        None
    } else {
        Some(engine.cached_records()?)
    };
    let mounts = engine.cache_mounts()?;
    if flags.json {
        let mut value =
            json!({ "mounts": mounts.iter().map(record_json::mount).collect::<Vec<_>>() });
        if let Some(records) = &records {
            value["records"] = records.iter().map(record_json::record).collect();
        }
        return Ok(print::json(&value)?);
    }
    let mut parts = Vec::new();
    if let Some(records) = records.filter(|records| !records.is_empty()) {
        parts.push(record_table(&records));
    }
    if !mounts.is_empty() {
        parts.push(mount_table(&mounts));
    }
    if parts.is_empty() {
        parts.push("nothing is cached here\n".to_owned());
    }
    Ok(print::out(&parts.join("\n"))?)
}

fn record_table(records: &[CachedRecord]) -> String {
    let columns = [
        ("KEY", Side::Left),
        ("KIND", Side::Left),
        ("LAYERS", Side::Right),
        ("SIZE", Side::Right),
        ("TOOK", Side::Right),
        ("CREATED", Side::Left),
        ("USED", Side::Left),
        ("ORIGIN", Side::Left),
    ];
    let rows = records.iter().map(|record| {
        let mut whence = origin(&record.origin);
        if !record.is_usable() {
            whence += " (layers not here)";
        }
        let created = record.created();
        vec![
            short(&record.key.digest().hex()).to_owned(),
            kind(record.key.kind()).to_owned(),
            record.layers.len().to_string(),
            size(record.size(), record.is_sealed()),
            took(record.duration_ms),
            created.map_or_else(|| "-".to_owned(), |time| moment(time.secs)),
            moment(record.used.secs),
            whence,
        ]
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

/// A time to the second.
pub(super) fn moment(secs: i64) -> String {
    acetate_oci::Timestamp::from_secs(secs).to_string()
}

fn mount_table(mounts: &[CacheMountItem]) -> String {
    let columns = [
        ("MOUNT", Side::Left),
        ("KEY", Side::Left),
        ("DIRS", Side::Right),
        ("FILES", Side::Right),
        ("SIZE", Side::Right),
        ("IN USE", Side::Left),
    ];
    let rows = mounts.iter().map(|mount| {
        let bytes: u64 = mount.dirs.iter().map(|dir| dir.bytes).sum();
        let n_files: u64 = mount.dirs.iter().map(|dir| dir.n_files).sum();
        let in_use = mount.dirs.iter().any(|dir| dir.in_use);
        let id = mount.name.as_ref().map(|name| plain(&name.id));
        vec![
            id.unwrap_or_else(|| "-".to_owned()),
            short(&mount.identity.hex()).to_owned(),
            mount.dirs.len().to_string(),
            n_files.to_string(),
            size(bytes, true),
            if in_use { "yes" } else { "no" }.to_owned(),
        ]
    });
    table(&columns, &rows.collect::<Vec<_>>())
}

fn remote(site: Site<'_>, place: &str, flags: &CacheLsFlags) -> Result<(), Failure> {
    let import = site.import("--remote", place)?;
    let (name, records) = site.ask(&import, async |server| {
        Ok((server.name(), server.list().await?))
    })?;
    if flags.json {
        let records: Vec<Value> = records.iter().map(listed).collect();
        return Ok(print::json(&json!({ "cache": name, "records": records }))?);
    }
    if records.is_empty() {
        return Ok(print::out(&format!("{name} has no records\n"))?);
    }
    let columns = [
        ("KEY", Side::Left),
        ("NAMESPACE", Side::Left),
        ("SAVES", Side::Right),
        ("UNUSED FOR", Side::Right),
        ("SIZE", Side::Right),
    ];
    let rows = records.iter().map(|record| {
        vec![
            short(&record.key.hex()).to_owned(),
            plain(&record.namespace),
            took(record.saved_ms),
            age(record.age_secs),
            size(record.size, true),
        ]
    });
    Ok(print::out(&table(&columns, &rows.collect::<Vec<_>>()))?)
}

fn listed(record: &ListedRecord) -> Value {
    json!({
        "namespace": record.namespace,
        "key": record.key.hex(),
        "bytes": record.size,
        "unused_seconds": record.age_secs,
        "saved_ms": record.saved_ms,
    })
}
