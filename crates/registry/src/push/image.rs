//! Sends an image whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use acetate_net::Method;
use acetate_oci::{Descriptor, Digest, MediaType};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Deserialize;

use super::{BlobSource, Pushed};
use crate::auth::Intent;
use crate::registries::{Registries, Site, Tries};
use crate::{Name, Progress, RegistryError, Repository};

/// How often a manifest is sent that the registry calls wrong.
const N_MANIFEST_TRIES: u32 = 3;

/// A blob on its way out.
#[derive(Clone, Debug)]
pub struct PushBlob {
    /// What it is.
    pub descriptor: Descriptor,
    /// Its bytes; not opened when the registry has it.
    pub source: Arc<dyn BlobSource>,
    /// Repositories that may have it; those on other registries are passed over.
    pub mount_from: Vec<Repository>,
}

/// A manifest or index on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushManifest {
    /// What it is.
    pub media_type: MediaType,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An image on its way out.
#[derive(Clone, Debug)]
pub struct Push {
    /// All blobs of all manifests.
    pub blobs: Vec<PushBlob>,
    /// What the root names, and what speaks about it; each after what it names.
    pub manifests: Vec<PushManifest>,
    /// The manifest or index that is the image.
    pub root: PushManifest,
    /// What is moved to the root when everything is there; without any it is found by its digest.
    pub tags: Vec<String>,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushReport {
    /// The digest of the root.
    pub digest: Digest,
    /// Blobs that were there.
    pub n_present: usize,
    /// Blobs that the registry took from another repository.
    pub n_mounted: usize,
    /// Blobs that were sent.
    pub n_sent: usize,
    /// Their bytes.
    pub n_bytes: u64,
}

/// What a manifest says about another one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Speaking {
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    config: Option<Typed>,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Typed {
    media_type: String,
}

impl PushBlob {
    pub(super) fn what(&self, repository: &Repository) -> String {
        format!("the blob `{}` to `{repository}`", self.descriptor.digest)
    }
}

impl PushManifest {
    /// Its digest.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    fn speaking(&self) -> Option<Speaking> {
        serde_json::from_slice(&self.bytes).ok()
    }
}

impl Registries {
    /// Sends an image: blobs, then manifests in their order, then the root, its tags last.
    ///
    /// Nothing is sent that the registry has. Several tags are moved in their order.
    ///
    /// # Errors
    /// The first fault; nothing that is sent later has been sent then.
    pub async fn push(
        &self,
        to: &Repository,
        push: &Push,
        progress: &Arc<dyn Progress>,
    ) -> Result<PushReport, RegistryError> {
        let site = self.origin(to, Intent::Push).await?;
        let mut report = PushReport {
            digest: push.root.digest(),
            n_present: 0,
            n_mounted: 0,
            n_sent: 0,
            n_bytes: 0,
        };
        if self.has_all(&site, push).await? {
            report.n_present = push.blobs.len();
            self.list_speaking(&site, push).await?;
            if push.tags.is_empty() {
                return Ok(report);
            }
        } else {
            self.send_blobs(to, push, progress, &mut report).await?;
            for manifest in &push.manifests {
                let name = Name::Digest(manifest.digest());
                self.put_at(&site, &name, manifest).await?;
            }
        }
        if push.tags.is_empty() {
            self.put_at(&site, &Name::Digest(report.digest), &push.root)
                .await?;
        }
        for tag in &push.tags {
            self.put_at(&site, &Name::Tag(tag.clone()), &push.root)
                .await?;
        }
        Ok(report)
    }

    /// Puts one manifest, and tells what it speaks about where the registry does not do so itself.
    ///
    /// # Errors
    /// When the registry does not take it, for example because blobs of it are missing.
    pub async fn put_manifest(
        &self,
        to: &Repository,
        name: &Name,
        manifest: &PushManifest,
    ) -> Result<Digest, RegistryError> {
        let site = self.origin(to, Intent::Push).await?;
        self.put_at(&site, name, manifest).await?;
        Ok(manifest.digest())
    }

