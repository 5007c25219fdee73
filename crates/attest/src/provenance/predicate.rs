use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{BUILD_TYPE_V1, BUILD_TYPE_V02, Facts, Mode, NeededId, Version};
use crate::{ProvenanceOptions, Statement, Subject, redact};

/// The parts that both forms have.
struct Parts {
    config: Map<String, Value>,
    request: Value,
    materials: Vec<Value>,
    metadata: Value,
    build_config: Option<Value>,
    all_said: bool,
    all_materials: bool,
}

/// Writes what is known of a build as a statement on `subject`.
pub fn statement(facts: &Facts, options: &ProvenanceOptions, subject: Vec<Subject>) -> Statement {
    Statement {
        version: options.statement,
        predicate_type: options.version.predicate_type().to_owned(),
        subject,
        predicate: predicate(facts, options),
    }
}

/// Writes what is known of a build as a SLSA predicate.
pub fn predicate(facts: &Facts, options: &ProvenanceOptions) -> Value {
    let parts = parts(facts, options);
    match options.version {
        Version::V1 => v1(facts, options, parts),
        Version::V02 => v02(facts, options, parts),
    }
}

fn v1(facts: &Facts, options: &ProvenanceOptions, parts: Parts) -> Value {
    let mut config = parts.config;
    config.insert("path".to_owned(), facts.config.path.clone().into());
    let mut internal = Map::new();
    internal.insert(
        "builderPlatform".to_owned(),
        facts.builder_platform.to_string().into(),
    );
    insert_some(&mut internal, "buildConfig", parts.build_config);
    let mut definition = Map::new();
    definition.insert("buildType".to_owned(), BUILD_TYPE_V1.into());
    let external = json!({ "configSource": without_empty(config), "request": parts.request });
    definition.insert("externalParameters".to_owned(), external);
    definition.insert("internalParameters".to_owned(), internal.into());
    if !parts.materials.is_empty() {
        definition.insert("resolvedDependencies".to_owned(), parts.materials.into());
    }
    let mut metadata = Map::new();
    insert_some(&mut metadata, "invocationId", facts.invocation_id.clone());
    insert_some(
        &mut metadata,
        "startedOn",
        facts.started.map(|t| t.to_string()),
    );
    insert_some(
        &mut metadata,
        "finishedOn",
        facts.finished.map(|t| t.to_string()),
    );
    metadata.insert("buildkit_metadata".to_owned(), parts.metadata);
    if parts.all_materials && !facts.network {
        metadata.insert("buildkit_hermetic".to_owned(), true.into());
    }
    let complete =
        json!({ "request": parts.all_said, "resolvedDependencies": parts.all_materials });
    metadata.insert("buildkit_completeness".to_owned(), complete);
    metadata.insert(
        "buildkit_reproducible".to_owned(),
        options.reproducible.into(),
    );
    json!({
        "buildDefinition": definition,
        "runDetails": { "builder": { "id": options.builder_id }, "metadata": metadata },
    })
}

fn v02(facts: &Facts, options: &ProvenanceOptions, parts: Parts) -> Value {
    let mut config = parts.config;
    config.insert("entryPoint".to_owned(), facts.config.path.clone().into());
    let mut metadata = Map::new();
    insert_some(
        &mut metadata,
        "buildInvocationID",
        facts.invocation_id.clone(),
    );
    insert_some(
        &mut metadata,
        "buildStartedOn",
        facts.started.map(|t| t.to_string()),
    );
    insert_some(
        &mut metadata,
        "buildFinishedOn",
        facts.finished.map(|t| t.to_string()),
    );
    let complete = json!({
        "parameters": parts.all_said,
        "environment": true,
        "materials": parts.all_materials,
    });
    metadata.insert("completeness".to_owned(), complete);
    metadata.insert("reproducible".to_owned(), options.reproducible.into());
    if parts.all_materials && !facts.network {
        metadata.insert(format!("{BUILD_TYPE_V02}#hermetic"), true.into());
    }
    metadata.insert(format!("{BUILD_TYPE_V02}#metadata"), parts.metadata);
    let mut out = Map::new();
    out.insert("builder".to_owned(), json!({ "id": options.builder_id }));
    out.insert("buildType".to_owned(), BUILD_TYPE_V02.into());
    let invocation = json!({
        "configSource": without_empty(config),
        "parameters": parts.request,
        "environment": { "platform": facts.builder_platform.to_string() },
    });
    out.insert("invocation".to_owned(), invocation);
    insert_some(&mut out, "buildConfig", parts.build_config);
    out.insert("metadata".to_owned(), metadata.into());
    if !parts.materials.is_empty() {
        out.insert("materials".to_owned(), parts.materials.into());
    }
    out.into()
}

