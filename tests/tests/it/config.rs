//! What metadata instructions leave in config and history.

use acetate_tests::World;
use expect_test::expect;

#[test]
fn every_instruction_has_its_line_of_history() {
    let world = World::of(
        r#"
        FROM base
        ARG foo=bar
        ARG n=1
        ENV A=b C="d e"
        LABEL l=m
        WORKDIR /w
        RUN true
        ARG foo=bar2
        RUN ["/bin/true", "x"]
        COPY --chown=1:2 --chmod=755 Dockerfile d/
        COPY <<EOF /text
        x
        EOF
        EXPOSE 5000 1234/UDP 2375-2376
        USER app
        VOLUME /v /w
        STOPSIGNAL SIGINT
        HEALTHCHECK --interval=30s --retries=3 CMD test -e /w
        ONBUILD RUN echo hi
        SHELL ["/bin/sh", "-ec"]
        ENTRYPOINT ["/bin/echo"]
        CMD hello "world"
        MAINTAINER me
        WORKDIR /
    "#,
    );
    let image = world.image(&[]);
    expect![[r#"
          ARG foo=bar
          ARG n=1
          ENV A=b C=d e
          LABEL l=m
        * WORKDIR /w
        * RUN |2 foo=bar n=1 /bin/sh -c true # buildkit
          ARG foo=bar2
        * RUN |2 foo=bar2 n=1 /bin/true x # buildkit
        * COPY --chown=1:2 --chmod=755 Dockerfile d/ # buildkit
        * COPY <<EOF /text # buildkit
          EXPOSE [1234/udp 2375/tcp 2376/tcp 5000/tcp]
          USER app
          VOLUME [/v /w]
          STOPSIGNAL SIGINT
          HEALTHCHECK {Test:[CMD-SHELL test -e /w] Interval:30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3}
          SHELL [/bin/sh -ec]
          ENTRYPOINT ["/bin/echo"]
          CMD ["/bin/sh" "-ec" "hello \"world\""]
          MAINTAINER me
          WORKDIR /
    "#]]
    .assert_eq(&image.history());
    let above = image.config.history.iter().skip(1);
    assert!(
        above
            .clone()
            .all(|entry| entry.comment == "buildkit.dockerfile.v0")
    );
    assert!(above.clone().all(|entry| entry.created.is_some()));
}

#[test]
fn the_config_says_how_to_run_the_image() {
    let world = World::of(
        r#"
        FROM base
        EXPOSE 80/TCP 80
        VOLUME ["/v"]
        STOPSIGNAL 9
        USER app
        WORKDIR /w
        HEALTHCHECK --timeout=5s CMD ["check"]
        SHELL ["/bin/sh", "-ec"]
        CMD lost
        ENTRYPOINT my entry
        CMD ["a", "b"]
        LABEL x=1 y="2 3"
        MAINTAINER me
    "#,
    );
    let image = world.image(&["--label=x=flag", "--label", "z"]);
    let json = serde_json::to_string_pretty(&image.config.config).unwrap();
    expect![[r#"
        {
          "User": "app",
          "ExposedPorts": {
            "80/tcp": {}
          },
          "Env": [
            "PATH=/bin",
            "FROM_BASE=1"
          ],
          "Entrypoint": [
            "/bin/sh",
            "-ec",
            "my entry"
          ],
          "Cmd": [
            "a",
            "b"
          ],
          "Volumes": {
            "/v": {}
          },
          "WorkingDir": "/w",
          "Labels": {
            "x": "flag",
            "y": "2 3",
            "z": ""
          },
          "StopSignal": "9",
          "ArgsEscaped": true,
          "Healthcheck": {
            "Test": [
              "CMD",
              "check"
            ],
            "Timeout": 5000000000
          },
          "Shell": [
            "/bin/sh",
            "-ec"
          ]
        }"#]]
    .assert_eq(&json);
    assert_eq!(image.config.author.as_deref(), Some("me"));
}

#[test]
fn an_entrypoint_takes_the_command_of_the_base_away() {
    let world = World::of("FROM base\nENTRYPOINT [\"/bin/echo\"]\n");
    let config = world.image(&[]).config.config;
    assert_eq!(
        (config.entrypoint, config.cmd),
        (Some(vec!["/bin/echo".into()]), None)
    );
}

#[test]
fn scratch_has_a_path() {
    let image = World::of("FROM scratch\nCMD [\"/x\"]\n").image(&[]);
    assert_eq!(
        image.env()["PATH"],
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
}

#[test]
fn metadata_alone_keeps_the_time_and_layers_of_the_base() {
    let image = World::of("FROM base\nENV A=1\n").image(&[]);
    assert_eq!(image.n_layers(), 1);
    let created = image.config.created.unwrap();
    assert_eq!(created.secs, 1_000_000_000);
}

#[test]
fn volumes_keep_what_later_steps_write() {
    let world = World::of(
        "FROM base\nVOLUME /v\nRUN mkdir -p /v && echo kept > /v/f\nRUN cat /v/f > /out\n",
    );
    assert_eq!(world.image(&[]).file("out"), "kept\n");
}

#[test]
fn an_epoch_is_the_time_of_new_lines_only() {
    let world = World::of("FROM base\nRUN echo 1 > /f\nENV A=1\n");
    let image = world.image(&["--build-arg=SOURCE_DATE_EPOCH=1500000000"]);
    let times: Vec<i64> = image
        .config
        .history
        .iter()
        .map(|entry| entry.created.unwrap().secs)
        .collect();
    assert_eq!(times, [1_000_000_000, 1_500_000_000, 1_500_000_000]);
    assert_eq!(image.config.created.unwrap().secs, 1_500_000_000);
}
