//! `acetate cache stats`.

use super::place::Site;
use super::print;
use super::text::{Side, age, pairs, plain, short, size, table, took};
use crate::failure::Failure;
use crate::flags::CacheStatsFlags;
use acetate_engine::Tally;
use acetate_engine::cache_tools::LocalStats;
use acetate_engine::cache_tools::told::{Entry, ServerStats};
use anyhow::Context;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Counts what is cached here, or tells what a server counts.
pub(super) fn stats(site: Site<'_>, flags: &CacheStatsFlags) -> Result<ExitCode, Failure> {
    let (value, shown) = if let Some(place) = &flags.remote {
        let import = site.import("--remote", place)?;
        let (name, stats) = site.ask(&import, async |server| {
            Ok((server.name(), server.stats().await?))
        })?;
        let mut value = serde_json::to_value(&stats).context("what the server counts")?;
        value["cache"] = json!(name);
        (value, remote_text(&name, &stats))
    } else {
        let stats = site.engine()?.cache_stats()?;
        (local_json(&stats), local_text(&stats))
    };
    if flags.json {
        print::json(&value)?;
    } else {
        print::out(&shown)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn local_json(stats: &LocalStats) -> Value {
    let tally = |tally: Tally| json!({ "count": tally.n, "bytes": tally.bytes });
    json!({
        "records": {
            "made": stats.made,
            "imported": stats.imported,
            "hints": stats.hints,
            "unusable": stats.unusable,
            "unreadable": stats.unreadable,
            "saved_ms": stats.saved_ms,
        },
        "layers": {
            "directories": stats.directories,
            "blobs": stats.blobs,
            "both": stats.both,
            "absent": stats.absent,
            "named_bytes": stats.named_bytes,
            "bytes": stats.layer_bytes,
            "shared_bytes": stats.named_bytes - stats.layer_bytes,
        },
        "disk": {
            "blobs": tally(stats.disk_blobs),
            "directories": tally(stats.disk_directories),
            "cache_mounts": tally(stats.disk_mounts),
        },
    })
}

fn local_text(stats: &LocalStats) -> String {
    let mut lines = vec![("records made here", stats.made.to_string())];
    let imported: u64 = stats.imported.values().sum();
    lines.push(("records imported", imported.to_string()));
    for (from, n) in &stats.imported {
        lines.push(("  from", format!("{} ({n})", plain(from))));
    }
    let disk = |tally: Tally| format!("{} in {}", size(tally.bytes, true), tally.n);
    let shared = stats.named_bytes - stats.layer_bytes;
    lines.extend([
        ("hints", stats.hints.to_string()),
        ("layers not here", format!("{} records", stats.unusable)),
        ("not readable", format!("{} records", stats.unreadable)),
        ("a full use saves", took(stats.saved_ms)),
        (
            "layers",
            format!(
                "{} directories, {} blobs, {} of them both, {} not here",
                stats.directories, stats.blobs, stats.both, stats.absent
            ),
        ),
        (
            "records name",
            format!(
                "{}, of which layers that they share save {}",
                size(stats.named_bytes, true),
                size(shared, true)
            ),
        ),
        ("blobs on disk", disk(stats.disk_blobs)),
        ("directories on disk", disk(stats.disk_directories)),
        ("cache mounts on disk", disk(stats.disk_mounts)),
    ]);
    pairs(&lines)
}

fn remote_text(name: &str, stats: &ServerStats) -> String {
    let rate = stats.hit_rate.map_or_else(
        || "nobody asked".to_owned(),
        |rate| {
            format!(
                "{:.1}% ({} of {})",
                rate * 100.0,
                stats.hits,
                stats.hits + stats.misses
            )
        },
    );
    let most = stats
        .max_bytes
        .map_or_else(|| "the whole disk".to_owned(), |bytes| size(bytes, true));
    let mut text = pairs(&[
        ("cache", plain(name)),
        ("records", stats.records.to_string()),
        ("contents", stats.contents.to_string()),
        (
            "used",
            format!("{} of {most}", size(stats.used_bytes, true)),
        ),
        ("hits", rate),
        ("saved", took(stats.saved_ms)),
        ("sent", size(stats.bytes_down, true)),
        ("received", size(stats.bytes_up, true)),
    ]);
    if !stats.in_flight.is_empty() {
        text += "\nin flight\n";
        for one in &stats.in_flight {
            let since = took(one.since_ms);
            text += &format!("  {since} {}\n", plain(&one.name));
        }
    }
    text += &entries("largest", &stats.largest);
    text += &entries("longest unused", &stats.oldest);
    if !stats.last_misses.is_empty() {
        text += "\nlast misses\n";
        for seen in &stats.last_misses {
            let (step, reason) = (plain(&seen.miss.step), plain(&seen.miss.reason));
            text += &format!("  {} ago: {step}: {reason}\n", age(seen.age_secs));
        }
    }
    text
}

fn entries(name: &str, entries: &[Entry]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let columns = [
        ("KIND", Side::Left),
        ("KEY", Side::Left),
        ("SIZE", Side::Right),
        ("UNUSED FOR", Side::Right),
        ("NAMESPACE", Side::Left),
    ];
    let rows = entries.iter().map(|entry| {
        vec![
            plain(&entry.kind),
            short(&plain(&entry.key)).to_owned(),
            size(entry.size, true),
            age(entry.age_secs),
            plain(&entry.namespace),
        ]
    });
    format!("\n{name}\n{}", table(&columns, &rows.collect::<Vec<_>>()))
}
