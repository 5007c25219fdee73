use std::collections::BTreeMap;

use acetate_oci::{Descriptor, Digest, Manifest, MediaType, Platform, canonical_json};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::{
    ARTIFACT_TYPE, ATTESTATION_MANIFEST, EMPTY_CONFIG, IN_TOTO, PREDICATE_TYPE, REFERENCE_DIGEST,
    REFERENCE_TYPE,
};
use crate::Statement;

/// The bytes of an empty config.
const EMPTY: &[u8] = b"{}";

/// What the manifest of attestations looks like.
///
/// Both have OCI media types: among Docker's there is none for statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An image for no platform, for registries that know only images (`oci-artifact=false`).
    Image,
    /// An artifact that names its subject (`oci-artifact=true`).
    Artifact,
}

/// Bytes to store or push, and what points at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What points at them.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: MediaType, bytes: Vec<u8>) -> Self {
        let descriptor = Descriptor::of(media_type, &bytes);
        Self { descriptor, bytes }
    }
}

/// The attestations of one image as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The image that they are about.
    pub image: Digest,
    /// The statements, one layer each, in the order given.
    pub statements: Vec<Blob>,
    /// The config.
    pub config: Blob,
    /// The manifest; it is pushed last.
    pub manifest: Blob,
}

/// Puts the statements on one image into a manifest of their own.
///
/// `image` describes the manifest of the image; its annotations and platform go no further.
pub fn carry(image: &Descriptor, statements: &[Statement], form: Form) -> Carried {
    let blobs: Vec<Blob> = statements.iter().map(statement_blob).collect();
    let layers: Vec<Descriptor> = blobs.iter().map(|blob| blob.descriptor.clone()).collect();
    let config = config_blob(form, &layers);
    let mut manifest = Manifest::oci(config.descriptor.clone(), layers);
    if form == Form::Artifact {
        manifest.artifact_type = Some(ARTIFACT_TYPE.to_owned());
        let plain = Descriptor::new(image.media_type.clone(), image.digest, image.size);
        manifest.subject = Some(plain);
    }
    Carried {
        image: image.digest,
        statements: blobs,
        config,
        manifest: Blob::new(MediaType::OCI_MANIFEST, manifest_bytes(&manifest, form)),
    }
}

impl Carried {
    /// All that is stored or pushed, the manifest last.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        let below = self.statements.iter().chain([&self.config]);
        below.chain([&self.manifest])
    }

    /// The entry for the index that holds the image: for no platform, so that nobody runs it.
    pub fn index_entry(&self) -> Descriptor {
        let mut entry = self.manifest.descriptor.clone();
        entry.platform = Some(Platform::new("unknown", "unknown"));
        entry.annotations = BTreeMap::from([
            (REFERENCE_TYPE.to_owned(), ATTESTATION_MANIFEST.to_owned()),
            (REFERENCE_DIGEST.to_owned(), self.image.to_string()),
        ]);
        entry
    }

    /// The entry for the image's list of referrers, for registries that do not keep one.
    pub fn referrer(&self) -> Descriptor {
        let mut entry = self.manifest.descriptor.clone();
        entry.artifact_type = Some(ARTIFACT_TYPE.to_owned());
        entry
    }
}

fn statement_blob(statement: &Statement) -> Blob {
    let mut blob = Blob::new(MediaType::new(IN_TOTO), statement.to_bytes());
    let annotation = (PREDICATE_TYPE.to_owned(), statement.predicate_type.clone());
    blob.descriptor.annotations = BTreeMap::from([annotation]);
    blob
}

/// The empty config stands in its descriptor as well, as the specification advises, so that nobody
/// need fetch it.
fn manifest_bytes(manifest: &Manifest, form: Form) -> Vec<u8> {
    let mut value = json!(manifest);
    if form == Form::Artifact {
        value["config"]["data"] = BASE64_STANDARD.encode(EMPTY).into();
    }
    canonical_json(&value)
}

fn config_blob(form: Form, layers: &[Descriptor]) -> Blob {
    if form == Form::Artifact {
        return Blob::new(MediaType::new(EMPTY_CONFIG), EMPTY.to_vec());
    }
    let diff_ids: Vec<String> = layers
        .iter()
        .map(|layer| layer.digest.to_string())
        .collect();
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    Blob::new(MediaType::OCI_CONFIG, canonical_json(&config))
}
