//! The fields that BuildKit wrote for a Dockerfile, against ours for the same one.
//!
//! `golden/buildkit-fields.txt` holds the paths of all fields of its attestations, in SLSA v1 as an
//! artifact and in v0.2 as an image, with `mode=max`; ids and digests stand as `*`. It was taken
//! from a build of [`DOCKERFILE`] with `--build-arg VERSION=7 --label x=y` by the head of BuildKit's
//! development in late 2026.

use acetate_attest::carry::{Form, carry};
use acetate_attest::provenance::{Facts, Layers, SourceFile, Version, from_graph, statement};
use acetate_attest::{ProvenanceOptions, Subject};
use acetate_graph::{
    Archives, BuildGraph, CopyAction, CopyOwner, CopySource, Edge, FileAction, FileOp,
    GraphBuilder, MkdirAction, Op, Origin, SourceOp, VertexMeta,
};
use acetate_oci::{Descriptor, Digest, MediaType, Platform, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const DOCKERFILE: &str = "FROM scratch AS base\nLABEL a=b\nCOPY a.txt /a.txt\nFROM base\nARG VERSION\n\
                          WORKDIR /x\nCOPY --from=base /a.txt /b.txt\n";

/// What BuildKit writes and we do not: what is only of its own frontend and caches.
const NOT_OURS: &[&str] = &[
    "/compatibilityVersion",
    "/dockerfileVersion",
    "/request/root/",
    "/parameters/root/",
    "/infos[]/digestMapping/",
    "/infos[]/llbDefinition[]/",
    "/source/attrs/",
];

/// What we write and BuildKit does not here.
const NOT_THEIRS: &[&str] = &[
    // Documented by BuildKit; its Go types leave out what is false.
    "/runDetails/metadata/buildkit_reproducible",
    // The owner that BuildKit leaves to the default, and ours says.
    "/copy/owner",
];

fn fields(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let key = match key {
                    key if key.starts_with("sha256:") => "sha256:*".to_owned(),
                    key if key.starts_with("step") => {
                        let rest = key[4..].trim_start_matches(|c: char| c.is_ascii_digit());
                        format!("step*{rest}")
                    }
                    key => key.clone(),
                };
                fields(value, &format!("{path}/{key}"), out);
            }
        }
        Value::Array(list) => list
            .iter()
            .for_each(|value| fields(value, &format!("{path}[]"), out)),
        _ => drop(out.insert(path.to_owned())),
    }
}

fn file_op(base: Option<u32>, action: FileAction) -> Op {
    Op::File(FileOp {
        base,
        accounts: None,
        actions: vec![action],
    })
}

fn copy(input: u32, dest: &str) -> FileAction {
    FileAction::Copy(CopyAction {
        input,
        sources: vec![CopySource::Path("/a.txt".to_owned())],
        dest: dest.to_owned(),
        owner: CopyOwner::Root,
        mode: None,
        archives: Archives::Copy,
        parents: false,
        excludes: Vec::new(),
    })
}

/// The graph of [`DOCKERFILE`].
fn graph() -> BuildGraph {
    let mut graph = GraphBuilder::new();
    let line = |line| VertexMeta {
        origin: Some(Origin {
            file: "Dockerfile".to_owned(),
            first_line: line,
            last_line: line,
        }),
        ..VertexMeta::default()
    };
    let local = SourceOp::Local {
        selection: Digest::of(b"a.txt"),
    };
    let context = graph.add(Op::Source(local), Vec::new(), VertexMeta::default());
    let base = graph.add(
        file_op(None, copy(0, "/a.txt")),
        vec![Edge::first(context)],
        line(3),
    );
    let mkdir = MkdirAction {
        path: "/x".to_owned(),
        mode: 0o755,
        owner: String::new(),
        mtime: None,
    };
    let mkdir = file_op(Some(0), FileAction::Mkdir(mkdir));
    let workdir = graph.add(mkdir, vec![Edge::first(base)], line(6));
    let inputs = vec![Edge::first(workdir), Edge::first(base)];
    let last = graph.add(file_op(Some(0), copy(1, "/b.txt")), inputs, line(7));
    graph.build(vec![Edge::first(last)])
}

fn facts() -> Facts {
    let dockerfile = SourceFile {
        filename: "Dockerfile".to_owned(),
        language: "Dockerfile".to_owned(),
        data: DOCKERFILE.as_bytes().to_vec(),
    };
    let layer = Descriptor::of(MediaType::OCI_LAYER_GZIP, b"layer");
    let graph = graph();
    let definition = from_graph(
        &graph,
        graph.targets(),
        vec![dockerfile],
        |_, _| "local://context".to_owned(),
        |_| Layers::from([(0, vec![vec![layer.clone()]])]),
    );
    Facts {
        build_args: BTreeMap::from([("VERSION".to_owned(), "7".to_owned())]),
        labels: BTreeMap::from([("x".to_owned(), "y".to_owned())]),
        locals: vec!["context".to_owned(), "dockerfile".to_owned()],
        invocation_id: Some("id".to_owned()),
        started: Some(Timestamp::from_secs(1)),
        finished: Some(Timestamp::from_secs(2)),
        definition: Some(definition),
        ..Facts::new("dockerfile.v0", Platform::new("linux", "amd64"))
    }
}

fn ours() -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let image = Descriptor::of(MediaType::OCI_MANIFEST, b"image");
    for (label, version, form) in [
        ("v1", Version::V1, Form::Artifact),
        ("v0.2", Version::V02, Form::Image),
    ] {
        let options = ProvenanceOptions {
            version,
            builder_id: "https://ci".to_owned(),
            ..ProvenanceOptions::default()
        };
        let statement = statement(&facts(), &options, vec![Subject::nameless(image.digest)]);
        let carried = carry(&image, std::slice::from_ref(&statement), form);
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        fields(
            &json!(carried.index_entry()),
            &format!("{label}/entry"),
            &mut out,
        );
        fields(
            &read(&carried.manifest.bytes),
            &format!("{label}/manifest"),
            &mut out,
        );
        fields(
            &read(&carried.config.bytes),
            &format!("{label}/config"),
            &mut out,
        );
        fields(&json!(statement), &format!("{label}/statement"), &mut out);
    }
    out
}

#[test]
fn our_fields_are_those_that_buildkit_writes() {
    let theirs: BTreeSet<String> = include_str!("golden/buildkit-fields.txt")
        .lines()
        .map(str::to_owned)
        .collect();
    let ours = ours();
    let listed = |list: &[&str], field: &str| list.iter().any(|part| field.contains(part));
    let missing: Vec<&String> = theirs
        .difference(&ours)
        .filter(|field| !listed(NOT_OURS, field))
        .collect();
    assert_eq!(missing, Vec::<&String>::new(), "BuildKit writes more");
    let further: Vec<&String> = ours
        .difference(&theirs)
        .filter(|field| !listed(NOT_THEIRS, field))
        .collect();
    assert_eq!(further, Vec::<&String>::new(), "we write more");
}
