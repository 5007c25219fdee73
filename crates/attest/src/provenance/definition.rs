use std::collections::BTreeMap;

use acetate_oci::{Descriptor, Digest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

/// The steps of a build, and the text that they come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Definition {
    /// The steps; what a step needs stands before it.
    pub steps: Vec<Step>,
    /// The Dockerfile, and whatever else steps come from.
    pub sources: Vec<SourceFile>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// What is done, in the words of LLB's JSON: `{"Op": {"exec": {..}}, "platform": {..}}`.
    pub op: Value,
    /// What it needs: a step by index, and one of its outputs.
    pub inputs: Vec<(usize, u32)>,
    /// What the step is, for `digestMapping`; none leaves it out there.
    pub digest: Option<Digest>,
    /// Where it stands: the index of the source, and first and last line, from 1.
    pub location: Option<(usize, u32, u32)>,
    /// The layers that its outputs are in an image.
    pub layers: Layers,
}

/// By output: the ways to have it, each a chain of layers, lowest first.
pub type Layers = BTreeMap<u32, Vec<Vec<Descriptor>>>;

/// A text that steps come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name as the user gave it.
    pub filename: String,
    /// `Dockerfile`, unless it is something else.
    pub language: String,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl Definition {
    /// `buildConfig`: the steps with their ids, and their digests.
    pub(super) fn build_config(&self) -> Value {
        let steps: Vec<Value> = self.steps.iter().enumerate().map(step_json).collect();
        let digests: Map<String, Value> = self
            .steps
            .iter()
            .enumerate()
            .filter_map(|(n, step)| Some((step.digest?.to_string(), json!(id(n)))))
            .collect();
        let mut config = Map::new();
        if !steps.is_empty() {
            config.insert("llbDefinition".to_owned(), steps.into());
        }
        if !digests.is_empty() {
            config.insert("digestMapping".to_owned(), digests.into());
        }
        config.into()
    }

    /// `source` of the metadata: the texts, and which lines each step comes from.
    pub(super) fn source(&self) -> Option<Value> {
        if self.sources.is_empty() {
            return None;
        }
        let infos: Vec<Value> = self
            .sources
            .iter()
            .map(|file| {
                json!({
                    "filename": file.filename,
                    "language": file.language,
                    "data": BASE64_STANDARD.encode(&file.data),
                })
            })
            .collect();
        let locations: Map<String, Value> = self
            .steps
            .iter()
            .enumerate()
            .filter_map(|(n, step)| Some((id(n), location_json(step.location?))))
            .collect();
        Some(json!({ "infos": infos, "locations": locations }))
    }

    /// `layers` of the metadata, by step and output.
    pub(super) fn layers(&self) -> Option<Value> {
        let layers: Map<String, Value> = self
            .steps
            .iter()
            .enumerate()
            .flat_map(|(n, step)| {
                step.layers
                    .iter()
                    .map(move |(output, chains)| (format!("{}:{output}", id(n)), json!(chains)))
            })
            .collect();
        (!layers.is_empty()).then(|| layers.into())
    }
}

fn id(n: usize) -> String {
    format!("step{n}")
}

fn step_json((n, step): (usize, &Step)) -> Value {
    let mut out = Map::new();
    out.insert("id".to_owned(), id(n).into());
    if !step.op.is_null() {
        out.insert("op".to_owned(), step.op.clone());
    }
    if !step.inputs.is_empty() {
        let inputs = step.inputs.iter();
        let inputs: Vec<String> = inputs
            .map(|(n, output)| format!("{}:{output}", id(*n)))
            .collect();
        out.insert("inputs".to_owned(), inputs.into());
    }
    out.into()
}

/// Lines as `pb.Locations` writes them: an index that is 0 is left out, columns are not known.
fn location_json((source, first, last): (usize, u32, u32)) -> Value {
    let range = json!({ "start": { "line": first }, "end": { "line": last } });
    let mut location = Map::from_iter([("ranges".to_owned(), json!([range]))]);
    if source != 0 {
        location.insert("sourceIndex".to_owned(), source.into());
    }
    json!({ "locations": [location] })
}
