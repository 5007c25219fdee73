//! HTTPS, with certificates that are renewed while the server runs.

use crate::server::{Server, ac, have, record};
use reqwest::{Certificate, Client, Method, Version};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Makes a certificate for loopback, signed by itself, and its key.
fn certificate(dir: &Path) -> Certificate {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{said}");
    Certificate::from_pem(&std::fs::read(dir.join("cert.pem")).unwrap()).unwrap()
}

fn client(trusted: Certificate) -> reqwest::ClientBuilder {
    Client::builder().tls_certs_only([trusted])
}

fn start(dir: &Path) -> Server {
    let path = |name: &str| dir.join(name).display().to_string();
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    Server::with(&["--insecure-open", "--tls-cert", &cert, "--tls-key", &key])
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    if !have("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let trusted = certificate(dir.path());
    let server = start(dir.path());
    assert!(
        server.url.starts_with("https://127.0.0.1:"),
        "{}",
        server.url
    );
    let newer = client(trusted.clone()).build().unwrap();
    let older = client(trusted).http1_only().build().unwrap();
    let url = format!("{}{}", server.url, ac("org", "k"));
    let put = newer.request(Method::PUT, &url).body(record(&[], 1));
    assert_eq!(put.send().await.unwrap().status().as_u16(), 200);
    for (client, version) in [(newer, Version::HTTP_2), (older, Version::HTTP_11)] {
        let answer = client.get(&url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert_eq!(answer.bytes().await.unwrap(), record(&[], 1));
    }
    // Without encryption nobody is answered.
    let plain = url.replace("https:", "http:");
    assert!(reqwest::get(plain).await.is_err());
}

#[tokio::test]
async fn a_renewed_certificate_is_read_at_a_hang_up() {
    if !have("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let first = certificate(dir.path());
    let server = start(dir.path());
    let url = format!("{}/healthz", server.url);
    let answers = async |trusted: &Certificate| {
        let client = client(trusted.clone()).build().unwrap();
        client.get(&url).send().await.is_ok()
    };
    assert!(answers(&first).await);
    let second = certificate(dir.path());
    assert!(answers(&first).await && !answers(&second).await);
    server.signal("HUP");
    let start = Instant::now();
    while !answers(&second).await {
        assert!(start.elapsed() < Duration::from_secs(20), "never read");
    }
    assert!(!answers(&first).await);
    // What cannot be used changes nothing; the next signal is handled after this one.
    std::fs::write(dir.path().join("key.pem"), "no key").unwrap();
    server.signal("HUP");
    assert!(answers(&second).await);
}

/// Makes an authority, a certificate of the server and two of clients that it signs, and one of a
/// client that another authority signs.
fn authority(dir: &Path) {
    let run = |args: &[&str]| {
        let made = Command::new("openssl").args(args).current_dir(dir).output();
        let made = made.unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
    };
    let key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    for ca in ["ca", "other-ca"] {
        let (key_file, cert) = (format!("{ca}.key"), format!("{ca}.pem"));
        let own = [
            "req", "-x509", "-days", "2", "-subj", "/CN=ca", "-keyout", &key_file,
        ];
        run(&[&own[..], &["-out", &cert], &key].concat());
    }
    for (name, subject, san, ca) in [
        (
            "runner",
            "/O=org/CN=Runner 7",
            "DNS:runner-7.CI.example",
            "ca",
        ),
        (
            "stranger",
            "/CN=runner-8.ci.example",
            "URI:spiffe://example/ns/build",
            "ca",
        ),
        ("forged", "/CN=x", "DNS:runner-9.ci.example", "other-ca"),
    ] {
        let (request, out) = (format!("{name}.csr"), format!("{name}.crt"));
        let (key_file, extension) = (format!("{name}.key"), format!("subjectAltName={san}"));
        let own = [
            "req", "-subj", subject, "-keyout", &key_file, "-out", &request,
        ];
        run(&[&own[..], &["-addext", &extension], &key].concat());
        let (ca_cert, ca_key) = (format!("{ca}.pem"), format!("{ca}.key"));
        run(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca_cert,
            "-CAkey",
            &ca_key,
            "-days",
            "2",
            "-CAcreateserial",
            "-copy_extensions",
            "copy",
            "-out",
            &out,
        ]);
    }
}

#[tokio::test]
async fn clients_are_known_by_their_certificates() {
    if !have("openssl") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let trusted = certificate(dir.path());
    authority(dir.path());
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = "[[certificate]]\n\
         names = { dns = 'runner-{n}.ci.example', common-name = 'Runner *' }\n\
         scope = ['org:read', 'org/runner-{n}:write']\n\n\
         [[certificate]]\nnames = { uri = 'spiffe://example/ns/{ns}' }\nscope = '{ns}:write'\n";
    std::fs::write(path("server.toml"), text).unwrap();
    let server = Server::with(&[
        "--tls-cert",
        &path("cert.pem"),
        "--tls-key",
        &path("key.pem"),
        "--tls-client-ca",
        &path("ca.pem"),
        "--config",
        &path("server.toml"),
    ]);
    let status = async |who: Option<&str>, method: Method, namespace: &str| {
        let mut client = client(trusted.clone());
        if let Some(who) = who {
            let mut pem = std::fs::read(path(&format!("{who}.crt"))).unwrap();
            pem.extend(std::fs::read(path(&format!("{who}.key"))).unwrap());
            client = client.identity(reqwest::Identity::from_pem(&pem).unwrap());
        }
        let url = format!("{}{}", server.url, ac(namespace, "k"));
        let request = client
            .build()
            .unwrap()
            .request(method, url)
            .body(record(&[], 1));
        let answer = request.send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    };
    for (who, namespace, get, put) in [
        (Some("runner"), "org/runner-7", 404, 200),
        (Some("runner"), "org/runner-8", 404, 403),
        (Some("runner"), "build", 403, 403),
        (Some("stranger"), "build", 404, 200),
        (Some("stranger"), "org", 403, 403),
        (None, "org", 401, 401),
    ] {
        assert_eq!(
            status(who, Method::GET, namespace).await,
            Some(get),
            "{who:?}"
        );
        assert_eq!(
            status(who, Method::PUT, namespace).await,
            Some(put),
            "{who:?}"
        );
    }
    // Whom the authority does not know gets no connection.
    assert_eq!(status(Some("forged"), Method::GET, "org").await, None);
    // Other authorities are taken at a hang-up.
    std::fs::copy(path("other-ca.pem"), path("ca.pem")).unwrap();
    server.signal("HUP");
    let start = Instant::now();
    while status(Some("forged"), Method::GET, "org").await != Some(403) {
        assert!(start.elapsed() < Duration::from_secs(20), "never read");
    }
    assert_eq!(status(Some("runner"), Method::GET, "org").await, None);
    // A token suffices without a certificate.
    let token = server.own_token();
    let url = format!("{}{}", server.url, ac("org/runner-7", "k"));
    let request = client(trusted).build().unwrap().get(url).bearer_auth(token);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 200);
}

#[test]
fn what_is_no_certificate_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["cert.pem", "key.pem"] {
        std::fs::write(dir.path().join(name), "nothing").unwrap();
    }
    let refused = Command::new(env!("CARGO_BIN_EXE_acetate-cache-server"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--insecure-open",
            "--dir",
            "cache",
        ])
        .args(["--tls-cert", "cert.pem", "--tls-key", "key.pem"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && stderr.contains("`cert.pem` holds no certificate"),
        "{stderr}"
    );
}
