use super::{MountError, ram_in_bytes};
use crate::ast::{Mount, MountKind, MountSharing, MountSpec};
use crate::span::{Span, Spanned};

fn parse(text: &str) -> Result<MountSpec, MountError> {
    MountSpec::parse(Spanned::new(
        text.to_owned(),
        Span::new(100, 100 + text.len()),
    ))
}

/// Expands `$X` to `value`, and nothing else.
fn resolve(text: &str) -> Result<Mount, String> {
    let spec = parse(text).map_err(|error| error.message)?;
    spec.resolve(|value| Ok::<_, String>(value.replace("$X", "value")))
        .map_err(|error| error.message)
}

fn own(text: &str) -> String {
    text.to_owned()
}

#[test]
fn every_key() {
    let bind = resolve("type=bind,target=/t,source=s,from=f").unwrap();
    let expected = Mount {
        target: Some(own("/t")),
        source: Some(own("s")),
        from: Some(own("f")),
        read_only: true,
        ..Mount::default()
    };
    assert_eq!(bind, expected);
    let cache = resolve("TYPE=Cache,Id=i,dst=/c,sharing=private,mode=0700,uid=1,gid=2,src=s,ro");
    let expected = Mount {
        kind: MountKind::Cache,
        id: Some(own("i")),
        target: Some(own("/c")),
        source: Some(own("s")),
        sharing: MountSharing::Private,
        mode: Some(0o700),
        uid: Some(1),
        gid: Some(2),
        read_only: true,
        ..Mount::default()
    };
    assert_eq!(cache.unwrap(), expected);
    let secret = resolve("type=secret,id=a,destination=/s,env=E,required=true").unwrap();
    let expected = Mount {
        kind: MountKind::Secret,
        id: Some(own("a")),
        target: Some(own("/s")),
        env: Some(own("E")),
        required: true,
        read_only: true,
        ..Mount::default()
    };
    assert_eq!(secret, expected);
}

#[test]
fn defaults_of_the_types() {
    for (text, kind, read_only) in [
        ("target=/x", MountKind::Bind, true),
        ("target=/x,rw", MountKind::Bind, false),
        ("target=/x,readwrite=false", MountKind::Bind, true),
        ("target=/x,readonly=0", MountKind::Bind, false),
        ("type=cache,target=/x", MountKind::Cache, false),
        ("type=cache,target=/x,readonly", MountKind::Cache, true),
        ("type=tmpfs,target=/x", MountKind::Tmpfs, false),
        ("type=ssh", MountKind::Ssh, true),
        ("type=secret,id=x", MountKind::Secret, true),
        ("type=secret,env=x", MountKind::Secret, true),
    ] {
        let mount = resolve(text).unwrap();
        assert_eq!((mount.kind, mount.read_only), (kind, read_only), "{text}");
        assert_eq!(mount.sharing, MountSharing::Shared);
    }
}

#[test]
fn variables() {
    let mount = resolve("type=cache,target=/$X,id=$X-1").unwrap();
    assert_eq!(
        (mount.target, mount.id),
        (Some(own("/value")), Some(own("value-1")))
    );
    assert_eq!(
        resolve("type=$X,target=/x"),
        Err("unsupported mount type \"value\"".to_owned())
    );
    assert_eq!(
        resolve("type=cache,uid=$X").unwrap_err(),
        "invalid value value for uid"
    );
    let spec = parse("type=cache,target=$X").unwrap();
    let failed = spec.resolve(|_| Err::<String, _>("X: custom")).unwrap_err();
    assert_eq!(failed.to_string(), "X: custom");
    // A dollar at the end names nothing.
    assert_eq!(resolve("from=a$,target=/x").unwrap().from, Some(own("a$")));
}

#[test]
fn fields_and_places() {
    let spec = parse("type=bind,Target=/x,rw").unwrap();
    let fields: Vec<_> = spec
        .fields
        .iter()
        .map(|it| (it.key.as_str(), it.span))
        .collect();
    assert_eq!(
        fields,
        [
            ("type", Span::new(100, 109)),
            ("target", Span::new(110, 119)),
            ("rw", Span::new(120, 122))
        ]
    );
    let quoted = parse("\"source=a,\"\"b\"\"\",target=/x").unwrap();
    assert_eq!(quoted.fields[0].value, Some(own("a,\"b\"")));
    assert_eq!(quoted.fields[1].value, Some(own("/x")));
    let mount = resolve("source=a=b,target=").unwrap();
    assert_eq!(
        (mount.source, mount.target),
        (Some(own("a=b")), Some(own("")))
    );
}

#[test]
fn sizes() {
    for (text, expected) in [
        ("0", Some(0)),
        ("4096", Some(4096)),
        ("1k", Some(1 << 10)),
        ("128m", Some(128 << 20)),
        ("128M", Some(128 << 20)),
        ("128mb", Some(128 << 20)),
        ("2GiB", Some(2 << 30)),
        ("1.5g", Some(3 << 29)),
        ("1 t", Some(1 << 40)),
        ("3p", Some(3 << 50)),
        ("5b", Some(5)),
        (".5g", Some(1 << 29)),
        ("5.", Some(5)),
        ("1e3", Some(1000)),
        ("1.9", Some(1)),
        ("1 KiB", Some(1 << 10)),
        ("7 ", Some(7)),
        ("1kbb", None),
        ("1ki", None),
        ("1iib", None),
        ("5ib", None),
        ("1  k", None),
        (" 1", None),
        (".", None),
        ("", None),
        ("m", None),
        ("-1", None),
        ("1x", None),
        ("1.2.3k", None),
        ("99999999999999999999", None),
        ("99999999p", None),
    ] {
        assert_eq!(ram_in_bytes(text), expected, "{text}");
    }
    assert_eq!(
        resolve("type=tmpfs,target=/x,size=1k").unwrap().size,
        Some(1024)
    );
}
