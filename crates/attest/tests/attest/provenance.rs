use crate::support::golden;
use acetate_attest::provenance::{
    ConfigSource, Definition, Facts, GitMaterial, HttpMaterial, ImageMaterial, ImageOrigin,
    Materials, Mode, NeededId, SourceFile, Step, Version, from_graph, predicate, statement,
};
use acetate_attest::{ProvenanceOptions, StatementVersion, Subject};
use acetate_graph::{
    Edge, ExecOp, FileAction, FileOp, GraphBuilder, MkdirAction, Mount, MountAccess, MountSource,
    NetworkMode, Op, Origin, SecretEnv, SecretMount, SecurityMode, SourceOp, VertexMeta,
};
use acetate_oci::{Descriptor, Digest, MediaType, Platform, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SECRETS: [&str; 4] = ["hunter2", "tok_en", "p4ss", "label-value"];

fn amd64() -> Platform {
    Platform::new("linux", "amd64")
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

/// A build that has something of everything.
fn facts() -> Facts {
    let needed = |id: &str, optional| NeededId {
        id: id.to_owned(),
        optional,
    };
    Facts {
        config: ConfigSource {
            uri: Some("https://me:hunter2@example.com/app.git#main".to_owned()),
            digest: map(&[("sha1", "4b220de5058abfd01ff619c9d2ff6b09a049bea0")]),
            path: "Dockerfile".to_owned(),
        },
        build_args: map(&[("VERSION", "tok_en"), ("PROXY", "http://u:p4ss@proxy:3128")]),
        labels: map(&[("a.b", "label-value")]),
        target: Some("release".to_owned()),
        other_args: map(&[
            ("context:base", "https://u:p4ss@example.com/base.git"),
            ("build-arg:X", "tok_en"),
        ]),
        secrets: vec![
            needed("npm", true),
            needed("npm", false),
            needed("aws", true),
        ],
        ssh: vec![needed("", false)],
        vcs: map(&[
            ("source", "https://u:p4ss@example.com/app.git"),
            ("revision", ""),
        ]),
        materials: Materials {
            images: vec![ImageMaterial {
                reference: "alpine:3.17".parse().unwrap(),
                platform: Some(amd64()),
                digest: Digest::of(b"alpine"),
                origin: ImageOrigin::Registry,
            }],
            git: vec![GitMaterial {
                url: "https://me:hunter2@example.com/app.git#main".to_owned(),
                commit: "4b220de5058abfd01ff619c9d2ff6b09a049bea0".to_owned(),
            }],
            http: vec![HttpMaterial {
                url: "https://example.com/a.tar.gz".to_owned(),
                digest: Digest::of(b"tar"),
            }],
        },
        invocation_id: Some("rpv7a389uzil5lqmrgwhijwjz".to_owned()),
        started: Some(Timestamp::from_secs(1_700_000_000)),
        finished: Some(Timestamp::from_secs(1_700_000_060)),
        definition: Some(definition()),
        ..Facts::new("dockerfile.v0", amd64())
    }
}

fn definition() -> Definition {
    let layer = Descriptor::of(MediaType::OCI_LAYER_GZIP, b"layer");
    Definition {
        steps: vec![
            Step {
                op: json!({ "Op": { "source": { "identifier": "docker-image://docker.io/library/alpine:3.17" } } }),
                digest: Some(Digest::of(b"step0")),
                location: Some((0, 1, 1)),
                layers: BTreeMap::from([(0, vec![vec![layer]])]),
                ..Step::default()
            },
            Step {
                inputs: vec![(0, 0)],
                ..Step::default()
            },
        ],
        sources: vec![SourceFile {
            filename: "Dockerfile".to_owned(),
            language: "Dockerfile".to_owned(),
            data: b"FROM alpine:3.17\n".to_vec(),
        }],
    }
}

fn options(mode: Mode, version: Version) -> ProvenanceOptions {
    ProvenanceOptions {
        mode,
        version,
        builder_id: "https://ci.example.com/runs/1".to_owned(),
        ..ProvenanceOptions::default()
    }
}

#[test]
fn predicates_are_written_as_always() {
    for (name, mode, version) in [
        ("slsa1-min.json", Mode::Min, Version::V1),
        ("slsa1-max.json", Mode::Max, Version::V1),
        ("slsa02-min.json", Mode::Min, Version::V02),
        ("slsa02-max.json", Mode::Max, Version::V02),
    ] {
        golden(name, &predicate(&facts(), &options(mode, version)));
    }
}

/// The example for a `FROM alpine:latest` in BuildKit's slsa-provenance.md, as the paths of its
/// fields; `name` and `digest` of materials stand for their own.
#[test]
fn a_plain_build_has_the_fields_of_the_documented_example() {
    let facts = Facts {
        config: ConfigSource {
            path: "Dockerfile".to_owned(),
            ..ConfigSource::default()
        },
        locals: vec![
            "dockerfile".to_owned(),
            "context".to_owned(),
            "context".to_owned(),
        ],
        network: true,
        materials: Materials {
            images: facts().materials.images,
            ..Materials::default()
        },
        invocation_id: Some("yirbp1aosi1vqjmi3z6bc75nb".to_owned()),
        started: Some(Timestamp::new(1_670_500_139, 466_513_707)),
        finished: Some(Timestamp::new(1_670_500_141, 256_820_297)),
        ..Facts::new("dockerfile.v0", amd64())
    };
    let mut options = options(Mode::Min, Version::V1);
    options.builder_id = String::new();
    let subject = Subject::image(
        &"example.com/a:1".parse().unwrap(),
        Some(&amd64()),
        Digest::of(b"i"),
    );
    let statement = statement(&facts, &options, vec![subject]);
    let digest = Digest::of(b"alpine").hex();
    assert_eq!(
        serde_json::to_value(statement).unwrap(),
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "predicateType": "https://slsa.dev/provenance/v1",
            "subject": [{
                "name": "pkg:docker/example.com/a@1?platform=linux%2Famd64",
                "digest": { "sha256": Digest::of(b"i").hex() },
            }],
            "predicate": {
                "buildDefinition": {
                    "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
                    "externalParameters": {
                        "configSource": { "path": "Dockerfile" },
                        "request": {
                            "frontend": "dockerfile.v0",
                            "args": {},
                            "locals": [{ "name": "context" }, { "name": "dockerfile" }],
                        },
                    },
                    "internalParameters": { "builderPlatform": "linux/amd64" },
                    "resolvedDependencies": [
                        { "uri": "pkg:docker/alpine@3.17?platform=linux%2Famd64", "digest": { "sha256": digest } },
                    ],
                },
                "runDetails": {
                    "builder": { "id": "" },
                    "metadata": {
                        "invocationId": "yirbp1aosi1vqjmi3z6bc75nb",
                        "startedOn": "2022-12-08T11:48:59.466513707Z",
                        "finishedOn": "2022-12-08T11:49:01.256820297Z",
                        "buildkit_reproducible": false,
                        "buildkit_completeness": { "request": false, "resolvedDependencies": false },
                        "buildkit_metadata": {},
                    },
                },
            },
        })
    );
}

