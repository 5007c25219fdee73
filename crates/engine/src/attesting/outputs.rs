//! Attestations in the form that each output has for them.

use super::{is_inline, sources};
use crate::TreeOptions;
use crate::images::Assembled;
use crate::runner::StepRunner;
use crate::{BuildRequest, ImageOptions};
use acetate_attest::carry::{Form, carry};
use acetate_attest::provenance::{self, Facts, Layers, Mode, SourceFile};
use acetate_attest::scanner::Scan;
use acetate_attest::{ProvenanceOptions, Statement, StatementVersion, Subject, file_name};
use acetate_frontend::ImageResult;
use acetate_graph::{Edge, VertexId};
use acetate_image::{Companion, ExtraFile, Image, ImageLayer, PlatformDirs};
use acetate_oci::{Descriptor, Platform, Reference, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of one image.
pub(super) struct Told {
    pub(super) platform: Platform,
    pub(super) facts: Facts,
    pub(super) scans: Vec<Scan>,
    /// Its files, when some output consists of files.
    pub(super) files: Vec<Subject>,
    pub(super) output: Option<Edge>,
    /// How many of its layers each step leaves.
    pub(super) chains: BTreeMap<VertexId, usize>,
    /// Its layers as they are uncompressed.
    pub(super) plain: Vec<ImageLayer>,
}

/// How many layers of an image there are after each of its steps.
pub(super) fn chains(image: &ImageResult, assembled: &Assembled) -> BTreeMap<VertexId, usize> {
    let steps: Vec<VertexId> = image.history.iter().filter_map(|line| line.layer).collect();
    let below = assembled.image.layers.len().saturating_sub(steps.len());
    let numbered = steps.into_iter().enumerate();
    numbered.map(|(n, id)| (id, below + n + 1)).collect()
}

/// All that is said of the images of a build.
#[derive(Default)]
pub(crate) struct Attestations {
    runner: Option<Arc<StepRunner>>,
    provenance: Option<ProvenanceOptions>,
    metadata: Option<Mode>,
    told: Vec<Told>,
    /// The time of files.
    time: Timestamp,
}

impl Attestations {
    pub(super) fn new(
        runner: &Arc<StepRunner>,
        request: &BuildRequest,
        told: Vec<Told>,
        time: Timestamp,
    ) -> Self {
        Self {
            runner: Some(Arc::clone(runner)),
            provenance: request.attest.provenance.clone(),
            metadata: request.metadata_provenance,
            told,
            time,
        }
    }

    /// What stands beside images in their index; `images` are as the output has them.
    pub(crate) fn companions(
        &self,
        images: &[Image],
        names: &[Reference],
        options: &ImageOptions,
    ) -> Vec<Companion> {
        let form = if options.attestations.artifact {
            Form::Artifact
        } else {
            Form::Image
        };
        let pairs = images.iter().zip(&self.told);
        pairs
            .filter_map(|(image, told)| {
                let subject = subjects(image, names, &told.platform);
                let wanted = self.provenance.as_ref();
                let wanted = wanted.filter(|wanted| is_inline(wanted, options));
                let statements = self.statements(told, &image.layers, wanted, &subject);
                let statements: Vec<Statement> = statements
                    .into_iter()
                    .map(|(_, statement)| statement)
                    .collect();
                if statements.is_empty() {
                    return None;
                }
                let carried = carry(&image.descriptor, &statements, form);
                let below = carried.statements.iter().chain([&carried.config]);
                Some(Companion {
                    entry: carried.index_entry(),
                    blobs: below.map(|blob| blob.bytes.clone()).collect(),
                    manifest: carried.manifest.bytes,
                })
            })
            .collect()
    }

    /// What lies beside the files of each image.
    pub(crate) fn files(&self, options: &TreeOptions) -> Vec<Vec<ExtraFile>> {
        let wanted = self
            .provenance
            .as_ref()
            .filter(|wanted| !wanted.inline_only);
        let is_merged = options.platform_dirs == PlatformDirs::Never && self.told.len() > 1;
        let of = |told: &Told| {
            let statements = self.statements(told, &told.plain, wanted, &told.files);
            let file = |(name, statement): (String, Statement)| ExtraFile {
                name: file_name(
                    &options.attestation_prefix,
                    &name,
                    is_merged.then_some(&told.platform),
                ),
                bytes: statement.to_bytes(),
                mtime: self.time,
            };
            statements.into_iter().map(file).collect()
        };
        self.told.iter().map(of).collect()
    }

    /// The provenance of each platform, for the caller of the build.
    pub(crate) fn predicates(&self) -> Vec<(Platform, Value)> {
        let Some(mode) = self.metadata else {
            return Vec::new();
        };
        let options = ProvenanceOptions {
            mode,
            ..self.provenance.clone().unwrap_or_default()
        };
        let told = self.told.iter();
        told.map(|told| {
            let facts = self.facts(told, &told.plain, &options);
            (
                told.platform.clone(),
                provenance::predicate(&facts, &options),
            )
        })
        .collect()
    }

    /// The scans, then the provenance, each with the name of its file.
    fn statements(
        &self,
        told: &Told,
        layers: &[ImageLayer],
        wanted: Option<&ProvenanceOptions>,
        subject: &[Subject],
    ) -> Vec<(String, Statement)> {
        let version = wanted.map_or(StatementVersion::default(), |wanted| wanted.statement);
        let scans = told.scans.iter();
        let mut out: Vec<(String, Statement)> = scans
            .map(|scan| {
                (
                    format!("{}.json", scan.name),
                    scan.statement(version, subject),
                )
            })
            .collect();
        if let Some(options) = wanted {
            let facts = self.facts(told, layers, options);
            let statement = provenance::statement(&facts, options, subject.to_vec());
            out.push((options.filename.clone(), statement));
        }
        out
    }

    /// The facts, with the steps where they are told.
    fn facts(&self, told: &Told, layers: &[ImageLayer], options: &ProvenanceOptions) -> Facts {
        let mut facts = told.facts.clone();
        if let (Mode::Max, Some(runner)) = (options.mode, &self.runner) {
            facts.definition = Some(definition(runner, told, layers));
        }
        facts
    }
}

fn subjects(image: &Image, names: &[Reference], platform: &Platform) -> Vec<Subject> {
    let manifest = image.descriptor.digest;
    if names.is_empty() {
        return vec![Subject::nameless(manifest)];
    }
    let named = |name| Subject::image(name, Some(platform), manifest);
    names.iter().map(named).collect()
}

fn definition(runner: &StepRunner, told: &Told, layers: &[ImageLayer]) -> provenance::Definition {
    let targets: Vec<Edge> = told.output.into_iter().collect();
    let dockerfile = SourceFile {
        filename: runner.contexts.source.name().to_owned(),
        language: "Dockerfile".to_owned(),
        data: runner.contexts.source.text().as_bytes().to_vec(),
    };
    let chain = |id: VertexId| {
        let Some(n) = told.chains.get(&id) else {
            return Layers::new();
        };
        let plain = |layer: &ImageLayer| {
            let Descriptor {
                media_type,
                digest,
                size,
                ..
            } = layer.descriptor.clone();
            Descriptor::new(media_type, digest, size)
        };
        let chain = layers.iter().take(*n).map(plain).collect();
        Layers::from([(0, vec![chain])])
    };
    let identifier = |id, source: &_| sources::identifier(runner, id, source);
    let mut out =
        provenance::from_graph(&runner.graph, &targets, vec![dockerfile], identifier, chain);
    for source in &mut out.sources {
        source.filename.clone_from(&told.facts.config.path);
    }
    out
}
