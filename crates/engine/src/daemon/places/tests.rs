use super::*;
use acetate_oci::Digest;
use std::path::Path;

/// A directory of docker's settings with the file `config.json` and contexts by their names.
fn settings(config: Option<&str>, contexts: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    if let Some(config) = config {
        std::fs::write(dir.path().join("config.json"), config).unwrap();
    }
    for (name, meta) in contexts {
        let meta_dir = dir.path().join("contexts/meta").join(id(name));
        std::fs::create_dir_all(&meta_dir).unwrap();
        std::fs::write(meta_dir.join("meta.json"), meta).unwrap();
    }
    dir
}

fn id(name: &str) -> String {
    Digest::of(name.as_bytes()).hex()
}

fn meta(host: &str, skip: bool) -> String {
    format!(
        r#"{{"Name":"x","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":{skip}}}}}}}"#
    )
}

fn environment(dir: &Path) -> DaemonEnvironment {
    DaemonEnvironment {
        docker_config: Some(dir.to_owned()),
        ..DaemonEnvironment::default()
    }
}

/// The endpoint and how it is spoken to, or the error.
fn chosen(environment: &DaemonEnvironment, context: Option<&str>) -> String {
    match environment.chosen(context) {
        Ok(endpoint) => {
            let how = match &endpoint {
                Endpoint::Tcp { tls: Some(tls), .. } => {
                    let settings = &tls.settings;
                    let n = settings.authorities.len();
                    let identity = settings.identity.is_some();
                    format!(" {:?} {n} {identity}", settings.verify)
                }
                _ => String::new(),
            };
            format!("{endpoint}{how}")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn docker_goes_before_podman_and_a_named_host_before_both() {
    let environment = DaemonEnvironment {
        xdg_runtime_dir: Some("/run/user/1".into()),
        ..DaemonEnvironment::default()
    };
    let paths = [
        "/var/run/docker.sock",
        "/run/user/1/podman/podman.sock",
        "/run/podman/podman.sock",
    ];
    assert_eq!(environment.usual(), paths.map(PathBuf::from));
    let named = DaemonEnvironment {
        docker_host: Some("unix:///no/such.sock".to_owned()),
        ..environment
    };
    let error = named.endpoint(None).unwrap_err().to_string();
    assert!(error.contains("no socket at `/no/such.sock`"), "{error}");
}

#[test]
fn a_host_goes_before_contexts_but_not_before_one_that_an_output_names() {
    let dir = settings(
        Some(r#"{"auths":{},"currentContext":"current"}"#),
        &[
            ("current", &meta("ssh://me@current", false)),
            ("other", &meta("tcp://other:1", false)),
            ("named", &meta("unix:///named.sock", false)),
        ],
    );
    for (host, context, output, expected) in [
        ("", "", "", "ssh://me@current"),
        ("", "other", "", "tcp://other:1"),
        ("tcp://h", "other", "", "tcp://h:2375"),
        ("tcp://h", "", "", "tcp://h:2375"),
        ("tcp://h", "other", "named", "unix:///named.sock"),
        ("", "other", "named", "unix:///named.sock"),
        ("tcp://h", "other", "default", "tcp://h:2375"),
    ] {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let environment = DaemonEnvironment {
            docker_host: given(host),
            docker_context: given(context),
            ..environment(dir.path())
        };
        let found = chosen(&environment, given(output).as_deref());
        assert_eq!(found, expected, "{host} {context} {output}");
        let contradicts = !host.is_empty() && !context.is_empty();
        assert_eq!(environment.contradiction().is_some(), contradicts);
    }
}

#[test]
fn the_default_context_is_none() {
    let none = DaemonEnvironment {
        docker_context: Some(DEFAULT.to_owned()),
        ..DaemonEnvironment::default()
    };
    assert_eq!(none.current_context().unwrap(), None);
    for config in [
        None,
        Some("{}"),
        Some(r#"{"currentContext":""}"#),
        Some(r#"{"currentContext":"default"}"#),
    ] {
        let dir = settings(config, &[]);
        let found = environment(dir.path()).current_context().unwrap();
        assert_eq!(found, None, "{config:?}");
    }
}

#[test]
fn a_context_that_leads_nowhere_says_where_it_was_looked_for() {
    let dir = settings(
        Some(r#"{"currentContext":"lost"}"#),
        &[
            ("bad", "{"),
            ("kubernetes", r#"{"Endpoints":{"kubernetes":{}}}"#),
            ("hostless", &meta("", false)),
            ("http", &meta("http://h", false)),
        ],
    );
    let lost = format!("contexts/meta/{}/meta.json", id("lost"));
    let environment = environment(dir.path());
    for (context, words) in [
        (
            None,
            vec!["config.json` names docker's context `lost`", &lost],
        ),
        (Some("lost"), vec!["context=lost names", &lost]),
        (Some("bad"), vec!["failed to read", "meta.json"]),
        (Some("kubernetes"), vec!["no endpoint of docker"]),
        (Some("hostless"), vec!["no endpoint of docker"]),
        (
            Some("http"),
            vec!["docker's context `http` leads to `http://h`"],
        ),
    ] {
        let error = chosen(&environment, context);
        for words in words {
            assert!(error.contains(words), "{context:?}: {error}");
        }
    }
    let nowhere = DaemonEnvironment::default();
    assert!(chosen(&nowhere, Some("x")).contains("nothing says where contexts are"));
    let broken = settings(Some("{"), &[]);
    let error = chosen(&super::tests::environment(broken.path()), None);
    assert!(error.contains("config.json"), "{error}");
}

#[test]
fn tls_follows_the_environment_for_hosts_and_the_files_for_contexts() {
    let dir = settings(
        None,
        &[
            ("plain", &meta("tcp://h:1", false)),
            ("skip", &meta("tcp://h:1", true)),
            ("files", &meta("tcp://h", false)),
            ("ssh", &meta("ssh://h", true)),
        ],
    );
    let certificates = dir.path().join("contexts/tls").join(id("files"));
    let certificates = certificates.join("docker");
    std::fs::create_dir_all(&certificates).unwrap();
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        std::fs::write(certificates.join(name), name).unwrap();
    }
    let plain = environment(dir.path());
    for (context, expected) in [
        ("plain", "tcp://h:1"),
        ("skip", "tcp://h:1 Never 0 false"),
        ("files", "tcp://h:2376 Strictly 1 true"),
        ("ssh", "ssh://h"),
    ] {
        assert_eq!(chosen(&plain, Some(context)), expected);
    }
    let with = |host: &str, docker_tls, path: &Path| {
        let environment = DaemonEnvironment {
            docker_host: Some(host.to_owned()),
            docker_tls,
            docker_cert_path: Some(path.to_owned()),
            ..plain.clone()
        };
        chosen(&environment, None)
    };
    let here = certificates.as_path();
    for (tls, path, expected) in [
        (DockerTls::Off, here, "tcp://h:2375"),
        (DockerTls::Verified, here, "tcp://h:2376 Strictly 1 true"),
        (DockerTls::Unverified, here, "tcp://h:2376 Never 1 true"),
        (
            DockerTls::Unverified,
            dir.path(),
            "tcp://h:2376 Never 0 false",
        ),
    ] {
        assert_eq!(with("tcp://h", tls, path), expected, "{tls:?}");
    }
    let error = with("tcp://h", DockerTls::Verified, dir.path());
    assert!(
        error.contains("there is no `") && error.contains("ca.pem"),
        "{error}"
    );
    std::fs::remove_file(here.join("key.pem")).unwrap();
    let error = with("tcp://h", DockerTls::Verified, here);
    assert!(error.contains("cert.pem` and no `key.pem`"), "{error}");
    assert_eq!(with("ssh://h", DockerTls::Verified, here), "ssh://h");
}
