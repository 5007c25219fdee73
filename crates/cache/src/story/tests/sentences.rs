//! Every kind of difference, alone and beside others.

use super::*;
use acetate_graph::{
    Archives, CacheMount, CopyAction, CopyOwner, CopySource, Device, MkfileAction, SecretEnv,
    SecretMount,
};
use acetate_oci::Timestamp;

/// Changes the files of a selection.
type EditFiles<'a> = &'a dyn Fn(&mut Vec<FileStory>);

#[track_caller]
fn check(now: &Story, words: &str) {
    assert_eq!(told(&story(), now), words);
}

#[test]
fn equal_stories_differ_in_nothing() {
    check(&story(), "");
    // Numbers of steps are in names and in no key.
    check(
        &changed(|it| {
            it.name = "[build 3/5] RUN make all".into();
            it.inputs[2].input = step("[deps 3/3] RUN fetch", "deps");
        }),
        "",
    );
}

#[test]
fn the_text_and_variables() {
    let cases: [(Edit<Story>, &str); 7] = [
        (
            |it| it.instruction.text = "RUN make most".into(),
            "instruction was `RUN make all`, is `RUN make most`",
        ),
        (
            |it| it.variables[1] = variable("VERSION", "1.3", true),
            "`ARG VERSION`: was 1.2, is 1.3",
        ),
        (
            |it| it.variables[0] = variable("PATH", "/usr/bin:/bin b", false),
            "`ENV PATH`: was /bin, is `/usr/bin:/bin b`",
        ),
        (
            |it| it.variables.push(variable("NEW", "", true)),
            "`ARG NEW` is new: ``",
        ),
        (
            |it| drop(it.variables.pop()),
            "`ARG VERSION` is gone: was 1.2",
        ),
        (
            |it| it.variables[1].value = Value::hidden("x"),
            "`ARG VERSION` differs (its value is not kept)",
        ),
        (
            |it| it.variables.reverse(),
            "order of the variables: was `PATH VERSION`, is `VERSION PATH`",
        ),
    ];
    for (edit, words) in cases {
        check(&changed(edit), words);
    }
}

