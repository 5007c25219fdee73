//! Lists what speaks about a manifest: by the interface, else by the tag that stands in for it.

use acetate_net::Fetched;
use acetate_oci::{Descriptor, Digest, Index, MediaType, canonical_json};

use crate::auth::Intent;
use crate::registries::{Registries, Site, Tries};
use crate::{Name, RegistryError, Repository};

impl Registries {
    /// The manifests whose subject is `subject`, of one artifact type if it is named.
    ///
    /// # Errors
    /// When the registry does not answer, or not as it should.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let site = self.origin(repository, Intent::Pull).await?;
        let what = format!("the referrers of `{subject}` in `{repository}`");
        let mut found = Vec::new();
        let take = |fetched: Fetched| {
            let index: Index = serde_json::from_slice(&fetched.body)
                .map_err(|error| RegistryError::corrupt(&what, error.to_string()))?;
            found.extend(index.manifests);
            Ok(())
        };
        let path = format!("referrers/{subject}");
        if self.pages(&site, &path, &what, take).await?.is_none() {
            let index = self.fallback(&site, subject).await?;
            found = index.map(|index| index.manifests).unwrap_or_default();
        }
        // The registry's own filter is a matter of taste; this one always works.
        found.retain(|entry| {
            artifact_type.is_none_or(|wanted| entry.artifact_type.as_deref() == Some(wanted))
        });
        Ok(found)
    }

    /// Adds an entry to the tag that stands in for the interface, where there is none.
    pub(crate) async fn refer(
        &self,
        site: &Site,
        subject: Digest,
        entry: Descriptor,
    ) -> Result<(), RegistryError> {
        // Between two processes one entry may be lost, as the specification says.
        let _one = self.fallbacks.lock().await;
        let index = self.fallback(site, subject).await?;
        let mut index = index.unwrap_or_else(|| Index::oci(Vec::new()));
        if index
            .manifests
            .iter()
            .any(|known| known.digest == entry.digest)
        {
            return Ok(());
        }
        index.manifests.push(entry);
        let bytes = canonical_json(&index);
        self.put_document(site, &tag(subject), &MediaType::OCI_INDEX, &bytes)
            .await?;
        Ok(())
    }

    async fn fallback(&self, site: &Site, subject: Digest) -> Result<Option<Index>, RegistryError> {
        let name = tag(subject);
        let served = match self.manifest_at(site, &name, Tries::Many).await {
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            served => served?,
        };
        let what = format!("the index `{name}` of `{}`", site.repository);
        serde_json::from_slice(&served.bytes)
            .map(Some)
            .map_err(|error| RegistryError::corrupt(what, error.to_string()))
    }
}

/// The referrers tag of a digest: `sha256-...`.
fn tag(subject: Digest) -> Name {
    Name::Tag(subject.to_string().replace(':', "-"))
}
