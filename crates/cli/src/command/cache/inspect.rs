//! `acetate cache inspect`.

use super::ls::moment;
use super::place::Site;
use super::text::{Side, begins, fidelity, kind, origin, pairs, plain, size, table, took};
use super::{print, record_json};
use crate::failure::Failure;
use crate::flags::CacheInspectFlags;
use acetate_engine::cache_tools::{
    CacheItem, CacheMountItem, CachedLayer, CachedRecord, LayerForm, ListedRecord, RemoteLayer,
    Seen,
};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Shows one record or cache mount.
pub(super) fn inspect(site: Site<'_>, flags: &CacheInspectFlags) -> Result<ExitCode, Failure> {
    let (value, shown) = match &flags.remote {
        Some(place) => {
            let import = site.import("--remote", place)?;
            let (record, seen) = site.ask(&import, async |server| server.see(&flags.name).await)?;
            (remote_json(&record, &seen), remote_text(&record, &seen))
        }
        None => match site.engine()?.find_cached(&flags.name)? {
            CacheItem::Record(record) => (record_json::whole_record(&record), record_text(&record)),
            CacheItem::Mount(mount) => (record_json::mount(&mount), mount_text(&mount)),
        },
    };
    if flags.json {
        print::json(&value)?;
    } else {
        print::out(&shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn record_text(record: &CachedRecord) -> String {
    let state = if record.is_usable() {
        "usable"
    } else {
        "a miss: not all of its layers are here"
    };
    let head = pairs(&[
        ("key", record.key.digest().hex()),
        ("kind", kind(record.key.kind()).to_owned()),
        ("in shared caches", record.shared_key.hex()),
        ("size", size(record.size(), record.is_sealed())),
        ("took", took(record.duration_ms)),
        ("used", moment(record.used.secs)),
        ("origin", origin(&record.origin)),
        ("sandbox", fidelity(&record.fidelity)),
        ("state", state.to_owned()),
    ]);
    let columns = [
        ("LAYER", Side::Left),
        ("SIZE", Side::Right),
        ("CREATED", Side::Left),
        ("ORIGIN", Side::Left),
        ("HERE", Side::Left),
    ];
    let rows: Vec<Vec<String>> = record.layers.iter().map(layer_row).collect();
    head + "\n" + &table(&columns, &rows)
}

fn layer_row(layer: &CachedLayer) -> Vec<String> {
    let forms = match (layer.has_directory, layer.has_blob) {
        (true, true) => "directory, blob",
        (true, false) => "directory",
        (false, true) => "blob",
        (false, false) => "no",
    };
    let name = layer.diff_id.map(|digest| digest.to_string());
    vec![
        name.unwrap_or_else(|| format!("{} (not sealed)", layer.id)),
        size(layer.size, layer.diff_id.is_some()),
        moment(layer.created.secs),
        record_json::origin(layer.origin).to_owned(),
        forms.to_owned(),
    ]
}

fn mount_text(mount: &CacheMountItem) -> String {
    let name = mount.name.as_ref();
    let head = pairs(&[
        (
            "id",
            name.map_or_else(|| "not known".to_owned(), |name| plain(&name.id)),
        ),
        ("key", mount.identity.hex()),
        (
            "begins",
            name.map_or_else(|| "not known".to_owned(), begins),
        ),
    ]);
    let columns = [
        ("GENERATION", Side::Right),
        ("NUMBER", Side::Right),
        ("FILES", Side::Right),
        ("SIZE", Side::Right),
        ("IN USE", Side::Left),
        ("PATH", Side::Left),
    ];
    let rows = mount.dirs.iter().map(|dir| {
        vec![
            dir.generation.to_string(),
            dir.number.to_string(),
            dir.n_files.to_string(),
            size(dir.bytes, true),
            if dir.in_use { "yes" } else { "no" }.to_owned(),
            dir.path.to_string_lossy().into_owned(),
        ]
    });
    head + "\n" + &table(&columns, &rows.collect::<Vec<_>>())
}

fn remote_json(record: &ListedRecord, seen: &Seen) -> Value {
    let layers = seen.record.layers.iter().map(|layer| {
        json!({
            "diff_id": layer.diff_id.to_string(),
            "bytes": layer.size,
            "stored_bytes": layer.stored_size(),
            "created": layer.created.to_string(),
            "chunks": layer.chunks().len(),
            "origin": if is_base(layer) { "base" } else { "made" },
        })
    });
    let (signer, unsigned) = match &seen.signer {
        Ok(signer) => (
            Some(json!({ "id": signer.id, "name": signer.name, "builder": signer.builder })),
            None,
        ),
        Err(why) => (None, Some(why.to_string())),
    };
    json!({
        "key": record.key.hex(),
        "namespace": record.namespace,
        "duration_ms": seen.record.duration_ms,
        "signer": signer,
        "not_trusted": unsigned,
        "made_of": seen.record.made_of.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "layers": layers.collect::<Vec<_>>(),
    })
}

/// A layer that lies elsewhere: in the base image.
fn is_base(layer: &RemoteLayer) -> bool {
    matches!(layer.form, LayerForm::Blob(_))
}

fn remote_text(record: &ListedRecord, seen: &Seen) -> String {
    let signed = match &seen.signer {
        Ok(signer) => format!(
            "by {} ({})",
            signer.id,
            plain(signer.name.as_deref().unwrap_or(&signer.builder))
        ),
        Err(why) => plain(&why.to_string()),
    };
    let stored: u64 = (seen.record.layers.iter())
        .filter(|layer| !is_base(layer))
        .map(RemoteLayer::stored_size)
        .sum();
    let head = pairs(&[
        ("key", record.key.hex()),
        ("namespace", plain(&record.namespace)),
        ("took", took(seen.record.duration_ms)),
        ("kept", size(stored, true)),
        ("signed", signed),
        ("sandbox", fidelity(&seen.record.fidelity)),
    ]);
    let columns = [
        ("LAYER", Side::Left),
        ("SIZE", Side::Right),
        ("KEPT", Side::Right),
        ("CHUNKS", Side::Right),
        ("CREATED", Side::Left),
        ("ORIGIN", Side::Left),
    ];
    let rows = seen.record.layers.iter().map(|layer| {
        let is_base = is_base(layer);
        let kept = if is_base {
            "-".to_owned()
        } else {
            size(layer.stored_size(), true)
        };
        vec![
            layer.diff_id.to_string(),
            size(layer.size, true),
            kept,
            layer.chunks().len().to_string(),
            moment(layer.created.secs),
            if is_base { "base" } else { "made" }.to_owned(),
        ]
    });
    // A hint has none.
    if seen.record.layers.is_empty() {
        return head;
    }
    head + "\n" + &table(&columns, &rows.collect::<Vec<_>>())
}