#[test]
fn files_of_a_context() {
    fn edit(it: &mut Story, edit: impl FnOnce(&mut Vec<FileStory>)) {
        let mut list = vec![file("a.sh", "a"), file("b", "b")];
        edit(&mut list);
        it.inputs[1].input = files(list);
    }
    let link = |to: &str| FileKind::Link(to.into());
    let cases: [(EditFiles<'_>, &str); 10] = [
        (
            &|list| list[0].mode = Some(0o664),
            "mode of `a.sh` was 0644, is 0664",
        ),
        (
            &|list| list[0].owner = Some((1, 2)),
            "owner of `a.sh` was 0:0, is 1:2",
        ),
        (&|list| list[1] = file("b", "c"), "content of `b` changed"),
        (&|list| list.push(file("c", "c")), "`c` was added"),
        (&|list| drop(list.remove(0)), "`a.sh` was removed"),
        (
            &|list| list[1].path = "z\n".into(),
            "`b` was removed and 1 more",
        ),
        (
            &|list| list[0].kind = link("b"),
            "`a.sh` was a file, is a link",
        ),
        (
            &|list| list[0].extra = Some("x".into()),
            "extended attributes or hard links of `a.sh` changed",
        ),
        (
            &|list| {
                list[0].mode = Some(0o600);
                list[1] = file("b", "c");
                list.push(file("c", "c"));
                list.push(file("d", "d"));
            },
            "mode of `a.sh` was 0644, is 0600 and 3 more",
        ),
        (
            &|list| list[0].kind = FileKind::Directory,
            "`a.sh` was a file, is a directory",
        ),
    ];
    for (change, words) in cases {
        check(&changed(|it| edit(it, change)), words);
    }
    let linked = |to: &str| changed(|it| edit(it, |list| list[0].kind = link(to)));
    let words = "link `a.sh` pointed to `b`, points to `c`";
    assert_eq!(told(&linked("b"), &linked("c")), words);
}

#[test]
fn too_many_files_are_told_by_their_directories() {
    let listing = |content: &str| {
        Listing::Files(vec![
            file("x/a", "a"),
            file("x/b", content),
            file("y/a", "a"),
        ])
    };
    let with = |listing: Listing, name: &str| {
        changed(|it| {
            it.inputs[1].input = Input::Files {
                context: "assets".into(),
                digest: digest(name),
                listing,
            };
        })
    };
    let words = "something in the directory `x` changed (context assets)";
    let (one, two) = (listing("b"), listing("c"));
    assert_eq!(
        told(&with(one.coarse(), "1"), &with(two.coarse(), "2")),
        words
    );
    assert_eq!(
        told(&with(one.coarse(), "1"), &with(two.clone(), "2")),
        words
    );
    let words = "the files that it takes changed (context assets)";
    assert_eq!(told(&with(Listing::Unknown, "1"), &with(two, "2")), words);
}

#[test]
fn images_steps_and_what_was_fetched() {
    let short = |text: &str| format!("sha256:{}", &digest(text).hex()[..12]);
    let moved = format!(
        "base `debian:bookworm` moved from {} to {}",
        short("one"),
        short("two")
    );
    check(
        &changed(|it| it.inputs[0].input = image("debian:bookworm", "two")),
        &moved,
    );
    check(
        &changed(|it| it.inputs[0].input = image("debian", "one")),
        "",
    );
    let fetched = format!(
        "what `https://example.org/x.tar` gives changed from {} to {}",
        short("x"),
        short("y")
    );
    let cases: [(Edit<Story>, &str); 7] = [
        (
            |it| {
                it.instruction.base = "alpine".into();
                it.inputs[0].input = image("alpine", "two");
            },
            "base: was debian:bookworm, is alpine",
        ),
        (
            |it| {
                it.inputs[0].input = Input::Image {
                    name: Value::plain("debian:bookworm"),
                    manifest: digest("two"),
                    platform: "linux/arm64".into(),
                    filled: vec![],
                };
            },
            "platform of the base: was linux/amd64, is linux/arm64",
        ),
        (
            |it| it.inputs[2].input = step("[deps 2/3] RUN fetch", "other"),
            "the result of [deps 2/3] RUN fetch differs",
        ),
        (
            |it| it.inputs[0].input = step("[build 2/5] COPY a /", "copy"),
            "uses [build 2/5] COPY a / instead of image debian:bookworm",
        ),
        (
            |it| drop(it.inputs.remove(2)),
            "no longer uses [deps 2/2] RUN fetch",
        ),
        (
            |it| it.inputs.push(part("mount 4", step("[x] RUN y", "y"))),
            "uses [x] RUN y, which is new",
        ),
        (
            |it| {
                it.inputs[3].input = Input::Fetched {
                    address: Value::plain("https://example.org/x.tar"),
                    content: digest("y").to_string(),
                    details: "x.tar".into(),
                };
            },
            &fetched,
        ),
    ];
    for (edit, words) in cases {
        check(&changed(edit), words);
    }
}

#[test]
fn an_arg_that_names_the_base_is_told_as_an_arg() {
    let with = |release: &str| {
        changed(|it| {
            it.inputs[0].input = Input::Image {
                name: Value::plain(format!("debian:{release}")),
                manifest: digest(release),
                platform: "linux/amd64".into(),
                filled: vec![variable("RELEASE", release, true)],
            };
        })
    };
    assert_eq!(
        told(&with("11"), &with("12")),
        "`ARG RELEASE`: was 11, is 12"
    );
}

#[test]
fn another_format_is_told_when_nothing_else_is() {
    let words =
        "the format of cache keys was op/v1, is op/v2: another version of acetate made the record";
    check(&changed(|it| it.format = "op/v2".into()), words);
    let both = changed(|it| {
        it.format = "op/v2".into();
        it.variables[1] = variable("VERSION", "1.3", true);
    });
    check(&both, "`ARG VERSION`: was 1.2, is 1.3");
}

#[test]
fn the_order_is_that_of_importance_and_always_the_same() {
    let now = changed(|it| {
        it.inputs[0].input = image("debian:bookworm", "two");
        it.inputs[1].input = files(vec![]);
        it.inputs[2].input = step("[deps 2/2] RUN fetch", "other");
        it.variables[0] = variable("PATH", "/sbin", false);
        it.variables[1] = variable("VERSION", "1.3", true);
        it.fields = of_op(&Op::Exec(ExecOp {
            cwd: "/v".into(),
            network: NetworkMode::None,
            platform: Platform::new("linux", "arm64"),
            ..exec()
        }));
        it.fields.last_mut().unwrap().value = Value::plain("other");
    });
    let ranks: Vec<Rank> = differences(&story(), &now)
        .iter()
        .map(Difference::rank)
        .collect();
    assert_eq!(
        ranks,
        [
            Rank::Variable,
            Rank::Setting,
            Rank::Base,
            Rank::BaseVariable,
            Rank::Files,
            Rank::Step,
            Rank::Platform,
            Rank::Network,
            Rank::Mount,
        ]
    );
    assert_eq!(told(&story(), &now), told(&story(), &now));
}

/// What each change of an op is told as.
#[track_caller]
fn op_cases<T: Clone>(before: &T, op: fn(T) -> Op, cases: &[(Edit<T>, &str)]) {
    for (edit, words) in cases {
        let mut after = before.clone();
        edit(&mut after);
        let with = |op: T, make: fn(T) -> Op| changed(|it| it.fields = of_op(&make(op)));
        assert_eq!(told(&with(before.clone(), op), &with(after, op)), *words);
    }
}

#[test]
fn every_field_of_a_process() {
    op_cases(
        &exec(),
        Op::Exec,
        &[
            (
                |it| it.argv[0] = "/bin/bash".into(),
                "command: was `/bin/sh -c \"make all\"`, is `/bin/bash -c \"make all\"`",
            ),
            (
                |it| it.cwd = "/v".into(),
                "working directory: was /w, is /v",
            ),
            (|it| it.user = "app".into(), "user is new: app"),
            (
                |it| it.network = NetworkMode::None,
                "network: was default, is none",
            ),
            (
                |it| it.network = NetworkMode::Host,
                "network: was default, is host",
            ),
            (
                |it| it.security = SecurityMode::Insecure,
                "security: was sandbox, is insecure",
            ),
            (|it| it.hostname = Some("h".into()), "host name is new: h"),
            (
                |it| it.extra_hosts = vec!["db".into()],
                "added hosts is new: db",
            ),
            (
                |it| it.ulimits = vec!["nofile=1".into()],
                "ulimits is new: nofile=1",
            ),
            (|it| it.shm_size = Some(1), "shm size is new: 1"),
            (
                |it| {
                    it.secret_env = vec![SecretEnv {
                        name: "T".into(),
                        id: "t".into(),
                        required: true,
                    }];
                },
                "secret variables is new: `T=t (required)`",
            ),
            (
                |it| {
                    it.devices = vec![Device {
                        name: "v/c=d".into(),
                        required: false,
                    }];
                },
                "devices is new: v/c=d",
            ),
            (
                |it| it.platform = Platform::new("linux", "arm64"),
                "platform: was linux/amd64, is linux/arm64",
            ),
        ],
    );
}

#[test]
fn every_field_of_a_mount() {
    let was = "mount 1: was `/src: files from /sub, read-only`, is";
    let cases: [(Edit<Mount>, &str); 8] = [
        (
            |it| it.target = "/s".into(),
            "`/s: files from /sub, read-only`",
        ),
        (|it| it.selector = String::new(), "`/src: files, read-only`"),
        (
            |it| it.access = MountAccess::ReadWrite,
            "`/src: files from /sub, writable`",
        ),
        (
            |it| it.access = MountAccess::Discard,
            "`/src: files from /sub, writable, thrown away`",
        ),
        (
            |it| it.output = Some(1),
            "`/src: files from /sub, read-only, output 1`",
        ),
        (
            |it| it.source = MountSource::Scratch,
            "`/src: nothing from /sub, read-only`",
        ),
        (
            |it| it.source = MountSource::Tmpfs { size: Some(9) },
            "`/src: tmpfs of 9 bytes from /sub, read-only`",
        ),
        (
            |it| {
                it.selector = String::new();
                it.source = MountSource::Ssh(SecretMount {
                    id: "default".into(),
                    mode: 0o600,
                    uid: 1,
                    gid: 2,
                    required: true,
                });
            },
            "`/src: ssh default, mode 0600, owner 1:2 (required), read-onl…`",
        ),
    ];
    for (edit, is) in cases {
        let mut after = exec();
        edit(&mut after.mounts[1]);
        let words = told(
            &story(),
            &changed(|it| it.fields = of_op(&Op::Exec(after.clone()))),
        );
        assert_eq!(words, format!("{was} {is}"));
    }
    let cache = |mode| {
        let mut op = exec();
        op.mounts[1].source = MountSource::Cache(CacheMount {
            base: None,
            mode,
            uid: 0,
            gid: 0,
        });
        changed(|it| it.fields = of_op(&Op::Exec(op)))
    };
    let words = told(&cache(0o755), &cache(0o700));
    assert!(
        words.contains("mode 0755") && words.contains("mode 0700"),
        "{words}"
    );
}

fn copy() -> CopyAction {
    CopyAction {
        input: 0,
        sources: vec![CopySource::Path("/a".into())],
        dest: "/d".into(),
        owner: CopyOwner::Keep,
        mode: None,
        archives: Archives::Copy,
        parents: false,
        excludes: vec![],
    }
}

#[test]
fn every_field_of_a_copy() {
    op_cases(
        &copy(),
        |copy| {
            Op::File(FileOp {
                base: None,
                accounts: None,
                actions: vec![FileAction::Copy(copy)],
            })
        },
        &[
            (
                |it| it.sources = vec![CopySource::Path("/b".into()), CopySource::Slot(0)],
                "sources: was /a, is `/b, #0`",
            ),
            (|it| it.dest = "/e".into(), "destination: was /d, is /e"),
            (
                |it| it.owner = CopyOwner::Named("app".into()),
                "owner: was `that of the source`, is app",
            ),
            (
                |it| it.owner = CopyOwner::Root,
                "owner is gone: was `that of the source`",
            ),
            (|it| it.mode = Some("0755".into()), "mode is new: 0755"),
            (
                |it| it.archives = Archives::Unpack,
                "archives is new: unpacked",
            ),
            (|it| it.parents = true, "parents is new: kept"),
            (
                |it| it.excludes = vec!["*.o".into()],
                "excludes is new: *.o",
            ),
        ],
    );
}

#[test]
fn every_field_of_what_is_made() {
    op_cases(
        &MkdirAction {
            path: "/w".into(),
            mode: 0o755,
            owner: "1".into(),
            mtime: None,
        },
        |mkdir| {
            Op::File(FileOp {
                base: None,
                accounts: None,
                actions: vec![FileAction::Mkdir(mkdir)],
            })
        },
        &[
            (|it| it.path = "/v".into(), "directory: was /w, is /v"),
            (|it| it.mode = 0o700, "mode: was 0755, is 0700"),
            (|it| it.owner = "2".into(), "owner: was 1, is 2"),
            (
                |it| it.mtime = Some(Timestamp::from_secs(0)),
                "time is new: 1970-01-01T00:00:00Z",
            ),
        ],
    );
    op_cases(
        &MkfileAction {
            name: "f".into(),
            dest: "/f".into(),
            content: b"x".to_vec(),
            mode: None,
            owner: "1".into(),
            mtime: None,
        },
        |made| {
            Op::File(FileOp {
                base: None,
                accounts: None,
                actions: vec![FileAction::Mkfile(made)],
            })
        },
        &[
            (
                |it| it.name = "g".into(),
                "name of the heredoc: was f, is g",
            ),
            (|it| it.dest = "/g".into(), "destination: was /f, is /g"),
            (
                |it| it.content = b"y".to_vec(),
                "content of the heredoc differs (its value is not kept)",
            ),
            (|it| it.mode = Some("0600".into()), "mode is new: 0600"),
            (|it| it.owner = String::new(), "owner is gone: was 1"),
        ],
    );
}

#[test]
fn what_follows_from_another_difference_is_not_told() {
    let op = |dest: &str| {
        Op::File(FileOp {
            base: None,
            accounts: None,
            actions: vec![FileAction::Copy(CopyAction {
                dest: dest.into(),
                ..copy()
            })],
        })
    };
    let with = |text: &str, value: &str, dest: &str| {
        changed(|it| {
            it.instruction.text = text.into();
            it.variables = vec![variable("DEST", value, true)];
            it.fields = of_op(&op(dest));
        })
    };
    let before = with("COPY a $DEST", "/x", "/x");
    assert_eq!(
        told(&before, &with("COPY a $DEST", "/y", "/y")),
        "`ARG DEST`: was /x, is /y"
    );
    assert_eq!(
        told(&before, &with("COPY a /y", "/x", "/y")),
        "instruction was `COPY a $DEST`, is `COPY a /y`"
    );
}

#[test]
fn long_texts_show_where_they_differ() {
    let long = |end: &str| format!("RUN {}{end}", "x".repeat(200));
    let (one, two) = (long("one and more"), long("two and more"));
    assert_eq!(
        excerpt(&one, &two),
        format!("…{}one and more", "x".repeat(20))
    );
    assert_eq!(excerpt("short\nlines", ""), "short lines");
    let cut = excerpt(&one, "");
    assert_eq!(cut.chars().count(), 61);
    assert!(cut.ends_with('…'));
}
