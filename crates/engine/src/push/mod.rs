//! Gives images to registries, and fetches and compresses nothing that they have.

mod fault;
mod layers;
mod source;

use crate::attesting::Attestations;
use crate::export;
use crate::images::{Assembled, FinishError, outcome};
use crate::runner::StepRunner;
use crate::{BuildRequest, ImageOptions, Push};
use acetate_image::{Bundle, Image};
use acetate_oci::{Descriptor, Reference};
use acetate_registry::{
    Insecure, MemorySource, Progress, Push as Shipment, PushBlob, PushManifest, PushReport,
    RegistryError, Repository,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One output that goes to registries.
pub(crate) struct Pushing<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) options: &'a ImageOptions,
    pub(crate) how: Push,
    /// What is said about the images.
    pub(crate) attestations: &'a Attestations,
    /// Hears of the layers that are compressed.
    pub(crate) packing: &'a Arc<dyn Progress>,
}

/// Pushes under all names; gives what they lead to.
pub(crate) async fn push(
    runner: &Arc<StepRunner>,
    assembled: &[Assembled],
    pushing: &Pushing<'_>,
) -> Result<Descriptor, FinishError> {
    let names = export::names(pushing.options, &pushing.request.tags)?;
    let ready = layers::ready(runner, assembled, pushing).await?;
    let images: Vec<Image> = ready.images;
    let said = pushing.attestations;
    let companions = said.companions(&images, &names, pushing.options);
    let bundle = Bundle::new(&images, &companions, &pushing.options.annotations);
    let mut blobs: Vec<PushBlob> = ready.blobs;
    blobs.extend(bundle.blobs.values().map(|bytes| PushBlob {
        descriptor: Descriptor::of(acetate_oci::MediaType::OCI_CONFIG, bytes),
        source: Arc::new(MemorySource(bytes.as_slice().into())),
        mount_from: Vec::new(),
    }));
    let mut done: Vec<Repository> = Vec::new();
    for (repository, tags) in by_repository(&names, pushing.how.by_digest) {
        for blob in &mut blobs {
            // What one name has got is there for the others on the same registry.
            blob.mount_from.extend(done.last().cloned());
        }
        let step = runner.progress.internal(&format!("pushing {repository}"));
        let shipment = shipment(&bundle, blobs.clone(), tags);
        let progress = step.transfer("uploading");
        let sent = send(runner, &repository, &shipment, (pushing.how, &progress)).await;
        let sent = sent.map_err(|error| ready.fault.or(error.into(), assembled));
        match &sent {
            Ok(report) => step.note(&format!(
                "{} of {} blobs sent, {} bytes",
                report.n_sent,
                shipment.blobs.len(),
                report.n_bytes
            )),
            Err(FinishError::Lost(_)) => step.note("a layer is gone and is made again"),
            Err(FinishError::Build(_)) => {}
        }
        step.end_as(outcome(&sent));
        sent?;
        done.push(repository);
    }
    Ok(bundle.root)
}

/// Sends to one repository; to a registry that may be insecure first with TLS, then without.
async fn send(
    runner: &StepRunner,
    repository: &Repository,
    shipment: &Shipment,
    (how, progress): (Push, &Arc<dyn Progress>),
) -> Result<PushReport, RegistryError> {
    if !how.insecure {
        return runner.registries.push(repository, shipment, progress).await;
    }
    let any = runner
        .registries
        .trusting(repository, Insecure::AnyCertificate);
    match any.push(repository, shipment, progress).await {
        Err(RegistryError::Net(error)) => {
            tracing::debug!(%error, %repository, "the registry is tried without TLS");
            let plain = runner.registries.trusting(repository, Insecure::PlainHttp);
            plain.push(repository, shipment, progress).await
        }
        outcome => outcome,
    }
}

fn shipment(bundle: &Bundle, blobs: Vec<PushBlob>, tags: Vec<String>) -> Shipment {
    let mut manifests: Vec<PushManifest> = bundle
        .documents
        .iter()
        .map(|(entry, bytes)| PushManifest {
            media_type: entry.media_type.clone(),
            bytes: bytes.clone(),
        })
        .collect();
    // A bundle ends with its root, and is never empty.
    let root = manifests.pop().unwrap_or_else(|| PushManifest {
        media_type: bundle.root.media_type.clone(),
        bytes: Vec::new(),
    });
    Shipment {
        blobs,
        manifests,
        root,
        tags,
    }
}

/// The tags of each repository, in the order of the names; none where only the digest is to be there.
fn by_repository(names: &[Reference], by_digest: bool) -> Vec<(Repository, Vec<String>)> {
    let mut order: Vec<Repository> = Vec::new();
    let mut tags: BTreeMap<Repository, Vec<String>> = BTreeMap::new();
    for name in names {
        let repository = Repository::from(name);
        if !order.contains(&repository) {
            order.push(repository.clone());
        }
        let known = tags.entry(repository).or_default();
        let tag = name.tag().unwrap_or("latest").to_owned();
        if !by_digest && !known.contains(&tag) {
            known.push(tag);
        }
    }
    order
        .into_iter()
        .map(|repository| {
            let tags = tags.remove(&repository).unwrap_or_default();
            (repository, tags)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_repository_are_pushed_together_and_in_order() {
        let names = ["r.example/b:2", "r.example/a", "r.example/b:1"];
        let names = names.map(|name| name.parse::<Reference>().unwrap());
        let shown = |by_digest| -> Vec<String> {
            by_repository(&names, by_digest)
                .iter()
                .map(|(repository, tags)| format!("{repository} {}", tags.join(" ")))
                .collect()
        };
        assert_eq!(shown(false), ["r.example/b 2 1", "r.example/a latest"]);
        assert_eq!(shown(true), ["r.example/b ", "r.example/a "]);
    }
}