#[test]
fn min_tells_no_value_and_nobody_tells_a_password() {
    for version in [Version::V1, Version::V02] {
        let min = predicate(&facts(), &options(Mode::Min, version)).to_string();
        for secret in SECRETS {
            assert!(!min.contains(secret), "{secret} in {min}");
        }
        for private in [
            "VERSION",
            "a.b",
            "npm",
            "aws",
            "ssh",
            "RlJPTSBhbHBpbmU",
            "llbDefinition",
        ] {
            assert!(!min.contains(private), "{private} in {min}");
        }
        let max = predicate(&facts(), &options(Mode::Max, version)).to_string();
        for password in ["hunter2", "p4ss"] {
            assert!(!max.contains(password), "{password} in {max}");
        }
        assert!(max.contains("tok_en") && max.contains("label-value"));
        assert!(max.contains("RlJPTSBhbHBpbmU6My4xNwo="));
    }
}

#[test]
fn a_secret_is_optional_when_no_step_needs_it() {
    let max = predicate(&facts(), &options(Mode::Max, Version::V1));
    let request = &max["buildDefinition"]["externalParameters"]["request"];
    assert_eq!(
        request["secrets"],
        json!([{ "id": "aws", "optional": true }, { "id": "npm" }])
    );
    assert_eq!(request["ssh"], json!([{ "id": "default" }]));
}

#[test]
fn hermetic_needs_all_materials_and_no_network() {
    let hermetic = |facts: &Facts| {
        let v1 = predicate(facts, &options(Mode::Min, Version::V1));
        let v02 = predicate(facts, &options(Mode::Min, Version::V02));
        let both = [
            v1["runDetails"]["metadata"]["buildkit_hermetic"] == json!(true),
            v02["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"] == json!(true),
        ];
        assert_eq!(both[0], both[1]);
        both[0]
    };
    assert!(hermetic(&facts()));
    assert!(!hermetic(&Facts {
        network: true,
        ..facts()
    }));
    assert!(!hermetic(&Facts {
        incomplete: true,
        ..facts()
    }));
    assert!(!hermetic(&Facts {
        locals: vec!["context".to_owned()],
        ..facts()
    }));
}

