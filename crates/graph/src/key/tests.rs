#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes its blocks with hashes"
)]

mod content;
mod fields;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::{Edge, GraphBuilder, Origin, SourceLocation, VertexId, VertexMeta};

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn platform() -> Platform {
    Platform {
        os: "linux".into(),
        architecture: "arm".into(),
        variant: Some("v7".into()),
        os_version: None,
        os_features: vec!["f".into()],
    }
}

fn mount() -> Mount {
    Mount {
        target: "/src".into(),
        source: MountSource::Input(1),
        selector: "/sub".into(),
        access: MountAccess::ReadOnly,
        output: None,
    }
}

fn exec() -> ExecOp {
    let root = Mount {
        target: "/".into(),
        source: MountSource::Input(0),
        selector: String::new(),
        access: MountAccess::ReadWrite,
        output: Some(0),
    };
    ExecOp {
        argv: vec!["/bin/sh".into(), "-c".into(), "make".into()],
        env: vec!["A=1".into(), "B=2".into()].into(),
        cwd: "/w".into(),
        user: "bin".into(),
        network: NetworkMode::None,
        security: SecurityMode::Sandbox,
        hostname: Some("h".into()),
        extra_hosts: vec!["db".into()],
        ulimits: vec!["nofile=1:2".into()],
        shm_size: Some(64),
        secret_env: vec![SecretEnv {
            name: "S".into(),
            id: "s".into(),
            required: true,
        }],
        devices: vec![Device {
            name: "v/c=d".into(),
            required: false,
        }],
        mounts: vec![root, mount()],
        platform: platform(),
    }
}

fn copy() -> CopyAction {
    CopyAction {
        input: 1,
        sources: vec![CopySource::Slot(0), CopySource::Path("/a".into())],
        dest: "/d/".into(),
        owner: CopyOwner::Named("1:1".into()),
        mode: Some("0755".into()),
        archives: Archives::Copy,
        parents: false,
        excludes: vec!["*.o".into()],
    }
}

fn cache() -> CacheMount {
    CacheMount {
        base: None,
        mode: 0o755,
        uid: 0,
        gid: 0,
    }
}

fn secret() -> SecretMount {
    SecretMount {
        id: "s".into(),
        mode: 0o400,
        uid: 0,
        gid: 0,
        required: false,
    }
}

fn download() -> DownloadSource {
    DownloadSource {
        content: digest("d"),
        name: "f".into(),
        mtime: Some(Timestamp { secs: 1, nanos: 0 }),
    }
}

fn git() -> GitSource {
    GitSource {
        commit: "c0ffee".into(),
        subdir: "sub".into(),
        git_dir: None,
        submodules: true,
        commit_times: false,
    }
}

fn mkdir() -> MkdirAction {
    let mtime = Some(Timestamp { secs: 5, nanos: 6 });
    MkdirAction {
        path: "/m".into(),
        mode: 0o755,
        owner: "0:0".into(),
        mtime,
    }
}

fn mkfile() -> MkfileAction {
    MkfileAction {
        name: "n".into(),
        dest: "/n".into(),
        content: b"text".to_vec(),
        mode: None,
        owner: String::new(),
        mtime: None,
    }
}

fn file(actions: Vec<FileAction>) -> FileOp {
    FileOp {
        base: Some(0),
        accounts: None,
        actions,
    }
}

fn image() -> Op {
    Op::Source(SourceOp::Image {
        manifest: digest("m"),
        platform: platform(),
    })
}

fn local() -> Op {
    Op::Source(SourceOp::Local {
        selection: digest("s"),
    })
}

fn every_op() -> Vec<Op> {
    let actions = vec![
        FileAction::Copy(copy()),
        FileAction::Mkdir(mkdir()),
        FileAction::Mkfile(mkfile()),
    ];
    vec![
        image(),
        local(),
        Op::Source(SourceOp::Download(download())),
        Op::Source(SourceOp::Git(git())),
        Op::Exec(exec()),
        Op::File(file(actions)),
        Op::Merge,
        Op::Diff,
    ]
}