fn parts(facts: &Facts, options: &ProvenanceOptions) -> Parts {
    let mut config = Map::new();
    if let Some(uri) = &facts.config.uri {
        config.insert("uri".to_owned(), redact(uri).into());
        config.insert("digest".to_owned(), json!(facts.config.digest));
    }
    let definition = facts
        .definition
        .as_ref()
        .filter(|_| options.mode == Mode::Max);
    Parts {
        config,
        request: request(facts, options.mode),
        materials: facts.materials.to_json(),
        metadata: metadata(facts, options.mode),
        build_config: definition.map(super::Definition::build_config),
        // What BuildKit documents: min leaves parameters out, so it never claims to have them all.
        all_said: options.mode == Mode::Max && !facts.frontend.is_empty(),
        all_materials: !facts.incomplete && facts.locals.is_empty(),
    }
}

/// What was asked of the frontend. Only max tells values of arguments and labels, and who is
/// trusted with what.
fn request(facts: &Facts, mode: Mode) -> Value {
    let mut args: BTreeMap<String, String> = facts
        .other_args
        .iter()
        .filter(|(name, _)| !name.starts_with("build-arg:") && !name.starts_with("label:"))
        .map(|(name, value)| (name.clone(), redact(value)))
        .collect();
    if let Some(target) = facts.target.as_ref().filter(|target| !target.is_empty()) {
        args.insert("target".to_owned(), target.clone());
    }
    let mut out = Map::new();
    if mode == Mode::Max {
        let prefixed = |prefix: &'static str, values: &BTreeMap<String, String>| {
            let named =
                |(name, value): (&String, &String)| (format!("{prefix}:{name}"), redact(value));
            values.iter().map(named).collect::<Vec<_>>()
        };
        args.extend(prefixed("build-arg", &facts.build_args));
        args.extend(prefixed("label", &facts.labels));
        insert_some(&mut out, "secrets", needed(&facts.secrets, None));
        insert_some(&mut out, "ssh", needed(&facts.ssh, Some("default")));
    }
    let mut locals: Vec<&String> = facts.locals.iter().collect();
    locals.sort();
    locals.dedup();
    out.insert("frontend".to_owned(), facts.frontend.clone().into());
    out.insert("args".to_owned(), json!(args));
    if !locals.is_empty() {
        let locals: Vec<Value> = locals.iter().map(|name| json!({ "name": name })).collect();
        out.insert("locals".to_owned(), locals.into());
    }
    out.into()
}

/// Ids in order, each once; an id is optional only where every step says so.
fn needed(ids: &[NeededId], default: Option<&str>) -> Option<Value> {
    let mut merged: BTreeMap<&str, bool> = BTreeMap::new();
    for needed in ids {
        let id = match (needed.id.as_str(), default) {
            ("", Some(default)) => default,
            (id, _) => id,
        };
        let optional = merged.entry(id).or_insert(true);
        *optional &= needed.optional;
    }
    let list: Vec<Value> = merged
        .into_iter()
        .map(|(id, optional)| {
            if optional {
                json!({ "id": id, "optional": true })
            } else {
                json!({ "id": id })
            }
        })
        .collect();
    (!list.is_empty()).then(|| list.into())
}

fn metadata(facts: &Facts, mode: Mode) -> Value {
    let mut out = Map::new();
    let vcs: BTreeMap<&String, String> = facts
        .vcs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name, redact(value)))
        .collect();
    if !vcs.is_empty() {
        out.insert("vcs".to_owned(), json!(vcs));
    }
    if let Some(definition) = facts.definition.as_ref().filter(|_| mode == Mode::Max) {
        insert_some(&mut out, "source", definition.source());
        insert_some(&mut out, "layers", definition.layers());
    }
    out.into()
}

fn insert_some<T: Into<Value>>(map: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), value.into());
    }
}

/// Drops empty texts and empty sets, as Go's `omitempty` does.
fn without_empty(map: Map<String, Value>) -> Value {
    let full = |value: &Value| {
        value.as_str() != Some("") && value.as_object().is_none_or(|o| !o.is_empty())
    };
    map.into_iter()
        .filter(|(_, value)| full(value))
        .collect::<Map<_, _>>()
        .into()
}
