//! Writes one-layer images as OCI layouts, with nothing but `gzip` and `sha256sum`.
//!
//! The product has an exporter of its own; the bases are made without it, so that a mistake there
//! cannot hide itself.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::process;

/// The time that every base carries, so that equal packages give equal digests.
pub(crate) const EPOCH: u64 = 1_750_000_000;
const CREATED: &str = "2025-06-15T15:06:40Z";

/// What an image says beside its files.
#[derive(Debug)]
pub(crate) struct ImageText {
    pub(crate) cmd: &'static [&'static str],
    pub(crate) created_by: &'static str,
}

#[derive(Debug, Clone)]
struct Blob {
    hex: String,
    size: u64,
}

impl Blob {
    fn digest(&self) -> String {
        format!("sha256:{}", self.hex)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest(), "size": self.size })
    }
}

/// Makes `layout` out of one uncompressed tar. `layout` must not exist; it appears by a rename,
/// when it is complete.
pub(crate) fn write(layout: &Path, tar: &Path, text: &ImageText) -> Result<()> {
    let parent = layout.parent().context("a layout lies in a folder")?;
    let draft = parent.join(format!(".draft-{}", std::process::id()));
    if draft.exists() {
        fs::remove_dir_all(&draft)?;
    }
    fs::create_dir_all(draft.join("blobs/sha256"))?;
    fill(&draft, tar, text)?;
    fs::rename(&draft, layout).with_context(|| format!("cannot publish {}", layout.display()))
}

fn fill(draft: &Path, tar: &Path, text: &ImageText) -> Result<()> {
    let diff_id = format!("sha256:{}", sha256(tar)?);
    let layer = gzip_blob(draft, tar)?;
    let config = json!({
        "architecture": architecture()?,
        "os": "linux",
        "created": CREATED,
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": text.cmd,
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": CREATED, "created_by": text.created_by }],
    });
    let config = json_blob(draft, &config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
        "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar+gzip")],
    });
    let mut entry =
        json_blob(draft, &manifest)?.descriptor("application/vnd.oci.image.manifest.v1+json");
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    entry["platform"] = json!({ "architecture": architecture()?, "os": "linux" });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    fs::write(draft.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(
        draft.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )?;
    Ok(())
}

/// The digest of the one manifest that a layout names.
pub(crate) fn manifest_digest(layout: &Path) -> Result<String> {
    let index = read_json(&layout.join("index.json"))?;
    let digest = index["manifests"][0]["digest"].as_str();
    digest
        .map(str::to_owned)
        .with_context(|| format!("{} names no manifest", layout.display()))
}

/// The sizes in bytes of an image's layers as they lie in a layout, bottom first.
pub(crate) fn layer_sizes(layout: &Path) -> Result<Vec<u64>> {
    let mut manifest = read_json(&blob_path(layout, &manifest_digest(layout)?))?;
    // An exporter may put an index between the layout's own index and the manifest.
    if let Some(inner) = manifest["manifests"][0]["digest"].as_str() {
        manifest = read_json(&blob_path(layout, inner))?;
    }
    let layers = manifest["layers"]
        .as_array()
        .context("an image manifest lists its layers")?;
    Ok(layers
        .iter()
        .filter_map(|layer| layer["size"].as_u64())
        .collect())
}

fn blob_path(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

fn read_json(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))
}

fn json_blob(draft: &Path, value: &Value) -> Result<Blob> {
    let temporary = draft.join("incoming");
    fs::write(&temporary, serde_json::to_vec(value)?)?;
    adopt(draft, &temporary)
}

fn gzip_blob(draft: &Path, tar: &Path) -> Result<Blob> {
    let temporary = draft.join("incoming");
    let status = Command::new("gzip")
        .args(["-n", "-6", "-c"])
        .arg(tar)
        .stdin(Stdio::null())
        .stdout(File::create(&temporary)?)
        .status()
        .context("cannot start `gzip`")?;
    if !status.success() {
        bail!("`gzip` ended with {status}");
    }
    adopt(draft, &temporary)
}

fn adopt(draft: &Path, file: &Path) -> Result<Blob> {
    let blob = Blob {
        hex: sha256(file)?,
        size: fs::metadata(file)?.len(),
    };
    fs::rename(file, draft.join("blobs/sha256").join(&blob.hex))?;
    Ok(blob)
}

fn sha256(file: &Path) -> Result<String> {
    let line = process::stdout(Command::new("sha256sum").arg("--").arg(file))?;
    let hex = line
        .trim_start_matches('\\')
        .split_whitespace()
        .next()
        .unwrap_or_default();
    if hex.len() != 64 {
        bail!("`sha256sum` printed `{}`", line.trim_end());
    }
    Ok(hex.to_owned())
}

fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        "riscv64" => Ok("riscv64"),
        other => bail!("no name for the architecture `{other}` in an image"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("xtask-layout-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_layout_names_what_it_holds() {
        let dir = scratch("holds");
        let tar = dir.join("in.tar");
        fs::write(&tar, vec![0; 10_240]).unwrap();
        let text = ImageText {
            cmd: &["sh"],
            created_by: "test",
        };
        let layout = dir.join("image");
        write(&layout, &tar, &text).unwrap();

        let digest = manifest_digest(&layout).unwrap();
        let manifest = blob_path(&layout, &digest);
        assert_eq!(format!("sha256:{}", sha256(&manifest).unwrap()), digest);
        let sizes = layer_sizes(&layout).unwrap();
        assert_eq!(sizes.len(), 1);
        let config = read_json(&manifest).unwrap()["config"]["digest"].clone();
        let config = read_json(&blob_path(&layout, config.as_str().unwrap())).unwrap();
        let diff_id = format!("sha256:{}", sha256(&tar).unwrap());
        assert_eq!(config["rootfs"]["diff_ids"][0], diff_id);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn equal_tars_give_equal_images() {
        let dir = scratch("equal");
        let tar = dir.join("in.tar");
        fs::write(&tar, vec![7; 4096]).unwrap();
        let text = ImageText {
            cmd: &["sh"],
            created_by: "test",
        };
        write(&dir.join("a"), &tar, &text).unwrap();
        write(&dir.join("b"), &tar, &text).unwrap();
        let digests = ["a", "b"].map(|name| manifest_digest(&dir.join(name)).unwrap());
        assert_eq!(digests[0], digests[1]);
        fs::remove_dir_all(dir).unwrap();
    }
}
