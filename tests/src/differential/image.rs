use crate::listing::{Item, items_of_tar};
use acetate_oci::Digest;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// An image out of an archive, with nothing believed about it but its digests.
#[derive(Debug)]
pub(super) struct Image {
    /// Everything that the config says.
    pub(super) config: Value,
    /// The uncompressed digests of the layers.
    pub(super) diff_ids: Vec<String>,
    /// The entries of each layer, bottom first.
    pub(super) layers: Vec<Vec<Item>>,
}

/// Blobs by the names that they have in an archive.
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    fn get(&self, digest: &Value) -> &[u8] {
        let digest = digest.as_str().expect("a digest is a text");
        let path = format!("blobs/{}", digest.replace(':', "/"));
        let bytes = self.0.get(&path).expect("the archive holds what it names");
        assert_eq!(Digest::of(bytes).to_string(), digest);
        bytes
    }

    fn json(&self, digest: &Value) -> Value {
        serde_json::from_slice(self.get(digest)).expect("JSON")
    }
}

/// Reads all images of an archive, in the order of its index.
pub(super) fn images(archive: &Path) -> Vec<Image> {
    let bytes = std::fs::read(archive).expect("an archive");
    let mut tar = tar::Archive::new(&bytes[..]);
    let mut files = BTreeMap::new();
    for entry in tar.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        files.insert(path, content);
    }
    let index = serde_json::from_slice(&files["index.json"]).expect("JSON");
    let blobs = Blobs(files);
    below(&blobs, &index)
}

/// The images of an index, and of the indexes in it.
fn below(blobs: &Blobs, index: &Value) -> Vec<Image> {
    let manifests = index["manifests"].as_array().into_iter().flatten();
    let mut images = Vec::new();
    for manifest in manifests.map(|entry| blobs.json(&entry["digest"])) {
        if manifest.get("manifests").is_some() {
            images.extend(below(blobs, &manifest));
        } else {
            images.push(image(blobs, &manifest));
        }
    }
    images
}

fn image(blobs: &Blobs, manifest: &Value) -> Image {
    let config = blobs.json(&manifest["config"]["digest"]);
    let diff_ids = texts(&config["rootfs"]["diff_ids"]);
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let tars: Vec<Vec<u8>> = layers
        .map(|layer| inflate(blobs.get(&layer["digest"])))
        .collect();
    let found: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
    assert_eq!(found, diff_ids);
    Image {
        config,
        diff_ids,
        layers: tars.iter().map(|tar| items_of_tar(tar)).collect(),
    }
}

fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut gzip = flate2::read::MultiGzDecoder::new(bytes);
        gzip.read_to_end(&mut out).expect("gzip");
        return out;
    }
    bytes.to_owned()
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}
