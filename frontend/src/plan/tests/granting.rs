//! What needs `--allow`, and what the request sets for every RUN.

use super::fixture::{Fixture, build, findings, runs};
use expect_test::expect;

#[test]
fn s61_insecure_steps_are_granted() {
    runs(
        "//- Dockerfile\nFROM debian\nRUN --security=insecure x\nRUN --security=sandbox y\n//- args allow=security.insecure\n",
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              security Insecure
            ["/bin/sh", "-c", "y"]
              env [] in / as ""
        "#]],
    );
    findings(
        "FROM debian\nRUN --security=insecure x\n",
        &expect![[r#"
            error[missing-entitlement] line 2 `insecure`: `RUN --security=insecure` needs the entitlement security.insecure
                hint: build with `--allow security.insecure`
        "#]],
    );
}

#[test]
fn the_network_of_the_host_is_granted() {
    findings(
        "FROM debian\nRUN --network=host x\n",
        &expect![[r#"
        error[missing-entitlement] line 2 `host`: `RUN --network=host` needs the entitlement network.host
            hint: build with `--allow network.host`
    "#]],
    );
    findings(
        "//- Dockerfile\nFROM debian\nRUN --network=none x\nRUN y\n//- args network=host\n",
        &expect![[r#"
            error[missing-entitlement] line 3 `RUN y`: `--network=host` needs the entitlement network.host
                hint: build with `--allow network.host`
        "#]],
    );
    findings(
        "//- Dockerfile\nFROM debian\nRUN --network=host x\n//- args allow=security.insecure allow=device\n",
        &expect![[r#"
            error[missing-entitlement] line 2 `host`: `RUN --network=host` needs the entitlement network.host
                hint: build with `--allow network.host`
        "#]],
    );
}

#[test]
fn nothing_is_asked_of_stages_that_are_not_reached() {
    build(
        "FROM debian AS a\nRUN --network=host --security=insecure --device=v/c=d x\nFROM debian\n",
    );
}

#[test]
fn devices_are_granted_by_name_class_or_all() {
    let text = "FROM debian\nRUN --device=v.example/c=d,required --device=v.example/c x\n";
    runs(
        &format!("//- Dockerfile\n{text}//- args allow=device\n"),
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              device v.example/c=d required
              device v.example/c
        "#]],
    );
    findings(
        text,
        &expect![[r#"
        error[missing-entitlement] line 2 `v.example/c=d,required`: `RUN --device` needs the entitlement device=v.example/c=d
            hint: build with `--allow device=v.example/c=d`
    "#]],
    );
    let one = |grant: &str, device: &str| {
        let text = format!(
            "//- Dockerfile\nFROM debian\nRUN --device={device} x\n//- args allow=device:{grant}\n"
        );
        Fixture::new(&text).build().is_ok()
    };
    assert!(one("v.example/c", "v.example/c=d"));
    assert!(one("v.example/c", "v.example/c"));
    assert!(!one("v.example/c", "v.example/cc=d"));
}

#[test]
fn wrong_devices_are_explained() {
    findings(
        "//- Dockerfile\nFROM debian\nRUN --device=v/c=d,requird=1 x\n//- args allow=device\n",
        &expect![[r#"
            error[invalid-device] line 2 `v/c=d,requird=1`: unexpected key 'requird' in 'requird=1' (did you mean required?)
        "#]],
    );
}

#[test]
fn wrong_values_get_a_suggestion() {
    findings(
        "FROM debian\nRUN --network=hst x\n",
        &expect![[r#"
        error[invalid-network] line 2 `hst`: invalid network mode "hst" (did you mean host?)
    "#]],
    );
    findings(
        "FROM debian\nRUN --security=insecur x\n",
        &expect![[r#"
        error[invalid-security] line 2 `insecur`: security "insecur" is not valid (did you mean insecure?)
    "#]],
    );
    findings(
        "FROM debian\nRUN --mont=type=tmpfs x\n",
        &expect![[r#"
        error[unknown-flag] line 2 `--mont=type=tmpfs`: unknown flag: --mont (did you mean mount?)
    "#]],
    );
}

#[test]
fn s73_limits_are_beside_the_key_but_for_ulimits_and_shared_memory() {
    let with = |args: &str| format!("//- Dockerfile\nFROM debian\nRUN x\n//- args {args}\n");
    runs(
        &with("ulimit:nofile=1024:2048 shm=1024 memory=4096"),
        &expect![[r#"
            ["/bin/sh", "-c", "x"]
              env [] in / as ""
              ulimit nofile=1024:2048
              shm 1024
              beside the key memory 4096
        "#]],
    );
    let key = |args: &str| {
        let graph = build(&with(args)).lowered.graph;
        graph.key(graph.targets()[0].vertex)
    };
    assert_eq!(key("memory=1"), key("memory=2"));
    assert_ne!(key("memory=1"), key("shm=1"));
    assert_ne!(key("ulimit:nofile=1:1"), key("ulimit:nofile=2:2"));
    assert_ne!(key("no-cache"), key("shm=1"));
}
