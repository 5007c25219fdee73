//! `RUN --mount` of secrets and agents, and what is wrong with mounts.

use super::fixture::{Fixture, build, names, runs};
use expect_test::expect;

#[test]
fn s70_secrets_are_files_or_variables() {
    runs(
        r"
FROM debian
WORKDIR /w
RUN --mount=type=secret,id=a x
RUN --mount=type=secret,id=dir/b,required x
RUN --mount=type=secret,target=/etc/c.txt x
RUN --mount=type=secret,source=d,target=rel,mode=0440,uid=1,gid=2 x
RUN --mount=type=secret,id=e,env=TOKEN x
RUN --mount=type=secret,id=f,env=TOKEN,target=/t,required=true x
RUN --mount=type=secret,id=g --mount=type=secret,id=h,env=A --mount=type=secret,id=i,env=B x
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              mount /run/secrets/a = secret a 0400 0:0 ReadOnly
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              mount /run/secrets/b = secret dir/b 0400 0:0 required ReadOnly
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              mount /etc/c.txt = secret c.txt 0400 0:0 ReadOnly
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              mount /w/rel = secret d 0440 1:2 ReadOnly
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              TOKEN holds secret e
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              TOKEN holds secret f required
              mount /t = secret f 0400 0:0 required ReadOnly
            ["/bin/sh", "-c", "x"]
              env [] in /w as ""
              A holds secret h
              B holds secret i
              mount /run/secrets/g = secret g 0400 0:0 ReadOnly
        "#]],
    );
}

#[test]
fn s70_variables_that_hold_secrets_are_masked() {
    names(
        r"
FROM debian
ENV TOKEN=visible USER=me
RUN --mount=type=secret,id=a,env=TOKEN login $USER $TOKEN
RUN login $USER $TOKEN
",
        &expect![[r#"
            1-1 [1/3] FROM docker.io/library/debian:latest@D
            3-3 [2/3] RUN --mount=type=secret,id=a,env=TOKEN login me ****
            4-4 [3/3] RUN login me visible
        "#]],
    );
}

#[test]
fn agents_stand_in_a_variable() {
    runs(
        r"
FROM debian
RUN --mount=type=ssh x
RUN --mount=type=ssh,id=other,required --mount=type=ssh,mode=0666,uid=1,gid=2 x
RUN --mount=type=ssh,target=/s --mount=type=ssh x
ENV SSH_AUTH_SOCK=/mine
RUN --mount=type=ssh x
",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env ["SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0"] in / as ""
              mount /run/buildkit/ssh_agent.0 = ssh default 0600 0:0 ReadOnly
            ["/bin/sh", "-c", "x"]
              env ["SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0"] in / as ""
              mount /run/buildkit/ssh_agent.0 = ssh other 0600 0:0 required ReadOnly
              mount /run/buildkit/ssh_agent.1 = ssh default 0666 1:2 ReadOnly
            ["/bin/sh", "-c", "x"]
              env ["SSH_AUTH_SOCK=/s"] in / as ""
              mount /s = ssh default 0600 0:0 ReadOnly
              mount /run/buildkit/ssh_agent.1 = ssh default 0600 0:0 ReadOnly
            ["/bin/sh", "-c", "x"]
              env ["SSH_AUTH_SOCK=/mine"] in / as ""
              mount /run/buildkit/ssh_agent.0 = ssh default 0600 0:0 ReadOnly
        "#]],
    );
}

#[test]
fn wrong_mounts_are_explained() {
    for (mount, message) in [
        (
            "typ=cache",
            "unexpected key 'typ' in 'typ=cache' (did you mean type?)",
        ),
        (
            "type=tmp,target=/x",
            "unsupported mount type \"tmp\" (did you mean tmpfs?)",
        ),
        (
            "type=bind,target=/x,uid=0",
            "uid not allowed for \"bind\" type mounts",
        ),
        (
            "type=tmpfs,target=/x,mode=0700",
            "mode not allowed for \"tmpfs\" type mounts",
        ),
        (
            "target=/x,required",
            "unexpected key 'required' for mount type 'bind'",
        ),
        (
            "type=cache,target=/x,size=1",
            "unexpected key 'size' for mount type 'cache'",
        ),
        (
            "type=cache,target",
            "invalid field 'target' must be a key=value pair",
        ),
        (
            "type=cache,target=/x,sharing=exclusive",
            "unsupported sharing value \"exclusive\"",
        ),
        (
            "type=cache,target=/x,sharing=share",
            "unsupported sharing value \"share\" (did you mean shared?)",
        ),
        (
            "target=/x,sharing=locked",
            "invalid cache sharing set for bind mount",
        ),
        (
            "type=secret",
            "invalid secret mount. one of source, target required",
        ),
        ("type=secret,env=X", "one of source, target required"),
        (
            "type=secret,id=x,from=y",
            "secret mount should not have a from",
        ),
        (
            "type=secret,id=x,sharing=shared",
            "secret mount should not define sharing",
        ),
        (
            "type=secret,id=x,source=y",
            "both source and id can't be set",
        ),
        ("type=ssh,source=x", "ssh does not support source"),
        ("type=cache,target=/x,uid=-1", "invalid value -1 for uid"),
        ("type=cache,target=/x,mode=9", "invalid value 9 for mode"),
        ("type=tmpfs,target=/x,size=big", "invalid size: 'big'"),
        ("target=/x,ro=maybe", "invalid value for ro: maybe"),
        ("target=/x,rw=maybe", "invalid value for rw: maybe"),
    ] {
        let fixture = Fixture::new(&format!("FROM scratch\nRUN --mount={mount} y\n"));
        let found = fixture.build().err().unwrap_or_default();
        let error = found
            .last()
            .unwrap_or_else(|| panic!("{mount} is accepted"));
        assert_eq!(error.message, message, "{mount}");
        assert_eq!(error.code, "invalid-mount");
        assert!(error.span().is_some_and(|span| span.start >= 25), "{mount}");
    }
}

#[test]
fn s73_a_secret_is_in_the_key_by_its_name_and_place() {
    let key = |mount: &str| {
        let graph = build(&format!("FROM debian\nRUN --mount={mount} x\n"))
            .lowered
            .graph;
        graph.key(graph.targets()[0].vertex)
    };
    let plain = key("type=secret,id=a");
    assert_eq!(plain, key("type=secret,id=a,target=/run/secrets/a"));
    assert_ne!(plain, key("type=secret,id=b,target=/run/secrets/a"));
    assert_ne!(plain, key("type=secret,id=a,target=/b"));
    assert_ne!(plain, key("type=secret,id=a,required"));
    assert_ne!(plain, key("type=secret,id=a,mode=0444"));
    assert_ne!(plain, key("type=secret,id=a,env=A"));
}
