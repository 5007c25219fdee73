#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes its blocks with hashes"
)]

mod content;

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
        env: vec!["A=1".into(), "B=2".into()],
        cwd: "/w".into(),
        user: "bin".into(),
        network: NetworkMode::None,
        security: SecurityMode::Sandbox,
        hostname: Some("h".into()),
        extra_hosts: vec!["db".into()],
        ulimits: vec!["nofile=1:2".into()],
        shm_size: Some(64),
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
        Op::Exec(exec()),
        Op::File(file(actions)),
        Op::Merge,
        Op::Diff,
    ]
}

/// Applies each change to a fresh value, and checks that all keys differ from the first and from
/// each other.
fn all_differ<T>(fresh: impl Fn() -> T, wrap: impl Fn(T) -> Op, changes: &[fn(&mut T)]) {
    let mut keys = vec![op_key(&wrap(fresh()))];
    for change in changes {
        let mut value = fresh();
        change(&mut value);
        keys.push(op_key(&wrap(value)));
    }
    for (i, key) in keys.iter().enumerate() {
        let twin = keys.iter().position(|other| other == key);
        assert_eq!(
            twin,
            Some(i),
            "change {i} gives the same key as change {twin:?} (0 = none)"
        );
    }
}

#[test]
fn every_field_of_exec_is_inside() {
    all_differ(
        exec,
        Op::Exec,
        &[
            |e| e.argv.push("x".into()),
            |e| e.argv.swap(0, 1),
            |e| e.env.push("C=3".into()),
            |e| e.env.swap(0, 1),
            |e| e.cwd = "/x".into(),
            |e| e.user = "root".into(),
            |e| e.network = NetworkMode::Default,
            |e| e.network = NetworkMode::Host,
            |e| e.security = SecurityMode::Insecure,
            |e| e.hostname = None,
            |e| e.hostname = Some(String::new()),
            |e| e.extra_hosts.clear(),
            |e| e.ulimits.clear(),
            |e| e.shm_size = None,
            |e| e.shm_size = Some(65),
            |e| drop(e.mounts.pop()),
            |e| e.mounts.swap(0, 1),
            |e| e.platform.variant = None,
        ],
    );
}

#[test]
fn every_field_of_a_mount_is_inside() {
    let wrap = |mount| {
        Op::Exec(ExecOp {
            mounts: vec![mount],
            ..exec()
        })
    };
    all_differ(
        mount,
        wrap,
        &[
            |m| m.target = "/x".into(),
            |m| m.source = MountSource::Input(2),
            |m| m.source = MountSource::Scratch,
            |m| m.selector = "/y".into(),
            |m| m.access = MountAccess::ReadWrite,
            |m| m.access = MountAccess::Discard,
            |m| m.output = Some(0),
            |m| m.output = Some(1),
        ],
    );
}

#[test]
fn every_field_of_a_platform_is_inside() {
    let wrap = |platform| {
        Op::Source(SourceOp::Image {
            manifest: digest("m"),
            platform,
        })
    };
    all_differ(
        platform,
        wrap,
        &[
            |p| p.os = "windows".into(),
            |p| p.architecture = "arm64".into(),
            |p| p.variant = Some("v6".into()),
            |p| p.variant = None,
            |p| p.os_version = Some("v7".into()),
            |p| p.os_features.clear(),
        ],
    );
}

#[test]
fn every_field_of_a_copy_is_inside() {
    all_differ(
        copy,
        |copy| Op::File(file(vec![FileAction::Copy(copy)])),
        &[
            |c| c.input = 2,
            |c| c.sources.swap(0, 1),
            |c| c.sources[0] = CopySource::Slot(1),
            |c| c.sources[1] = CopySource::Path("/b".into()),
            |c| drop(c.sources.pop()),
            |c| c.dest = "/d".into(),
            |c| c.owner = CopyOwner::Keep,
            |c| c.owner = CopyOwner::Root,
            |c| c.owner = CopyOwner::Named("root".into()),
            |c| c.mode = None,
            |c| c.mode = Some("u+x".into()),
            |c| c.archives = Archives::Unpack,
        ],
    );
}

#[test]
fn every_field_of_a_made_directory_is_inside() {
    all_differ(
        mkdir,
        |mkdir| Op::File(file(vec![FileAction::Mkdir(mkdir)])),
        &[
            |m| m.path = "/x".into(),
            |m| m.mode = 0o700,
            |m| m.owner = String::new(),
            |m| m.mtime = None,
            |m| m.mtime = Some(Timestamp { secs: 4, nanos: 6 }),
            |m| m.mtime = Some(Timestamp { secs: 5, nanos: 7 }),
        ],
    );
}

#[test]
fn every_field_of_a_made_file_is_inside() {
    all_differ(
        mkfile,
        |mkfile| Op::File(file(vec![FileAction::Mkfile(mkfile)])),
        &[
            |m| m.name = "x".into(),
            |m| m.dest = "/x".into(),
            |m| m.content.clear(),
            |m| m.mode = Some("0644".into()),
            |m| m.owner = "0".into(),
            |m| m.mtime = Some(Timestamp { secs: 0, nanos: 0 }),
        ],
    );
}

#[test]
fn the_rest_of_the_fields_is_inside() {
    let ops = [
        image(),
        Op::Source(SourceOp::Image {
            manifest: digest("other"),
            platform: platform(),
        }),
        local(),
        Op::Source(SourceOp::Local {
            selection: digest("other"),
        }),
        Op::File(file(vec![])),
        Op::File(FileOp {
            base: None,
            actions: vec![],
        }),
        Op::File(FileOp {
            base: Some(1),
            actions: vec![],
        }),
        Op::File(file(vec![
            FileAction::Mkdir(mkdir()),
            FileAction::Mkfile(mkfile()),
        ])),
        Op::File(file(vec![
            FileAction::Mkfile(mkfile()),
            FileAction::Mkdir(mkdir()),
        ])),
        Op::Merge,
        Op::Diff,
    ];
    let keys: std::collections::BTreeSet<OpKey> = ops.iter().map(op_key).collect();
    assert_eq!(keys.len(), ops.len());
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
            sha256:6ec180eb36edbfa4a15984596b0b195cd711d93ef06b26f2f5258a1dfff798fd
            sha256:6f303009543c61de3de4d16086da5edf7597c7007578bd6e8062e460c4f5bde0
            sha256:a9a340a8af6a1491b55dc2cf07252523b4d258993ef6540210dab30e08069c33
            sha256:4bea1e20cd8c1b37dc9e1bb488d6d35a28d91ef45ab013023891e2152fc0e3c6
            sha256:fe80e0ba882be7efbe23eebe70d0f7822826b09caf0da12c957ed8ff00dbff7d
            sha256:022e23608d518d5b1633beadc7115cec60c5fd3e053bb69c7f3af199bc189b09"#]],
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
            sha256:b5ed2f13cef1efab02e379c8cbd240d1436b9d5e2bc067c63a9563d085f8f0d0
            sha256:78a7457235957d54bb24bc52bd950eebfaca534b029900c89418cd7ffea29081
            sha256:a4d6afeaf431ceb9b241d80fb8cfc4bbc08a4781bb703d68d5483a9ab6a61907
            sha256:78ba1ddf1902219fe4609a95ae58e8a72dfc20294fed372e686fa5e6b10276a5"#]],
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
                env,
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
        .prop_map(|(base, actions)| Op::File(FileOp { base, actions }))
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
