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
