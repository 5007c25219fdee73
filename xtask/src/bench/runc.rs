//! The bare runtime: what one start of a container costs without any build around it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::samples::Samples;
use crate::process;

/// Times `runc run` of `true` in the busybox base.
pub(crate) fn bare(stores: &Path, busybox: &Path, runs: usize) -> Result<Samples> {
    let runc = process::found("runc").context("`runc` is not here")?;
    ensure!(process::is_root(), "`runc` is measured as root only");
    let bundle = make_bundle(stores, busybox, &runc)?;
    let mut n = 0;
    Samples::take(runs.max(5), || {
        n += 1;
        let mut command = Command::new(&runc);
        command
            .arg("--root")
            .arg(stores.join("runc/state"))
            .arg("run")
            .arg("--bundle");
        process::timed(command.arg(&bundle).arg(format!("acetate-bench-{n}")))
    })
}

fn make_bundle(stores: &Path, busybox: &Path, runc: &Path) -> Result<PathBuf> {
    let bundle = stores.join("runc/bundle");
    fs::create_dir_all(bundle.join("rootfs"))?;
    let layer = largest_blob(busybox)?;
    let mut untar = Command::new("tar");
    untar
        .args(["-xzf"])
        .arg(layer)
        .arg("-C")
        .arg(bundle.join("rootfs"));
    process::quiet(&mut untar)?;
    process::quiet(Command::new(runc).arg("spec").current_dir(&bundle))?;
    let file = bundle.join("config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&file)?)?;
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["true"]);
    // The host's network, as in all builds that are measured.
    if let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
    }
    fs::write(&file, serde_json::to_vec(&spec)?)?;
    Ok(bundle)
}

/// The one layer of a base: it is far larger than its JSON.
fn largest_blob(layout: &Path) -> Result<PathBuf> {
    let mut blobs = Vec::new();
    for entry in fs::read_dir(layout.join("blobs/sha256"))? {
        let entry = entry?;
        blobs.push((entry.metadata()?.len(), entry.path()));
    }
    blobs.sort();
    blobs
        .pop()
        .map(|(_, path)| path)
        .context("the layout holds no blob")
}
