//! What a build says about its results: gathered when the images are put together, and given to
//! each output in the form that it has for it.

mod context_copy;
mod facts;
mod generator;
mod outputs;
mod scan;
mod sources;
mod targets;
mod trees;

pub(crate) use generator::Generator;
pub(crate) use outputs::Attestations;
pub(crate) use targets::extra_targets;

use crate::images::{Assembled, FinishError};
use crate::output::Output;
use crate::runner::StepRunner;
use crate::{BuildError, BuildRequest, ImageOptions, OutputSpec, Place, Style};
use acetate_attest::ProvenanceOptions;
use acetate_frontend::Lowered;
use acetate_graph::VertexId;
use std::sync::Arc;

/// Refuses attestations that an output has no place for.
pub(crate) fn check(request: &BuildRequest) -> Result<(), BuildError> {
    for output in &request.outputs {
        let Some((options, flag)) = output
            .image()
            .and_then(|options| Some((options, carried(request, options)?)))
        else {
            continue;
        };
        if let OutputSpec::DockerArchive(..) | OutputSpec::Load(..) = output {
            return Err(BuildError::request_with(
                format!("type=docker holds no attestations, and {flag} asks for them"),
                format!("use type=oci, or leave {flag} out"),
            ));
        }
        if options.packaging.style == Style::Docker && writes_index(output) {
            return Err(BuildError::request_with(
                format!(
                    "oci-mediatypes=false cannot be combined with {flag}: attestations have OCI media types"
                ),
                format!("leave one of oci-mediatypes=false and {flag} out"),
            ));
        }
    }
    Ok(())
}

/// Whether an output is written out together with what is said of it; what is only kept here is not.
fn writes_index(output: &OutputSpec) -> bool {
    match output {
        OutputSpec::Oci(..) => true,
        OutputSpec::Image(_, Place { push, .. }) => push.is_some(),
        _ => false,
    }
}

/// Whether an image that is written so has attestations beside it, hence is an index.
pub(crate) fn carries(request: &BuildRequest, options: &ImageOptions) -> bool {
    carried(request, options).is_some()
}

/// The flag that asks for an attestation which an image carries.
fn carried(request: &BuildRequest, options: &ImageOptions) -> Option<&'static str> {
    if request.attest.sbom.is_some() {
        return Some("--sbom");
    }
    carries_provenance(request, options).then_some("--provenance")
}

fn carries_provenance(request: &BuildRequest, options: &ImageOptions) -> bool {
    let provenance = request.attest.provenance.as_ref();
    provenance.is_some_and(|wanted| is_inline(wanted, options))
}

/// Whether an image that is written so carries provenance that is wanted so.
fn is_inline(wanted: &ProvenanceOptions, options: &ImageOptions) -> bool {
    !wanted.inline_only || options.attestations.inline
}

/// Whether something is written that an SBOM can go with.
fn scans(request: &BuildRequest) -> bool {
    let carries = |output: &OutputSpec| match output {
        OutputSpec::Tar(..) | OutputSpec::Local(..) => true,
        output => writes_index(output),
    };
    request.attest.sbom.is_some() && request.outputs.iter().any(carries)
}

fn writes_files(request: &BuildRequest) -> bool {
    let is_tree =
        |output: &OutputSpec| matches!(output, OutputSpec::Tar(..) | OutputSpec::Local(..));
    request.outputs.iter().any(is_tree)
}

/// The results of all vertices that were demanded.
#[derive(Clone, Copy)]
pub(crate) struct Results<'a> {
    pub(crate) vertices: &'a [VertexId],
    pub(crate) outputs: &'a [Output],
}

impl Results<'_> {
    /// The result of a vertex, and its place among those demanded.
    fn find(&self, vertex: VertexId) -> Option<(usize, &Output)> {
        let n = self.vertices.iter().position(|id| *id == vertex)?;
        Some((n, self.outputs.get(n)?))
    }
}

/// Gathers all that outputs may say of the images.
pub(crate) async fn gather(
    runner: &Arc<StepRunner>,
    lowered: &Lowered,
    request: &BuildRequest,
    results: Results<'_>,
    assembled: &[Assembled],
) -> Result<Attestations, FinishError> {
    let asked = &request.attest;
    let has_provenance = asked.provenance.is_some() || request.metadata_provenance.is_some();
    if !has_provenance && !scans(request) {
        return Ok(Attestations::default());
    }
    let began = facts::Run::new(runner, lowered, request);
    let mut told = Vec::with_capacity(assembled.len());
    for (image, one) in lowered.images.iter().zip(assembled) {
        let created = began.scanned_at(one.image.config.created);
        let scans = scan::scans(runner, lowered, request, results, (image, one), created).await?;
        let files = if writes_files(request) {
            let own = image.output.and_then(|edge| results.find(edge.vertex));
            trees::subjects(runner, &one.files.snapshot, own.map(|(n, _)| n)).await?
        } else {
            Vec::new()
        };
        told.push(outputs::Told {
            platform: image.platform.clone(),
            facts: began.facts(runner, lowered, request, image),
            scans,
            files,
            output: image.output,
            chains: outputs::chains(image, one),
            plain: one.image.layers.clone(),
        });
    }
    Ok(Attestations::new(
        runner,
        request,
        told,
        began.epoch_or_now(),
    ))
}
