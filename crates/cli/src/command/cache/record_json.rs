//! Records and cache mounts as JSON.

use super::text;
use acetate_engine::cache_tools::{
    CacheMountItem, CachedLayer, CachedRecord, Fidelity, LayerOrigin, Origin,
};
use serde_json::{Value, json};

/// A record without its layers.
pub(super) fn record(record: &CachedRecord) -> Value {
    let (from, signer) = match &record.origin {
        Origin::Local => (None, None),
        Origin::Imported { from, signer } => (Some(from), signer.as_ref()),
    };
    let reduced = match &record.fidelity {
        Fidelity::Full => None,
        Fidelity::Reduced { reason } => Some(reason),
    };
    json!({
        "key": record.key.digest().hex(),
        "kind": text::kind(record.key.kind()),
        "output": record.key.output(),
        "shared_key": record.shared_key.hex(),
        "layer_count": record.layers.len(),
        "bytes": record.size(),
        "sealed": record.is_sealed(),
        "usable": record.is_usable(),
        "duration_ms": record.duration_ms,
        "created": record.created().map(|time| time.to_string()),
        "used": record.used.to_string(),
        "imported_from": from,
        "signer": signer,
        "reduced": reduced,
    })
}

/// A record with its layers.
pub(super) fn whole_record(whole: &CachedRecord) -> Value {
    let mut value = record(whole);
    value["layers"] = whole.layers.iter().map(layer).collect();
    value
}

fn layer(layer: &CachedLayer) -> Value {
    let blob = layer.blob.as_ref().map(|blob| {
        json!({
            "digest": blob.digest.to_string(),
            "bytes": blob.size,
            "media_type": blob.media_type.as_str(),
        })
    });
    json!({
        "id": layer.id.to_string(),
        "diff_id": layer.diff_id.map(|digest| digest.to_string()),
        "bytes": layer.size,
        "created": layer.created.to_string(),
        "origin": origin(layer.origin),
        "has_directory": layer.has_directory,
        "has_blob": layer.has_blob,
        "blob": blob,
    })
}

/// Where a layer came from, in one word.
pub(super) fn origin(origin: LayerOrigin) -> &'static str {
    match origin {
        LayerOrigin::Made => "made",
        LayerOrigin::Base => "base",
        LayerOrigin::Pulled => "pulled",
    }
}

/// A cache mount with its directories.
pub(super) fn mount(mount: &CacheMountItem) -> Value {
    let dirs = mount.dirs.iter().map(|dir| {
        json!({
            "generation": dir.generation,
            "number": dir.number,
            "path": dir.path.to_string_lossy(),
            "bytes": dir.bytes,
            "files": dir.n_files,
            "in_use": dir.in_use,
        })
    });
    json!({
        "key": mount.identity.hex(),
        "id": mount.name.as_ref().map(|name| &name.id),
        "begins": mount.name.as_ref().map(text::begins),
        "bytes": mount.dirs.iter().map(|dir| dir.bytes).sum::<u64>(),
        "files": mount.dirs.iter().map(|dir| dir.n_files).sum::<u64>(),
        "in_use": mount.dirs.iter().any(|dir| dir.in_use),
        "directories": dirs.collect::<Vec<_>>(),
    })
}
