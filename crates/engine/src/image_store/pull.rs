//! Fetches images of registries, to be kept.

use crate::progress::{InternalStep, Progress as StepProgress};
use crate::{BuildError, Engine, EventSink};
use acetate_image::{ImageSource, Puller};
use acetate_oci::{Digest, Platform, Reference};
use acetate_registry::{Insecure, Name, Progress, Registries, RegistryError, Repository};
use std::sync::Arc;

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// The name, under which it is kept, too.
    pub name: Reference,
    /// Of which platforms.
    pub platforms: WantedPlatforms,
    /// Whether the registry may be one without TLS, or with a certificate that proves nothing.
    pub insecure: bool,
}

/// The platforms that are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedPlatforms {
    /// This one.
    One(Platform),
    /// All that there are, and what stands beside them.
    All,
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullReport {
    /// What the name led to: a manifest or an index.
    pub digest: Digest,
    /// The platforms.
    pub platforms: Vec<Platform>,
    /// How many layers there are.
    pub n_layers: usize,
}

impl Engine {
    /// Fetches an image, unpacks nothing, and keeps it under its name.
    ///
    /// # Errors
    /// When there is no such image, or it is not what was promised.
    pub async fn pull_image(
        &self,
        request: &PullRequest,
        sink: &Arc<dyn EventSink>,
    ) -> Result<PullReport, BuildError> {
        let step = self.step(sink, &format!("pulling {}", request.name));
        let pulled = self.pull(request, &step.transfer("downloading")).await;
        step.end(&pulled);
        pulled
    }

    async fn pull(
        &self,
        request: &PullRequest,
        progress: &Arc<dyn Progress>,
    ) -> Result<PullReport, BuildError> {
        let name = &request.name;
        let puller = self.puller_for(name, request.insecure).await;
        let source = ImageSource::Registry(name.clone());
        let (whole, origin, digest) = match &request.platforms {
            WantedPlatforms::All => {
                let (whole, origin) = puller.whole(&source).await?;
                let digest = whole.root.digest;
                (whole, origin, digest)
            }
            WantedPlatforms::One(platform) => {
                let found = puller.resolve(&source, platform).await?;
                let pinned = name.clone().with_digest(found.manifest_digest);
                let (whole, origin) = puller.whole(&ImageSource::Registry(pinned)).await?;
                (whole, origin, found.root_digest)
            }
        };
        puller.fetch_whole(&whole, &origin, progress).await?;
        let found = self.images_in(&whole)?;
        let report = PullReport {
            digest,
            platforms: found.images.iter().map(|it| it.platform.clone()).collect(),
            n_layers: found.layers.len(),
        };
        self.keep_whole(
            std::slice::from_ref(name),
            &whole,
            found.images,
            Some(digest),
        )?;
        Ok(report)
    }

    /// A step of work on images, which is shown as those of builds are.
    pub(super) fn step(&self, sink: &Arc<dyn EventSink>, name: &str) -> InternalStep {
        StepProgress::new(Arc::clone(sink), Arc::clone(&self.clock)).internal(name)
    }

    /// What fetches from one registry.
    pub(super) async fn puller_for(&self, name: &Reference, insecure: bool) -> Arc<Puller> {
        if !insecure {
            return Arc::clone(&self.puller);
        }
        let registries = self.registries_for(&Repository::from(name), insecure).await;
        Arc::new(Puller::new(Arc::clone(&self.store), registries))
    }

    /// What speaks to one registry; one that may be insecure is asked how it can be spoken to.
    pub(super) async fn registries_for(
        &self,
        repository: &Repository,
        insecure: bool,
    ) -> Arc<Registries> {
        if !insecure {
            return Arc::clone(&self.registries);
        }
        let any = self
            .registries
            .trusting(repository, Insecure::AnyCertificate);
        let asked = any
            .describe(repository, &Name::Tag("latest".to_owned()))
            .await;
        Arc::new(match asked {
            Err(RegistryError::Net(_)) => self.registries.trusting(repository, Insecure::PlainHttp),
            _ => any,
        })
    }
}
