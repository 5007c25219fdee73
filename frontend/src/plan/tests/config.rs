//! Image config and history.

use super::fixture::{build, config, findings, history};
use expect_test::expect;

const BASE: &str = r#"
//- image base
{"created": "2020-01-01T00:00:00Z", "author": "me", "os": "linux", "architecture": "amd64", "vendor": {"x": 1}, "acetate.cache.v1": {"records": []}, "moby.buildkit.cache.v0": "W10=",
 "config": {"Env": ["PATH=/bin", "B=1"], "Cmd": ["old"], "Entrypoint": ["init"], "WorkingDir": "/w",
            "User": "app", "Labels": {"l": "base"}, "ExposedPorts": {"1/tcp": {}}, "StopSignal": "SIGINT",
            "Vendor": 7},
 "history": [{"created_by": "first", "created": "2020-01-01T00:00:00Z"}]}
"#;

fn on_base(body: &str) -> String {
    format!("//- Dockerfile\nFROM base\n{body}{BASE}")
}

#[test]
fn the_config_of_a_base_is_inherited_whole() {
    config(
        &on_base(""),
        &expect![[r#"
        {
          "architecture": "amd64",
          "author": "me",
          "config": {
            "Cmd": [
              "old"
            ],
            "Entrypoint": [
              "init"
            ],
            "Env": [
              "PATH=/bin",
              "B=1"
            ],
            "ExposedPorts": {
              "1/tcp": {}
            },
            "Labels": {
              "l": "base"
            },
            "StopSignal": "SIGINT",
            "User": "app",
            "Vendor": 7,
            "WorkingDir": "/w"
          },
          "os": "linux",
          "rootfs": {
            "diff_ids": [],
            "type": "layers"
          },
          "vendor": {
            "x": 1
          }
        }
    "#]],
    );
}

#[test]
fn layers_and_history_of_the_base_come_first() {
    let build = build(&on_base("COPY x /\n"));
    let image = &build.lowered.images[0];
    assert_eq!(image.config.rootfs.diff_ids.len(), 1);
    assert_eq!(image.config.history.len(), 1);
    assert_eq!(image.config.created, None);
    history(
        &on_base("COPY x /\n"),
        &expect![[r#"
        base  first
        %2    COPY x / # buildkit
    "#]],
    );
}

const ALL_METADATA: &str = r#"
FROM scratch
MAINTAINER a person
ENV A=1 B="two words"
LABEL a=1
LABEL a=2 b="x y"
EXPOSE 80 53/udp
VOLUME /data /more
VOLUME ["/x", "/y"]
USER app:staff
WORKDIR /srv
WORKDIR sub
STOPSIGNAL 9
HEALTHCHECK --interval=5m --timeout=3s --start-period=2s --start-interval=1s --retries=3 CMD curl -f /
SHELL ["/bin/bash", "-c"]
CMD run it
ONBUILD RUN x
ENTRYPOINT ["/init"]
"#;

#[test]
fn all_metadata_instructions() {
    config(
        ALL_METADATA,
        &expect![[r#"
            {
              "architecture": "amd64",
              "author": "a person",
              "config": {
                "ArgsEscaped": true,
                "Cmd": [
                  "/bin/bash",
                  "-c",
                  "run it"
                ],
                "Entrypoint": [
                  "/init"
                ],
                "Env": [
                  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                  "A=1",
                  "B=two words"
                ],
                "ExposedPorts": {
                  "53/udp": {},
                  "80/tcp": {}
                },
                "Healthcheck": {
                  "Interval": 300000000000,
                  "Retries": 3,
                  "StartInterval": 1000000000,
                  "StartPeriod": 2000000000,
                  "Test": [
                    "CMD-SHELL",
                    "curl -f /"
                  ],
                  "Timeout": 3000000000
                },
                "Labels": {
                  "a": "2",
                  "b": "x y"
                },
                "OnBuild": [
                  "RUN x"
                ],
                "Shell": [
                  "/bin/bash",
                  "-c"
                ],
                "StopSignal": "9",
                "User": "app:staff",
                "Volumes": {
                  "/data": {},
                  "/more": {},
                  "/x": {},
                  "/y": {}
                },
                "WorkingDir": "/srv/sub"
              },
              "os": "linux",
              "rootfs": {
                "diff_ids": [],
                "type": "layers"
              }
            }
        "#]],
    );
}

#[test]
fn s93_the_history_of_all_instructions() {
    history(
        r#"
FROM scratch
MAINTAINER a person
ARG foo=bar baz
ARG bar=123
ENV A=1 B="two words"
LABEL a=1 b="x y"
EXPOSE 5000 1234/udp 2375
VOLUME /data /more
USER app
WORKDIR /x
WORKDIR /
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["a", "b"]
HEALTHCHECK NONE
SHELL ["/bin/bash", "-c"]
RUN ls /etc/
ARG foo=bar2
RUN ["ls", "/etc/"]
COPY foo2 foo3 .
COPY --chown=1:2 --chmod=755 foo2 $A/
ADD a.tar /
COPY <<EOF <<EOF2 /d/
text
EOF
other
EOF2
CMD ["a", "b \"c\""]
ENTRYPOINT run me
ONBUILD RUN x
"#,
        &expect![[r#"
            -     MAINTAINER a person
            -     ARG foo=bar baz
            -     ARG bar=123
            -     ENV A=1 B=two words
            -     LABEL a=1 b=x y
            -     EXPOSE [1234/udp 2375/tcp 5000/tcp]
            -     VOLUME [/data /more]
            -     USER app
            %0    WORKDIR /x
            -     WORKDIR /
            -     STOPSIGNAL SIGTERM
            -     HEALTHCHECK {Test:[CMD a b] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}
            -     HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}
            -     SHELL [/bin/bash -c]
            %1    RUN |3 foo=bar baz= bar=123 /bin/bash -c ls /etc/ # buildkit
            -     ARG foo=bar2
            %2    RUN |3 foo=bar2 baz= bar=123 ls /etc/ # buildkit
            %4    COPY foo2 foo3 . # buildkit
            %6    COPY --chown=1:2 --chmod=755 foo2 1/ # buildkit
            %8    ADD a.tar / # buildkit
            %9    COPY <<EOF <<EOF2 /d/ # buildkit
            -     CMD [\"a\" \"b \\\"c\\\"\"]
            -     ENTRYPOINT [\"/bin/bash\" \"-c\" \"run me\"]
        "#]],
    );
}

#[test]
fn s94_history_holds_only_the_own_chain() {
    history(
        r"
FROM debian AS tools
RUN make
FROM scratch AS base
LABEL a=b
COPY x /
FROM base
COPY --from=tools /x /
ENV C=d
",
        &expect![[r#"
            -     LABEL a=b
            %1    COPY x / # buildkit
            %4    COPY /x / # buildkit
            -     ENV C=d
        "#]],
    );
}

#[test]
fn s100_entrypoint_resets_an_inherited_command() {
    config(
        &on_base("SHELL [\"ls\"]\nENTRYPOINT my entrypoint\n"),
        &expect![[r#"
        {
          "architecture": "amd64",
          "author": "me",
          "config": {
            "Entrypoint": [
              "ls",
              "my entrypoint"
            ],
            "Env": [
              "PATH=/bin",
              "B=1"
            ],
            "ExposedPorts": {
              "1/tcp": {}
            },
            "Labels": {
              "l": "base"
            },
            "Shell": [
              "ls"
            ],
            "StopSignal": "SIGINT",
            "User": "app",
            "Vendor": 7,
            "WorkingDir": "/w"
          },
          "os": "linux",
          "rootfs": {
            "diff_ids": [],
            "type": "layers"
          },
          "vendor": {
            "x": 1
          }
        }
    "#]],
    );
    let keeps = build(&on_base("CMD [\"mine\"]\nENTRYPOINT [\"e\"]\n"));
    assert_eq!(
        keeps.lowered.images[0].config.config.cmd,
        Some(vec!["mine".to_owned()])
    );
    let in_child = build("FROM scratch AS a\nCMD [\"parent\"]\nFROM a\nENTRYPOINT [\"e\"]\n");
    assert_eq!(in_child.lowered.images[0].config.config.cmd, None);
}

#[test]
fn s2_what_is_no_json_is_for_the_shell() {
    let image = build("FROM scratch\nENTRYPOINT []random string\n")
        .lowered
        .images
        .remove(0);
    let argv = ["/bin/sh", "-c", "[]random string"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(image.config.config.entrypoint, Some(argv));
    let image = build(&on_base("ENTRYPOINT []\n")).lowered.images.remove(0);
    assert_eq!(image.config.config.entrypoint, None);
}

#[test]
fn s101_healthchecks() {
    for (text, expected) in [
        ("HEALTHCHECK CMD a b", vec!["CMD-SHELL", "a b"]),
        ("HEALTHCHECK CMD [\"a\", \"b\"]", vec!["CMD", "a", "b"]),
        ("HEALTHCHECK NONE", vec!["NONE"]),
    ] {
        let image = build(&format!("FROM scratch\n{text}\n"))
            .lowered
            .images
            .remove(0);
        let check = image.config.config.healthcheck.unwrap();
        assert_eq!(check.test, expected);
        assert_eq!((check.interval, check.retries), (0, 0));
    }
}

#[test]
fn s17_ports_come_out_of_variables() {
    let text = "FROM scratch\nARG PORTS=\"3000 4000/udp 3000\"\nEXPOSE $PORTS 80/TCP\n";
    let image = build(text).lowered.images.remove(0);
    let ports: Vec<&String> = image.config.config.exposed_ports.keys().collect();
    assert_eq!(ports, ["3000/tcp", "4000/udp", "80/tcp"]);
    findings(
        "FROM scratch\nEXPOSE web\n",
        &expect![[r#"
        error[invalid-expose] line 2 `web`: invalid containerPort: web
            hint: write `port`, `first-last` or `port/udp`
    "#]],
    );
}

#[test]
fn s103_labels_of_the_request_come_last() {
    let text =
        "//- Dockerfile\nFROM scratch AS x\nLABEL k=file\nFROM x\n//- args label:k=cli label:m=\n";
    let image = build(text).lowered.images.remove(0);
    let labels: Vec<(&str, &str)> = image
        .config
        .config
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(labels, [("k", "cli"), ("m", "")]);
}

#[test]
fn s109_a_named_platform_is_stamped() {
    let image = |config: &str, args: &str| {
        let text =
            format!("//- Dockerfile\nFROM base\n//- args {args}\n//- image base\n{config}\n");
        build(&text).lowered.images.remove(0).config
    };
    let named = image(
        r#"{"os": "linux", "architecture": "amd64"}"#,
        "platform=linux/arm/v6",
    );
    assert_eq!(
        (
            named.os.as_str(),
            named.architecture.as_str(),
            named.variant.as_deref()
        ),
        ("linux", "arm", Some("v6"))
    );
    let unnamed = image(r#"{"os": "linux", "architecture": "386"}"#, "epoch=1");
    assert_eq!(unnamed.architecture, "386");
}

#[test]
fn stop_signals_are_checked() {
    findings(
        "FROM scratch\nARG S=SIGFOO\nSTOPSIGNAL $S\n",
        &expect![[r#"
        error[invalid-signal] line 3 `$S`: Invalid signal: SIGFOO
            hint: write a name such as `SIGTERM` or a number from 1 to 64
    "#]],
    );
}

#[test]
fn relative_working_directories_are_warned_of_while_there_is_no_absolute_one() {
    findings(
        "FROM debian\nWORKDIR a\nWORKDIR /b\nWORKDIR c\n",
        &expect![[r#"
        warning[WorkdirRelativePath] line 2 `a`: Relative workdir "a" can have unexpected results if the base image changes
    "#]],
    );
}

#[test]
fn repeated_commands_are_warned_of() {
    findings(
        "FROM scratch\nCMD a\nCMD b\nENTRYPOINT [\"x\"]\n",
        &expect![[r#"
            warning[JSONArgsRecommended] line 2 `CMD a`: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals
            warning[MultipleInstructionsDisallowed] line 2 `CMD a`: Multiple CMD instructions should not be used in the same stage because only the last one will be used
            warning[JSONArgsRecommended] line 3 `CMD b`: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals
        "#]],
    );
}