#[test]
fn the_three_keys_of_one_vertex_differ() {
    let vertex = Vertex {
        op: Op::Merge,
        inputs: vec![],
        meta: VertexMeta::default(),
    };
    let op = *op_key(&vertex.op).digest();
    let definition = *definition_key(&vertex.op, &[]).digest();
    let content = *content_key(&vertex, &[]).unwrap().digest();
    assert!(op != definition && definition != content && op != content);
}

#[test]
fn definition_keys_see_inputs_their_order_and_their_outputs() {
    let [a, b] = [definition_key(&image(), &[]), definition_key(&local(), &[])];
    let keys = [
        definition_key(&Op::Merge, &[]),
        definition_key(&Op::Merge, &[(a, 0)]),
        definition_key(&Op::Merge, &[(a, 1)]),
        definition_key(&Op::Merge, &[(a, 0), (b, 0)]),
        definition_key(&Op::Merge, &[(b, 0), (a, 0)]),
        definition_key(&Op::Diff, &[(a, 0)]),
    ];
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn metadata_is_outside() {
    let key_with = |meta: VertexMeta| {
        let mut builder = GraphBuilder::new();
        let base = builder.add(image(), vec![], meta.clone());
        let context = builder.add(local(), vec![], meta.clone());
        let edges = vec![Edge::first(base), Edge::first(context)];
        let made = builder.add(Op::Exec(exec()), edges, meta);
        let graph = builder.build(vec![Edge::first(made)]);
        let contents = [
            InputContent::Chain(vec![]),
            InputContent::Selection(digest("x")),
        ];
        let content = content_key(graph.vertex(made), &contents).unwrap();
        (key_all(&graph), op_key_all(&graph), content)
    };
    let plain = key_with(VertexMeta::default());
    let changes: [fn(&mut VertexMeta); 6] = [
        |m| m.name = "n".into(),
        |m| {
            m.origin = Some(Origin {
                file: "f".into(),
                first_line: 1,
                last_line: 2,
            });
        },
        |m| m.no_cache = true,
        |m| m.location = Some(SourceLocation(7)),
        |m| {
            m.extra_hosts
                .push(("db".into(), std::net::Ipv4Addr::LOCALHOST.into()));
        },
        |m| m.proxy_env.push("http_proxy=x".into()),
    ];
    for change in changes {
        let mut meta = VertexMeta::default();
        change(&mut meta);
        assert_eq!(key_with(meta), plain);
    }
}

fn edges(n: u32) -> Vec<Edge> {
    (0..n).map(|id| Edge::first(VertexId(id))).collect()
}

fn vertex(op: Op, n_inputs: u32) -> Vertex {
    Vertex {
        op,
        inputs: edges(n_inputs),
        meta: VertexMeta::default(),
    }
}

/// Golden vectors: nobody changes these without a new version in [`domain`].
#[test]
fn keys_are_fixed() {
    let check = |lines: Vec<String>, expected: Expect| expected.assert_eq(&lines.join("\n"));
    check(
        every_op().iter().map(|op| op_key(op).to_string()).collect(),
        expect![[r#"
            sha256:ae9eaba7b3159386175ef30ebde59816da419aaf292691986711e2f866da0049
            sha256:d3bfd11e767a20976f06a71dca5a0ccc67888ae90ee29932356d4bdeb85dcaa4
            sha256:df177cdd8ea9fe4ecec843e3bdd75d1c1d9300478faa2014d3f31fe4abe593b7
            sha256:c3ebbe6884a86bb54fceb6d37244d4d885ca473c6ca51ffd27477dad42bca0bb
            sha256:a68436ba82160d6233e8feeec620bef8a8dcfa34b0725e2b10aefbf7c0ee3c75
            sha256:e189c90013c561a418bf706e98b4dd0b8e4a2655a8af53d4f6627109c0d2823b
            sha256:ef87610f79a2d30a28d351391ebec0839039bd73ea5caab78740ef88036563b0
            sha256:dd6a4db857c94a4e946cfa2218f05338fe609ad2fb3821d2bb3376b2727de6c5"#]],
    );
    let [base, context] = [definition_key(&image(), &[]), definition_key(&local(), &[])];
    let contents = [
        InputContent::Chain(vec![digest("l1"), digest("l2")]),
        InputContent::Selection(digest("s")),
    ];
    check(
        vec![
            base.to_string(),
            context.to_string(),
            definition_key(&Op::Exec(exec()), &[(base, 0), (context, 1)]).to_string(),
            content_key(&vertex(Op::Exec(exec()), 2), &contents)
                .unwrap()
                .to_string(),
        ],
        expect![[r#"
            sha256:f0e405bd9590632d2d27752eff8677d3db20145f54845b64c972b3085caeb3ad
            sha256:e378dbe37010efe9373b0ecbf6e744cf462b90d99dc698e3db1404d5b8b72170
            sha256:f1140b8e9e8f8f70cef91d6d0dd36538863bd5b3732dd5c828d1688ba3e6720a
            sha256:05e73d11b5b11f85d09071928b8fe58d93796115d7e2a63e7c82d0cad9bdab8e"#]],
    );
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(
        select(vec!["", "a", "b", "ab"]).prop_map(str::to_owned),
        0..3,
    )
}

fn text() -> impl Strategy<Value = String> {
    select(vec!["", "a", "ab"]).prop_map(str::to_owned)
}

/// Execs that differ little, so that equal and nearly equal pairs both come up.
fn any_exec() -> impl Strategy<Value = Op> {
    let mounts =
        prop::collection::vec((text(), 0_u32..2, text(), prop::option::of(0_u32..2)), 0..2);
    (
        texts(),
        texts(),
        text(),
        texts(),
        prop::option::of(text()),
        mounts,
    )
        .prop_map(|(argv, env, cwd, extra_hosts, hostname, mounts)| {
            let mounts = mounts
                .into_iter()
                .map(|(target, input, selector, output)| Mount {
                    target,
                    source: MountSource::Input(input),
                    selector,
                    access: MountAccess::ReadOnly,
                    output,
                });
            let mounts = mounts.collect();
            Op::Exec(ExecOp {
                argv,
                env: env.into_iter().collect(),
                cwd,
                hostname,
                extra_hosts,
                mounts,
                ..exec()
            })
        })
}

fn any_file() -> impl Strategy<Value = Op> {
    let action = (0..3, text(), text(), prop::option::of(text()), 0_u32..2).prop_map(
        |(kind, one, two, mode, n)| match kind {
            0 => FileAction::Copy(CopyAction {
                input: n,
                sources: vec![CopySource::Path(one)],
                dest: two,
                mode,
                ..copy()
            }),
            1 => FileAction::Mkdir(MkdirAction {
                path: one,
                owner: two,
                mode: n,
                mtime: None,
            }),
            _ => FileAction::Mkfile(MkfileAction {
                name: one,
                dest: two,
                mode,
                ..mkfile()
            }),
        },
    );
    (
        prop::option::of(0_u32..2),
        prop::collection::vec(action, 0..3),
    )
        .prop_map(|(base, actions)| {
            Op::File(FileOp {
                base,
                accounts: None,
                actions,
            })
        })
}

fn any_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        any_exec(),
        any_file(),
        select(vec![Op::Merge, Op::Diff, image(), local()])
    ]
}

proptest! {
    #[test]
    fn keys_are_equal_exactly_when_ops_are(a in any_op(), b in any_op()) {
        prop_assert_eq!(op_key(&a) == op_key(&b), a == b);
        prop_assert_eq!(op_key(&a), op_key(&a.clone()));
    }
}
