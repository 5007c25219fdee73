//! Every field of every op is in its keys.

use super::*;

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
            |e| e.env = e.env.iter().cloned().chain(["C=3".into()]).collect(),
            |e| e.env = e.env.iter().rev().cloned().collect(),
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
            |e| e.secret_env[0].name.clear(),
            |e| e.secret_env[0].id.clear(),
            |e| e.secret_env[0].required = false,
            |e| e.secret_env.clear(),
            |e| e.devices[0].name.clear(),
            |e| e.devices[0].required = true,
            |e| e.devices.clear(),
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
            |m| m.source = MountSource::Cache(cache()),
            |m| {
                m.source = MountSource::Cache(CacheMount {
                    base: Some(1),
                    ..cache()
                });
            },
            |m| {
                m.source = MountSource::Cache(CacheMount {
                    mode: 0o700,
                    ..cache()
                });
            },
            |m| m.source = MountSource::Cache(CacheMount { uid: 9, ..cache() }),
            |m| m.source = MountSource::Cache(CacheMount { gid: 9, ..cache() }),
            |m| m.source = MountSource::Tmpfs { size: None },
            |m| m.source = MountSource::Tmpfs { size: Some(1) },
            |m| m.source = MountSource::Secret(secret()),
            |m| m.source = MountSource::Ssh(secret()),
            |m| {
                m.source = MountSource::Secret(SecretMount {
                    id: "o".into(),
                    ..secret()
                });
            },
            |m| {
                m.source = MountSource::Secret(SecretMount {
                    mode: 0,
                    ..secret()
                });
            },
            |m| m.source = MountSource::Secret(SecretMount { uid: 9, ..secret() }),
            |m| m.source = MountSource::Secret(SecretMount { gid: 9, ..secret() }),
            |m| {
                m.source = MountSource::Secret(SecretMount {
                    required: true,
                    ..secret()
                });
            },
            |m| m.selector = "/y".into(),
            |m| m.access = MountAccess::ReadWrite,
            |m| m.access = MountAccess::Discard,
            |m| m.output = Some(0),
            |m| m.output = Some(1),
        ],
    );
}

#[test]
fn every_field_of_a_fetched_source_is_inside() {
    all_differ(
        download,
        |file| Op::Source(SourceOp::Download(file)),
        &[
            |d| d.content = digest("e"),
            |d| d.name = "g".into(),
            |d| d.mtime = None,
        ],
    );
    all_differ(
        git,
        |git| Op::Source(SourceOp::Git(git)),
        &[
            |g| g.commit.push('0'),
            |g| g.subdir.clear(),
            |g| g.git_dir = Some("https://e.example/r".into()),
            |g| g.submodules = false,
            |g| g.commit_times = true,
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
            |c| c.parents = true,
            |c| c.excludes.clear(),
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
            accounts: None,
            actions: vec![],
        }),
        Op::File(FileOp {
            base: Some(1),
            accounts: None,
            actions: vec![],
        }),
        Op::File(FileOp {
            base: None,
            accounts: Some(0),
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
