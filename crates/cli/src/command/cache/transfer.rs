//! `acetate cache export` and `import`.

use super::place::Site;
use super::{mount_tar, print};
use crate::failure::Failure;
use crate::flags::{CacheExportFlags, CacheImportFlags};
use acetate_engine::cache_tools::{ImportTrust, Moved, RecordChoice, Transfer};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Gives records to a cache.
pub(super) fn export(site: Site<'_>, flags: &CacheExportFlags) -> Result<ExitCode, Failure> {
    if let (Some(mount), Some(output)) = (&flags.mount, &flags.output) {
        return mount_tar::export(site, mount, output, flags.compression.as_deref());
    }
    let to = site.export("--to", flags.to.as_deref().unwrap_or_default())?;
    // Who asks for all of them means those that can be given.
    let (choice, absent) = if flags.all {
        (RecordChoice::All, Absent::Fine)
    } else {
        (RecordChoice::Keys(flags.keys.clone()), Absent::Wrong)
    };
    let transfer = site.wait(async |engine| engine.export_records(&to, &choice).await)?;
    if flags.json {
        print::json(&value(&transfer))?;
    } else {
        print::out(&text(&transfer, "given to"))?;
    }
    Ok(end(&transfer, absent))
}

/// Takes records of a cache.
pub(super) fn import(site: Site<'_>, flags: &CacheImportFlags) -> Result<ExitCode, Failure> {
    if let Some([mount, file]) = flags.mount.as_deref() {
        let trust = if flags.vouch {
            ImportTrust::Vouched
        } else {
            ImportTrust::Unsigned
        };
        return mount_tar::import(site, mount, Path::new(file), trust);
    }
    let from = site.import("--from", flags.from.as_deref().unwrap_or_default())?;
    let transfer = site.wait(async |engine| engine.import_records(&from, &flags.keys).await)?;
    if flags.json {
        print::json(&value(&transfer))?;
    } else {
        print::out(&text(&transfer, "taken from"))?;
    }
    Ok(end(&transfer, Absent::Wrong))
}

/// Whether a record of which something is not here is a failure.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    Fine,
    Wrong,
}

fn end(transfer: &Transfer, absent: Absent) -> ExitCode {
    for warning in &transfer.warnings {
        print::note(&format!("WARNING: {warning}"));
    }
    let is_bad = |moved: &Moved| match moved {
        Moved::Done | Moved::Kept => false,
        Moved::NotHere(_) => absent == Absent::Wrong,
        Moved::Failed(_) => true,
    };
    if transfer.records.iter().any(|(_, moved)| is_bad(moved)) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn text(transfer: &Transfer, verb: &str) -> String {
    let mut text = String::new();
    let mut n_done = 0;
    let mut n_kept = 0;
    for (key, moved) in &transfer.records {
        match moved {
            Moved::Done => n_done += 1,
            Moved::Kept => n_kept += 1,
            Moved::NotHere(reason) | Moved::Failed(reason) => {
                text += &format!("not moved: {}: {reason}\n", key.hex());
            }
        }
    }
    let name = &transfer.summary.name;
    let n_left = transfer.records.len() - n_done - n_kept;
    text + &format!("{n_done} records {verb} {name}, {n_kept} were there, {n_left} not moved\n")
}

fn value(transfer: &Transfer) -> Value {
    let records = transfer.records.iter().map(|(key, moved)| {
        let (outcome, reason) = match moved {
            Moved::Done => ("done", None),
            Moved::Kept => ("kept", None),
            Moved::NotHere(reason) => ("not here", Some(reason)),
            Moved::Failed(reason) => ("failed", Some(reason)),
        };
        json!({ "key": key.hex(), "outcome": outcome, "reason": reason })
    });
    json!({
        "cache": transfer.summary.name,
        "records": records.collect::<Vec<_>>(),
        "bytes_up": transfer.summary.stats.bytes_up,
        "bytes_down": transfer.summary.stats.bytes_down,
    })
}