#[test]
fn reproducible_output_holds_nothing_of_the_run() {
    let epoch = Timestamp::from_secs(1);
    let later = Facts {
        invocation_id: Some("other".to_owned()),
        started: None,
        finished: Some(Timestamp::from_secs(9)),
        ..facts()
    };
    let options = options(Mode::Max, Version::V1);
    for epoch in [None, Some(epoch)] {
        let one = predicate(&facts().reproducible(epoch), &options);
        assert_eq!(one, predicate(&later.clone().reproducible(epoch), &options));
        let metadata = &one["runDetails"]["metadata"];
        assert_eq!(
            metadata["startedOn"],
            epoch.map_or(Value::Null, |_| json!("1970-01-01T00:00:01Z"))
        );
        assert_eq!(metadata["invocationId"], Value::Null);
    }
}

#[test]
fn statements_come_in_the_form_asked_for() {
    let old = ProvenanceOptions {
        statement: StatementVersion::V01,
        ..options(Mode::Min, Version::V02)
    };
    let written = serde_json::to_value(statement(&facts(), &old, Vec::new())).unwrap();
    assert_eq!(written["_type"], "https://in-toto.io/Statement/v0.1");
    assert_eq!(written["predicateType"], "https://slsa.dev/provenance/v0.2");
}

fn exec() -> ExecOp {
    let mount = |target: &str, source, access, output| Mount {
        target: target.to_owned(),
        source,
        selector: String::new(),
        access,
        output,
    };
    let secret = SecretMount {
        id: "npm".to_owned(),
        mode: 0o400,
        uid: 0,
        gid: 0,
        required: false,
    };
    ExecOp {
        argv: ["/bin/sh", "-c", "curl https://u:p4ss@h/x"]
            .map(str::to_owned)
            .into(),
        env: ["PATH=/bin"].into_iter().collect(),
        cwd: "/src".to_owned(),
        user: String::new(),
        network: NetworkMode::None,
        security: SecurityMode::Sandbox,
        hostname: None,
        extra_hosts: Vec::new(),
        ulimits: Vec::new(),
        shm_size: None,
        secret_env: vec![SecretEnv {
            name: "T".to_owned(),
            id: "aws".to_owned(),
            required: true,
        }],
        devices: Vec::new(),
        mounts: vec![
            mount("/", MountSource::Input(0), MountAccess::ReadWrite, Some(0)),
            mount(
                "/run/secrets/npm",
                MountSource::Secret(secret),
                MountAccess::ReadOnly,
                None,
            ),
        ],
        platform: amd64(),
    }
}

#[test]
fn a_graph_is_told_step_by_step() {
    let mut graph = GraphBuilder::new();
    let meta = |name: &str, line| VertexMeta {
        name: name.to_owned(),
        origin: Some(Origin {
            file: "Dockerfile".to_owned(),
            first_line: line,
            last_line: line,
        }),
        ..VertexMeta::default()
    };
    let image = SourceOp::Image {
        manifest: Digest::of(b"alpine"),
        platform: amd64(),
    };
    let base = graph.add(Op::Source(image), Vec::new(), meta("[1/2] FROM alpine", 1));
    let unused = SourceOp::Local {
        selection: Digest::of(b"unused"),
    };
    graph.add(Op::Source(unused), Vec::new(), VertexMeta::default());
    let mkdir = MkdirAction {
        path: "/src".to_owned(),
        mode: 0o755,
        owner: String::new(),
        mtime: None,
    };
    let file = FileOp {
        base: Some(0),
        accounts: None,
        actions: vec![FileAction::Mkdir(mkdir)],
    };
    let file = graph.add(
        Op::File(file),
        vec![Edge::first(base)],
        meta("[2/2] WORKDIR", 2),
    );
    let run = graph.add(Op::Exec(exec()), vec![Edge::first(file)], meta("RUN", 3));
    let graph = graph.build(vec![Edge::first(run)]);
    let layer = Descriptor::of(MediaType::OCI_LAYER_GZIP, b"layer");
    let definition = from_graph(
        &graph,
        graph.targets(),
        definition().sources,
        |_, _| "docker-image://docker.io/library/alpine:3.17".to_owned(),
        |id| {
            if id == base {
                BTreeMap::from([(0, vec![vec![layer.clone()]])])
            } else {
                BTreeMap::new()
            }
        },
    );
    assert_eq!(definition.steps.len(), 4);
    let facts = Facts {
        definition: Some(definition),
        ..Facts::new("dockerfile.v0", amd64())
    };
    let max = predicate(&facts, &options(Mode::Max, Version::V1));
    assert!(!max.to_string().contains("p4ss"));
    golden("graph-steps.json", &max);
}
