//! `acetate cache verify`.

use super::place::Site;
use super::print;
use super::text::{pairs, plain, size};
use crate::failure::Failure;
use crate::flags::CacheVerifyFlags;
use acetate_engine::cache_tools::told::Verified;
use acetate_engine::cache_tools::{Depth, LocalCheck, RemoteCheck};
use acetate_engine::{CacheImport, Trust};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// What was found: as JSON, for people, and whether nothing is wrong.
struct Verdict {
    json: Value,
    text: String,
    is_sound: bool,
}

/// Looks whether all is there and unchanged.
pub(super) fn verify(site: Site<'_>, flags: &CacheVerifyFlags) -> Result<ExitCode, Failure> {
    let verdict = match &flags.remote {
        None => local(&site.engine()?.verify_cache()?),
        Some(place) => {
            let mut import = site.import("--remote", place)?;
            if let Some(keys) = &flags.keys {
                import.trust = Trust::Prefer(PathBuf::from(keys));
            }
            if flags.server {
                by_server(site, &import)?
            } else {
                from_here(site, &import, depth(flags))?
            }
        }
    };
    if flags.json {
        print::json(&verdict.json)?;
    } else {
        print::out(&verdict.text)?;
    }
    Ok(if verdict.is_sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn depth(flags: &CacheVerifyFlags) -> Depth {
    if flags.bytes {
        Depth::Bytes
    } else {
        Depth::Presence
    }
}

fn local(check: &LocalCheck) -> Verdict {
    let mut text = pairs(&[
        (
            "sound blobs",
            format!("{} ({})", check.sound, size(check.sound_bytes, true)),
        ),
        ("damaged blobs", check.damaged.len().to_string()),
        ("records", check.records.to_string()),
        ("lost layers", format!("{} records", check.lost.len())),
        ("layers not here", format!("{} records", check.unusable)),
        ("not readable", format!("{} records", check.unreadable)),
    ]);
    for digest in &check.damaged {
        text += &format!("removed the damaged blob {digest}\n");
    }
    for key in &check.lost {
        let key = key.digest().hex();
        text += &format!("removed the record {key}: a layer of it is lost, its step runs again\n");
    }
    let lost = check.lost.iter().map(|key| key.digest().hex());
    let damaged = check.damaged.iter().map(ToString::to_string);
    Verdict {
        json: json!({
            "sound": check.is_sound(),
            "sound_blobs": check.sound,
            "sound_bytes": check.sound_bytes,
            "damaged_blobs": damaged.collect::<Vec<_>>(),
            "records": check.records,
            "lost_records": lost.collect::<Vec<_>>(),
            "unusable_records": check.unusable,
            "unreadable_records": check.unreadable,
        }),
        text,
        is_sound: check.is_sound(),
    }
}

fn from_here(site: Site<'_>, import: &CacheImport, depth: Depth) -> Result<Verdict, Failure> {
    let check = site.ask(import, async |server| server.check(depth).await)?;
    let mut text = remote_text(&check, depth);
    for (namespace, key, flaw) in &check.flaws {
        let (namespace, flaw) = (plain(namespace), plain(&flaw.to_string()));
        text += &format!("wrong: {} in `{namespace}`: {flaw}\n", key.hex());
    }
    let flaws = check.flaws.iter().map(|(namespace, key, flaw)| {
        json!({ "namespace": namespace, "key": key.hex(), "flaw": flaw.to_string() })
    });
    Ok(Verdict {
        json: json!({
            "sound": check.flaws.is_empty(),
            "records": check.records,
            "foreign": check.foreign,
            "signed": check.signed,
            "unsigned": check.unsigned,
            "unknown_keys": check.unknown,
            "objects": check.objects,
            "missing": check.missing,
            "hashed_layers": check.layers,
            "flaws": flaws.collect::<Vec<_>>(),
        }),
        text,
        is_sound: check.flaws.is_empty(),
    })
}

fn remote_text(check: &RemoteCheck, depth: Depth) -> String {
    let mut lines = vec![("records", check.records.to_string())];
    for (id, n) in &check.signed {
        lines.push(("  signed by", format!("{id} ({n})")));
    }
    lines.extend([
        ("  not signed", check.unsigned.to_string()),
        ("  signed by others", check.unknown.to_string()),
        ("of other programs", check.foreign.to_string()),
        (
            "objects",
            format!("{}, {} missing", check.objects, check.missing),
        ),
    ]);
    if depth == Depth::Bytes {
        lines.push(("sound layers", check.layers.to_string()));
    }
    lines.push(("wrong", format!("{} records", check.flaws.len())));
    pairs(&lines)
}

fn by_server(site: Site<'_>, import: &CacheImport) -> Result<Verdict, Failure> {
    let show = |so_far: &Verified| {
        print::note(&format!("{} objects are sound so far", so_far.sound));
    };
    let verified = site.ask(import, async |server| server.rehash(show).await)?;
    let error = verified.error.as_deref().map(plain);
    let is_sound = verified.damaged == 0 && error.is_none();
    let mut text = pairs(&[
        ("sound objects", verified.sound.to_string()),
        (
            "damaged objects",
            format!("{}, which the server removed", verified.damaged),
        ),
    ]);
    if let Some(error) = &error {
        text += &format!("it ended early: {error}\n");
    }
    Ok(Verdict {
        json: json!({
            "sound": is_sound,
            "sound_objects": verified.sound,
            "damaged_objects": verified.damaged,
            "error": error,
        }),
        text,
        is_sound,
    })
}