    /// Whether the registry has every manifest, and so, by its own rules, every blob.
    async fn has_all(&self, site: &Site, push: &Push) -> Result<bool, RegistryError> {
        for manifest in [&push.root].into_iter().chain(&push.manifests) {
            let digest = manifest.digest();
            if self
                .describe_at(site, &Name::Digest(digest))
                .await?
                .is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Puts those manifests once more that speak about others and are in no list there: who copied
    /// them need not have known that the registry lists none itself.
    async fn list_speaking(&self, site: &Site, push: &Push) -> Result<(), RegistryError> {
        for manifest in push.manifests.iter().chain([&push.root]) {
            let subject = manifest.speaking().and_then(|said| said.subject);
            let Some(subject) = subject else {
                continue;
            };
            let digest = manifest.digest();
            match self.listed(site, subject.digest).await {
                Ok(listed) if listed.iter().all(|entry| entry.digest != digest) => {
                    self.put_at(site, &Name::Digest(digest), manifest).await?;
                }
                Ok(_) => {}
                // Everything is there; that a registry shows no lists is no reason to fail.
                Err(error @ RegistryError::Refused { .. }) => {
                    tracing::debug!(%error, "it is not known what the registry lists");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn send_blobs(
        &self,
        to: &Repository,
        push: &Push,
        progress: &Arc<dyn Progress>,
        report: &mut PushReport,
    ) -> Result<(), RegistryError> {
        let mut seen = BTreeSet::new();
        let once = push
            .blobs
            .iter()
            .filter(|blob| seen.insert(blob.descriptor.digest));
        let work: Vec<_> = once
            .map(|blob| async move {
                let pushed = self.push_blob(to, blob, progress).await?;
                Ok::<_, RegistryError>((pushed, blob.descriptor.size))
            })
            .collect();
        // The permits bound what is under way; this bounds what waits for one.
        let mut done = stream::iter(work).buffer_unordered(2 * self.access.n_uploads.max(1));
        while let Some((pushed, size)) = done.try_next().await? {
            match pushed {
                Pushed::Present => report.n_present += 1,
                Pushed::Mounted => report.n_mounted += 1,
                Pushed::Sent => {
                    report.n_sent += 1;
                    report.n_bytes += size;
                }
            }
        }
        Ok(())
    }

    async fn put_at(
        &self,
        site: &Site,
        name: &Name,
        manifest: &PushManifest,
    ) -> Result<(), RegistryError> {
        let PushManifest { media_type, bytes } = manifest;
        let told = self.put_document(site, name, media_type, bytes).await?;
        let Some(speaking) = manifest.speaking() else {
            return Ok(());
        };
        let Some(subject) = &speaking.subject else {
            return Ok(());
        };
        if told == Told::Registry {
            return Ok(());
        }
        let mut entry = Descriptor::of(media_type.clone(), bytes);
        let by_config = speaking.config.map(|config| config.media_type);
        let named = speaking.artifact_type.filter(|kind| !kind.is_empty());
        entry.artifact_type = named.or(by_config);
        entry.annotations = speaking.annotations;
        self.refer(site, subject.digest, entry).await
    }

    /// Puts the bytes of a manifest.
    pub(crate) async fn put_document(
        &self,
        site: &Site,
        name: &Name,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<Told, RegistryError> {
        let what = format!("the manifest `{name}` to `{}`", site.repository);
        let request = site
            .request(Method::Put, &format!("manifests/{name}"))?
            .header("content-type", media_type.as_str())
            .body(bytes);
        let mut n_tries = 1;
        let response = loop {
            let response = self.send(site, &request, Tries::Many).await?;
            if response.status() != 400 || n_tries == N_MANIFEST_TRIES {
                break response;
            }
            // Registries that keep files mix up manifests that several clients put at once.
            self.net.pause(n_tries).await;
            n_tries += 1;
        };
        if !matches!(response.status(), 200..=202 | 204) {
            let refusal = self.refusal(site, response, "send", &what).await;
            return Err(refusal.of_sending("send"));
        }
        let headers = response.headers();
        let announced = headers.get("docker-content-digest");
        let announced = announced.and_then(|text| text.trim().parse::<Digest>().ok());
        if announced.is_some_and(|digest| digest != Digest::of(bytes)) {
            let reason = "the registry stored it with another digest";
            return Err(RegistryError::corrupt(what, reason));
        }
        Ok(match headers.get("oci-subject") {
            Some(_) => Told::Registry,
            None => Told::Nobody,
        })
    }
}

/// Who knows what a new manifest speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The registry read it.
    Registry,
    /// The registry said nothing of it.
    Nobody,
}
