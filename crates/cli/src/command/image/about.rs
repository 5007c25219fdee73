//! `acetate image inspect` and `acetate image history`.

use super::ls::{ago, id};
use super::text::{Side, plain, table};
use super::{Site, print};
use crate::failure::Failure;
use crate::flags::{ImageHistoryFlags, ImageInspectFlags};
use crate::size::human;
use acetate_engine::{StoredImage, StoredLayer, StoredPlatform};
use acetate_oci::HistoryEntry;
use anyhow::anyhow;
use serde_json::{Value, json};

/// How much of an instruction is shown.
const WIDTH: usize = 45;

/// Shows everything about images.
pub(super) fn inspect(site: Site<'_>, flags: &ImageInspectFlags) -> Result<(), Failure> {
    let engine = site.engine()?;
    let mut found = Vec::new();
    for image in &flags.images {
        found.push(document(&engine.stored_image(image)?));
    }
    let text = serde_json::to_string_pretty(&found).map_err(anyhow::Error::from)?;
    Ok(print::out(&(text + "\n"))?)
}

fn document(image: &StoredImage) -> Value {
    json!({
        "name": image.name.to_string(),
        "digest": image.digest,
        "platforms": image.platforms.iter().map(platform).collect::<Vec<_>>(),
    })
}

fn platform(image: &StoredPlatform) -> Value {
    let layer = |layer: &StoredLayer| {
        json!({
            "diff_id": layer.diff_id,
            "blob": layer.blob,
            "bytes": layer.size,
            "created_by": layer.created_by,
        })
    };
    json!({
        "platform": image.platform.to_string(),
        "id": image.id,
        "manifest": image.manifest,
        "created": image.created,
        "bytes": image.size(),
        "layers": image.layers.iter().map(layer).collect::<Vec<_>>(),
        "config": image.config_json,
    })
}

/// Shows what made an image.
pub(super) fn history(site: Site<'_>, flags: &ImageHistoryFlags) -> Result<(), Failure> {
    let engine = site.engine()?;
    let image = engine.stored_image(&flags.image)?;
    let main = image
        .main()
        .ok_or_else(|| anyhow!("`{}` leads to no image", flags.image))?;
    let lines = main.history();
    if flags.json {
        let lines: Vec<Value> = lines.iter().map(line).collect();
        let value = json!({ "name": image.name.to_string(), "id": main.id, "history": lines });
        return Ok(print::json(&value)?);
    }
    let columns = [
        ("IMAGE", Side::Left),
        ("CREATED", Side::Left),
        ("CREATED BY", Side::Left),
        ("SIZE", Side::Right),
        ("COMMENT", Side::Left),
    ];
    let now = engine.now();
    let rows = lines.iter().enumerate().map(|(n, (entry, layer))| {
        vec![
            match n {
                0 => id(main.id, flags.no_trunc),
                _ => "<missing>".to_owned(),
            },
            ago(now, entry.created),
            shown(&entry.created_by, flags.no_trunc),
            human(layer.map_or(0, |layer| layer.size)),
            plain(&entry.comment),
        ]
    });
    Ok(print::out(&table(&columns, &rows.collect::<Vec<_>>()))?)
}

fn line((entry, layer): &(&HistoryEntry, Option<&StoredLayer>)) -> Value {
    json!({
        "created": entry.created,
        "created_by": entry.created_by,
        "comment": entry.comment,
        "bytes": layer.map_or(0, |layer| layer.size),
        "diff_id": layer.map(|layer| layer.diff_id),
        "blob": layer.map(|layer| layer.blob),
    })
}

/// An instruction in one line.
fn shown(text: &str, whole: bool) -> String {
    let text = plain(&text.replace(['\n', '\t'], " "));
    if whole || text.chars().count() <= WIDTH {
        return text;
    }
    let cut: String = text.chars().take(WIDTH - 1).collect();
    cut + "…"
}
