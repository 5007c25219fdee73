//! Registries with accounts behind TLS.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use acetate_registry::{Access, Name, NoProgress, Progress, Registries, RegistryError};

use crate::server::{Kind, Server, have, net, programs, run, sample};

fn silent() -> Arc<dyn Progress> {
    Arc::new(NoProgress)
}

fn started(kind: Kind) -> Vec<Server> {
    if !have("openssl") {
        return Vec::new();
    }
    let programs = programs();
    programs
        .iter()
        .map(|program| Server::start(program, kind))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_and_an_authority_let_us_in() {
    for server in started(Kind::Secured) {
        let (image, to) = (sample(&["1"]), server.repository("app"));
        let registries = server.client(&server.login(), "ca = \"DIR/ca.pem\"");
        let report = registries.push(&to, &image.push, &silent()).await.unwrap();
        assert_eq!(report.n_sent, 5);
        let served = registries.manifest(&to, &Name::Tag("1".into())).await;
        assert_eq!(served.unwrap().bytes, image.push.root.bytes);
        if have("skopeo") {
            let from = format!("docker://{}/app:1", server.host);
            let raw = run(
                "skopeo",
                &[
                    "inspect",
                    "--raw",
                    "--tls-verify=false",
                    "--creds=user:s3cret",
                    &from,
                ],
            );
            assert_eq!(raw.as_bytes(), image.push.root.bytes);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_either_it_is_one_clear_error() {
    for server in started(Kind::Secured) {
        let (image, to) = (sample(&["1"]), server.repository("app"));
        let wrong = server
            .login()
            .replace("dXNlcjpzM2NyZXQ=", "dXNlcjp3cm9uZw==");
        for (config, settings, words) in [
            (
                "{}",
                "ca = \"DIR/ca.pem\"",
                "log in with `docker login 127.0.0.1:",
            ),
            (
                wrong.as_str(),
                "ca = \"DIR/ca.pem\"",
                "log in again with `docker login",
            ),
            (server.login().as_str(), "http = false", "UnknownIssuer"),
            (
                server.login().as_str(),
                "ca = \"DIR/server.key\"",
                "no PEM certificate",
            ),
        ] {
            let registries = server.client(config, settings);
            let error = registries
                .push(&to, &image.push, &silent())
                .await
                .unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains(words), "{settings}: {text}");
            for secret in ["s3cret", "wrong", "dXNlc", "PRIVATE"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
        let registries = server.client(&server.login(), "insecure = true");
        registries.push(&to, &image.push, &silent()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_shown_where_it_is_wanted() {
    for server in started(Kind::Certified) {
        let to = server.repository("app");
        let name = Name::Tag("1".into());
        let ours = "ca = \"DIR/ca.pem\"\ncert = \"DIR/client.pem\"\nkey = \"DIR/client.key\"";
        let registries = server.client(&server.login(), ours);
        assert_eq!(registries.describe(&to, &name).await.unwrap(), None);
        let registries = server.client(&server.login(), "ca = \"DIR/ca.pem\"");
        let error = registries.describe(&to, &name).await.unwrap_err();
        assert!(matches!(error, RegistryError::Net(_)), "{error}");
        // The same, as docker has it in a directory.
        let certs = server.path("certs.d").join(&server.host);
        std::fs::create_dir_all(&certs).unwrap();
        for (from, to) in [
            ("ca.pem", "ca.crt"),
            ("client.pem", "a.cert"),
            ("client.key", "a.key"),
        ] {
            std::fs::copy(server.path(from), certs.join(to)).unwrap();
        }
        let mut access = Access::anonymous();
        access.auth.files = vec![server.path("config.json")];
        access.certificates = vec![server.path("certs.d")];
        let registries = Registries::new(net(), access);
        assert_eq!(registries.describe(&to, &name).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_helper_program_knows_the_password() {
    for server in started(Kind::Secured) {
        let helper = server.path("docker-credential-test");
        let text = "#!/bin/sh\necho '{\"Username\":\"user\",\"Secret\":\"s3cret\"}'\n";
        // Written by another process: this one may be starting programs meanwhile.
        let script = format!(
            "cat > '{0}' <<'END'\n{text}END\nchmod 755 '{0}'",
            helper.display()
        );
        run("sh", &["-c", &script]);
        assert!(helper.metadata().unwrap().permissions().mode() & 0o100 != 0);
        let config = server.path("config.json");
        std::fs::write(&config, r#"{"credsStore":"test"}"#).unwrap();
        let toml = server.path("registries.toml");
        let ca = server.path("ca.pem");
        let settings = format!("[registry.\"{}\"]\nca = {ca:?}\n", server.host);
        std::fs::write(&toml, settings).unwrap();
        let mut access = Access::anonymous();
        access.auth.files = vec![config];
        access.settings = acetate_registry::Settings::read(&[toml]).unwrap();
        access.search_path = server.dir.path().display().to_string();
        let registries = Registries::new(net(), access);
        let (image, to) = (sample(&["1"]), server.repository("app"));
        registries.push(&to, &image.push, &silent()).await.unwrap();
    }
}
