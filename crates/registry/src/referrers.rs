//! Lists what speaks about a manifest: by the interface, else by the tag that stands in for it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use acetate_net::Fetched;
use acetate_oci::{Descriptor, Digest, Index, MediaType, canonical_json};

use crate::auth::Intent;
use crate::registries::{Registries, Site, Tries};
use crate::{Name, RegistryError, Repository};

/// How often a list that others write, too, is written before that is given up.
const N_WRITES: u32 = 8;
/// A slow registry is not waited for longer than that.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Whether a list had to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Added {
    /// It had all entries.
    Nothing,
    Some,
}

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
        let mut found = self.listed(&site, subject).await?;
        // The registry's own filter is a matter of taste; this one always works.
        found.retain(|entry| {
            artifact_type.is_none_or(|wanted| entry.artifact_type.as_deref() == Some(wanted))
        });
        Ok(found)
    }

    /// All that speaks about `subject`, as a site lists it.
    pub(crate) async fn listed(
        &self,
        site: &Site,
        subject: Digest,
    ) -> Result<Vec<Descriptor>, RegistryError> {
        let what = format!("the referrers of `{subject}` in `{}`", site.repository);
        let mut found = Vec::new();
        let take = |fetched: Fetched| {
            let index: Index = serde_json::from_slice(&fetched.body)
                .map_err(|error| RegistryError::corrupt(&what, error.to_string()))?;
            found.extend(index.manifests);
            Ok(())
        };
        let path = format!("referrers/{subject}");
        if self.pages(site, &path, &what, take).await?.is_none() {
            let index = self.fallback(site, subject).await?;
            found = index.map(|index| index.manifests).unwrap_or_default();
        }
        Ok(found)
    }

    /// Adds an entry to the tag that stands in for the interface, where there is none.
    ///
    /// No registry replaces a tag only if it is still what was read. So what was written is read
    /// again, after a pause in which whoever had read the tag before that has written it, too.
    pub(crate) async fn refer(
        &self,
        site: &Site,
        subject: Digest,
        entry: Descriptor,
    ) -> Result<(), RegistryError> {
        // Those of one process take turns.
        let _one = self.fallbacks.lock().await;
        // All that was seen there, too: what another writer overwrote is put back by this one.
        let mut wanted = vec![entry];
        for n in 1..=N_WRITES {
            let began = Instant::now();
            if self.add(site, subject, &mut wanted).await? == Added::Nothing {
                return Ok(());
            }
            let pause = self.net.backoff(n).max(2 * began.elapsed());
            tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
        }
        let index = self.fallback(site, subject).await?;
        if index.is_some_and(|index| lacks(&index, &wanted).next().is_none()) {
            return Ok(());
        }
        let (name, repository) = (tag(subject), &site.repository);
        let what = format!("add to the list of referrers `{name}` of `{repository}`");
        Err(RegistryError::Overwritten { what })
    }

    /// Reads the tag once, and writes it where it lacks something that is wanted; what it has is
    /// wanted from then on.
    async fn add(
        &self,
        site: &Site,
        subject: Digest,
        wanted: &mut Vec<Descriptor>,
    ) -> Result<Added, RegistryError> {
        let index = self.fallback(site, subject).await?;
        let mut index = index.unwrap_or_else(|| Index::oci(Vec::new()));
        let missing: Vec<Descriptor> = lacks(&index, wanted).cloned().collect();
        if missing.is_empty() {
            return Ok(Added::Nothing);
        }
        index.manifests.extend(missing);
        wanted.clone_from(&index.manifests);
        let bytes = canonical_json(&index);
        self.put_document(site, &tag(subject), &MediaType::OCI_INDEX, &bytes)
            .await?;
        Ok(Added::Some)
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

/// The entries that an index lacks.
fn lacks<'a>(index: &Index, wanted: &'a [Descriptor]) -> impl Iterator<Item = &'a Descriptor> {
    let known: BTreeSet<Digest> = index.manifests.iter().map(|entry| entry.digest).collect();
    wanted
        .iter()
        .filter(move |entry| !known.contains(&entry.digest))
}

/// The referrers tag of a digest: `sha256-...`.
fn tag(subject: Digest) -> Name {
    Name::Tag(subject.to_string().replace(':', "-"))
}
