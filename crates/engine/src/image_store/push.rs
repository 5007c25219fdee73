//! Gives kept images to registries.

use super::whole::Pack;
use crate::progress::InternalStep;
use crate::{BuildError, Engine, EventSink, ImageOptions};
use acetate_image::{BlobOrigin, WholeImage};
use acetate_oci::{Digest, Reference};
use acetate_registry::{
    Progress, Push, PushBlob, PushManifest, PushReport, Registries, Repository,
};
use std::sync::Arc;

/// What a push came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedName {
    /// What the name leads to in the registry.
    pub digest: Digest,
    /// Blobs that were sent.
    pub n_sent: usize,
    /// Blobs in all.
    pub n_blobs: usize,
    /// The bytes sent.
    pub n_bytes: u64,
}

impl Engine {
    /// Pushes an image to the registry of its name; layers are compressed as those of a build are.
    ///
    /// # Errors
    /// When there is no such image, or the registry does not take it.
    pub async fn push_image(
        &self,
        name: &Reference,
        options: &ImageOptions,
        insecure: bool,
        sink: &Arc<dyn EventSink>,
    ) -> Result<PushedName, BuildError> {
        let step = self.step(sink, &format!("pushing {}", Repository::from(name)));
        let pushed = self.push(name, options, insecure, &step).await;
        step.end(&pushed);
        pushed
    }

    async fn push(
        &self,
        name: &Reference,
        options: &ImageOptions,
        insecure: bool,
        step: &InternalStep,
    ) -> Result<PushedName, BuildError> {
        let named = self.find_named(&name.to_string())?;
        let packing = step.transfer("compressing");
        let (whole, origin) = self
            .whole_of(&named, Pack::Plain(options, &packing))
            .await?;
        let repository = Repository::from(name);
        let registries = self.registries_for(&repository, insecure).await;
        let tags = tags(name);
        let to = (&*registries, &repository);
        let report = send(to, &whole, &origin, tags, &step.transfer("uploading")).await?;
        Ok(PushedName {
            digest: report.digest,
            n_sent: report.n_sent,
            n_blobs: whole.blobs.len(),
            n_bytes: report.n_bytes,
        })
    }
}

/// The tag that a name moves; none for a name by digest alone.
pub(super) fn tags(name: &Reference) -> Vec<String> {
    match (name.tag(), name.digest()) {
        (None, Some(_)) => Vec::new(),
        (tag, _) => vec![tag.unwrap_or("latest").to_owned()],
    }
}

/// Sends an image byte for byte, its blobs straight from where they are.
pub(super) async fn send(
    (registries, to): (&Registries, &Repository),
    whole: &WholeImage,
    origin: &BlobOrigin,
    tags: Vec<String>,
    progress: &Arc<dyn Progress>,
) -> Result<PushReport, BuildError> {
    let blobs = whole.blobs.values().map(|blob| PushBlob {
        descriptor: blob.clone(),
        source: origin.source(blob),
        mount_from: origin.repository().into_iter().collect(),
    });
    let documents = whole.documents.iter();
    let mut manifests: Vec<PushManifest> = documents
        .map(|(entry, bytes)| PushManifest {
            media_type: entry.media_type.clone(),
            bytes: bytes.clone(),
        })
        .collect();
    let root = manifests
        .pop()
        .ok_or_else(|| BuildError::request("there is nothing to send"))?;
    let push = Push {
        blobs: blobs.collect(),
        manifests,
        root,
        tags,
    };
    Ok(registries.push(to, &push, progress).await?)
}
